# SPDX-License-Identifier: Apache-2.0
"""The resampler: stream and one-shot are twins; tones keep their pitch and level, or vanish."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.signal.resample import Resampler
from oido.signal.resample import resample as resample_at_once
from tests.signal.sounds import dominant_hz, noise, sine

RATES_HZ = (4_000, 8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000, 192_000)
TO_HZ = 16_000


def resample(samples, from_hz, cuts=()):
    """All of f[n] in the pieces between ``cuts``."""
    resampler = Resampler(from_hz, TO_HZ)
    pieces = np.split(samples.astype(np.float32), list(cuts))
    return np.concatenate([*map(resampler.push, pieces), resampler.flush()])


def cuts_of(chunk, n_samples):
    return range(chunk, n_samples, chunk)


@settings(max_examples=60)
@given(
    from_hz=st.sampled_from(RATES_HZ),
    n_samples=st.integers(0, 50_000),
    chunk=st.sampled_from([17, 160, 509, 4_096, 44_100]),
)
def test_a_stream_equals_the_one_shot_for_every_chunk_size(from_hz, n_samples, chunk):
    samples = noise(n_samples)
    whole = resample_at_once(samples, from_hz, TO_HZ)
    np.testing.assert_array_equal(resample(samples, from_hz, cuts_of(chunk, n_samples)), whole)


@settings(max_examples=40)
@given(from_hz=st.sampled_from(RATES_HZ), n_samples=st.integers(0, 50_000), data=st.data())
def test_a_stream_equals_the_one_shot_wherever_it_is_cut(from_hz, n_samples, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, n_samples), max_size=12)))
    samples = noise(n_samples, seed=1)
    np.testing.assert_array_equal(resample(samples, from_hz, cuts), resample(samples, from_hz))


@pytest.mark.parametrize("from_hz", RATES_HZ)
@pytest.mark.parametrize("n_samples", [0, 1, 2, 999, 9_999])
def test_a_stream_of_single_samples_equals_the_one_shot(from_hz, n_samples):
    samples = noise(n_samples, seed=2)
    np.testing.assert_array_equal(
        resample(samples, from_hz, cuts_of(1, n_samples)), resample(samples, from_hz)
    )


@pytest.mark.parametrize("from_hz", [1_000, *RATES_HZ, 768_000])
@pytest.mark.parametrize("seconds", [0.1, 1.0, 3.7])
def test_the_length_is_the_duration(from_hz, seconds):
    n_samples = round(seconds * from_hz)
    assert abs(len(resample(noise(n_samples), from_hz)) - n_samples * TO_HZ / from_hz) <= 1.0


@pytest.mark.parametrize(
    ("from_hz", "hz"),
    [
        (from_hz, hz)
        for from_hz in RATES_HZ
        for hz in (55.0, 440.0, 1_000.0, 1_700.0, 3_500.0, 7_000.0)
        if hz <= 0.9 * from_hz / 2  # the source's band
    ],
)
def test_pitch_level_and_phase_are_kept(from_hz, hz):
    out = resample(sine(hz, from_hz, 2 * from_hz), from_hz)
    assert dominant_hz(out, TO_HZ) == pytest.approx(hz, abs=0.5)
    middle = slice(4_000, 28_000)  # away from the edges, where the filter sees silence
    expected = sine(hz, TO_HZ, len(out))[middle]
    # 0.02 dB near the edge of the band, where the filter begins to fall, and nothing elsewhere.
    assert np.abs(out[middle] - expected).max() < (1e-3 if hz > 6_500.0 else 1e-4)


@pytest.mark.parametrize("from_hz", [22_050, 32_000, 44_100, 48_000, 96_000, 192_000])
def test_what_is_above_the_new_band_vanishes(from_hz):
    """Otherwise it would fold down into the band: below −60 dB of what went in."""
    for hz in np.linspace(8_800.0, 0.48 * from_hz, 7):
        out = resample(sine(hz, from_hz, from_hz), from_hz)[2_000:-2_000]
        level_db = 20.0 * np.log10(out.std() / (0.5 / np.sqrt(2.0)) + 1e-12)
        assert level_db < -60.0, f"{hz:.0f} Hz"


@pytest.mark.parametrize("from_hz", [4_000, 8_000, 11_025])
def test_no_mirror_images_above_the_old_band(from_hz):
    hz = 0.2 * from_hz
    out = resample(sine(hz, from_hz, 2 * from_hz), from_hz)[4_000:-4_000]
    spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out))))
    above = np.fft.rfftfreq(len(out), 1 / TO_HZ) > from_hz / 2 * 1.1
    assert 20.0 * np.log10(spectrum[above].max() / spectrum.max()) < -60.0


def test_equal_rates_pass_through_untouched():
    samples = noise(10_000)
    resampler = Resampler(TO_HZ, TO_HZ)
    np.testing.assert_array_equal(resampler.push(samples), samples)
    assert len(resampler.flush()) == 0
    assert resampler.flush().dtype == np.float32


@pytest.mark.parametrize("from_hz", [TO_HZ, 8_000, 44_100])
def test_nothing_in_nothing_out(from_hz):
    out = resample(np.zeros(0), from_hz)
    assert out.shape == (0,)
    assert out.dtype == np.float32


def test_a_column_of_an_interleaved_array_may_be_pushed():
    stereo = noise(20_000).reshape(-1, 2)
    resampler = Resampler(44_100, TO_HZ)
    out = np.concatenate([resampler.push(stereo[:, 1]), resampler.flush()])
    np.testing.assert_array_equal(out, resample(stereo[:, 1].copy(), 44_100))


def test_silence_and_a_constant_stay_what_they_are():
    assert not resample(np.zeros(44_100), 44_100).any()
    out = resample(np.full(44_100, 0.25), 44_100)
    np.testing.assert_allclose(out[1_000:-1_000], 0.25, atol=1e-5)
