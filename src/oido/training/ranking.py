# SPDX-License-Identifier: Apache-2.0
"""How well scores put the clips of a class before the others, whatever the threshold."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from oido.errors import MissingExtraError

__all__ = [
    "average_precision",
    "d_prime",
    "precision_recall",
    "ranking_samples",
    "roc_auc",
]

Floats = NDArray[np.float64]

_MISSING = "judging a classifier needs scikit-learn; run: pip install 'oido[train]'"


def average_precision(heard: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """Σ (R_n − R_n−1) · P_n over falling thresholds, as scikit-learn's; ties are one step.

    NaN unless there are clips with the class and without.
    """
    if heard.all() or not heard.any():
        return math.nan
    try:
        from sklearn.metrics import average_precision_score
    except ImportError as error:
        raise MissingExtraError(_MISSING) from error
    return float(average_precision_score(heard, scores))


def roc_auc(heard: NDArray[np.bool_], scores: NDArray[np.floating]) -> float:
    """The chance that a clip with the class scores above one without; a tie is half.

    NaN unless there are clips of both kinds.
    """
    if heard.all() or not heard.any():
        return math.nan
    try:
        from sklearn.metrics import roc_auc_score
    except ImportError as error:
        raise MissingExtraError(_MISSING) from error
    return float(roc_auc_score(heard, scores))


def precision_recall(
    heard: NDArray[np.bool_], scores: NDArray[np.floating]
) -> tuple[Floats, Floats]:
    """Precision and recall at each threshold, as scikit-learn's precision_recall_curve."""
    try:
        from sklearn.metrics import precision_recall_curve
    except ImportError as error:
        raise MissingExtraError(_MISSING) from error
    precision, recall, _ = precision_recall_curve(heard, scores)
    return precision, recall


def d_prime(area: float) -> float:
    """√2 · Φ⁻¹(area): how many standard deviations two normal densities of that ROC area are apart.

    As in Hershey et al. 2017 (CNN architectures for large-scale audio classification). Infinite for
    an area of 1 or 0.
    """
    if math.isnan(area):
        return math.nan
    if area in (0, 1):
        return math.copysign(math.inf, area - 0.5)
    return math.sqrt(2) * NormalDist().inv_cdf(area)


def ranking_samples(
    heard: NDArray[np.bool_], scores: NDArray[np.floating], weights: NDArray[np.float32]
) -> tuple[Floats, Floats]:
    """Average precision and ROC area of weighted clips, f64[B] each, for weights f32[B, K].

    Both are sums over the steps of equal scores at which positives are found: where they end, with
    t true ones and n clips so far, precision is t / n, and of the false ones those behind, and half
    of those in the step itself, are outranked. NaN where the weights leave only one kind.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, positive = scores[order], heard[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    starts = np.concatenate([[0], ends[:-1] + 1])
    found = np.logical_or.reduceat(positive, starts)
    if not found.any():
        nothing = np.full(len(weights), np.nan)
        return nothing, nothing
    starts, ends = starts[found], ends[found]
    sorted_weights = weights[:, order]  # f32[B, K]; sums of whole numbers stay exact to 2^24
    of_all = np.concatenate(
        [np.zeros((len(weights), 1), np.float32), np.cumsum(sorted_weights, axis=1)], axis=1
    )
    steps = np.add.reduceat(sorted_weights * positive, starts, axis=1).astype(np.float64)
    true_after = np.cumsum(steps, axis=1)
    all_before, all_after = of_all[:, starts], of_all[:, ends + 1]
    false_before = all_before - (true_after - steps)
    false_after = all_after - true_after
    positives = true_after[:, -1]
    negatives = of_all[:, -1] - positives
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(all_after > 0, true_after / all_after, 0.0)
        both = (positives > 0) & (negatives > 0)
        ap = np.where(both, (steps * precision).sum(axis=1) / positives, np.nan)
        outranked = negatives[:, None] - (false_before + false_after) / 2
        area = np.where(both, (steps * outranked).sum(axis=1) / (positives * negatives), np.nan)
    return ap, area
