# SPDX-License-Identifier: Apache-2.0
"""A few seconds of a clip: to be played in a browser, and to be seen."""

from __future__ import annotations

import io
import math
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from oido.errors import AudioError
from oido.mel import mel_matrix, periodic_hann
from oido.params import FrontEndParams
from oido.signal.frontend import FrontEnd, numpy_projection
from oido.signal.resample import Resampler
from oido.training.clip import Clip
from oido.training.heard import clip_waveform

__all__ = ["HIGH_HZ", "LOW_HZ", "SECONDS", "Excerpt", "excerpt"]

SECONDS = 5.0
"""At most this long."""

LOW_HZ, HIGH_HZ = 125.0, 7_500.0
"""What the spectrogram shows, as YAMNet's."""

_HIGHEST_RATE_HZ = 24_000
_BANDS, _LOG_OFFSET = 64, 0.001
_PARAMS = FrontEndParams(16_000, 400, 160, 512, 96)


class Excerpt(NamedTuple):
    """A stretch of a recording, from ``start`` s on, ``seconds`` long.

    flac: mono, 16 bits, at most 24 kHz. log_mel: f32[t, 64], 125 to 7,500 Hz.
    """

    start: float
    seconds: float
    flac: bytes
    log_mel: NDArray[np.float32]


def excerpt(clip: Clip, centre: float = math.nan) -> Excerpt | None:
    """Up to five seconds around ``centre``, in seconds from the clip's start; NaN is its start.

    None if the recording cannot be read any more.
    """
    begin = 0.0 if math.isnan(centre) else max(0.0, centre - SECONDS / 2)
    start = (clip.start_time or 0.0) + begin
    end = start + SECONDS if clip.end_time is None else min(clip.end_time, start + SECONDS)
    try:
        waveform, rate_hz = clip_waveform(Clip(clip.path, start_time=start, end_time=end))
        waveform, rate_hz = _at_most(waveform, rate_hz, _HIGHEST_RATE_HZ)
        seconds = len(waveform) / rate_hz
        return Excerpt(start, seconds, _flac(waveform, rate_hz), _log_mel(waveform, rate_hz))
    except (AudioError, soundfile.LibsndfileError):
        return None


def _at_most(
    waveform: NDArray[np.float32], rate_hz: int, highest_hz: int
) -> tuple[NDArray[np.float32], int]:
    if rate_hz <= highest_hz:
        return waveform, rate_hz
    return _resampled(waveform, rate_hz, highest_hz), highest_hz


def _resampled(waveform: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    resampler = Resampler(from_hz, to_hz)
    return np.concatenate([resampler.push(waveform), resampler.flush()])


def _flac(waveform: NDArray[np.float32], rate_hz: int) -> bytes:
    """Every browser plays it, and nothing of what was heard is lost."""
    file = io.BytesIO()
    samples = np.clip(waveform, -1, 1)
    soundfile.write(file, samples, rate_hz, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _log_mel(waveform: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    waveform = _resampled(waveform, rate_hz, _PARAMS.sample_rate_hz)
    missing = max(0, _PARAMS.window_samples - len(waveform))
    weights = mel_matrix(_PARAMS, _BANDS, LOW_HZ, HIGH_HZ).astype(np.float32)
    used = np.flatnonzero(weights.any(axis=1))
    first, last = int(used[0]), int(used[-1])
    projection = numpy_projection(weights[first : last + 1], _LOG_OFFSET)
    window = periodic_hann(_PARAMS.window_samples)
    front_end = FrontEnd(_PARAMS, window, (first, last), projection)
    return front_end.frames(np.pad(waveform, (0, missing)))
