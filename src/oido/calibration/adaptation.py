# SPDX-License-Identifier: Apache-2.0
"""A taught head fitted to a place: candidates from its unlabelled windows, judged by reviewed ones.

Nothing here learns from the reviews. They choose between candidates, and each is judged where it
had no part in the choice: at sources (sites, or recordings) that were left out of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.calibration.prior_shift import estimate_prior, estimate_priors, logit_shift
from oido.datasets.splits import training_extra
from oido.evaluation.bootstrap import Bootstrap, Estimate
from oido.evaluation.ranking_and_calibration import ranking_samples
from oido.heads import no_event_columns
from oido.messages import tr
from oido.models.tflite.taught_head import HeadLayer, TaughtHead

AS_IT_WAS = tr("as it was")
LEAST_REVIEWS, LEAST_OF_A_KIND, LEAST_SOURCES = 20, 5, 5
"""Reviews, of each verdict, and sources of them: with fewer nothing can be judged."""

_FOLDS = 5
_BINS, _BIN_REVIEWS = 10, 5
_SURE = 0.5
_STRENGTH = 10.0
_AS_CLIPS = 50.0
"""The windows of the place weigh as much as so many clips against the head as it was taught."""


@dataclass(frozen=True, eq=False)
class ReviewedWindows:
    """K reviews of M windows: a review is right of its best window.

    features: f32[M, h], what the head's last layer takes; starts: i64[K], the first window of each
    review; columns: i64[K], the class that it is of; is_true: bool[K]; sources: i64[K], numbers of
    the sites or recordings; weights: f64[K], how many windows of the place each speaks for.
    """

    features: F32
    starts: I64
    columns: I64
    is_true: Bools
    sources: I64
    weights: F64

    def probabilities(self, head: TaughtHead) -> F64:
        """f64[K] of each review's class."""
        best = np.maximum.reduceat(head.scores_of_features(self.features), self.starts, axis=0)
        return best[np.arange(len(self.columns)), self.columns].astype(np.float64)


_UNKNOWN = Estimate(float("nan"))


class CandidateFigures(NamedTuple):
    """Log loss in nats, and average precision, of all reviews."""

    name: str
    log_loss: Estimate
    average_precision: Estimate


@dataclass(frozen=True, eq=False)
class Adaptation:
    """What became of it. head: the adopted one, None: kept as it was, and reason says why.

    table: of each candidate. less_loss, more_precision: of the whole way of choosing, at sources
    that were left out, less those of the head as it was.
    """

    head: TaughtHead | None
    chosen: str
    reason: str
    reviews: int
    sources: int
    table: tuple[CandidateFigures, ...] = ()
    less_loss: Estimate = _UNKNOWN
    more_precision: Estimate = _UNKNOWN


def taught_priors(head: TaughtHead) -> F64:
    """f64[C]: how frequent classes were where the head was taught, as its fit weighed them.

    One class out of all: every class weighs the same. Each by itself: what the file says, or else
    one half.
    """
    count = len(head.labels)
    if head.output == "softmax":
        return np.full(count, 1 / count)
    noted = head.training.get("priors")
    known = isinstance(noted, list) and len(noted) == count
    priors = np.array(noted if known else [0.5] * count, np.float64)
    return np.asarray(np.clip(np.nan_to_num(priors, nan=0.5), 0.01, 0.99))


def candidates_of(head: TaughtHead, features: F32) -> dict[str, TaughtHead]:
    """Heads for the place of these windows, f32[N, h], by name; the first is the head as it was.

    Priors as EM estimates them; the windows in which it found nothing as negatives, if it can say
    "nothing"; and both.
    """
    found: dict[str, TaughtHead] = {AS_IT_WAS: head}
    found[tr("priors of the place")] = with_priors(head, features)
    background = with_background(head, features)
    if background is not None:
        found[tr("background of the place")] = background
        found[tr("background, then priors")] = with_priors(background, features)
    return found


def with_priors(head: TaughtHead, features: F32) -> TaughtHead:
    """The head with the priors under which these windows are likeliest."""
    known, last = taught_priors(head), head.layers[-1]
    p = head.scores_of_features(features).astype(np.float64)
    if head.output == "softmax":
        sums = p.sum(axis=1, keepdims=True)
        is_event = sums[:, 0] >= 0.5  # the rest is quiet, which is of no class
        if not is_event.any():
            return head
        shift = np.zeros(len(last.bias))
        shift[: len(known)] = np.log(estimate_priors((p / sums)[is_event], known) / known)
    else:
        shift = np.array(
            [logit_shift(estimate_prior(p[:, c], k), float(k)) for c, k in enumerate(known)]
        )
    return head.with_last_layer(HeadLayer(last.weights, (last.bias + shift).astype(np.float32)))


def with_background(head: TaughtHead, features: F32) -> TaughtHead | None:
    """The head fitted on, so that windows in which it found nothing have less of everything.

    What it is sure of stays as probable as it is, and the last layer is drawn towards what it was.
    None: a head of one class out of all, none of which is the absence of events.
    """
    nothing = no_event_columns(head.labels)
    if head.output == "softmax" and not nothing:
        return None
    p = head.scores_of_features(features)
    events = np.delete(p, nothing, axis=1)
    is_background = events.max(axis=1, initial=0) < _SURE
    if not is_background.any():
        return None
    targets = p.astype(np.float64)
    targets[is_background] = 0.0
    if nothing:
        targets[np.ix_(is_background, nothing)] = 1 / len(nothing)
    return head.with_last_layer(_fitted_on(head, features, targets))


def _fitted_on(head: TaughtHead, features: F32, targets: F64) -> HeadLayer:
    """The last layer with the least cross entropy, each change of it costing something."""
    with training_extra():
        from scipy.optimize import minimize
    last, is_softmax = head.layers[-1], head.output == "softmax"
    scale = float(np.sqrt(max(float((features.astype(np.float64) ** 2).sum(1).mean()), 1e-12)))
    x = np.concatenate([features / scale, np.ones((len(features), 1))], axis=1).astype(np.float32)
    start = np.concatenate([last.weights * scale, last.bias[:, None]], axis=1).astype(np.float64)
    share = _AS_CLIPS / len(x)

    def loss(flat: F64) -> tuple[float, F64]:
        change = flat.reshape(start.shape)
        logits = x @ (start + change).T.astype(np.float32)
        if is_softmax:
            top = logits.max(axis=1, keepdims=True)
            powers = np.exp(logits - top)
            sums = powers.sum(axis=1, keepdims=True)
            value = float((targets * (top + np.log(sums) - logits)).sum())
            slope = powers / sums - targets
        else:
            value = float((np.logaddexp(0, logits) - targets * logits).sum())
            slope = 0.5 * (1 + np.tanh(0.5 * logits)) - targets
        back = share * (slope.T @ x) + change / _STRENGTH
        return share * value + 0.5 / _STRENGTH * float((change**2).sum()), back.ravel()

    options = {"maxiter": 100, "gtol": 1e-4}
    moved = minimize(loss, np.zeros(start.size), jac=True, method="L-BFGS-B", options=options).x
    whole = start + moved.reshape(start.shape)
    return HeadLayer((whole[:, :-1] / scale).astype(np.float32), whole[:, -1].astype(np.float32))


def speaks_for(reviewed: F64, everywhere: F64) -> F64:
    """f64[K]: how much each review weighs, so that together they stand for all windows.

    reviewed: f64[K], what the head as it was gives; everywhere: f64[N], of windows drawn by chance.
    Reviews of like scores stand for the windows of such scores, in up to ten ranges; mean 1.
    """
    bins = max(1, min(_BINS, len(reviewed) // _BIN_REVIEWS))
    edges = np.unique(np.quantile(reviewed, np.arange(1, bins) / bins)) if bins > 1 else np.zeros(0)
    of_reviews = np.searchsorted(edges, reviewed, side="right")
    of_windows = np.bincount(np.searchsorted(edges, everywhere, side="right"), minlength=bins)
    shares = of_windows / max(1, of_windows.sum())
    counts = np.bincount(of_reviews, minlength=bins)
    # A range that no window was drawn from still holds its reviews.
    weights = np.maximum(shares, 0.1 / max(1, len(everywhere)))[of_reviews] / counts[of_reviews]
    return np.asarray(weights / weights.mean())


def adapt(
    reviews: ReviewedWindows, candidates: Mapping[str, TaughtHead], seed: int = 0
) -> Adaptation:
    """Adopt a candidate only where reviews at sources without a part in the choice speak for it.

    Its log loss must be less, and its average precision not lower, each with its 95 % interval over
    sources.
    """
    count, sources = len(reviews.is_true), len(np.unique(reviews.sources))
    kept = Adaptation(None, "", "", count, sources)
    fewest = min(int(reviews.is_true.sum()), int((~reviews.is_true).sum()))
    if count < LEAST_REVIEWS or fewest < LEAST_OF_A_KIND or sources < LEAST_SOURCES:
        return _because(
            kept,
            tr(
                "too few reviews to judge by: {count}, of the rarer verdict {fewest}, sources "
                "{sources}; at least {least} are needed, {least_of_a_kind} of each verdict, of "
                "{least_sources} sources",
                count=count,
                sources=sources,
                fewest=fewest,
                least=LEAST_REVIEWS,
                least_sources=LEAST_SOURCES,
                least_of_a_kind=LEAST_OF_A_KIND,
            ),
        )
    names = list(candidates)
    p = np.stack([reviews.probabilities(candidates[name]) for name in names])  # f64[candidates, K]
    losses = _losses(p, reviews.is_true)
    held_out = _chosen_elsewhere(losses * reviews.weights, reviews.sources, seed)
    judge = _Judge(reviews, seed)
    first, own = losses[0], np.arange(count)
    less_loss = judge.mean(first - losses[held_out, own])
    more_precision = judge.precision_gain(p[0], p[held_out, own])
    table = [
        CandidateFigures(name, judge.mean(loss), judge.precision(each))
        for name, loss, each in zip(names, losses, p)
    ]
    best = int(np.argmin(losses @ reviews.weights))
    found = Adaptation(
        None, names[best], "", count, sources, tuple(table), less_loss, more_precision
    )
    if best == 0:
        return _because(found, tr("no candidate has less log loss than the model has"))
    if not less_loss.low > 0:
        return _because(found, tr("at sources left out, the log loss is not shown to be less"))
    if more_precision.high < 0:
        return _because(found, tr("at sources left out, it ranks windows worse"))
    return Adaptation(candidates[names[best]], *(getattr(found, name) for name in _REST))


_REST = ("chosen", "reason", "reviews", "sources", "table", "less_loss", "more_precision")


def _because(found: Adaptation, reason: str) -> Adaptation:
    rest = {name: getattr(found, name) for name in _REST}
    return Adaptation(None, **{**rest, "reason": reason})


def _losses(probabilities: F64, is_true: Bools) -> F64:
    """f64[…, K] nats."""
    p = np.clip(probabilities, 1e-6, 1 - 1e-6)
    return np.asarray(np.where(is_true, -np.log(p), -np.log1p(-p)))


def _chosen_elsewhere(losses: F64, sources: I64, seed: int) -> I64:
    """i64[K]: for each review the candidate that has the least loss at sources of other folds."""
    order = np.random.default_rng(seed).permutation(int(sources.max()) + 1)
    folds = order[sources] % _FOLDS
    chosen = np.zeros(len(sources), np.int64)
    for fold in range(_FOLDS):
        chosen[folds == fold] = int(np.argmin(losses[:, folds != fold].sum(axis=1)))
    return chosen


class _Judge:
    """Figures of weighted reviews with intervals over sources."""

    def __init__(self, reviews: ReviewedWindows, seed: int) -> None:
        self._reviews = reviews
        own = reviews.weights[None].astype(np.float32)
        drawn = Bootstrap(reviews.sources, seed=seed).weights * own
        self._weights: F32 = np.concatenate([own, drawn[drawn.sum(axis=1) > 0]])

    def mean(self, values: F64) -> Estimate:
        weights = self._weights.astype(np.float64)
        return _estimate(weights @ values / weights.sum(axis=1))

    def precision(self, p: F64) -> Estimate:
        return _estimate(self._precisions(p))

    def precision_gain(self, before: F64, after: F64) -> Estimate:
        return _estimate(self._precisions(after) - self._precisions(before))

    def _precisions(self, p: F64) -> F64:
        """The mean over the classes that have both verdicts; the first row is of all reviews."""
        found: Sequence[F64] = [
            ranking_samples(self._reviews.is_true[own], p[own], self._weights[:, own])[0]
            for own in (self._reviews.columns == c for c in np.unique(self._reviews.columns))
        ]
        values = np.stack(found)
        known = ~np.isnan(values)
        sums = np.where(known, values, 0).sum(axis=0)
        return np.asarray(
            np.where(known.any(axis=0), sums / np.maximum(known.sum(axis=0), 1), np.nan)
        )


def _estimate(samples: F64) -> Estimate:
    """The first is the figure, the others are drawn."""
    drawn = samples[1:][np.isfinite(samples[1:])]
    if not len(drawn):
        return Estimate(float(samples[0]))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Estimate(float(samples[0]), float(low), float(high))
