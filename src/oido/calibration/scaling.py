# SPDX-License-Identifier: Apache-2.0
"""Platt and temperature scaling: from the scores of labelled clips to probabilities.

Platt's sigmoids are drawn towards one for all. Class c has p = σ(a·t + b), t being the transformed
score of a clip, centred and scaled by numbers common to all classes. (ln a, b) of a class is
assumed to be drawn from a normal distribution over classes, whose mean and spread are estimated
from all of them at once (empirical Bayes; Laplace's approximation within
expectation-maximisation). So a class with many clips keeps its own sigmoid, one with few goes to
the pooled one, and how far depends on how much classes differ. The slope is positive: a
calibration never turns the order of scores round.

A temperature is one slope for all logits of a head, learnt on clips that it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.datasets.clip import BACKGROUND
from oido.datasets.splits import group_numbers
from oido.errors import OptionError
from oido.events.calibration import Calibrator
from oido.heads import OutputKind, ScoreCalibration, ScoreTransformation, Sigmoid
from oido.messages import tr

LEAST_RECORDINGS = 3
"""A class present in fewer recordings takes the pooled sigmoid: its clips may all be one sound."""

TOO_LITTLE = tr("too little evidence: pooled")
CONSTANT = tr("all its scores are the same: pooled")

FLOOR = 1e-4
"""A score nearer to 0 or 1 than this counts as this far when sigmoids are fitted. The logarithm of
an exact 0, which quantised models give, would outweigh all other clips."""

_SPREADS = np.array([0.5, 1.5])
"""Of ln a and b over classes, as two classes' worth of evidence before any is seen."""
_CENTRE, _CENTRE_SPREADS = np.array([0.7, -1.0]), np.array([0.5, 1.5])
"""The mean of ln a and b, as wide a guess: it counts only where there is next to no data."""
_PRIOR_CLASSES = 2.0
_ROUNDS, _FIRST_STEPS, _STEPS = 40, 12, 2
_SETTLED = 1e-2
_ENOUGH_CLASSES = 64
"""So many show how classes differ, if there are more."""


@dataclass(frozen=True, eq=False)
class SigmoidFit:
    """slopes, offsets: f64[C], of the transformed score. pooled: of a class that nobody labelled.

    notes: by class, why it took the pooled sigmoid, or "". transformation: g of them all.
    """

    slopes: F64
    offsets: F64
    pooled: Sigmoid
    notes: tuple[str, ...]
    transformation: ScoreTransformation

    def calibration(self, columns: Sequence[int], size: int) -> ScoreCalibration:
        """Of a head with so many labels, the classes being these columns; pooled for the others.

        Below `FLOOR` a score of 0..1 means no less, and gets the default score, which is the lowest
        probability that any class has there: so the order of scores is kept.
        """
        sigmoids = [self.pooled] * size
        for column, slope, offset in zip(columns, self.slopes.tolist(), self.offsets.tolist()):
            sigmoids[column] = Sigmoid(1.0, slope, offset)
        if self.transformation is not ScoreTransformation.INVERSE_LOGISTIC:
            return ScoreCalibration(tuple(sigmoids), self.transformation)
        floored = tuple(replace(sigmoid, min_score=FLOOR) for sigmoid in sigmoids)
        open_ = ScoreCalibration(floored, self.transformation)
        lowest = Calibrator(open_).apply(np.full(size, FLOOR, np.float32)).min()
        return replace(open_, default_score=float(lowest))

    @property
    def is_pooled(self) -> Bools:
        """bool[C]"""
        return np.array([bool(note) for note in self.notes])


def weights_of(groups: I64) -> F64:
    """f64[K]: a recording of n clips counts as √n clips, for they resemble each other."""
    numbers = group_numbers(groups)
    return np.asarray(1.0 / np.sqrt(np.bincount(numbers)[numbers]))


def fit_sigmoids(scores: F32, targets: F32, groups: I64) -> SigmoidFit:
    """Of raw scores f32[K, C] and targets f32[K, C]: 1, 0, or NaN where nobody knows.

    The transformation is INVERSE_LOGISTIC for scores of 0..1, and IDENTITY for others. Raises
    OptionError if there is nothing to fit to: no clip with, none without, or constant scores.
    """
    _require(scores, targets)
    unit = bool(scores.min() >= 0 and scores.max() <= 1)
    kind = ScoreTransformation.INVERSE_LOGISTIC if unit else ScoreTransformation.IDENTITY
    values = _transform(scores, kind)
    known = ~np.isnan(targets)
    truth = np.nan_to_num(targets).astype(np.float64)
    weights = known * weights_of(groups)[:, None]  # f64[K, C]
    total = weights.sum()
    mean = float((values * weights).sum() / total)
    scale = float(np.sqrt((weights * (values - mean) ** 2).sum() / total))
    positive = weights * truth
    centre = float((values * positive).sum() / positive.sum())
    parameters, pooled = _empirical_bayes((values - centre) / scale, truth, weights)
    notes = tuple(_note(values[known[:, c], c], truth[:, c], groups) for c in range(len(truth[0])))
    parameters[[bool(note) for note in notes]] = pooled
    slopes = np.exp(parameters[:, 0]) / scale
    slope = float(np.exp(pooled[0])) / scale
    return SigmoidFit(
        slopes,
        parameters[:, 1] - slopes * centre,
        Sigmoid(1.0, slope, float(pooled[1]) - slope * centre),
        notes,
        kind,
    )


def _transform(scores: F32, kind: ScoreTransformation) -> F64:
    x = scores.astype(np.float64)
    if kind is ScoreTransformation.IDENTITY:
        return x
    x = np.clip(x, FLOOR, 1 - FLOOR)
    return np.asarray(np.log(x) - np.log1p(-x))


def _empirical_bayes(x: F64, truth: F64, weights: F64) -> tuple[F64, F64]:
    """(ln a, b) of each class, f64[C, 2], and their mean f64[2]."""
    classes = x.shape[1]
    if classes > _ENOUGH_CLASSES:
        by_clips = np.argsort((weights * truth).sum(0), kind="stable")  # rare and frequent alike
        some = by_clips[np.linspace(0, classes - 1, _ENOUGH_CLASSES).round().astype(int)]
        mean, variance = _fit_prior(x[:, some], truth[:, some], weights[:, some])[1:]
        start = np.tile(mean, (classes, 1))
        return _modes(x, truth, weights, start, mean, variance, _FIRST_STEPS)[0], mean
    return _fit_prior(x, truth, weights)[:2]


def _fit_prior(x: F64, truth: F64, weights: F64) -> tuple[F64, F64, F64]:
    """(ln a, b) of each class, f64[C, 2]; their mean and variance, f64[2] each."""
    classes = x.shape[1]
    parameters, mean = np.tile(_CENTRE, (classes, 1)), _CENTRE
    variance = _SPREADS**2
    for number in range(_ROUNDS):
        steps = _STEPS if number else _FIRST_STEPS
        parameters, doubts = _modes(x, truth, weights, parameters, mean, variance, steps)
        doubt = _CENTRE_SPREADS**-2.0
        new = (parameters.sum(0) / variance + _CENTRE * doubt) / (classes / variance + doubt)
        squares = ((parameters - new) ** 2 + doubts).sum(0) + _PRIOR_CLASSES * _SPREADS**2
        wider = squares / (classes + _PRIOR_CLASSES)
        settled = np.abs(new - mean).max() < _SETTLED and (
            np.abs(wider / variance - 1).max() < 3 * _SETTLED
        )
        mean, variance = new, wider
        if settled:
            break
    return parameters, mean, variance


def _modes(
    x: F64, truth: F64, weights: F64, parameters: F64, mean: F64, variance: F64, steps: int
) -> tuple[F64, F64]:
    """The most probable parameters of each class after so many Fisher steps, and variances."""
    for _ in range(steps):
        u = np.exp(parameters[:, 0]) * x  # dz / d ln a, f64[K, C]
        p = 1 / (1 + np.exp(-np.clip(u + parameters[:, 1], -500, 500)))
        wrong = weights * (truth - p)
        certain = weights * p * (1 - p)
        by_slope = np.einsum("kc,kc->c", wrong, u) - (parameters[:, 0] - mean[0]) / variance[0]
        by_offset = wrong.sum(0) - (parameters[:, 1] - mean[1]) / variance[1]
        mixed = np.einsum("kc,kc->c", certain, u)
        of_slope = np.einsum("kc,kc,kc->c", certain, u, u) + 1 / variance[0]
        of_offset = certain.sum(0) + 1 / variance[1]
        area = of_slope * of_offset - mixed**2
        step = np.stack(
            [
                (of_offset * by_slope - mixed * by_offset) / area,
                (of_slope * by_offset - mixed * by_slope) / area,
            ],
            axis=1,
        )
        # Far from the mode the quadratic is a poor likeness: never more than a factor e at once.
        parameters = parameters + np.clip(step, -1, 1)
        if np.abs(step).max() < _SETTLED / 10:
            break
    return parameters, np.stack([of_offset / area, of_slope / area], axis=1)


def _note(scores: F64, truth: F64, groups: I64) -> str:
    if len(np.unique(groups[truth > 0])) < LEAST_RECORDINGS:
        return TOO_LITTLE
    return CONSTANT if scores.min() == scores.max() else ""


def _require(scores: F32, targets: F32) -> None:
    known = ~np.isnan(targets)
    if not np.isfinite(scores).all():
        raise OptionError(tr("a score is not finite, so nothing can be fitted to them"))
    if not (targets[known] > 0).any():
        raise OptionError(tr("no clip has a class in it, so there is nothing to calibrate by"))
    if (targets[known] > 0).all() and targets.shape[1] == 1:
        raise OptionError(
            tr(
                "every clip has the one class of the model; add clips of other sounds, all of "
                "which are called {background!r}, as the folder or label",
                background=BACKGROUND,
            )
        )
    if (targets[known] > 0).all():
        raise OptionError(
            tr(
                "every clip has every class that is known of it; add clips without, "
                "such as those of other classes, or of class {background}",
                background=BACKGROUND,
            )
        )
    if scores[known].min() == scores[known].max():
        raise OptionError(
            tr(
                "the model gives the same score, {max:g}, to every class of every "
                "clip, which no calibration can change",
                max=scores[known].max(),
            )
        )


_SLOPES = np.geomspace(0.2, 5.0, 65)
_FIRST_STEP = 8
_CLIPS_OF_PRIOR = 4
"""A slope twice too large or small must be shown by more than this many clips."""


def log_losses(probabilities: F32, targets: F32, output: OutputKind) -> F64:
    """f64[K], nats: −ln of the probability of a clip's classes; unknown targets count nothing."""
    p = np.clip(probabilities.astype(np.float64), 1e-6, 1 - 1e-6)
    if output == "softmax":
        return np.asarray(-(np.log(p) * targets).sum(axis=1))
    losses = np.where(targets > 0, -np.log(p), -np.log1p(-p))
    return np.asarray(np.where(np.isnan(targets), 0, losses).sum(axis=1))


def fit_slope(probabilities_at: Callable[[float], F32], targets: F32, output: OutputKind) -> float:
    """What to multiply the logits of windows by, so that the probabilities of clips fit best.

    probabilities_at: f32[K, C] for a slope, by a head that has not seen the clips. targets:
    f32[K, C]. The slope is 1 / temperature (Guo et al. 2017), 0.2..5, drawn towards 1 where there
    are few clips.
    """
    everything = np.ones(len(targets), np.bool_)
    return fit_slopes(probabilities_at, targets, output, [everything])[0]


def fit_slopes(
    probabilities_at: Callable[[float], F32],
    targets: F32,
    output: OutputKind,
    parts: Sequence[Bools],
) -> list[float]:
    """`fit_slope` on parts of the same clips, bool[K] each; probabilities are computed once.

    Beside its best place the loss only rises, so that steps that are halved find the same one of
    all slopes as trying each.
    """
    losses: dict[int, F64] = {}

    def total(number: int, part: Bools) -> float:
        slope = float(_SLOPES[number])
        if number not in losses:
            losses[number] = log_losses(probabilities_at(slope), targets, output)
        prior = _CLIPS_OF_PRIOR * float(np.log2(slope)) ** 2
        return float(losses[number][part].sum()) + prior

    slopes = []
    for part in parts:
        step = _FIRST_STEP
        best = min(range(0, len(_SLOPES), step), key=lambda n: total(n, part))
        while step > 1:
            step //= 2
            near = [n for n in (best - step, best, best + step) if 0 <= n < len(_SLOPES)]
            best = min(near, key=lambda n: total(n, part))
        slopes.append(float(_SLOPES[best]))
    return slopes
