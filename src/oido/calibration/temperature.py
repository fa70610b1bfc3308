# SPDX-License-Identifier: Apache-2.0
"""Making probabilities mean what they say: one slope for all logits, learnt on unseen clips."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from oido.heads import OutputKind

__all__ = ["fitted_slope", "log_losses"]

_SLOPES = np.geomspace(0.2, 5.0, 65)
_CLIPS_OF_PRIOR = 4
"""A slope twice too large or small must be told by more than this many clips."""


def log_losses(
    probabilities: NDArray[np.float32], targets: NDArray[np.float32], output: OutputKind
) -> NDArray[np.float64]:
    """f64[K], nats: −ln of what each clip's classes were given; unknown targets count nothing."""
    p = np.clip(probabilities.astype(np.float64), 1e-6, 1 - 1e-6)
    if output == "softmax":
        return np.asarray(-(np.log(p) * targets).sum(axis=1))
    losses = np.where(targets > 0, -np.log(p), -np.log1p(-p))
    return np.asarray(np.where(np.isnan(targets), 0, losses).sum(axis=1))


def fitted_slope(
    probabilities_at: Callable[[float], NDArray[np.float32]],
    targets: NDArray[np.float32],
    output: OutputKind,
) -> float:
    """What to multiply the logits of windows by, so that the probabilities of clips fit best.

    probabilities_at: f32[K, C] for a slope, by a head that has not seen the clips. targets:
    f32[K, C]. The slope is 1 / temperature (Guo et al. 2017), 0.2..5, drawn towards 1 where there
    are few clips to tell.
    """
    best, slope = np.inf, 1.0
    for candidate in _SLOPES:
        losses = log_losses(probabilities_at(float(candidate)), targets, output)
        total = float(losses.sum()) + _CLIPS_OF_PRIOR * float(np.log2(candidate)) ** 2
        if total < best:
            best, slope = total, float(candidate)
    return slope
