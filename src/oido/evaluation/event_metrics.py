# SPDX-License-Identifier: Apache-2.0
"""Events against labelled regions: a classifier judged by when it finds what."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from oido.arrays import F64
from oido.datasets.clip import LeftOut
from oido.datasets.dataset import DatasetSource, as_dataset
from oido.datasets.regions import FileTruth, TimedLabel, file_truths, merge_events
from oido.datasets.splits import group_numbers
from oido.errors import AudioError, OptionError
from oido.evaluation.bootstrap import Bootstrap, Estimate, plain
from oido.evaluation.evaluate import classifier_of
from oido.evaluation.metrics import f1_of, row_means
from oido.evaluation.sed_scores import PSDS_1, PSDS_2, Counts, JudgedFile, Tables, require_library
from oido.inference.classifier import AudioClassifier
from oido.messages import shown, tr
from oido.models.model import AudioModel
from oido.paths import escape_controls


@dataclass(frozen=True)
class ClassEvents:
    """One class. events: true ones; detected: those that the model made, right or wrong.

    precision, recall, f1: of events, by the collars. segment_…: of stretches of a second. psds1,
    psds2: of the class by itself, 0..1.
    """

    label: str
    events: int
    detected: int
    precision: Estimate
    recall: Estimate
    f1: Estimate
    segment_precision: Estimate
    segment_recall: Estimate
    segment_f1: Estimate
    psds1: float
    psds2: float


@dataclass(frozen=True)
class EventFigures:
    """How well a model tells when sounds start and end.

    An event is right if it starts within ``onset_collar`` seconds of a true one of its class, and
    ends within ``offset_collar`` seconds or ``offset_share`` of the true one's length, whichever is
    more; each true one counts once. macro_…: the mean over classes; micro_…: of all together.
    segment_…: whether a class is in each second, however briefly. psds1, psds2: the polyphonic
    sound detection scores of DCASE's task 4, 0..1, of the frames' values at all thresholds: the
    first asks for exact times, the second that classes are not confused. Their events are single
    runs above a threshold, without the weaker edges that `ClassificationResult.events` adds.
    frame_seconds: how long the model's frames are. Intervals are over source recordings.
    """

    files: int
    recordings: int
    seconds: float
    onset_collar: float
    offset_collar: float
    offset_share: float
    frame_seconds: float
    macro_f1: Estimate
    micro_precision: Estimate
    micro_recall: Estimate
    micro_f1: Estimate
    segment_macro_f1: Estimate
    segment_micro_f1: Estimate
    psds1: float
    psds2: float
    classes: tuple[ClassEvents, ...]
    left_out: tuple[LeftOut, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON: estimates are {value, low, high}; what is not known is None."""
        content: dict[str, Any] = plain(self)
        return content

    def __str__(self) -> str:
        events = sum(entry.events for entry in self.classes)
        lines = [
            tr(
                "{events} events of {n_classes} classes in {files} recordings, {seconds:.1f} min",
                events=events,
                n_classes=len(self.classes),
                files=self.files,
                seconds=self.seconds / 60,
            ),
            "",
            tr(
                "event F1      {with_interval} mean of classes, {with_interval_2} of "
                "all (start within {onset_collar:g} s, end within {offset_collar:g} "
                "s or {offset_share:.0%})",
                with_interval=_with_interval(self.macro_f1),
                with_interval_2=_with_interval(self.micro_f1),
                onset_collar=self.onset_collar,
                offset_collar=self.offset_collar,
                offset_share=self.offset_share,
            ),
            tr(
                "1 s segments  {with_interval} mean of classes, {with_interval_2} of all",
                with_interval=_with_interval(self.segment_macro_f1),
                with_interval_2=_with_interval(self.segment_micro_f1),
            ),
            tr(
                "PSDS          {psds1:.3f} exact times, {psds2:.3f} classes not confused",
                psds1=self.psds1,
                psds2=self.psds2,
            ),
            "",
        ]
        head = tr("events  detected  precision  recall     F1  segment F1")
        width = max(5, *(len(entry.label) for entry in self.classes))
        lines.append(f"{shown(tr('class')):{width}}  {shown(head)}")
        lines += [
            f"{entry.label:{width}}  {entry.events:6}  {entry.detected:8}  "
            f"{_number(entry.precision)}  {_number(entry.recall):>6}  {_number(entry.f1):>5}  "
            f"{_number(entry.segment_f1):>10}"
            for entry in self.classes
        ]
        if note := self.resolution_note:
            lines += ["", note]
        lines += [
            "",
            *(
                tr("left out: {name}: {reason}", name=name, reason=reason)
                for name, reason in self.left_out
            ),
        ]
        return "\n".join(escape_controls(shown(line)) for line in lines).rstrip()

    @property
    def resolution_note(self) -> str:
        """A sentence if the collars ask for more than the model's steps can give, else ""."""
        needed = self.frame_seconds / 2
        if min(self.onset_collar, self.offset_collar) >= needed:
            return ""
        return tr(
            "The model's frames are {frame_seconds:g} s long, so that ends "
            "are off by up to {needed:g} s by chance: take collars of {needed:g} "
            "s or more.",
            frame_seconds=self.frame_seconds,
            needed=needed,
        )


def _with_interval(estimate: Estimate) -> str:
    interval = (
        tr(" [{low:.2f}, {high:.2f}]", low=estimate.low, high=estimate.high)
        if estimate.has_interval
        else ""
    )
    return f"{estimate.value:.3f}{interval}"


def _number(estimate: Estimate) -> str:
    return f"{estimate.value:9.2f}" if estimate.is_known else f"{'-':>9}"


SEGMENT_SECONDS = 1.0


def judge_events(
    model: str | os.PathLike[str] | AudioModel | AudioClassifier,
    dataset: DatasetSource,
    *,
    thresholds: float | Mapping[str, float] | None = None,
    head: str | None = None,
    onset_collar: float = 0.2,
    offset_collar: float = 0.2,
    offset_share: float = 0.2,
    progress: Callable[[int, int], None] = lambda done, total: None,
    seed: int = 0,
) -> EventFigures:
    """Classify every recording of a dataset, and compare its events with the labelled regions.

    The regions of a recording are all that is heard in it (`oido.datasets.regions` has the
    rules), and only the dataset's classes count. thresholds: one for all labels, or by label;
    labels without one have the model's own, or else 0.2. head: as for `evaluate`. Scores of all
    windows are kept, 8 bytes for each class.

    Raises OptionError for a label that the model does not have, for collars below 0, and if no
    event can be judged; MissingExtraError without ``oido[evaluate]``.
    """
    for name, value in (
        ("onset_collar", onset_collar),
        ("offset_collar", offset_collar),
        ("offset_share", offset_share),
    ):
        if not 0 <= value < math.inf:
            raise OptionError(tr("{name} must be 0 or more, not {value:g}", name=name, value=value))
    dataset = as_dataset(dataset)
    require_library()
    classifier = classifier_of(model, head)
    # A siren that is also told as a fire engine is a siren all the same.
    selection = classifier.postprocessor.selector.selection
    classifier = classifier.selecting(replace(selection, labels="all"))
    columns = dict(zip(dataset.classes, classifier.label_indices(dataset.classes)))
    if len(set(columns.values())) < len(columns):
        raise OptionError(
            tr("two labels of the dataset are one label of the model; spell them alike")
        )
    truths, excluded = file_truths(dataset)
    left_out = [*dataset.left_out, *excluded]
    files, groups = [], []
    for done, truth in enumerate(truths, start=1):
        try:
            files.append(_judge_file(classifier, truth, columns, thresholds))
            groups.append(truth.group)
        except AudioError as error:
            left_out.append(LeftOut.because(truth.path, error))
        progress(done, len(truths))
    present = {event.label for file in files for event in file.truth}
    if not present:
        first = (
            tr("; {name}: {reason}", name=left_out[0].name, reason=left_out[0].reason)
            if left_out
            else ""
        )
        raise OptionError(tr("there is no region with an event to judge by{first}", first=first))
    classes = [label for label in columns if label in present]
    left_out += [LeftOut(label, tr("no event of it")) for label in columns if label not in present]
    kept = [list(columns).index(label) for label in classes]
    chosen = [
        replace(
            file,
            detections=[event for event in file.detections if event.label in present],
            scores=file.scores[:, kept],
        )
        for file in files
    ]
    tables = Tables(chosen, classes)
    bootstrap = Bootstrap(group_numbers(groups), len(classes), seed)
    events = _Rates(tables.events(onset_collar, offset_collar, offset_share), bootstrap)
    segments = _Rates(tables.segments(SEGMENT_SECONDS), bootstrap)
    (psds1, of_class1), (psds2, of_class2) = tables.psds(PSDS_1), tables.psds(PSDS_2)
    micro = events.rates()
    return EventFigures(
        files=len(files),
        recordings=bootstrap.count,
        seconds=math.fsum(file.duration for file in files),
        onset_collar=onset_collar,
        offset_collar=offset_collar,
        offset_share=offset_share,
        frame_seconds=float(np.median(np.concatenate([np.diff(file.edges) for file in files]))),
        macro_f1=events.macro_f1(),
        micro_precision=micro[0],
        micro_recall=micro[1],
        micro_f1=micro[2],
        segment_macro_f1=segments.macro_f1(),
        segment_micro_f1=segments.rates()[2],
        psds1=psds1,
        psds2=psds2,
        classes=tuple(
            ClassEvents(
                label,
                int(events.counts.truths[:, n].sum()),
                int((events.counts.hits + events.counts.alarms)[:, n].sum()),
                *events.rates(n),
                *segments.rates(n),
                *(of_class1[label], of_class2[label]),
            )
            for n, label in enumerate(classes)
        ),
        left_out=tuple(left_out),
    )


def _judge_file(
    classifier: AudioClassifier,
    truth: FileTruth,
    columns: Mapping[str, int],
    thresholds: float | Mapping[str, float] | None,
) -> JudgedFile:
    result = classifier.classify(truth.path)
    if isinstance(thresholds, Mapping):
        events = result.events(thresholds=thresholds)
    else:
        events = result.events(thresholds)
    label_of = {column: label for label, column in columns.items()}
    values = classifier.postprocessor.decision_values(result.framewise_scores)
    return JudgedFile(
        merge_events(truth.events, result.duration),
        [
            TimedLabel(event.start_time, event.end_time, label_of[event.label_index])
            for event in events
            if event.label_index in label_of
        ],
        values[:, list(columns.values())].astype(np.float64),
        np.append(result.frame_times[:, 0], result.duration),
        result.duration,
    )


class _Rates:
    """Rates of counts, of one class or of all, with their intervals."""

    def __init__(self, counts: Counts, bootstrap: Bootstrap) -> None:
        self.counts, self._bootstrap = counts, bootstrap

    def rates(self, number: int | None = None) -> tuple[Estimate, Estimate, Estimate]:
        """Precision, recall and F1."""
        parts = [p.sum(axis=1) if number is None else p[:, number] for p in self.counts]
        hits, alarms, truths = parts
        samples = _f1(*map(self._bootstrap.sums, parts))
        f1 = self._bootstrap.percentiles(float(_f1(*(part.sum() for part in parts))), samples)
        return self._bootstrap.share(hits, hits + alarms), self._bootstrap.share(hits, truths), f1

    def macro_f1(self) -> Estimate:
        value = float(np.mean(_f1(*(part.sum(axis=0) for part in self.counts))))
        samples = _f1(*map(self._bootstrap.sums, self.counts))  # f64[B, C]
        return self._bootstrap.percentiles(value, row_means(samples))


def _f1(hits: Any, alarms: Any, truths: Any) -> F64:
    return f1_of(hits, alarms, truths - hits)
