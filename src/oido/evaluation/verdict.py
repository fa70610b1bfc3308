# SPDX-License-Identifier: Apache-2.0
"""What the figures mean, in sentences that follow from them by stated rules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from oido.datasets.checks import ENOUGH_RECORDINGS
from oido.evaluation.metrics import ClassMetrics, Metrics
from oido.evaluation.predictions import ClipPredictions
from oido.evaluation.ranking_and_calibration import Reliability
from oido.messages import listed, shown, tr

Tone = Literal["good", "fair", "poor"]

WIDE = 0.3
"""An interval of accuracy this wide says little."""

_OFTEN_SHARE, _OFTEN_CLIPS = 0.1, 3
_CONFLICTS_SHARE = 0.05
_TRUSTED_ECE = 0.05
_SAME_SCORES = 0.02
_LISTED = 5
_MARKS = {"good": "+", "fair": "~", "poor": "!"}


class Remark(NamedTuple):
    """One sentence, and whether it is good news ("good", "fair" or "poor"); ``str`` shows both."""

    tone: Tone
    text: str

    def __str__(self) -> str:
        return f"{_MARKS[self.tone]} {shown(self.text)}"


class Baseline(NamedTuple):
    """What a simpler way reaches on the same clips; NaN where it does not have the figure."""

    name: str
    accuracy: float
    mAP: float = math.nan  # noqa: N815


class CurvePoint(NamedTuple):
    """The accuracy with so many clips of a class: its mean, and its standard deviation over
    draws or folds."""

    clips_per_class: float
    accuracy: float
    deviation: float = 0.0


def verdict(
    judged: ClipPredictions,
    metrics: Metrics,
    *,
    baselines: Sequence[Baseline] = (),
    learning_curve: Sequence[CurvePoint] = (),
    parity: float | None = None,
    conflicts: int = 0,
) -> tuple[Remark, ...]:
    """The sentences, most important first; each function states its rule.

    conflicts: how many sounds stand in the data more than once, with different labels.
    """
    contradictory = conflicts >= _CONFLICTS_SHARE * metrics.clips
    remarks = (
        *_accuracy(metrics, judged.multi_label),
        *_contradicted(conflicts),
        *_too_few(metrics.classes),
        *_confused(metrics),
        *_missed(metrics.classes),
        *_false_alarms(metrics),
        *_trust(judged, metrics),
        *_compared(metrics, baselines),
        *_more_data(learning_curve),
        *_exported(parity),
    )
    # Where labels contradict each other, a good figure is no good news.
    return tuple(r for r in remarks if not (conflicts and contradictory and r.tone == "good"))


def _accuracy(metrics: Metrics, multi_label: bool) -> Iterator[Remark]:
    """Graded by the low end of the interval, if the interval is not `WIDE`.

    At most what the most frequent answer reaches: nothing learnt. From 0.9: good; from 0.7: fair;
    below, and without a mistake, it depends on whether the accuracy itself is from 0.7.
    """
    value, low, high = metrics.clip_accuracy
    if math.isnan(value):
        yield Remark("poor", tr("no clip is labelled completely, so there is no accuracy"))
        return
    text = tr("accuracy {value:.2f}", value=value)
    if not metrics.clip_accuracy.has_interval:
        yield Remark(
            "poor", tr("{text}, from a single recording: nothing follows for others", text=text)
        )
        return
    success = (
        tr("every class of a clip is said right in") if multi_label else tr("it names the class of")
    )
    clips = metrics.clips - metrics.unknown
    text = tr(
        "{text}, between {low:.2f} and {high:.2f}: {success} {value} of {clips} clips",
        text=text,
        low=low,
        high=high,
        success=success,
        value=round(value * clips),
        clips=clips,
    )
    if low <= metrics.majority:
        always = tr(
            "the most frequent answer alone would reach {majority:.2f}", majority=metrics.majority
        )
        yield Remark(
            "poor",
            tr(
                "{text}, which does not show that it knows anything; {always}",
                text=text,
                always=always,
            ),
        )
    elif high - low > WIDE:
        yield Remark("poor", tr("{text}, too few to tell how good it is", text=text))
    elif low >= 0.9:
        yield Remark("good", text)
    elif low >= 0.7 and value < 1:
        yield Remark("fair", tr("{text}; the mistakes tell what to record more of", text=text))
    elif value >= 0.7:
        yield Remark("fair", tr("{text}; more clips would tell how good it really is", text=text))
    else:
        yield Remark("poor", tr("{text}; it is wrong too often to be relied on", text=text))


def _contradicted(conflicts: int) -> Iterator[Remark]:
    """Files of the same content with different labels: one of them is wrong."""
    if conflicts:
        stand = tr("sound stands") if conflicts == 1 else tr("sounds stand")
        text = tr(
            "{conflicts} {stand} in the data under several names with different labels",
            conflicts=conflicts,
            stand=stand,
        )
        yield Remark(
            "poor", tr("{text}: one label of each is wrong, and nobody can learn both", text=text)
        )


def _too_few(classes: Iterable[ClassMetrics]) -> Iterator[Remark]:
    """Fewer than `ENOUGH_RECORDINGS` recordings of a class."""
    none = [repr(entry.label) for entry in classes if not entry.clips]
    if none:
        yield Remark("poor", tr("no clips of {listed} to judge by", listed=listed(none)))
    few = [e for e in classes if e.clips and e.recordings < ENOUGH_RECORDINGS]
    for entry in few[:_LISTED]:
        clips, sources = _count(entry.clips, "clip"), _count(entry.recordings, "recording")
        yield Remark(
            "poor",
            tr(
                "not enough data for {label!r}: {clips} from {sources}",
                label=entry.label,
                clips=clips,
                sources=sources,
            ),
        )
    if more := few[_LISTED:]:
        names = listed([repr(entry.label) for entry in more])
        yield Remark("poor", tr("not enough data either for {names}", names=names))


def _confused(metrics: Metrics) -> Iterator[Remark]:
    """Pairs of classes with three mistakes or more, that are a tenth of their clips or more."""
    if metrics.confusion is None:
        return
    matrix, found = metrics.confusion, []
    clips = matrix.sum(axis=1)
    for a, first in enumerate(metrics.confusion_labels[:-1]):
        for b in range(a + 1, len(metrics.confusion_labels) - 1):
            second, wrong = metrics.confusion_labels[b], int(matrix[a, b] + matrix[b, a])
            of = int(clips[a] * bool(matrix[a, b]) + clips[b] * bool(matrix[b, a]))
            if matrix[a, b] and matrix[b, a]:
                text = tr(
                    "{first} and {second} are mistaken for each other in {wrong} of {of}",
                    first=first,
                    second=second,
                    wrong=wrong,
                    of=of,
                )
            else:
                actual, mistaken_for = (second, first) if matrix[b, a] else (first, second)
                text = tr(
                    "{actual} is taken for {mistaken_for} in {wrong} of {of}",
                    actual=actual,
                    mistaken_for=mistaken_for,
                    wrong=wrong,
                    of=of,
                )
            if wrong >= _OFTEN_CLIPS and wrong >= _OFTEN_SHARE * of:
                found.append((wrong / of, text))
    for _, text in sorted(found, key=lambda each: -each[0])[:_LISTED]:
        yield Remark("fair", tr("{text} clips", text=text))


def _missed(classes: Iterable[ClassMetrics]) -> Iterator[Remark]:
    """Classes of enough recordings that do not reach their threshold in half of their clips."""
    found = [
        entry
        for entry in classes
        if entry.recordings >= ENOUGH_RECORDINGS and entry.recall.value < 0.5
    ]
    for entry in sorted(found, key=lambda each: each.recall.value)[:_LISTED]:
        missed = round((1 - entry.recall.value) * entry.clips)
        text = tr(
            "{label} stays below its threshold of {threshold:.2f}",
            label=entry.label,
            threshold=entry.threshold,
        )
        yield Remark(
            "fair",
            tr(
                "{text} in {missed} of its {count}",
                text=text,
                missed=missed,
                count=_count(entry.clips, "clip"),
            ),
        )


def _false_alarms(metrics: Metrics) -> Iterator[Remark]:
    """Clips without an event; good if nine in ten are left alone."""
    if metrics.confusion is None:
        return
    if not metrics.confusion[-1].any():
        text = tr("no clip without an event was given: other sounds may pass for these classes")
        yield Remark("fair", tr("{text}; add some (oido train --background FOLDER)", text=text))
        return
    alarms, clips = int(metrics.confusion[-1, :-1].sum()), int(metrics.confusion[-1].sum())
    tone: Tone = "good" if alarms <= 0.1 * clips else "fair" if alarms <= 0.3 * clips else "poor"
    text = tr(
        "of {count} without an event, it hears one all the same in {alarms}",
        count=_count(clips, "clip"),
        alarms=alarms,
    )
    yield Remark(tone, text)


def _trust(judged: ClipPredictions, metrics: Metrics) -> Iterator[Remark]:
    """Probabilities are trusted up to an ECE of 0.05, or of what chance makes of so few clips."""
    found = metrics.reliability
    if not judged.calibrated:
        text = tr("scores rank sounds, but are not probabilities: the model has no calibration")
        yield Remark("fair", text)
        return
    if not found.cases:
        return
    before = metrics.reliability_before
    compared = tr(" (raw scores: {ece:.2f})", ece=before.ece) if before and before.cases else ""
    off = tr(
        "probabilities are off by {ece:.2f} on average{compared}", ece=found.ece, compared=compared
    )
    if found.ece <= _TRUSTED_ECE:
        yield Remark("good", tr("{off}: they can be trusted", off=off))
    elif found.ece <= found.by_chance:
        yield Remark(
            "fair",
            tr("{off}, no more than chance makes of {cases} cases", off=off, cases=found.cases),
        )
    else:
        yield Remark("poor", tr("{off}: {wrong_way}", off=off, wrong_way=_wrong_way(found)))


def _wrong_way(found: Reliability) -> str:
    _, low, high = found.over_confidence
    bins = [each for each in found.bins if each.cases]
    confidence = sum(each.cases * each.confidence for each in bins) / found.cases
    observed = sum(each.cases * each.observed for each in bins) / found.cases
    if low > 0:
        return tr(
            "over-confident, it says {confidence:.2f} where {observed:.2f} is right",
            confidence=confidence,
            observed=observed,
        )
    if high < 0:
        return tr(
            "too cautious, it says {confidence:.2f} where {observed:.2f} is right",
            confidence=confidence,
            observed=observed,
        )
    return tr("too high in places and too low in others")


def _compared(metrics: Metrics, baselines: Sequence[Baseline]) -> Iterator[Remark]:
    """With the best baseline by accuracy; clearly better is beyond the interval; equal is a note.

    Where both are without a mistake there is nothing to be better by, and nothing to say.
    """
    known = [baseline for baseline in baselines if not math.isnan(baseline.accuracy)]
    if not known or not metrics.clip_accuracy.is_known:
        return
    best = max(known, key=lambda baseline: baseline.accuracy)
    value, low, _ = metrics.clip_accuracy
    if value == best.accuracy == 1:
        return
    gain = value - best.accuracy
    figures = tr("{value:.3f} against {accuracy:.3f}", value=value, accuracy=best.accuracy)
    if gain <= 0:
        text = tr(
            "not better than the best baseline ({name}): {figures}", name=best.name, figures=figures
        )
        yield Remark("poor" if gain else "fair", text)
        return
    better = tr(
        "better than the best baseline ({name}) by {gain:.3f}: {figures}",
        name=best.name,
        gain=gain,
        figures=figures,
    )
    if low > best.accuracy:
        yield Remark("good", better)
    else:
        yield Remark("fair", tr("{better}, which may be chance", better=better))


_CLEAR_GAIN = 0.03
"""Of accuracy; as much as would be worth more recordings, if it is no chance."""


def _more_data(curve: Sequence[CurvePoint]) -> Iterator[Remark]:
    """From half of the data to all: more helps if accuracy rose by more than it varies."""
    points = sorted(curve)
    if len(points) < 2:
        return
    last = points[-1]
    half = min(points[:-1], key=lambda p: abs(p.clips_per_class - last.clips_per_class / 2))
    gain = last.accuracy - half.accuracy
    few, many = (f"{round(point.clips_per_class, 1):g}" for point in (half, last))
    text = tr(
        "with {few} clips a class instead of {many} you would have had accuracy "
        "{accuracy:.2f} instead of {last_accuracy:.2f}",
        few=few,
        many=many,
        accuracy=half.accuracy,
        last_accuracy=last.accuracy,
    )
    if gain > max(0.01, math.hypot(half.deviation, last.deviation)):
        yield Remark("fair", tr("{text}: more recordings will help", text=text))
    elif gain > _CLEAR_GAIN:
        yield Remark(
            "fair",
            tr(
                "{text}, which may be chance: whether more recordings will help is not known",
                text=text,
            ),
        )
    else:
        yield Remark(
            "good", tr("{text}: more of the same recordings will not help much", text=text)
        )


def _exported(parity: float | None) -> Iterator[Remark]:
    if parity is None:
        return
    same = parity <= _SAME_SCORES
    text = tr("the exported file's scores differ by at most {parity:.2g} from these", parity=parity)
    yield Remark(
        "good" if same else "poor", text if same else tr("{text}: do not ship it unseen", text=text)
    )


def _count(number: int, noun: str) -> str:
    one, many = _NOUNS[noun]
    return tr("{number} {noun}", number=number, noun=one if number == 1 else many)


_NOUNS = {"clip": (tr("clip"), tr("clips")), "recording": (tr("recording"), tr("recordings"))}
