# SPDX-License-Identifier: Apache-2.0
"""Whether probabilities mean what they say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.training.intervals import Bootstrap, Estimate
from oido.training.judged import UNKNOWN, JudgedClips

__all__ = [
    "BINS",
    "Reliability",
    "ReliabilityBin",
    "expected_calibration_error",
    "reliability",
]

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


def reliability(
    judged: JudgedClips, probabilities: NDArray[np.float32], bootstrap: Bootstrap
) -> Reliability:
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


def _bins_of(confidence: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.clip((confidence * BINS).astype(np.int64), 0, BINS - 1)


def _cases(
    judged: JudgedClips, probabilities: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Confidence, whether it came true, and whether the case counts; each [K, n]."""
    if judged.multi_label:
        return probabilities.astype(np.float64), np.nan_to_num(judged.targets), judged.known
    values = probabilities.astype(np.float64)
    if judged.no_event is not None and probabilities is judged.probabilities:
        values = np.concatenate([values, judged.no_event[:, None]], axis=1)
    best = values.argmax(axis=1)
    right = (best == judged.truth).astype(np.float64)
    return values.max(axis=1)[:, None], right[:, None], (judged.truth != UNKNOWN)[:, None]


def _by_chance(variance: NDArray[np.float64], cases: int) -> float:
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
