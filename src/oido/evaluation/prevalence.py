# SPDX-License-Identifier: Apache-2.0
"""How many of an archive's detections are true, from a reviewed sample, with an interval.

The sample is drawn by strata of scores. What is true of the others is drawn from a Bayesian
logistic model of the reviewed ones: a curve over the rank of the score, which may be off in each
stratum and in each group (a site, an hour), by as much as the reviews speak for. How high a group
ranks says something of it, too: where more is true scores are higher, and where a recorder shifts
scores the same score means less. So groups' levels have a slope over their mean rank (Mundlak 1978,
"On the pooling of time series and cross section data"), which the reviews find. It is the call
density estimation of Navine et al. 2024, "All thresholds barred: direct estimation of call density
in bioacoustic data" (Frontiers in Bird Science 3), with strata that learn from each other in the
place of flat priors, which pull every pure stratum to the middle where few are reviewed.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Generic, TypeVar

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.errors import OptionError
from oido.evaluation.bootstrap import Estimate
from oido.messages import tr

K = TypeVar("K", bound=Hashable)
"""What detections are grouped by: a site, an hour, a night."""

STRATA = 10
_BIN = 0.5
"""Logits of the rank: so near each other unreviewed ones are drawn together."""

_DRAWS = 1_000
_MOVES = 5

_LEVEL, _SLOPE = 5.0, 3.0
"""Standard deviations of the priors of level and slopes, in logits; they hold where nothing else
does. The level has Jeffreys' prior beside, as a share alone would have (Firth 1993). The slope has
not: it would be flatter, and of many low ones, where few are true, too many would be counted."""


def _quantiles(median: float, count: int) -> list[float]:
    """Of a lognormal distribution whose logarithm has a standard deviation of 0.7."""
    normal = NormalDist(math.log(median), 0.7)
    return [math.exp(normal.inv_cdf((n + 0.5) / count)) for n in range(count)]


_GROUP_SPREADS, _STRATUM_SPREADS = _quantiles(1.5, 5), _quantiles(0.4, 2)
"""How far groups, and strata, differ is not known: each of these standard deviations (in logits)
counts as far as the reviews speak for it. Their prior avoids 0 (Chung et al. 2013), where groups
whose scores are shifted would be drawn to the others: a shift of 1 is one of 2 in logits here."""

_SLOPE_OF_GROUP = 0.1
"""So much of the spread of groups' levels is that of their slopes."""

_COMMON = 3
"""Terms that all detections share: level, slope, slope over groups' means."""

_LOGITS = np.linspace(-18, 18, 721)
_NORMAL_QUANTILES = [NormalDist().inv_cdf(1 / (1 + math.exp(-x))) for x in _LOGITS.tolist()]
"""The normal quantile of a rank by its logit: of scores that are normal among true and false ones
alike, which is the binormal model of ROC analysis, logits of the truth lie about a line over it."""


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
    random = np.random.default_rng(seed)
    design = _Design(scores, group, len(names), reviewed, in_halves)
    drawn = _posterior(design, is_true, random)
    open_ones = np.ones(len(scores), bool)
    open_ones[reviewed] = False
    known = np.bincount(group[reviewed], is_true.astype(float), len(names))
    draws = np.tile(known.astype(np.float64), (_DRAWS, 1))
    for g, place, count in design.cells(open_ones):
        draws[:, g] += random.binomial(count, _sigmoid(drawn.logits(g, place)))
    totals: F64 = np.asarray(draws.sum(axis=1), np.float64)
    return Counted(
        _estimate(totals),
        _estimate(totals / len(scores)),
        {name: _estimate(draws[:, g]) for name, g in number_of.items()},
        _estimate((draws > 0).sum(axis=1).astype(np.float64)),
        len(scores),
        len(reviewed),
        _reviews_to_halve(len(scores), len(reviewed)),
        tuple(names[g] for g in drawn.apart()),
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


class _Design:
    """The terms of the model: level, slope over the rank and over groups' mean of it, each stratum,
    each group's own level and slope.

    Groups without a review have no terms: what is not known of them is drawn from the prior.
    """

    def __init__(
        self, scores: F64, group: I64, n_groups: int, reviewed: I64, in_halves: bool
    ) -> None:
        n = len(scores)
        self.group, self.n_groups = group, n_groups
        self.stratum = (halves_of if in_halves else strata_of)(scores)
        # Scores that are equal have one rank.
        _, place, times = np.unique(scores, return_inverse=True, return_counts=True)
        rank = ((np.cumsum(times) - times / 2) / n)[place]
        logits = np.log(rank / (1 - rank))
        self.bin = np.floor(logits / _BIN).astype(np.int64)
        self.curve = np.interp(logits, _LOGITS, _NORMAL_QUANTILES)
        self.centre = float(self.curve[reviewed].mean())
        means = np.bincount(group, self.curve, n_groups) / np.bincount(group, minlength=n_groups)
        self.mean_of_group = means - self.curve.mean()
        self.n_strata = int(self.stratum.max()) + 1
        self.seen = np.unique(group[reviewed]) if n_groups > 1 else np.array([], np.int64)
        self.rows = self._rows(reviewed)

    def _rows(self, numbers: I64) -> F64:
        """f64[m, terms] of detections of reviewed groups."""
        found = np.zeros((len(numbers), _COMMON + self.n_strata + 2 * len(self.seen)))
        found[:, 0], found[:, 1] = 1, self.curve[numbers]
        found[:, 2] = self.mean_of_group[self.group[numbers]]
        each = np.arange(len(numbers))
        found[each, _COMMON + self.stratum[numbers]] = 1
        if len(self.seen):
            own = _COMMON + self.n_strata + np.searchsorted(self.seen, self.group[numbers])
            found[each, own] = 1
            found[each, own + len(self.seen)] = self.curve[numbers] - self.centre
        return found

    def spreads(self, group_spread: float, stratum_spread: float) -> F64:
        """f64[terms]: standard deviations of the priors."""
        n_seen = len(self.seen)
        return np.array(
            [_LEVEL, _SLOPE, _SLOPE]
            + [stratum_spread] * self.n_strata
            + [group_spread] * n_seen
            + [_SLOPE_OF_GROUP * group_spread] * n_seen
        )

    def cells(self, wanted: Bools) -> list[tuple[int, tuple[float, int], int]]:
        """Of each group, stratum and bin: the group, curve and stratum, number of detections."""
        numbers = np.flatnonzero(wanted)
        bins = self.bin - self.bin.min()
        cell = (self.group * self.n_strata + self.stratum) * (int(bins.max()) + 1) + bins
        order = numbers[np.argsort(cell[numbers], kind="stable")]
        _, starts = np.unique(cell[order], return_index=True)
        return [
            (
                int(self.group[part[0]]),
                (float(self.curve[part].mean()), int(self.stratum[part[0]])),
                len(part),
            )
            for part in (np.split(order, starts[1:]) if len(order) else [])
        ]


@dataclass(frozen=True)
class _Posterior:
    """Draws of what is true of the others.

    terms: f64[draws, terms]; levels, slopes: f64[draws, groups], also of groups without a review;
    levels have what groups' means say in them.
    """

    terms: F64
    levels: F64
    slopes: F64
    design: _Design

    def logits(self, group: int, place: tuple[float, int]) -> F64:
        curve, stratum = place
        common = self.terms[:, 0] + self.terms[:, 1] * curve + self.terms[:, _COMMON + stratum]
        own = self.levels[:, group] + self.slopes[:, group] * (curve - self.design.centre)
        return np.asarray(common + own)

    def apart(self) -> list[int]:
        """Groups of which more, or less, is true than of the others at the same scores."""
        seen = self.design.seen
        if not len(seen):
            return []
        off = self.levels[:, seen] - np.median(self.levels[:, seen], axis=1, keepdims=True)
        # The one in the middle is as much above as below.
        above = 0.5 + 0.5 * np.sign(off).mean(axis=0)
        return [int(g) for g, share in zip(seen, above) if not 0.005 <= share <= 0.995]


def _posterior(design: _Design, is_true: Bools, random: np.random.Generator) -> _Posterior:
    """Of spreads as many draws as the reviews speak for, and with these of the terms."""
    # One group is all there is: it cannot differ from the others.
    group_spreads = _GROUP_SPREADS if design.n_groups > 1 else (0.0,)
    pairs = [(g, s) for g in group_spreads for s in _STRATUM_SPREADS]
    spreads = np.array([design.spreads(*pair) for pair in pairs])
    weights, covariance, evidence = _fit(design.rows, is_true, 1 / spreads**2)
    shares = np.exp(evidence - evidence.max())
    counts = random.multinomial(_DRAWS, shares / shares.sum())
    terms = _draws(design.rows, is_true, weights, covariance, counts, random)
    first, n_seen = _COMMON + design.n_strata, len(design.seen)
    own = np.repeat(np.array([g for g, _ in pairs]), counts)[:, None]
    levels = own * random.standard_normal((_DRAWS, design.n_groups))
    slopes = _SLOPE_OF_GROUP * own * random.standard_normal((_DRAWS, design.n_groups))
    levels[:, design.seen] = terms[:, first : first + n_seen]
    slopes[:, design.seen] = terms[:, first + n_seen :]
    levels += terms[:, 2:3] * design.mean_of_group
    return _Posterior(terms, levels, slopes, design)


def _fit(rows: F64, is_true: Bools, precision: F64) -> tuple[F64, F64, F64]:
    """For each of some priors: the weights of the highest posterior density, their covariance there
    (Laplace), and the logarithm of how likely the reviews are with this prior.

    rows: f64[m, terms]; precision: f64[priors, terms].
    """
    target = is_true.astype(float)
    weights = np.zeros_like(precision)
    diagonal = np.eye(rows.shape[1]) * precision[:, None, :]
    for _ in range(100):
        p = _sigmoid(weights @ rows.T)
        slope = (target - p) @ rows - precision * weights
        curvature = (rows.T * (p * (1 - p))[:, None, :]) @ rows + diagonal
        step = np.linalg.solve(curvature, slope[..., None])[..., 0]
        largest = np.abs(step).max(axis=1, keepdims=True)
        weights = weights + step / np.maximum(1.0, largest / 2)
        if largest.max() < 1e-6:
            break
    fitted = -np.logaddexp(0, np.where(is_true, -1, 1) * (weights @ rows.T)).sum(axis=1)
    prior = 0.5 * (np.log(precision) - precision * weights**2).sum(axis=1)
    evidence = fitted + prior - 0.5 * np.linalg.slogdet(curvature)[1]
    return weights, np.asarray(np.linalg.inv(curvature)), evidence


def _draws(
    rows: F64,
    is_true: Bools,
    weights: F64,
    covariance: F64,
    counts: I64,
    random: np.random.Generator,
) -> F64:
    """f64[draws, terms] of the posterior: Laplace's draws, moved by elliptical slice sampling.

    Where hardly any (or nearly all) are true, the posterior is skewed, and Laplace's normal is not.
    The ellipse is that normal's (Murray et al. 2010, Nishihara et al. 2014). The posterior over the
    normal is then the likelihood over its own quadratic approximation at the mode, times Jeffreys'
    prior of the level, the root of its information.
    """
    signed = rows * np.where(is_true, 1.0, -1.0)[:, None]
    used = np.flatnonzero(counts)
    roots = [np.linalg.cholesky(covariance[k]) for k in used]
    ends = np.cumsum(counts[used])[:-1]
    each = np.repeat(np.arange(len(counts)), counts)
    n_terms = rows.shape[1]
    mode = (weights @ signed.T)[each].astype(np.float32)
    linear = 1 / (1 + np.exp(mode))
    quadratic = 0.5 * linear * (1 - linear)

    def from_normal() -> F32:
        """f32[draws, terms + m]: terms and logits of the reviewed, less those at the mode."""
        at = random.standard_normal((len(each), n_terms))
        terms = np.vstack([part @ root.T for part, root in zip(np.split(at, ends), roots)])
        return np.hstack([terms, terms @ signed.T]).astype(np.float32)

    def height(found: F32, own: I64 | slice) -> F32:
        """Of the posterior over the normal, in logarithms."""
        off = found[:, n_terms:]
        odds = np.exp(-(mode[own] + off))
        share = 1 / (1 + odds)
        gain = ((quadratic[own] * off - linear[own]) * off + np.log(share)).sum(axis=1)
        information = (odds * share**2).sum(axis=1)
        return np.asarray(gain + 0.5 * np.log(np.maximum(information, 1e-12)))

    at = from_normal()
    for _ in range(_MOVES):
        other = from_normal()
        floor = height(at, slice(None)) + np.log(random.random(len(at)))
        angle = random.uniform(0, 2 * np.pi, len(at))
        low, high = angle - 2 * np.pi, angle.copy()
        moved, left = at.copy(), np.arange(len(at))
        while len(left):
            turn = angle[left, None].astype(np.float32)
            tried = at[left] * np.cos(turn) + other[left] * np.sin(turn)
            moved[left] = tried
            left = left[height(tried, left) <= floor[left]]
            low[left] = np.where(angle[left] < 0, angle[left], low[left])
            high[left] = np.where(angle[left] >= 0, angle[left], high[left])
            angle[left] = random.uniform(low[left], high[left])
        at = moved
    return weights[each] + at[:, :n_terms]


def _estimate(draws: F64) -> Estimate:
    low, high = np.quantile(draws, (0.025, 0.975))
    return Estimate(float(draws.mean()), float(low), float(high))


def _sigmoid(values: F64) -> F64:
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))))


def _reviews_to_halve(n: int, reviewed: int) -> int:
    """Intervals shrink with the root of the reviews, and with the share that is left to review."""
    spread = (1 / reviewed - 1 / n) / 4
    return max(0, round(1 / (spread + 1 / n)) - reviewed)
