# SPDX-License-Identifier: Apache-2.0
"""EfficientAT's front end against a literal second one, and against the original's own values."""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.mel import kaldi_mel_matrix
from oido.params import MnFrontEndParams
from oido.signal.frontend import MnFrontEnd
from tests.signal.sounds import noise, sine

ROOT = Path(__file__).parents[2]
RATE = 32_000
TOLERANCE = 1e-5  # measured: 3e-7 against the reference, 1.5e-6 against the original


class GoldenClip(NamedTuple):
    """A real clip at 32 kHz, f32[n], and what the original implementation made of it."""

    waveform: NDArray[np.float32]
    values: dict[str, Any]


def models_folder() -> Path:
    """The folder of model files that are never part of the project; skips without it."""
    folder = Path(os.environ.get("OIDO_TEST_MODELS") or ROOT.parent / "shared" / "models")
    if not (folder / "mn04_golden.json").is_file():
        pytest.skip(
            "needs mn04_golden.json and mn04_as_mAP_432.pt: set OIDO_TEST_MODELS to their folder, "
            "or put it at ../shared/models beside the project"
        )
    return folder


def golden_clips(shared_audio: Path) -> list[GoldenClip]:
    golden = json.loads((models_folder() / "mn04_golden.json").read_text(encoding="utf-8"))
    clips = []
    for values in golden["clips"]:
        path = shared_audio / values["file"].removeprefix("audio/")
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        waveform = soxr.resample(samples.mean(1), rate, RATE, quality="HQ").astype(np.float32)
        assert len(waveform) == values["samples_32k"]
        clips.append(GoldenClip(waveform, values))
    return clips


def reference(waveform):
    """f64[128, frames]: every step as torch.stft and torchaudio describe it, nothing shared.

    Pre-emphasis in float32, as the original: beside a pure tone its rounding is what is heard.
    """
    sharp = waveform[1:] - np.float32(0.97) * waveform[:-1]
    padded = np.pad(sharp.astype(np.float64), 512, mode="reflect")
    window = np.pad(0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(800) / 799.0), 112)
    columns = []
    for start in range(0, len(sharp) + 1, 320):
        if start + 1024 > len(padded):
            break
        spectrum = np.fft.rfft(padded[start : start + 1024] * window)
        columns.append(np.abs(spectrum) ** 2)
    mel = reference_mel() @ np.array(columns).T
    return (np.log(mel + 1e-5) + 4.5) / 5.0


@cache
def reference_mel():
    """f64[128, 513], a band and a bin at a time."""
    weights = np.zeros((128, 513))
    high = 1127.0 * np.log(1.0 + 15_000.0 / 700.0)
    step = high / 129.0
    for band in range(128):
        left, centre, right = band * step, (band + 1) * step, (band + 2) * step
        for bin_ in range(512):
            mel = 1127.0 * np.log(1.0 + bin_ * 31.25 / 700.0)
            weights[band, bin_] = max(
                0.0, min((mel - left) / (centre - left), (right - mel) / (right - centre))
            )
    return weights


SIGNALS = {
    "noise": noise(RATE, level=0.3),
    "quiet noise": noise(RATE, level=1e-4),
    "sine": sine(1_000.0, RATE, RATE).astype(np.float32),
    "silence": np.zeros(RATE, np.float32),
    "click": np.eye(1, RATE, 7_000, dtype=np.float32)[0],
    "constant": np.full(RATE, 0.5, np.float32),
}


def test_the_derived_numbers():
    assert MnFrontEndParams().patch_frames == 1_000
    assert MnFrontEndParams(window_samples=160_450).patch_frames == 502


def test_the_mel_matrix():
    np.testing.assert_allclose(kaldi_mel_matrix(MnFrontEndParams()), reference_mel().T, atol=1e-9)


@pytest.mark.parametrize("signal", SIGNALS)
def test_equals_the_reference(signal):
    waveform = SIGNALS[signal]
    patches = MnFrontEnd(MnFrontEndParams(window_samples=RATE)).patches(waveform, 320)
    assert patches.shape == (1, 128, 100, 1)
    assert patches.dtype == np.float32
    np.testing.assert_allclose(patches[0, :, :, 0], reference(waveform), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("window", [514, 640, 801, 1_040, 1_041, 1_121, 5_000, 31_999, 32_001])
def test_equals_the_reference_for_any_window(window):
    waveform = noise(window)
    patches = MnFrontEnd(MnFrontEndParams(window_samples=window)).patches(waveform, 320)
    np.testing.assert_allclose(patches[0, :, :, 0], reference(waveform), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("hop", [320, 3_200, 16_000, 32_000, 1_000, 12_345])
@pytest.mark.parametrize("n_windows", [1, 2, 7])
def test_each_window_is_a_clip_of_its_own(hop, n_windows):
    waveform = noise((n_windows - 1) * hop + RATE)
    patches = MnFrontEnd(MnFrontEndParams(window_samples=RATE)).patches(waveform, hop)
    assert patches.shape == (n_windows, 128, 100, 1)
    for k, patch in enumerate(patches):
        window = waveform[k * hop : k * hop + RATE]
        np.testing.assert_allclose(patch[:, :, 0], reference(window), atol=TOLERANCE, rtol=0)


def test_neighbours_change_nothing():
    """Sums in float64 are rounded once: a window in company is, but for luck, the same bits."""
    front_end = MnFrontEnd(MnFrontEndParams(window_samples=RATE))
    waveform = noise(5 * 16_000 + RATE)
    together = front_end.patches(waveform, 16_000)
    for k, patch in enumerate(together):
        alone = front_end.patches(waveform[k * 16_000 : k * 16_000 + RATE], 16_000)[0]
        np.testing.assert_allclose(patch, alone, atol=3e-7, rtol=0)
    loud = waveform.copy()
    loud[:16_000] = 1.0
    loud[3 * 16_000 :] = -1.0
    np.testing.assert_array_equal(front_end.patches(loud, 16_000)[1], together[1])


def test_a_window_too_short_to_reflect_is_refused():
    with pytest.raises(OptionError, match="at least 514 samples"):
        MnFrontEndParams(window_samples=513)


def test_bands_that_do_not_fit_are_refused():
    with pytest.raises(OptionError, match="multiple of 16"):
        MnFrontEnd(MnFrontEndParams(bands=100))


def test_equals_the_original(shared_audio):
    for clip in golden_clips(shared_audio):
        params = MnFrontEndParams(window_samples=len(clip.waveform))
        mel = MnFrontEnd(params).patches(clip.waveform, 320)[0, :, :, 0]
        values = clip.values
        assert list(mel.shape) == values["mel_shape"]
        assert mel.mean() == pytest.approx(values["mel_mean"], abs=1e-6)
        assert mel.std(ddof=1) == pytest.approx(values["mel_std"], abs=1e-6)
        np.testing.assert_allclose(
            mel[:8, 0], values["mel_first_frame_first8"], atol=TOLERANCE, rtol=0
        )
