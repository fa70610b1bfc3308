# SPDX-License-Identifier: Apache-2.0
"""From probabilities of clips that a head had not seen to a threshold for each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_thresholds"]

_DEFAULT = 0.5
_ENOUGH_CLIPS = 5
_RANGE = (0.1, 0.9)


def best_thresholds(
    probabilities: NDArray[np.float32], targets: NDArray[np.float32]
) -> NDArray[np.float32]:
    """f32[C]: where F1 is best on f32[K, C], half-way between the two values around it.

    Of equally good places the one nearest to 0.5 is taken; 0.1 to 0.9; 0.5 for a class with fewer
    than five clips, in which the best place is chance. Targets that are NaN do not count.
    """
    columns = zip(probabilities.T, targets.T)
    return np.array([_best(p[~np.isnan(t)], t[~np.isnan(t)]) for p, t in columns], np.float32)


def _best(probabilities: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    if truth.sum() < _ENOUGH_CLIPS or truth.all():
        return _DEFAULT
    order = np.argsort(-probabilities, kind="stable")
    p, hits = probabilities[order].astype(np.float64), np.cumsum(truth[order])
    f1 = 2 * hits / (np.arange(1, len(p) + 1) + truth.sum())
    # A threshold lies between two different values: after row k, with the next one lower.
    below = np.append(p[1:], 0.0)
    between = (p + below) / 2
    possible = below < p
    best = f1[possible].max()
    places = np.clip(between[possible & (f1 >= best - 1e-12)], *_RANGE)
    return float(places[np.abs(places - _DEFAULT).argmin()])
