# SPDX-License-Identifier: Apache-2.0
"""Thresholds with a guarantee for finite samples: misses or false alarms, at a confidence.

Risk control by an upper confidence bound on a loss that only grows, or only falls, with the
threshold (Bates et al. 2021, "Distribution-free, risk-controlling prediction sets", theorem 1; the
p-values are those of Angelopoulos et al., "Learn then test"). What is counted is recordings, not
clips: the loss of a recording is the share of its clips that are missed, or falsely reported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32, I64
from oido.calibration.thresholds import between
from oido.datasets.splits import group_numbers
from oido.errors import OptionError
from oido.messages import joined, tr

_KINDS = ("fnr", "false-alarms")


@dataclass(frozen=True)
class Guarantee:
    """At ``confidence``, the rate of ``kind`` is at most ``rate`` for every class by itself.

    kind: "fnr", the share of clips with the class that are missed; or "false-alarms", the share of
    clips without it in which it is reported. rate, confidence: between 0 and 1. Raises OptionError.
    """

    kind: str
    rate: float
    confidence: float = 0.9

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise OptionError(
                tr(
                    "there is no guarantee of {kind!r}; choose from {kinds}",
                    kind=self.kind,
                    kinds=", ".join(_KINDS),
                )
            )
        for name, value in ((tr("the rate"), self.rate), ("confidence", self.confidence)):
            if not 0 < value < 1:
                raise OptionError(
                    tr(
                        "{name} of a guarantee must be between 0 and 1, not {value:g}",
                        name=name,
                        value=value,
                    )
                )

    @classmethod
    def parse(cls, text: str, confidence: float = 0.9) -> Guarantee:
        """Read ``fnr=0.1`` or ``false-alarms=0.05``."""
        kind, _, value = text.partition("=")
        try:
            return cls(kind.strip(), float(value), confidence)
        except ValueError as error:
            raise OptionError(
                tr("{text!r} must be like fnr=0.1 or false-alarms=0.05", text=text)
            ) from error

    @property
    def least_recordings(self) -> int:
        """Fewer prove too little, even without an error: ⌈ln(1 − confidence) / ln(1 − rate)⌉."""
        needed = math.log(1 - self.confidence) / math.log(1 - self.rate)
        return math.ceil(needed - 1e-9)

    def __str__(self) -> str:
        return tr(
            "{kind}={rate:g} at confidence {confidence:g}",
            kind=self.kind,
            rate=self.rate,
            confidence=self.confidence,
        )

    @property
    def sentence(self) -> str:
        """What is promised, in words."""
        what = (
            tr("clips in which it is heard, at most {} are missed")
            if self.kind == "fnr"
            else tr("clips in which it is not heard, it is reported in at most {}")
        )
        return tr(
            "For each class by itself, with confidence {confidence:g}: of {format}, as a share.",
            confidence=self.confidence,
            format=what.format(f"{self.rate:.3g}"),
        )

    @property
    def assumptions(self) -> tuple[str, ...]:
        """Under which it holds."""
        return (
            tr(
                "New recordings come from where the labelled ones came from, as if "
                "all had been drawn from one urn; another place, season or "
                "microphone is another urn."
            ),
            tr(
                "Recordings were drawn independently; clips of one recording need "
                "not be, and the rate is the mean over recordings."
            ),
            tr("The labels are right."),
            tr(
                "Clips are cut and heard in the same way: a guarantee for clips is "
                "none for windows."
            ),
            tr(
                "It holds for one class with confidence {confidence:g}; for all "
                "classes at once the confidence is lower.",
                confidence=self.confidence,
            ),
            tr("Whoever makes many calibrations of the same data and keeps the best one loses it."),
        )


def guaranteed_thresholds(
    guarantee: Guarantee, classes: tuple[str, ...], probabilities: F32, targets: F32, groups: I64
) -> F32:
    """f32[C]: of "fnr" the highest threshold, of "false-alarms" the lowest that is guaranteed.

    probabilities, targets: f32[K, C], NaN where nobody knows; groups: i64[K], recordings. Raises
    OptionError naming the classes with too few recordings, and how many are needed.
    """
    wanted = 1.0 if guarantee.kind == "fnr" else 0.0
    counts = {
        name: len(np.unique(groups[column == wanted])) for name, column in zip(classes, targets.T)
    }
    needed = guarantee.least_recordings
    if few := {name: count for name, count in counts.items() if count < needed}:
        shown = joined(
            ", ",
            (
                tr("{name!r} has {count}", name=name, count=count)
                for name, count in list(few.items())[:5]
            ),
        )
        more = tr(", and {n_few} classes more", n_few=len(few) - 5) if len(few) > 5 else ""
        kind = tr("with it") if guarantee.kind == "fnr" else tr("without it")
        raise OptionError(
            tr(
                "{guarantee} needs {needed} recordings of each class ({kind}), and "
                "{shown}{more}; add recordings, leave those classes out, or ask for "
                "a higher rate or a lower confidence",
                guarantee=guarantee,
                needed=needed,
                kind=kind,
                shown=shown,
                more=more,
            )
        )
    find = _for_misses if guarantee.kind == "fnr" else _for_alarms
    found = []
    for name, p, column in zip(classes, probabilities.T, targets.T):
        chosen = column == wanted
        threshold = find(guarantee, p[chosen], groups[chosen], np.unique(p[~np.isnan(column)]))
        if threshold is None:
            raise OptionError(
                tr(
                    "{name!r} has the probability 1 in too many clips without it: no "
                    "threshold keeps {guarantee}",
                    name=name,
                    guarantee=guarantee,
                )
            )
        found.append(threshold)
    return np.array(found, np.float32)


def p_value(total: float, n: int, rate: float, whole: bool) -> float:
    """How probable n losses of 0..1 with so low a sum are, if their mean is truly ``rate``.

    An upper bound. Exact (binomial) for losses of 0 and 1 (``whole``); else the smaller one of
    Hoeffding's and Bentkus's.
    """
    if total >= rate * n:
        return 1.0
    if whole:
        return _binomial(round(total), n, rate)
    mean = total / n
    divergence = (1 - mean) * math.log((1 - mean) / (1 - rate))
    if mean > 0:
        divergence += mean * math.log(mean / rate)
    return min(1.0, math.exp(-n * divergence), math.e * _binomial(math.ceil(total - 1e-9), n, rate))


def _binomial(k: int, n: int, rate: float) -> float:
    """P(X ≤ k) of n trials."""
    logs = (
        math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1)
        + i * math.log(rate) + (n - i) * math.log1p(-rate)
        for i in range(min(k, n) + 1)
    )  # fmt: skip
    return min(1.0, math.fsum(math.exp(value) for value in logs))


def _for_misses(guarantee: Guarantee, p: F32, groups: I64, values: F32) -> float:
    """The highest threshold; values: all probabilities of the class, ascending."""
    is_safe = _tester(guarantee, groups)
    order = np.argsort(p, kind="stable")
    candidates, first = np.unique(p[order], return_index=True)
    # A threshold at a candidate misses the clips below it.
    number = _last_safe([order[:start] for start in first], is_safe)
    high = candidates[max(number, 0)]
    place = int(np.searchsorted(values, high))
    low = float(values[place - 1]) if place else 0.0
    return between(low, float(high)) if high > low else 0.0


def _for_alarms(guarantee: Guarantee, p: F32, groups: I64, values: F32) -> float | None:
    """The lowest threshold, None if that would be above 1."""
    is_safe = _tester(guarantee, groups)
    order = np.argsort(-p, kind="stable")
    candidates, first = np.unique(-p[order], return_index=True)
    # A threshold just above a candidate reports the clips above it.
    number = _last_safe([order[:start] for start in first], is_safe)
    if number == len(candidates) - 1 and is_safe(order):
        return 0.0
    low = -float(candidates[max(number, 0)])
    above = values[values > low]
    high = float(above[0]) if len(above) else 1.0
    return between(low, high) if low < high else None


def _tester(guarantee: Guarantee, groups: I64) -> Callable[[NDArray[np.intp]], bool]:
    numbers = group_numbers(groups)
    sizes = np.bincount(numbers)
    whole = bool((sizes == 1).all())

    def is_safe(lost: NDArray[np.intp]) -> bool:
        """Whether these clips may be lost."""
        total = float((np.bincount(numbers[lost], minlength=len(sizes)) / sizes).sum())
        p = p_value(total, len(sizes), guarantee.rate, whole)
        return p <= 1 - guarantee.confidence + 1e-12

    return is_safe


def _last_safe(lost: list[NDArray[np.intp]], is_safe: Callable[[NDArray[np.intp]], bool]) -> int:
    """The number of the last one that is safe, each holding the one before; -1 if none is."""
    low, high = -1, len(lost)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_safe(lost[middle]) else (low, middle)
    return low
