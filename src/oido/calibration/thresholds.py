# SPDX-License-Identifier: Apache-2.0
"""From probabilities to a threshold for each class, by a target for it.

The target may be a precision, a recall, the best F1, or a rate of false alarms per hour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.errors import OptionError
from oido.heads import OutputKind
from oido.messages import tr

_DEFAULT = 0.5
_ENOUGH_FOR_F1 = 5
_RANGE = (0.1, 0.9)
_ABOVE_CHANCE = 0.15
"""Of the way from chance to certainty."""


def best_thresholds(probabilities: F32, targets: F32, output: OutputKind) -> F32:
    """f32[C]: where F1 is best on f32[K, C], half-way between the two values around it.

    Of equally good places it is the one nearest to 0.5; 0.1 to 0.9; 0.5 for a class with fewer
    than five clips, in which the best place is chance. Of a softmax never so low that a model which
    cannot decide, and gives each class the same, comes near it. Targets that are NaN do not count.
    """
    columns = zip(probabilities.T, targets.T)
    best = np.array([_best(p[~np.isnan(t)], t[~np.isnan(t)]) for p, t in columns], np.float32)
    if output == "sigmoid":
        return best
    chance = 1 / probabilities.shape[1]
    return np.maximum(best, np.float32(chance + _ABOVE_CHANCE * (1 - chance)))


def _best(probabilities: F32, truth: F32) -> float:
    if truth.sum() < _ENOUGH_FOR_F1 or truth.all():
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


NEVER = 1.0
"""The threshold of a class that cannot reach its aim: only a probability of exactly 1 does."""

_KINDS = ("precision", "recall", "f1", "false-alarms-per-hour")
_MODEL_CLIPS = 5.0
"""What the probabilities promise counts as this many clips beside those that were counted."""

_ENOUGH_POOLED = 10
"""So many clips of pooled classes choose their threshold; fewer do it with all other classes."""


@dataclass(frozen=True)
class ThresholdTarget:
    """kind: "precision", "recall", "f1" or "false-alarms-per-hour"; value: how much of it.

    precision and recall: above 0, up to 1. Raises OptionError.
    """

    kind: str
    value: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise OptionError(
                tr(
                    "there is no aim {kind!r}; choose from {kinds}",
                    kind=self.kind,
                    kinds=", ".join(_KINDS),
                )
            )
        if self.kind == "f1":
            if self.value is not None:
                raise OptionError(tr("f1 is made as high as it can be; give no number with it"))
        elif self.value is None:
            raise OptionError(tr("say how much: {kind}=NUMBER", kind=self.kind))
        elif not 0 < self.value < math.inf or (self.value > 1 and "per-hour" not in self.kind):
            limit = "" if "per-hour" in self.kind else tr(" and at most 1")
            raise OptionError(
                tr(
                    "{kind} must be above 0{limit}, not {value:g}",
                    kind=self.kind,
                    limit=limit,
                    value=self.value,
                )
            )

    @classmethod
    def parse(cls, text: str) -> ThresholdTarget:
        """Read ``precision=0.95``, ``recall=0.9``, ``f1`` or ``false-alarms-per-hour=1``."""
        kind, equals, value = text.partition("=")
        try:
            return cls(kind.strip(), float(value) if equals else None)
        except ValueError as error:
            raise OptionError(
                tr("{text!r}: what stands after = must be a number", text=text)
            ) from error

    def __str__(self) -> str:
        return self.kind if self.value is None else f"{self.kind}={self.value:g}"


class Alarms(NamedTuple):
    """Windows in order of time, for counting reports where there is no event.

    probabilities: f32[M, C]; clip_index: i64[M], ascending; hours: f64[K], the length of each clip.
    """

    probabilities: F32
    clip_index: I64
    hours: F64


class AimedThresholds(NamedTuple):
    """values: f32[C]; reached: bool[C], whether the aim is, on these clips."""

    values: F32
    reached: Bools

    @classmethod
    def of(cls, thresholds: Iterable[float | None]) -> AimedThresholds:
        """One for each class; None where none can be reached."""
        found = list(thresholds)
        values = np.array([NEVER if value is None else value for value in found], np.float32)
        return cls(values, np.array([value is not None for value in found]))


def aimed_thresholds(
    aim: ThresholdTarget,
    probabilities: F32,
    targets: F32,
    is_pooled: Bools,
    alarms: Alarms | None = None,
) -> AimedThresholds:
    """Of probabilities f32[K, C] and targets f32[K, C], NaN where nobody knows.

    precision: the lowest threshold that reaches it, where what the probabilities promise counts as
    five more clips beside those counted. recall: the highest that reaches it. f1: where it is
    highest. Classes of ``is_pooled``, bool[C], take one threshold, chosen on the clips of all of
    them, or of all classes if that is too few. false-alarms-per-hour: the lowest threshold at which
    so many stretches of windows are reported in the clips without the class; every class by itself.
    A threshold that cannot be reached is `NEVER`. Raises OptionError for false alarms without
    ``alarms``.
    """
    known = ~np.isnan(targets)
    if aim.kind == "false-alarms-per-hour":
        return _by_alarms(aim, targets, alarms)
    find = _FINDERS[aim.kind]
    value = aim.value or 0.0
    together = known & is_pooled
    if targets[together].sum() < _ENOUGH_POOLED:
        together = known
    pooled = find(probabilities[together], targets[together], value) if is_pooled.any() else None
    return AimedThresholds.of(
        pooled if alike else find(p[k], t[k], value)
        for p, t, k, alike in zip(probabilities.T, targets.T, known.T, is_pooled)
    )


def between(low: float, high: float) -> float:
    """A short number that, as float32, lies above low and is not above high (low < high).

    Half-way if it can be, so that neither is touched.
    """
    middle = (low + high) / 2
    for digits in range(2, 9):
        value = round(middle, digits)
        if low < np.float32(value) <= high:
            return value
    return float(high)


class _Steps(NamedTuple):
    """What is reported down to each different probability, highest first; f64[n] each."""

    values: F64
    hits: F64
    reported: F64
    promised: F64

    @classmethod
    def of(cls, p: F32, truth: F32) -> _Steps:
        order = np.argsort(-p, kind="stable")
        values, positive = p[order].astype(np.float64), truth[order] > 0
        last = np.append(values[1:] < values[:-1], True)
        sums = (np.cumsum(positive), np.arange(1, len(p) + 1), np.cumsum(values))
        return cls(values[last], *(np.asarray(s[last], np.float64) for s in sums))

    def threshold(self, number: int) -> float:
        """Between the value of this number and the next lower one."""
        below = self.values[number + 1] if number + 1 < len(self.values) else 0.0
        return between(float(below), float(self.values[number])) if self.values[number] else 0.0


def _for_precision(p: F32, truth: F32, wanted: float) -> float | None:
    steps = _Steps.of(p, truth)
    promise = steps.promised / steps.reported
    joined = (steps.hits + _MODEL_CLIPS * promise) / (steps.reported + _MODEL_CLIPS)
    enough = np.flatnonzero((joined >= wanted) & (steps.hits > 0))
    return steps.threshold(int(enough[-1])) if len(enough) else None


def _for_recall(p: F32, truth: F32, wanted: float) -> float | None:
    steps = _Steps.of(p, truth)
    enough = np.flatnonzero(steps.hits >= wanted * truth.sum() - 1e-9)
    return steps.threshold(int(enough[0])) if truth.any() else None


def _for_f1(p: F32, truth: F32, _: float) -> float | None:
    if not truth.any():
        return None
    steps = _Steps.of(p, truth)
    return steps.threshold(int((steps.hits / (steps.reported + truth.sum())).argmax()))


_FINDERS: dict[str, Callable[[F32, F32, float], float | None]] = {
    "precision": _for_precision,
    "recall": _for_recall,
    "f1": _for_f1,
}


def _by_alarms(aim: ThresholdTarget, targets: F32, alarms: Alarms | None) -> AimedThresholds:
    assert aim.value is not None
    if alarms is None:
        raise OptionError(tr("false alarms are counted in windows, and none were kept"))
    begins = np.append(True, alarms.clip_index[1:] != alarms.clip_index[:-1])  # bool[M]
    before = np.roll(alarms.probabilities, 1, axis=0)
    # A stretch begins where the threshold is reached, and was not by the window before.
    lower = np.where(begins[:, None], np.float32(-1), np.minimum(alarms.probabilities, before))
    absent = targets[alarms.clip_index] == 0  # bool[M, C]
    hours = ((targets == 0) * alarms.hours[:, None]).sum(0)
    if not hours.sum():
        raise OptionError(tr("no clip is known to be without a class: there are no false alarms"))
    columns = zip(alarms.probabilities.T, lower.T, absent.T, hours.tolist())
    return AimedThresholds.of(
        _fewest(p[a], low[a], aim.value * h) if h else None for p, low, a, h in columns
    )


def _fewest(p: F32, lower: F32, allowed: float) -> float | None:
    """The lowest threshold with so many stretches at most, there and at all above it."""
    n_largest = max(1_000, round(20 * allowed))
    while n_largest < len(p):  # enough, if they make a stretch too many
        floor = np.partition(p, len(p) - n_largest)[len(p) - n_largest]
        high = p >= floor
        over = _too_many(p[high], lower[lower >= floor], allowed)
        if over is not None:
            return _above(over, p)
        n_largest *= 8
    over = _too_many(p, lower, allowed)
    return 0.0 if over is None else _above(over, p)


def _too_many(p: F32, lower: F32, allowed: float) -> float | None:
    """The highest value that, as a threshold, reports more stretches than allowed."""
    values = np.unique(p)
    reaching = len(p) - np.searchsorted(np.sort(p), values, "left")
    going_on = len(lower) - np.searchsorted(np.sort(lower), values, "left")
    over = np.flatnonzero(reaching - going_on > allowed + 1e-9)
    return float(values[over[-1]]) if len(over) else None


def _above(value: float, p: F32) -> float | None:
    if value >= 1:
        return None
    above = p[p > value]
    return between(value, float(above.min()) if len(above) else 1.0)
