# SPDX-License-Identifier: Apache-2.0
"""The space that heads are fitted in: features at comparable scales, and their main directions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["COMPONENTS", "PRIOR_CLIPS", "evened_scales", "principal_components"]

PRIOR_CLIPS = 50
"""Clips that it takes to believe, as much as not, that features differ in how far they spread."""
COMPONENTS = 256
"""Directions of the embedding space that a head may use: the ones in which its clips differ most.
Ridge-like fits hardly use the others, and a fit takes a quarter of the time."""

Floats = NDArray[np.float64]


def evened_scales(features: NDArray[np.float32], share: Floats, clips: int) -> NDArray[np.float32]:
    """f32[D]: what to multiply features by, so that their spreads are half as far apart.

    Features of little spread are raised, as standardising does, but only half the way (by the
    root of the deviation), and with few clips less: their variances are drawn towards the mean
    one. Fully standardised, a feature that three clips happen to agree in outweighs all others.
    """
    centre = (share @ features).astype(np.float32)
    variance = share @ (features - centre) ** 2
    mean = float(variance.mean())
    drawn = (clips * variance + PRIOR_CLIPS * mean) / (clips + PRIOR_CLIPS)
    return np.asarray(max(mean, 1e-30) ** 0.25 / np.maximum(drawn, 1e-30) ** 0.25, np.float32)


def principal_components(
    features: NDArray[np.float32], weights: Floats
) -> tuple[NDArray[np.float32], Floats, Floats]:
    """Principal components, scaled together to a mean square length of 1.

    f32[V, D] features and f64[V] weights → x [V, q] = (features − centre) @ basis, centre [D], and
    basis [D, q]; q is `COMPONENTS` at most.
    """
    share = weights / weights.sum()
    centre = share @ features
    centred = features - centre.astype(np.float32)
    rows = centred * np.sqrt(share).astype(np.float32)[:, None]
    values, vectors = np.linalg.eigh(rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows)
    kept = _kept(values)
    basis = vectors[:, kept]
    if len(rows) < rows.shape[1]:
        basis = rows.T @ (basis / np.sqrt(values[kept]))
    basis = basis / np.float32(max(float((rows**2).sum()), 1e-30) ** 0.5)
    return centred @ basis, centre, basis.astype(np.float64)


def _kept(values: NDArray[np.float32]) -> NDArray[Any]:
    order = np.argsort(values, kind="stable")[::-1][:COMPONENTS]
    return np.asarray(order[values[order] > max(values[order[0]], 1e-30) * 1e-6])
