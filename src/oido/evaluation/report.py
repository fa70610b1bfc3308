# SPDX-License-Identifier: Apache-2.0
"""The report on a classifier: text for a terminal, one HTML file, or JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oido._version import __version__
from oido.datasets.checks import DatasetSummary
from oido.datasets.clip import LeftOut
from oido.datasets.dataset import Dataset
from oido.errors import OptionError
from oido.evaluation import plots
from oido.evaluation.bootstrap import Estimate, plain
from oido.evaluation.metrics import ClassMetrics, Metrics, measure
from oido.evaluation.mistakes import Excerpt, Mistake, excerpt, worst_mistakes
from oido.evaluation.predictions import ClipPredictions
from oido.evaluation.ranking_and_calibration import Reliability
from oido.evaluation.verdict import Baseline, CurvePoint, Remark, verdict
from oido.messages import shown, tr
from oido.paths import escape_controls
from oido.writers.atomic import write_text
from oido.writers.html import number, render

Fact = str | int | float

MISTAKES = 12
"""Shown and played at most."""

MOST_BYTES = 5_000_000
"""Of sounds and their pictures, as they stand in the page; further mistakes are words only."""

_MOST_CLASSES = 25
"""Of a confusion table that can still be read."""

_IN_TEXT = (tr("window accuracy"), "mAP", "ROC-AUC", tr("macro F1"), tr("micro F1"), "d′", "ECE")
_LISTED = 10
_SUFFIXES = (".html", ".htm", ".json")


@dataclass(frozen=True, eq=False, repr=False)
class Report:
    """How good a classifier is on labelled clips that it had not seen, and how sure that is.

    Made by `Report.of`. ``str`` is for reading in a terminal, `to_dict` for JSON, `to_html` one
    page with pictures and playable mistakes, and `save` writes either of the last two.
    """

    title: str
    judged: ClipPredictions
    metrics: Metrics
    verdict: tuple[Remark, ...]
    mistakes: tuple[Mistake, ...]
    dataset: DatasetSummary[Dataset] | None = None
    baselines: tuple[Baseline, ...] = ()
    learning_curve: tuple[CurvePoint, ...] = ()
    facts: tuple[tuple[str, Fact], ...] = ()
    parity: float | None = None
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        clips = len(self.judged.clips)
        return f"<Report: {self.title:.80}, on {clips} clips; print it, or save it as .html>"

    @classmethod
    def of(
        cls,
        judged: ClipPredictions,
        *,
        title: str,
        dataset: DatasetSummary[Dataset] | None = None,
        baselines: Sequence[tuple[str, float] | tuple[str, float, float]] = (),
        learning_curve: Sequence[CurvePoint] = (),
        facts: Mapping[str, Fact] | None = None,
        parity: float | None = None,
        left_out: Sequence[LeftOut] = (),
        notes: Sequence[str] = (),
        seed: int = 0,
    ) -> Report:
        """Measure the predictions, and say what the figures mean.

        baselines: name, accuracy, and perhaps mAP, of simpler ways on the same clips.
        learning_curve: clips of a class, mean accuracy, standard deviation. facts: how the model
        was made, in the order to show. parity: the largest difference between the scores of the
        exported file and those judged. left_out: clips that could not be decoded. seed: of the
        samples behind intervals. Raises MissingExtraError without scikit-learn.
        """
        metrics = measure(judged, seed=seed)
        others = tuple(Baseline(*entry) for entry in baselines)
        curve = tuple(learning_curve)
        if not left_out and dataset is not None:
            left_out = dataset.left_out
        return cls(
            title=title,
            judged=judged,
            metrics=metrics,
            verdict=verdict(
                judged,
                metrics,
                baselines=others,
                learning_curve=curve,
                parity=parity,
                conflicts=0 if dataset is None else len(dataset.conflicts),
            ),
            mistakes=worst_mistakes(judged, MISTAKES),
            dataset=dataset,
            baselines=others,
            learning_curve=curve,
            facts=tuple((facts or {}).items()),
            parity=parity,
            left_out=tuple(left_out),
            notes=tuple(notes),
        )

    @property
    def clip_accuracy(self) -> float:
        """The share of clips named rightly, 0..1; NaN if no clip is labelled completely."""
        return self.metrics.clip_accuracy.value

    @property
    def mAP(self) -> float:  # noqa: N802
        """The mean of the classes' average precision, 0..1; NaN if there is none."""
        return self.metrics.macro_ap.value

    @property
    def how(self) -> str:
        """On which clips, and by which models, in a sentence."""
        metrics, parts = self.metrics, len(set(self.judged.splits))
        text = tr(
            "{clips} clips from {recordings} sources",
            clips=metrics.clips,
            recordings=metrics.recordings,
        )
        if parts > 1:
            text += tr(
                ", each judged by a model that had not seen its part of {parts}", parts=parts
            )
        if metrics.unknown:
            text += tr(
                "; {unknown} of them are not labelled completely, and have no accuracy",
                unknown=metrics.unknown,
            )
        return text + "."

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not known, or not finite, is None.

        ``clip_accuracy``, ``mAP`` and the other figures stand at the top, 0..1; ``intervals`` has
        the low and high end of each.
        """
        m = self.metrics
        figures = {
            "clip_accuracy": m.clip_accuracy,
            "window_accuracy": m.window_accuracy,
            "label_accuracy": m.label_accuracy,
            "mAP": m.macro_ap,
            "roc_auc": m.macro_roc_auc,
            "macro_precision": m.macro_precision,
            "macro_recall": m.macro_recall,
            "macro_f1": m.macro_f1,
            "micro_precision": m.micro_precision,
            "micro_recall": m.micro_recall,
            "micro_f1": m.micro_f1,
            "brier": m.reliability.brier,
        }
        content = {
            **{name: figure.value for name, figure in figures.items()},
            "d_prime": m.macro_d_prime,
            "ece": m.reliability.ece,
            "intervals": {name: [f.low, f.high] for name, f in figures.items()},
            "title": self.title,
            "oido": __version__,
            "clips": m.clips,
            "recordings": m.recordings,
            "not_completely_labelled": m.unknown,
            "majority": m.majority,
            "multi_label": self.judged.multi_label,
            "calibrated": self.judged.calibrated,
            "verdict": self.verdict,
            "classes": [_class_dict(entry) for entry in m.classes],
            "confusion": None
            if m.confusion is None
            else {"labels": list(m.confusion_labels), "counts": m.confusion.tolist()},
            "reliability": _reliability_dict(m.reliability),
            "reliability_before": _reliability_dict(m.reliability_before),
            "mistakes": [_mistake_dict(mistake) for mistake in self.mistakes],
            "baselines": self.baselines,
            "learning_curve": self.learning_curve,
            "facts": dict(self.facts),
            "parity": self.parity,
            "dataset": None if self.dataset is None else self.dataset.to_dict(),
            "left_out": self.left_out,
            "notes": self.notes,
        }
        values: dict[str, Any] = plain(content)
        return values

    def to_html(self) -> str:
        """One page that needs nothing else: pictures, tables and sounds inside, and no script.

        The worst mistakes can be played, while files exist. Labels and file names are text in it,
        whatever they hold. Raises MissingExtraError without Matplotlib or Jinja2.
        """

        m = self.metrics
        pictures = {
            "confusion": plots.confusion_picture(m),
            "reliability": plots.reliability_picture(m.reliability, m.reliability_before)
            if m.reliability.cases
            else None,
            "precision_recall": plots.precision_recall_picture(self.judged, m),
            "baselines": plots.baselines_picture(m.clip_accuracy, self.baselines),
            "learning": plots.learning_picture(self.learning_curve),
        }
        return render(
            "evaluation.html",
            "train",
            title=self.title,
            report=self,
            pictures=pictures,
            lead=self._lead(),
            figures=self._figures().items(),
            places=_places(m.classes),
            confusion=_confusion(m),
            mistakes=list(_with_media(self.mistakes)),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as HTML or JSON, by the ending of the name. Raises OptionError, OutputError."""
        target = Path(path)
        suffix = target.suffix.lower()
        if suffix not in _SUFFIXES:
            raise OptionError(tr("a report ends in .html or .json, not {name!r}", name=target.name))
        if suffix == ".json":
            text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        else:
            text = self.to_html()
        write_text(target, text)

    def _lead(self) -> list[tuple[str, Estimate, str]]:
        """The three figures to begin with: name, figure, and what it is."""
        m = self.metrics
        known: tuple[tuple[str, Estimate, str], ...] = (
            (tr("clip accuracy"), m.clip_accuracy, tr("of the clips, named rightly")),
            (tr("precision"), m.macro_precision, tr("of what it reports, right")),
            (tr("recall"), m.macro_recall, tr("of what is there, reported")),
            ("mAP", m.macro_ap, tr("how well scores rank, over all thresholds")),
        )
        return [entry for entry in known if entry[1].is_known][:3]

    def _figures(self) -> dict[str, Estimate]:
        """Those beside, by the name that people read; NaN is not shown."""
        m = self.metrics
        return {
            tr("window accuracy"): m.window_accuracy,
            tr("right decisions"): m.label_accuracy,
            "mAP": m.macro_ap,
            "ROC-AUC": m.macro_roc_auc,
            "d′": Estimate(m.macro_d_prime),
            tr("macro F1"): m.macro_f1,
            tr("micro F1"): m.micro_f1,
            "ECE": Estimate(m.reliability.ece if self.judged.calibrated else math.nan),
            tr("Brier score"): m.reliability.brier,
        }

    def __str__(self) -> str:
        lines = [self.title, ""]
        for name, figure, words in self._lead():
            lines.append(f"{shown(name):<16}{_with_interval(figure):<25}{shown(words)}")
        lines += ["", str(self.verdict[0]), "", self.how]
        lines += [str(remark) for remark in self.verdict[1:]]
        lines += ["", *self._table(), ""]
        figures = self._figures()
        named = ((name, figures[name]) for name in _IN_TEXT)
        lines += [
            f"{shown(name):<16}{_with_interval(each)}" for name, each in named if each.is_known
        ]
        width = max([16, *(len(shown(name)) + 2 for name, _ in self.facts)])
        lines += [f"{shown(name):<{width}}{shown(value)}" for name, value in self.facts]
        if self.left_out:
            lines += ["", tr("left out: {n_left_out}", n_left_out=len(self.left_out))]
            lines += [
                tr("  {name}: {reason}", name=name, reason=reason)
                for name, reason in self.left_out[:_LISTED]
            ]
            if more := self.left_out[_LISTED:]:
                lines.append(tr("  … and {count} more", count=len(more)))
        lines += ["", *self.notes] if self.notes else []
        return "\n".join(escape_controls(shown(line)) for line in lines)

    def _table(self) -> list[str]:
        of_class = shown(tr("class"))
        width = max(len(of_class), *(len(entry.label) for entry in self.metrics.classes))
        known = (tr("clips"), tr("precision"), tr("recall"), "F1", "AP", "ROC-AUC", tr("threshold"))
        heads = [f"  {shown(head):>9}" for head in known]
        lines = [f"{of_class:<{width}}" + "".join(heads)]
        for entry in self.metrics.classes:
            figures = (entry.precision, entry.recall, entry.f1, entry.ap, entry.roc_auc)
            values = [number(figure.value) for figure in figures]
            cells = [str(entry.clips), *values, f"{entry.threshold:.2f}"]
            lines.append(
                f"{entry.label:<{width}}"
                + "".join(cell.rjust(len(head)) for cell, head in zip(cells, heads))
            )
        return lines


def _with_interval(figure: Estimate) -> str:
    text = number(figure.value)
    if not figure.has_interval:
        return text
    found = tr("{value}  ({low:.3f} to {high:.3f})", value=text, low=figure.low, high=figure.high)
    return shown(found)


def _class_dict(entry: ClassMetrics) -> dict[str, Any]:
    values = dict(vars(entry))
    intervals = {name: each for name, each in values.items() if isinstance(each, Estimate)}
    values.update({name: each.value for name, each in intervals.items()})
    return {**values, "intervals": {name: [e.low, e.high] for name, e in intervals.items()}}


def _reliability_dict(found: Reliability | None) -> dict[str, Any] | None:
    if found is None:
        return None
    renamed = {"by_chance": "ece_by_chance"}
    return {renamed.get(name, name): value for name, value in vars(found).items()}


def _mistake_dict(mistake: Mistake) -> dict[str, Any]:
    clip = mistake.clip
    return {
        "file": clip.path,
        "start_time": clip.start_time,
        "end_time": clip.end_time,
        "truth": mistake.truth,
        "said": mistake.predicted,
        "label": mistake.label,
        "value": mistake.value,
        "severity": mistake.severity,
        "centre": mistake.centre,
    }


def _places(classes: Sequence[ClassMetrics]) -> list[list[int]]:
    """Of each class, its place in the order by each column of the table."""
    columns = [np.asarray(column) for column in zip(*map(_sort_keys, classes))]
    places = [np.argsort(np.argsort(keys, kind="stable")).tolist() for keys in columns]
    return [list(row) for row in zip(*places)]


def _sort_keys(entry: ClassMetrics) -> tuple[str | float, ...]:
    """One for each column; unknown figures come last."""
    figures = (entry.precision, entry.recall, entry.f1, entry.ap, entry.roc_auc)
    values = [*(each.value for each in figures), entry.d_prime, entry.threshold]
    known = [math.inf if math.isnan(value) else value for value in values]
    return (entry.label.casefold(), -entry.clips, -entry.recordings, *known)


def _confusion(metrics: Metrics) -> dict[str, Any] | None:
    """The counts as a table, for who cannot see the picture; only the mistakes of many classes."""
    matrix, labels = metrics.confusion, metrics.confusion_labels
    if matrix is None:
        return None
    if len(labels) > _MOST_CLASSES:
        wrong = matrix - np.diag(np.diag(matrix))
        pairs = sorted(np.argwhere(wrong).tolist(), key=lambda pair: -wrong[tuple(pair)])
        rows = [(labels[a], labels[b], int(matrix[a, b])) for a, b in pairs]
        return {
            "title": tr("Every mistake"),
            "heads": (tr("true"), tr("said"), tr("clips")),
            "rows": rows,
        }
    used = np.flatnonzero(matrix.any(axis=0) | matrix.any(axis=1))
    return {
        "title": tr("The same as a table"),
        "heads": (tr("true ↓ said →"), *(labels[n] for n in used)),
        "rows": [(labels[n], *matrix[n, used].tolist()) for n in used],
    }


def _with_media(
    mistakes: Sequence[Mistake],
) -> Iterator[tuple[Mistake, Excerpt | None, plots.Picture | None]]:
    """Each with its sound and the picture of that, while they exist and there is space for them."""
    free_bytes = MOST_BYTES
    for mistake in mistakes:
        if sound := excerpt(mistake.clip, mistake.centre):
            picture = plots.spectrogram_picture(sound.log_mel, sound.start, sound.seconds)
            size = (len(sound.flac) + len(picture.svg)) * 4 // 3  # in base64
            if size <= free_bytes:
                free_bytes -= size
                yield mistake, sound, picture
                continue
        yield mistake, None, None
