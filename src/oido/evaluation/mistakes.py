# SPDX-License-Identifier: Apache-2.0
"""The clips that a model was most wrong about, and a few seconds of each to play and to see."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.datasets.clip import Clip
from oido.datasets.waveforms import clip_waveform
from oido.errors import AudioError
from oido.evaluation.metrics import NO_EVENT
from oido.evaluation.predictions import UNKNOWN, ClipPredictions
from oido.mel import mel_matrix, periodic_hann
from oido.params import FrontEndParams
from oido.signal.encode import flac_bytes
from oido.signal.frontend import FrontEnd, numpy_projection
from oido.signal.resample import resample


class Mistake(NamedTuple):
    """A clip, what is in it, and what was predicted; both as labels joined by commas.

    label: the class that was most wrongly predicted, or missed; value: its probability (or score).
    severity: by how much the answer was wrong, 0..1. centre: seconds from the start of the clip,
    the middle of the window where ``label`` is strongest; NaN if windows are not known.
    """

    clip: Clip
    truth: str
    predicted: str
    label: str
    value: float
    severity: float
    centre: float


def worst_mistakes(judged: ClipPredictions, count: int = 12) -> tuple[Mistake, ...]:
    """The ``count`` worst, worst first; equal ones in the order of the clips.

    With one class per clip, the worst are those where the answer's probability is farthest above
    that of the truth; with several, those with a class farthest on the wrong side of what is true.
    """
    severity, column = _several(judged) if judged.multi_label else _one(judged)
    order = np.argsort(-severity, kind="stable")
    wrong = [int(number) for number in order if np.isfinite(severity[number])]
    return tuple(_mistake(judged, n, int(column[n]), float(severity[n])) for n in wrong[:count])


def _one(judged: ClipPredictions) -> tuple[F64, I64]:
    """f64[K] severity, −inf for no mistake; i64[K] the class that it is about."""
    values = judged.probabilities.astype(np.float64)
    nothing = 1 - values.max(axis=1) if judged.no_event is None else judged.no_event
    values = np.concatenate([values, nothing[:, None]], axis=1)
    rows, size = np.arange(len(judged)), len(judged.classes)
    wrong = (judged.truth != UNKNOWN) & (judged.decided != judged.truth)
    gap = values[rows, judged.decided] - values[rows, judged.truth]
    # Below a threshold, the answer need not be the more probable one.
    severity = np.where(wrong, np.maximum(gap, 0), -np.inf)
    return severity, np.where(judged.decided < size, judged.decided, judged.truth)


def _several(judged: ClipPredictions) -> tuple[F64, I64]:
    present = judged.targets > 0
    wrong = judged.known & (judged.detected != present)
    gaps = np.where(wrong, np.abs(judged.probabilities - present), -np.inf)
    return gaps.max(axis=1), np.asarray(gaps.argmax(axis=1), np.int64)


def _mistake(judged: ClipPredictions, number: int, column: int, severity: float) -> Mistake:
    present = judged.targets[number] > 0
    if judged.multi_label:
        predicted = judged.detected[number]
    else:
        predicted = np.arange(len(judged.classes)) == judged.decided[number]
    return Mistake(
        judged.clips[number],
        _labels(judged, present),
        _labels(judged, predicted),
        judged.classes[column],
        float(judged.probabilities[number, column]),
        severity,
        _strongest(judged, number, column),
    )


def _labels(judged: ClipPredictions, chosen: Bools) -> str:
    return ", ".join(label for label, is_in in zip(judged.classes, chosen) if is_in) or NO_EVENT


def _strongest(judged: ClipPredictions, number: int, column: int) -> float:
    windows = judged.windows
    if windows is None or windows.times is None:
        return math.nan
    own = np.flatnonzero(windows.clip_index == number)
    if not len(own):
        return math.nan
    best = own[windows.probabilities[own, column].argmax()]
    return float(windows.times[best].mean())


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
    log_mel: F32


def excerpt(clip: Clip, centre: float = math.nan) -> Excerpt | None:
    """Up to five seconds around ``centre``, in seconds from the clip's start; NaN is its start.

    None if the recording cannot be read any more.
    """
    begin = 0.0 if math.isnan(centre) else max(0.0, centre - SECONDS / 2)
    start = (clip.start_time or 0.0) + begin
    end = start + SECONDS if clip.end_time is None else min(clip.end_time, start + SECONDS)
    try:
        waveform, rate_hz = clip_waveform(Clip(clip.path, start_time=start, end_time=end))
        waveform = resample(waveform, rate_hz, min(rate_hz, _HIGHEST_RATE_HZ))
        rate_hz = min(rate_hz, _HIGHEST_RATE_HZ)
        seconds = len(waveform) / rate_hz
        return Excerpt(start, seconds, flac_bytes(waveform, rate_hz), _log_mel(waveform, rate_hz))
    except AudioError:
        return None


def _log_mel(waveform: F32, rate_hz: int) -> F32:
    waveform = resample(waveform, rate_hz, _PARAMS.sample_rate_hz)
    missing = max(0, _PARAMS.window_samples - len(waveform))
    weights = mel_matrix(_PARAMS, _BANDS, LOW_HZ, HIGH_HZ).astype(np.float32)
    used = np.flatnonzero(weights.any(axis=1))
    first, last = int(used[0]), int(used[-1])
    projection = numpy_projection(weights[first : last + 1], _LOG_OFFSET)
    window = periodic_hann(_PARAMS.window_samples)
    front_end = FrontEnd(_PARAMS, window, (first, last), projection)
    return front_end.frames(np.pad(waveform, (0, missing)))
