# SPDX-License-Identifier: Apache-2.0
"""The clips that a model was most wrong about."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.training.clip import Clip
from oido.training.judged import UNKNOWN, JudgedClips
from oido.training.metrics import NO_EVENT

__all__ = ["Mistake", "worst_mistakes"]


class Mistake(NamedTuple):
    """A clip, what is in it, and what was said; both as labels joined by commas.

    label: the class that was most wrongly given, or missed; value: its probability (or score).
    severity: by how much the answer was wrong, 0..1. centre: seconds from the start of the clip,
    the middle of the window where ``label`` is strongest; NaN if windows are not known.
    """

    clip: Clip
    truth: str
    said: str
    label: str
    value: float
    severity: float
    centre: float


def worst_mistakes(judged: JudgedClips, count: int = 12) -> tuple[Mistake, ...]:
    """The ``count`` worst, worst first; equal ones in the order of the clips.

    With one class per clip, the worst are those where the answer's probability is farthest above
    that of the truth; with several, those with a class farthest on the wrong side of what is true.
    """
    severity, column = _several(judged) if judged.multi_label else _one(judged)
    order = np.argsort(-severity, kind="stable")
    wrong = [int(number) for number in order if np.isfinite(severity[number])]
    return tuple(_mistake(judged, n, int(column[n]), float(severity[n])) for n in wrong[:count])


def _one(judged: JudgedClips) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
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


def _several(judged: JudgedClips) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    heard = judged.targets > 0
    wrong = judged.known & (judged.detected != heard)
    gaps = np.where(wrong, np.abs(judged.probabilities - heard), -np.inf)
    return gaps.max(axis=1), np.asarray(gaps.argmax(axis=1), np.int64)


def _mistake(judged: JudgedClips, number: int, column: int, severity: float) -> Mistake:
    heard = judged.targets[number] > 0
    if judged.multi_label:
        said = judged.detected[number]
    else:
        said = np.arange(len(judged.classes)) == judged.decided[number]
    return Mistake(
        judged.clips[number],
        _labels(judged, heard),
        _labels(judged, said),
        judged.classes[column],
        float(judged.probabilities[number, column]),
        severity,
        _strongest(judged, number, column),
    )


def _labels(judged: JudgedClips, chosen: NDArray[np.bool_]) -> str:
    return ", ".join(label for label, is_in in zip(judged.classes, chosen) if is_in) or NO_EVENT


def _strongest(judged: JudgedClips, number: int, column: int) -> float:
    windows = judged.windows
    if windows is None or windows.times is None:
        return math.nan
    own = np.flatnonzero(windows.clip_index == number)
    if not len(own):
        return math.nan
    best = own[windows.probabilities[own, column].argmax()]
    return float(windows.times[best].mean())
