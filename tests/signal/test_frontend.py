# SPDX-License-Identifier: Apache-2.0
"""The front end against a second one, written from the published facts."""

from __future__ import annotations

import numpy as np
import pytest

from oido.mel import mel_matrix
from oido.params import FrontEndParams
from oido.signal.frontend import FrontEnd, numpy_projection
from tests.signal.reference_frontend import log_mel, mel_weights
from tests.signal.sounds import noise, sine

YAMNET = FrontEndParams(16_000, 400, 160, 512, 96)
HANN = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(400) / 400)).astype(np.float32)

SIGNALS = {
    "noise": noise(15_600, level=0.3),
    "quiet noise": noise(15_600, level=1e-4),
    "sine": sine(1_000.0, 16_000, 15_600).astype(np.float32),
    "two sines": (sine(440.0, 16_000, 15_600) + sine(6_000.0, 16_000, 15_600, 0.01)).astype("f4"),
    "silence": np.zeros(15_600, np.float32),
    "full scale square": np.sign(sine(300.0, 16_000, 15_600) + 1e-9).astype(np.float32),
    "click": np.eye(1, 15_600, 7_000, dtype=np.float32)[0],
    "constant": np.full(15_600, 0.5, np.float32),
}

TONAL = {"sine", "two sines", "constant"}


@pytest.fixture
def plain_front_end():
    """Without any model: constants by the formulas, projection by NumPy."""
    weights = mel_matrix(YAMNET, 64, 125.0, 7_500.0).astype(np.float32)
    return FrontEnd(YAMNET, HANN, (0, 256), numpy_projection(weights, 0.001))


def test_the_derived_numbers():
    assert YAMNET.patch_samples == 15_600
    assert YAMNET.fft_bins == 257


def assert_equals_reference(frames, waveform, tonal):
    """Within 1e-5; but what stands beside a pure tone is its float32 rounding, −140 dB below it.

    The model rounds to float32 before its FFT and the reference does not, so for tones the energies
    are compared, to 1e-7 of the tone's magnitude (its amplitude · 200).
    """
    expected = log_mel(waveform)
    if tonal:
        np.testing.assert_allclose(np.exp(frames), np.exp(expected), atol=1e-5, rtol=1e-5)
    else:
        np.testing.assert_allclose(frames, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("signal", SIGNALS)
def test_equals_the_reference(front_end, signal):
    waveform = SIGNALS[signal]
    assert_equals_reference(front_end.frames(waveform), waveform, signal in TONAL)


@pytest.mark.parametrize("signal", SIGNALS)
def test_the_numpy_projection_equals_the_reference(plain_front_end, signal):
    waveform = SIGNALS[signal]
    assert_equals_reference(plain_front_end.frames(waveform), waveform, signal in TONAL)


@pytest.mark.parametrize("n_samples", [400, 559, 560, 15_600, 31_000, 160 * 192 + 400, 100_000])
def test_frames_are_counted_without_padding(front_end, n_samples):
    waveform = noise(n_samples)
    frames = front_end.frames(waveform)
    assert frames.shape == (1 + (n_samples - 400) // 160, 64)
    assert frames.dtype == np.float32
    np.testing.assert_allclose(frames, log_mel(waveform), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("hop", "windows"), [(7_680, 70), (160, 300), (1_600, 40), (15_360, 5)])
def test_a_patch_is_the_log_mel_of_its_own_window(front_end, hop, windows):
    waveform = noise((windows - 1) * hop + 15_600)
    patches = front_end.patches(waveform, hop)
    assert patches.shape == (windows, 96, 64)
    for k in {0, 1, windows // 2, windows - 1}:
        alone = front_end.patches(waveform[k * hop : k * hop + 15_600].copy(), hop)
        np.testing.assert_array_equal(patches[k], alone[0])
    reference = log_mel(waveform[(windows - 1) * hop :])
    np.testing.assert_allclose(patches[-1], reference, atol=1e-5, rtol=0)


def test_nothing_is_left_over_from_one_call_to_the_next(make_front_end):
    """The work memory is reused: a short call after a long one must not see the old samples."""
    used, loud = make_front_end(), noise(200_000, level=0.5)
    used.frames(loud)
    for n_samples in (15_600, 400, 40_000):
        waveform = noise(n_samples, seed=5, level=1e-3)
        np.testing.assert_array_equal(used.frames(waveform), make_front_end().frames(waveform))


def test_what_it_gave_stays_as_it_is(front_end):
    first = front_end.patches(noise(40_000), 160)
    copy = first.copy()
    front_end.patches(noise(40_000, seed=9), 160)
    np.testing.assert_array_equal(first, copy)


def test_the_waveform_is_not_changed(front_end):
    waveform = noise(20_000)
    before = waveform.copy()
    front_end.patches(waveform[:15_600], 7_680)
    np.testing.assert_array_equal(waveform, before)


@pytest.mark.parametrize("hz", [150.0, 440.0, 1_000.0, 3_000.0, 7_000.0])
def test_a_sine_is_loudest_in_the_band_that_it_lies_in(front_end, hz):
    def mel(frequency):
        return 2595.0 * np.log10(1.0 + frequency / 700.0)

    step = (mel(7_500.0) - mel(125.0)) / 65
    band = (mel(hz) - mel(125.0)) / step - 1.0
    frames = front_end.frames(sine(hz, 16_000, 15_600).astype(np.float32))
    assert abs(int(frames.mean(axis=0).argmax()) - band) <= 1.0


def test_silence_is_the_logarithm_of_the_offset(front_end):
    frames = front_end.frames(np.zeros(15_600, np.float32))
    np.testing.assert_allclose(frames, np.log(0.001), atol=1e-6)


def test_the_mel_matrix_equals_the_reference():
    weights = mel_matrix(YAMNET, 64, 125.0, 7_500.0)
    assert weights.shape == (257, 64)
    np.testing.assert_allclose(weights, mel_weights(), atol=1e-9)
    assert not weights[0].any()
    assert weights.min() == 0.0
    assert weights.max() <= 1.0


def test_the_mel_matrix_inside_the_model_is_that_one(model):
    weights = mel_matrix(YAMNET, 64, 125.0, 7_500.0)
    np.testing.assert_allclose(model.network.graph.mel, weights.T, atol=1e-6)
    np.testing.assert_allclose(model.network.graph.mel, mel_weights().T, atol=1e-6)


def test_the_other_constants_inside_the_model_are_the_published_ones(model):
    np.testing.assert_allclose(model.network.graph.window, HANN, atol=3e-7)
    assert model.network.graph.log_offset == pytest.approx(0.001, abs=1e-9)
    assert model.network.front_end == YAMNET
    used = np.flatnonzero(mel_weights().any(axis=1))
    assert (model.network.graph.first_bin, model.network.graph.last_bin) == (used[0], used[-1])
    assert model.network.graph.patch_frames == 96
    assert model.network.graph.input_samples == 15_600
