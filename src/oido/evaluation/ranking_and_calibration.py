# SPDX-License-Identifier: Apache-2.0
"""How well scores rank the clips of a class, and whether probabilities mean what they say.

Ranking looks at no threshold: average precision, ROC-AUC, d′. Reliability compares probabilities
with how often they come true: bins, calibration error, Brier score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32, F64, I64, Bools
from oido.errors import needs_extra
from oido.evaluation.bootstrap import Bootstrap, Estimate
from oido.evaluation.predictions import UNKNOWN, ClipPredictions
from oido.messages import tr


def _sklearn_metrics() -> Any:
    with needs_extra(tr("judging a classifier needs scikit-learn; run: pip install 'oido[train]'")):
        import sklearn.metrics
    return sklearn.metrics


def average_precision(present: Bools, scores: NDArray[np.floating]) -> float:
    """Σ (R_n − R_n−1) · P_n over falling thresholds, as scikit-learn's; ties are one step.

    NaN unless there are clips with the class and without.
    """
    if present.all() or not present.any():
        return math.nan
    return float(_sklearn_metrics().average_precision_score(present, scores))


def roc_auc(present: Bools, scores: NDArray[np.floating]) -> float:
    """The chance that a clip with the class scores above one without; a tie is half.

    NaN unless there are clips of both kinds.
    """
    if present.all() or not present.any():
        return math.nan
    return float(_sklearn_metrics().roc_auc_score(present, scores))


def precision_recall(present: Bools, scores: NDArray[np.floating]) -> tuple[F64, F64]:
    """Precision and recall at each threshold, as scikit-learn's precision_recall_curve."""
    precision, recall, _ = _sklearn_metrics().precision_recall_curve(present, scores)
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


def ranking_samples(present: Bools, scores: NDArray[np.floating], weights: F32) -> tuple[F64, F64]:
    """Average precision and ROC area of weighted clips, f64[B] each, for weights f32[B, K].

    Both are sums over the steps of equal scores at which positives are found: where they end, with
    t true ones and n clips so far, precision is t / n, and of the false ones those behind, and half
    of those in the step itself, are outranked. NaN where the weights leave only one kind.
    """
    if not present.any():
        nothing = np.full(len(weights), np.nan)
        return nothing, nothing
    order = np.argsort(-scores, kind="stable")
    ranked, positive = scores[order], present[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    starts = np.concatenate([[0], ends[:-1] + 1])
    found = np.logical_or.reduceat(positive, starts)
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


BINS = 10
"""Of equal width, 0..1."""

_ROUNDS = 2_000


class ReliabilityBin(NamedTuple):
    """The cases with a probability in one bin: how many, the mean of it, and how often it came."""

    cases: int
    confidence: float
    observed: float


@dataclass(frozen=True)
class Reliability:
    """How far probabilities and what came of them are apart.

    A case is, with one class per clip, the largest probability of a clip, and whether that class is
    heard (Guo et al. 2017); with several, every probability of every class.

    ece: Σ over bins of the share of cases · |confidence − observed| (Naeini et al. 2015), 0..1.
    by_chance: the ECE that perfect probabilities exceed in 5 of 100 such data. over_confidence:
    mean confidence − mean observed; above 0 the model promises too much. brier: mean of
    (probability − target)² over all clips and classes, 0..1.
    """

    cases: int
    ece: float
    by_chance: float
    over_confidence: Estimate
    brier: Estimate
    bins: tuple[ReliabilityBin, ...]


def expected_calibration_error(
    confidence: NDArray[np.floating], observed: NDArray[np.floating | np.bool_]
) -> float:
    """Of cases [n], 0..1: Σ over bins of their share · |mean confidence − mean observed|."""
    if not len(confidence):
        return math.nan
    numbers = _bins_of(confidence)
    gaps = np.bincount(numbers, confidence - np.asarray(observed, np.float64), BINS)
    return float(np.abs(gaps).sum()) / len(confidence)


def reliability(judged: ClipPredictions, probabilities: F32, bootstrap: Bootstrap) -> Reliability:
    """Of these probabilities f32[K, C], which may be the clips' raw scores instead of their own."""
    confidence, observed, counted = _cases(judged, probabilities)  # [K, n] each
    numbers = _bins_of(confidence)
    confidence = np.where(counted, confidence, 0.0)
    bins = []
    variance = np.zeros(BINS)
    for number in range(BINS):
        inside = counted & (numbers == number)
        cases, total = int(inside.sum()), float(confidence[inside].sum())
        right = float(observed[inside].sum())
        certain = np.clip(confidence[inside], 0, 1)
        variance[number] = float((certain * (1 - certain)).sum())
        mean = (total / cases, right / cases) if cases else (math.nan, math.nan)
        bins.append(ReliabilityBin(cases, *mean))
    cases = int(counted.sum())
    errors = np.where(judged.known, (probabilities - np.nan_to_num(judged.targets)) ** 2, 0.0)
    return Reliability(
        cases,
        expected_calibration_error(confidence[counted], observed[counted]),
        _by_chance(variance, cases),
        _ratio(bootstrap, np.where(counted, confidence - observed, 0).sum(1), counted.sum(1)),
        _ratio(bootstrap, errors.sum(1), judged.known.sum(1)),
        tuple(bins),
    )


def _bins_of(confidence: NDArray[np.floating]) -> I64:
    return np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)


def _cases(judged: ClipPredictions, probabilities: F32) -> tuple[F64, F64, Bools]:
    """Confidence, whether it came true, and whether the case counts; each [K, n]."""
    if judged.multi_label:
        return probabilities.astype(np.float64), np.nan_to_num(judged.targets), judged.known
    values = probabilities.astype(np.float64)
    if judged.no_event is not None and probabilities is judged.probabilities:
        values = np.concatenate([values, judged.no_event[:, None]], axis=1)
    best = values.argmax(axis=1)
    right = (best == judged.truth).astype(np.float64)
    return values.max(axis=1)[:, None], right[:, None], (judged.truth != UNKNOWN)[:, None]


def _by_chance(variance: F64, cases: int) -> float:
    """The 95th percentile of Σ |gap| / cases, the gap of each bin being normal with its variance.

    Of independent cases with perfect probabilities p, the variance of their number is Σ p (1 − p)
    (the consistency test of Bröcker and Smith 2007).
    """
    if not cases:
        return math.nan
    draws = np.abs(np.random.default_rng(0).standard_normal((_ROUNDS, len(variance))))
    return float(np.quantile(draws @ np.sqrt(variance), 0.95)) / cases


def _ratio(
    bootstrap: Bootstrap, sums: NDArray[np.floating], counts: NDArray[np.integer]
) -> Estimate:
    total = int(counts.sum())
    if not total:
        return Estimate(math.nan)
    of_samples = bootstrap.sums(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        samples = bootstrap.sums(sums) / of_samples
    return bootstrap.percentiles(float(sums.sum()) / total, samples)
