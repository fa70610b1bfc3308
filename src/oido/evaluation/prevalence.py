# SPDX-License-Identifier: Apache-2.0
"""How many of an archive's detections are true, from a reviewed sample, with an interval.

The sample is drawn by strata of scores. What is true of the others is drawn from a Bayesian
logistic model of the reviewed ones: a curve over the rank of the score, which may be off in each
stratum and in each group (a site, an hour). It is the call density estimation of Navine et al.
2024, "All thresholds barred: direct estimation of call density in bioacoustic data" (Frontiers in
Bird Science 3), with strata that learn from each other in the place of flat priors, which pull
every pure stratum to the middle where few are reviewed.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from oido.arrays import F64, I64, Bools
from oido.errors import OptionError
from oido.evaluation.bootstrap import Estimate
from oido.messages import tr

K = TypeVar("K", bound=Hashable)
"""What detections are grouped by: a site, an hour, a night."""

STRATA = 10
_BINS = 40
"""Of scores, in which the unreviewed ones are drawn together."""

_DRAWS = 1_000
_MOVES = 8
_APART = 2.576
"""Standard deviations: what lies beyond by chance is one in a hundred."""

_SPREADS = {"level": 3.0, "slope": 1.5, "stratum": 0.5}
"""Standard deviations of the priors, in logits."""

_LOGITS = np.linspace(-18, 18, 721)
_NORMAL_QUANTILES = [NormalDist().inv_cdf(1 / (1 + math.exp(-x))) for x in _LOGITS.tolist()]
"""The normal quantile of a rank by its logit: of scores that are normal among true and false ones
alike, which is the binormal model of ROC analysis, logits of the truth lie on a line over it."""

_GROUP_SPREADS = (0.3, 1.0, 2.5)
"""That of groups is not known: each of these counts as far as the reviews speak for it."""


@dataclass(frozen=True)
class Counted(Generic[K]):
    """What is true of the detections of each group, and of all.

    occupied: how many groups have a true one at all. n: detections; reviewed: of all; more_reviews:
    how many more would about halve the interval of all. apart: groups of which more, or less, is
    true than of the others at the same scores (p < 0.01).
    """

    total: Estimate
    share: Estimate
    groups: Mapping[K, Estimate]
    occupied: Estimate
    n: int
    reviewed: int
    more_reviews: int
    apart: tuple[K, ...]


def count_true(
    scores: F64,
    groups: Sequence[K],
    reviewed: I64,
    is_true: Bools,
    *,
    in_halves: bool = False,
    seed: int = 0,
) -> Counted[K]:
    """Estimate how many detections are true.

    scores: f64[n], of all detections; groups: of each; reviewed: i64[m], the numbers of those that
    somebody has listened to, each once, and is_true: bool[m], what they heard. Within a stratum of
    scores the reviewed ones must have been chosen by chance; strata are tenths, or with in_halves
    those of `halves_of`. Raises OptionError for no review.
    """
    if not len(reviewed):
        raise OptionError(tr("no detection was reviewed: nothing can be said of the others"))
    names = list(dict.fromkeys(groups))
    number_of = {name: n for n, name in enumerate(names)}
    group = np.array([number_of[name] for name in groups])
    design = _Design(scores, group, len(names), in_halves)
    # One group is all there is: it cannot differ from the others.
    spreads = _GROUP_SPREADS if len(names) > 1 else (1e-3,)
    fits = [_fit(design, spread, reviewed, is_true) for spread in spreads]
    evidence = np.array([fit.evidence for fit in fits])
    shares_of_fits = np.exp(evidence - evidence.max())
    shares_of_fits /= shares_of_fits.sum()
    random = np.random.default_rng(seed)
    drawn = np.concatenate(
        [
            _draws(design, fit, reviewed, is_true, count, random)
            for fit, count in zip(fits, random.multinomial(_DRAWS, shares_of_fits))
            if count
        ]
    )
    best = fits[int(evidence.argmax())]
    open_ones = np.ones(len(scores), bool)
    open_ones[reviewed] = False
    known = np.bincount(group[reviewed], is_true.astype(float), len(names))
    draws = np.tile(known.astype(np.float64), (_DRAWS, 1))
    for g, rows, count in design.cells(open_ones):
        shares = _sigmoid(drawn @ rows)
        draws[:, g] += random.binomial(count, shares)
    totals: F64 = np.asarray(draws.sum(axis=1), np.float64)
    return Counted(
        _estimate(totals),
        _estimate(totals / len(scores)),
        {name: _estimate(draws[:, g]) for name, g in number_of.items()},
        _estimate((draws > 0).sum(axis=1).astype(np.float64)),
        len(scores),
        len(reviewed),
        _reviews_to_halve(len(scores), len(reviewed)),
        tuple(names[g] for g in design.apart(best, reviewed)),
    )


def strata_of(scores: F64, most: int = STRATA) -> I64:
    """i64[n]: the tenth of the scores that each is in, as `oido clips --choose stratified`."""
    order = np.argsort(scores, kind="stable")
    strata = min(most, len(scores))
    # As SQL's ntile: the first ones get one more where the number is no multiple.
    sizes = np.full(strata, len(scores) // strata)
    sizes[: len(scores) % strata] += 1
    found = np.empty(len(scores), np.int64)
    found[order] = np.repeat(np.arange(strata), sizes)
    return found


def halves_of(scores: F64, most: int = STRATA) -> I64:
    """i64[n]: the stratum of each: 0 is the lower half of the scores, 1 of the others the lower
    half, and so on, so that few high ones are not lost among many low ones."""
    n = len(scores)
    above = np.empty(n)
    above[np.argsort(-scores, kind="stable")] = (np.arange(n) + 0.5) / n
    halves = np.clip(np.floor(-np.log2(above)), 0, most - 1)
    return np.asarray(np.unique(halves, return_inverse=True)[1], np.int64)


def _quarters_of(scores: F64, strata: I64) -> I64:
    """i64[n]: four bins in each stratum, by score."""
    found = np.empty(len(scores), np.int64)
    for stratum in range(int(strata.max()) + 1):
        own = strata == stratum
        found[own] = 4 * stratum + strata_of(scores[own], 4)
    return found


class _Design:
    """The terms of the model: level, slope over the rank, each stratum, each group."""

    def __init__(self, scores: F64, group: I64, n_groups: int, in_halves: bool) -> None:
        n = len(scores)
        self._group, self._stratum = group, strata_of(scores)
        self._bin = strata_of(scores, _BINS)
        if in_halves:
            self._stratum = halves_of(scores)
            self._bin = _quarters_of(scores, self._stratum)
        rank = np.empty(n)
        rank[np.argsort(scores, kind="stable")] = (np.arange(n) + 0.5) / n
        self._curve = np.log(rank / (1 - rank))
        if in_halves:
            # Over many powers of two a line in logits of the rank is too flat where few are true.
            self._curve = np.interp(self._curve, _LOGITS, _NORMAL_QUANTILES)
        self._n_groups, self._n_strata = n_groups, int(self._stratum.max()) + 1
        spreads = [_SPREADS["level"], _SPREADS["slope"] * (2 if in_halves else 1)]
        spreads += [_SPREADS["stratum"]] * self._n_strata
        self._spreads = spreads

    def precision(self, group_spread: float) -> F64:
        """f64[terms]: of the priors, with this standard deviation of groups."""
        spreads = [*self._spreads, *[group_spread] * self._n_groups]
        return np.asarray(1 / np.square(spreads))

    def rows(self, numbers: I64) -> F64:
        """f64[m, terms] of detections."""
        found = np.zeros((len(numbers), 2 + self._n_strata + self._n_groups))
        found[:, 0], found[:, 1] = 1, self._curve[numbers]
        each = np.arange(len(numbers))
        found[each, 2 + self._stratum[numbers]] = 1
        found[each, 2 + self._n_strata + self._group[numbers]] = 1
        return found

    def cells(self, wanted: Bools) -> list[tuple[int, F64, int]]:
        """Group, terms and number of the detections of each group and bin."""
        numbers = np.flatnonzero(wanted)
        cell = self._group[numbers] * _BINS + self._bin[numbers]
        order = np.argsort(cell, kind="stable")
        _, starts = np.unique(cell[order], return_index=True)
        found = []
        for part in np.split(numbers[order], starts[1:]) if len(numbers) else []:
            row = self.rows(part[:1])[0]
            row[1] = self._curve[part].mean()
            found.append((int(self._group[part[0]]), row, len(part)))
        return found

    def apart(self, fit: _Fit, reviewed: I64) -> list[int]:
        """Groups of which more, or less, is true than of the others at the same scores."""
        if self._n_groups == 1:
            return []
        first = 2 + self._n_strata
        effects, spreads = fit.weights[first:], np.sqrt(np.diag(fit.covariance)[first:])
        seen = np.unique(self._group[reviewed])
        off = np.abs(effects - np.median(effects[seen])) > _APART * spreads
        return [int(g) for g in seen if off[g]]


class _Fit(NamedTuple):
    """The weights of the highest posterior density, and their covariance there (Laplace).

    evidence: the logarithm of how likely the reviews are with these priors.
    """

    weights: F64
    covariance: F64
    precision: F64
    evidence: float


def _fit(design: _Design, group_spread: float, reviewed: I64, is_true: Bools) -> _Fit:
    rows, target = design.rows(reviewed), is_true.astype(float)
    precision = design.precision(group_spread)
    weights = np.zeros(rows.shape[1])
    for _ in range(100):
        p = _sigmoid(rows @ weights)
        slope = rows.T @ (target - p) - precision * weights
        curvature = (rows.T * (p * (1 - p))) @ rows + np.diag(precision)
        step = np.linalg.solve(curvature, slope)
        weights = weights + step / max(1.0, np.abs(step).max() / 2)
        if np.abs(step).max() < 1e-8:
            break
    p = _sigmoid(rows @ weights)
    curvature = (rows.T * (p * (1 - p))) @ rows + np.diag(precision)
    fitted = -np.logaddexp(0, np.where(is_true, -1, 1) * (rows @ weights)).sum()
    prior = 0.5 * (np.log(precision) - precision * weights**2).sum()
    evidence = float(fitted + prior - 0.5 * np.linalg.slogdet(curvature)[1])
    return _Fit(weights, np.asarray(np.linalg.inv(curvature), np.float64), precision, evidence)


def _draws(
    design: _Design,
    fit: _Fit,
    reviewed: I64,
    is_true: Bools,
    count: int,
    random: np.random.Generator,
) -> F64:
    """f64[draws, terms] of the posterior: Laplace's draws, moved by elliptical slice sampling.

    Where hardly any (or nearly all) are true, the posterior is skewed, and Laplace's normal is not.
    The ellipse is that normal's (Murray et al. 2010, Nishihara et al. 2014).
    """
    rows, sign = design.rows(reviewed), np.where(is_true, 1.0, -1.0)
    root, weights = np.linalg.cholesky(fit.covariance), fit.weights

    def height(at: F64) -> F64:
        """Of the posterior over the normal, in logarithms."""
        terms = weights + at @ root.T
        likelihood = -np.logaddexp(0, -sign * (terms @ rows.T)).sum(axis=1)
        prior = (fit.precision * terms**2).sum(axis=1)
        return np.asarray(likelihood - 0.5 * prior + 0.5 * (at**2).sum(axis=1))

    at = random.standard_normal((count, len(weights)))
    for _ in range(_MOVES):
        other = random.standard_normal(at.shape)
        floor = height(at) + np.log(random.random(len(at)))
        angle = random.uniform(0, 2 * np.pi, len(at))
        low, high = angle - 2 * np.pi, angle.copy()
        moved, left = at.copy(), np.arange(len(at))
        while len(left):
            turn = angle[left, None]
            tried = at[left] * np.cos(turn) + other[left] * np.sin(turn)
            moved[left] = tried
            left = left[height(tried) <= floor[left]]
            low[left] = np.where(angle[left] < 0, angle[left], low[left])
            high[left] = np.where(angle[left] >= 0, angle[left], high[left])
            angle[left] = random.uniform(low[left], high[left])
        at = moved
    return np.asarray(weights + at @ root.T)


def _estimate(draws: F64) -> Estimate:
    low, high = np.quantile(draws, (0.025, 0.975))
    return Estimate(float(draws.mean()), float(low), float(high))


def _sigmoid(values: F64) -> F64:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))))


def _reviews_to_halve(n: int, reviewed: int) -> int:
    """Intervals shrink with the root of the reviews, and with the share that is left to review."""
    spread = (1 / reviewed - 1 / n) / 4
    return max(0, round(1 / (spread + 1 / n)) - reviewed)
