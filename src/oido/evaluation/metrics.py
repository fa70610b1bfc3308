# SPDX-License-Identifier: Apache-2.0
"""The figures of merit of a classifier on labelled clips, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from oido.arrays import F64, I64, Bools
from oido.evaluation.bootstrap import Bootstrap, Estimate, Numbers
from oido.evaluation.predictions import UNKNOWN, ClipPredictions, classes_of
from oido.evaluation.ranking_and_calibration import (
    Reliability,
    average_precision,
    d_prime,
    ranking_samples,
    reliability,
    roc_auc,
)
from oido.messages import tr

NO_EVENT = tr("(no event)")
"""How tables name what is no class."""


@dataclass(frozen=True)
class ClassMetrics:
    """One class, by the clips of which it is known whether they hold it.

    clips: those that do, from ``recordings`` groups; others: those that do not. detected: clips in
    which it reaches its threshold, right or wrong. precision, recall, f1: at the threshold.
    ap, roc_auc, d_prime, brier: of the probabilities, whatever the threshold.
    """

    label: str
    clips: int
    recordings: int
    others: int
    detected: int
    threshold: float
    precision: Estimate
    recall: Estimate
    f1: Estimate
    ap: Estimate
    roc_auc: Estimate
    d_prime: float
    brier: float


@dataclass(frozen=True)
class Metrics:
    """All figures; an Estimate is NaN where the data cannot show it.

    clip_accuracy: with one class per clip, the share of clips whose class is the one named; with
    several, of clips with every class right (scikit-learn's accuracy_score for both).
    Clips with something unknown do not count. window_accuracy: the same of windows.
    label_accuracy: the share of right decisions at the thresholds, over clips and classes.
    macro_…: the mean over the classes that have clips; mAP is macro_ap. macro_d_prime: of
    macro_roc_auc. micro_…: of all decisions together, at the thresholds.
    confusion: i64[C + 1, C + 1], clips of a class (rows) that were named another (columns), the
    last being no event; None with several classes per clip. majority: the share of the most
    frequent answer, which is what always giving it would reach.
    """

    clips: int
    recordings: int
    unknown: int
    clip_accuracy: Estimate
    window_accuracy: Estimate
    label_accuracy: Estimate
    majority: float
    macro_precision: Estimate
    macro_recall: Estimate
    macro_f1: Estimate
    macro_ap: Estimate
    macro_roc_auc: Estimate
    macro_d_prime: float
    micro_precision: Estimate
    micro_recall: Estimate
    micro_f1: Estimate
    classes: tuple[ClassMetrics, ...]
    confusion: I64 | None
    confusion_labels: tuple[str, ...]
    reliability: Reliability
    reliability_before: Reliability | None


def measure(judged: ClipPredictions, *, seed: int = 0) -> Metrics:
    """Every figure of these clips; the same clips and seed give the same intervals.

    Raises MissingExtraError without scikit-learn.
    """
    bootstrap = Bootstrap(judged.groups, len(judged.classes), seed)
    counts = _Counts(judged)
    rankings = [_ranking(judged, number, bootstrap) for number in range(len(judged.classes))]
    tested = counts.true.any(axis=0)  # bool[C]: classes with clips
    precision, recall, f1 = counts.samples(bootstrap)  # f64[B, C] each
    classes = tuple(
        _class_metrics(judged, counts, number, bootstrap, rankings[number], f1[:, number])
        for number in range(len(judged.classes))
    )
    with_clips = [entry for entry in classes if entry.clips]

    def macro(name: str, samples: F64) -> Estimate:
        values = [getattr(entry, name).value for entry in with_clips]
        return bootstrap.percentiles(_mean(values), row_means(samples[:, tested]))

    area = macro("roc_auc", np.stack([r.area_samples for r in rankings], axis=1))
    right, complete = _clips_right(judged)
    hits, alarms, misses = counts.hits, counts.alarms, counts.misses
    of_micro = [bootstrap.sums(part.sum(axis=1)) for part in (hits, alarms, misses)]
    return Metrics(
        clips=len(judged),
        recordings=bootstrap.count,
        unknown=int((~complete).sum()),
        clip_accuracy=bootstrap.share(right & complete, complete),
        window_accuracy=_window_accuracy(judged, bootstrap),
        label_accuracy=bootstrap.share(
            (judged.known & (judged.detected == counts.true)).sum(1), judged.known.sum(1)
        ),
        majority=_majority(judged, complete),
        macro_precision=macro("precision", precision),
        macro_recall=macro("recall", recall),
        macro_f1=macro("f1", f1),
        macro_ap=macro("ap", np.stack([r.ap_samples for r in rankings], axis=1)),
        macro_roc_auc=area,
        macro_d_prime=d_prime(area.value),
        micro_precision=bootstrap.share(hits.sum(1), (hits | alarms).sum(1)),
        micro_recall=bootstrap.share(hits.sum(1), counts.true.sum(1)),
        micro_f1=bootstrap.percentiles(
            float(f1_of(hits.sum(), alarms.sum(), misses.sum())), f1_of(*of_micro)
        ),
        classes=classes,
        confusion=None if judged.multi_label else _confusion(judged),
        confusion_labels=(*judged.classes, NO_EVENT),
        reliability=reliability(judged, judged.probabilities, bootstrap),
        reliability_before=None
        if judged.scores is None
        else reliability(judged, judged.scores, bootstrap),
    )


class _Counts:
    """bool[K, C]: where a class is present, absent, detected rightly, missed, or a false alarm."""

    def __init__(self, judged: ClipPredictions) -> None:
        self.true = judged.known & (judged.targets > 0)
        self.false = judged.known & ~self.true
        self.hits = self.true & judged.detected
        self.misses = self.true & ~judged.detected
        self.alarms = self.false & judged.detected

    def samples(self, bootstrap: Bootstrap) -> tuple[F64, F64, F64]:
        hits, alarms, misses = (bootstrap.sums(p) for p in (self.hits, self.alarms, self.misses))
        with np.errstate(divide="ignore", invalid="ignore"):
            return hits / (hits + alarms), hits / (hits + misses), f1_of(hits, alarms, misses)


class _Ranking(NamedTuple):
    ap: float
    area: float
    ap_samples: F64
    area_samples: F64


def _ranking(judged: ClipPredictions, number: int, bootstrap: Bootstrap) -> _Ranking:
    known = judged.known[:, number]
    present, scores = judged.targets[known, number] > 0, judged.probabilities[known, number]
    samples = ranking_samples(present, scores, bootstrap.weights[:, known])
    return _Ranking(average_precision(present, scores), roc_auc(present, scores), *samples)


def _class_metrics(
    judged: ClipPredictions,
    counts: _Counts,
    number: int,
    bootstrap: Bootstrap,
    ranking: _Ranking,
    f1_samples: F64,
) -> ClassMetrics:
    true, hits = counts.true[:, number], counts.hits[:, number]
    alarms, known = counts.alarms[:, number], judged.known[:, number]
    errors = (judged.probabilities[known, number] - judged.targets[known, number]) ** 2
    f1 = float(f1_of(hits.sum(), alarms.sum(), counts.misses[:, number].sum()))
    return ClassMetrics(
        label=judged.classes[number],
        clips=int(true.sum()),
        recordings=len(np.unique(judged.groups[true])),
        others=int(counts.false[:, number].sum()),
        detected=int((hits | alarms).sum()),
        threshold=float(judged.thresholds[number]),
        precision=bootstrap.share(hits, hits | alarms),
        recall=bootstrap.share(hits, true),
        f1=bootstrap.percentiles(f1, f1_samples),
        ap=bootstrap.percentiles(ranking.ap, ranking.ap_samples),
        roc_auc=bootstrap.percentiles(ranking.area, ranking.area_samples),
        d_prime=d_prime(ranking.area),
        brier=float(errors.mean()) if known.any() else math.nan,
    )


def f1_of(hits: Numbers, alarms: Numbers, misses: Numbers) -> F64:
    """2 · hits / (2 · hits + alarms + misses); NaN where there is neither a clip nor an alarm."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2 * hits / (2 * hits + alarms + misses), np.float64)


def _clips_right(judged: ClipPredictions) -> tuple[Bools, Bools]:
    """bool[K]: named rightly; and whether all is known of the clip."""
    complete = np.asarray(judged.known.all(axis=1))
    if judged.multi_label:
        return np.asarray((judged.detected == (judged.targets > 0)).all(axis=1)), complete
    return judged.decided == judged.truth, complete


def _window_accuracy(judged: ClipPredictions, bootstrap: Bootstrap) -> Estimate:
    windows = judged.windows
    if windows is None:
        return Estimate(math.nan)
    targets = judged.targets[windows.clip_index] if windows.targets is None else windows.targets
    if judged.multi_label:
        detected = windows.probabilities >= judged.thresholds
        right = (detected == (targets > 0)).all(axis=1)
    else:
        right = judged.names_one(windows.probabilities, windows.no_event) == classes_of(targets)
    counted = ~np.isnan(targets).any(axis=1)
    size = len(judged)
    return bootstrap.share(
        np.bincount(windows.clip_index, right & counted, size),
        np.bincount(windows.clip_index, counted, size),
    )


def _confusion(judged: ClipPredictions) -> I64:
    counted = judged.truth != UNKNOWN
    truth, decided = judged.truth[counted], judged.decided[counted]
    size = len(judged.classes) + 1
    return np.bincount(size * truth + decided, minlength=size**2).reshape(size, size)


def _majority(judged: ClipPredictions, complete: Bools) -> float:
    """The share of the most frequent combination of classes."""
    if not complete.any():
        return math.nan
    counts = np.unique(judged.targets[complete], axis=0, return_counts=True)[1]
    return float(counts.max()) / int(complete.sum())


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def row_means(samples: F64) -> F64:
    """f64[B]: the mean of each row without its NaN; NaN where all is."""
    known = ~np.isnan(samples)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known, samples, 0).sum(axis=1) / known.sum(axis=1))
