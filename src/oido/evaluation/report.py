# SPDX-License-Identifier: Apache-2.0
"""The report on a classifier: text for a terminal, one HTML file, or JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oido._version import __version__
from oido.datasets.checks import DatasetSummary
from oido.datasets.clip import LeftOut
from oido.datasets.dataset import Dataset
from oido.errors import OptionError
from oido.evaluation.bootstrap import Estimate
from oido.evaluation.metrics import ClassMetrics, measure
from oido.evaluation.mistakes import Mistake, worst_mistakes
from oido.evaluation.predictions import ClipPredictions
from oido.evaluation.ranking_and_calibration import Reliability
from oido.evaluation.report_html import Fact, ReportData, html_page
from oido.evaluation.verdict import Baseline, CurvePoint, verdict
from oido.writers.atomic import write_text
from oido.writers.html import number

__all__ = ["Report"]

MISTAKES = 12
"""Shown and played at most."""

_MARKS = {"good": "+", "fair": "~", "poor": "!"}
_LISTED = 10
_SUFFIXES = (".html", ".htm", ".json")


@dataclass(frozen=True, eq=False)
class Report(ReportData):
    """How good a classifier is on labelled clips that it had not seen, and how sure that is.

    Made by `Report.of`. ``str`` is for reading in a terminal, `to_dict` for JSON, `to_html` one
    page with pictures and playable mistakes, and `save` writes either of the last two.
    """

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
        """Measure, and say what it means.

        baselines: name, accuracy, and perhaps mAP, of simpler ways on the same clips.
        learning_curve: clips of a class, mean accuracy, standard deviation. facts: how the model
        was made, in the order to show. parity: the largest difference between the scores of the
        exported file and those judged. left_out: clips that could not be heard; None of these need
        be given. seed: of the samples behind intervals. Raises MissingExtraError without
        scikit-learn.
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
            verdict=verdict(judged, metrics, baselines=others, learning_curve=curve, parity=parity),
            mistakes=worst_mistakes(judged, MISTAKES),
            dataset=dataset,
            baselines=others,
            learning_curve=curve,
            facts=tuple((facts or {}).items()),
            parity=parity,
            left_out=tuple(left_out),
            notes=tuple(notes),
        )

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
            "verdict": [remark._asdict() for remark in self.verdict],
            "classes": [_class_dict(entry) for entry in m.classes],
            "confusion": None
            if m.confusion is None
            else {"labels": list(m.confusion_labels), "counts": m.confusion.tolist()},
            "reliability": _reliability_dict(m.reliability),
            "reliability_before": _reliability_dict(m.reliability_before),
            "mistakes": [_mistake_dict(mistake) for mistake in self.mistakes],
            "baselines": [baseline._asdict() for baseline in self.baselines],
            "learning_curve": [point._asdict() for point in self.learning_curve],
            "facts": dict(self.facts),
            "parity": self.parity,
            "dataset": None if self.dataset is None else self.dataset.to_dict(),
            "left_out": [entry._asdict() for entry in self.left_out],
            "notes": list(self.notes),
        }
        return {key: _finite(value) for key, value in content.items()}

    def to_html(self) -> str:
        """One page that needs nothing else; the worst mistakes can be played, while files exist.

        Raises MissingExtraError without Matplotlib or Jinja2.
        """
        return html_page(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as HTML or JSON, by the ending of the name. Raises OptionError, OutputError."""
        target = Path(path)
        suffix = target.suffix.lower()
        if suffix not in _SUFFIXES:
            raise OptionError(f"a report ends in .html or .json, not {target.name!r}")
        if suffix == ".json":
            text = json.dumps(self.to_dict(), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        else:
            text = self.to_html()
        write_text(target, text)

    def __str__(self) -> str:
        m = self.metrics
        lines = [self.title, self.how, ""]
        lines += [f"{_MARKS[remark.tone]} {remark.text}" for remark in self.verdict]
        lines += ["", *self._table(), ""]
        named = (
            ("clip accuracy", m.clip_accuracy),
            ("window accuracy", m.window_accuracy),
            ("mAP", m.macro_ap),
            ("ROC-AUC", m.macro_roc_auc),
            ("macro F1", m.macro_f1),
            ("micro F1", m.micro_f1),
        )
        lines += [f"{name:<16}{_with_interval(each)}" for name, each in named if each.is_known]
        if not math.isnan(m.macro_d_prime):
            lines.append(f"{'d′':<16}{number(m.macro_d_prime)}")
        if self.judged.calibrated and m.reliability.cases:
            lines.append(f"{'ECE':<16}{m.reliability.ece:.3f}")
        width = max([16, *(len(name) + 2 for name, _ in self.facts)])
        lines += [f"{name:<{width}}{value}" for name, value in self.facts]
        if self.left_out:
            lines += ["", f"left out: {len(self.left_out)}"]
            lines += [f"  {name}: {reason}" for name, reason in self.left_out[:_LISTED]]
            if more := self.left_out[_LISTED:]:
                lines.append(f"  … and {len(more)} more")
        return "\n".join([*lines, *(["", *self.notes] if self.notes else [])])

    def _table(self) -> list[str]:
        width = max(len("class"), *(len(entry.label) for entry in self.metrics.classes))
        heads = ("clips", "precision", "recall", "F1", "AP", "ROC-AUC", "threshold")
        lines = [f"{'class':<{width}}" + "".join(f"  {head:>9}" for head in heads)]
        for entry in self.metrics.classes:
            figures = (entry.precision, entry.recall, entry.f1, entry.ap, entry.roc_auc)
            values = [number(figure.value) for figure in figures]
            cells = [str(entry.clips), *values, f"{entry.threshold:.2f}"]
            lines.append(f"{entry.label:<{width}}" + "".join(f"  {cell:>9}" for cell in cells))
        return lines


def _with_interval(figure: Estimate) -> str:
    text = number(figure.value)
    return f"{text}  ({figure.low:.3f} to {figure.high:.3f})" if figure.has_interval else text


def _class_dict(entry: ClassMetrics) -> dict[str, Any]:
    values = dict(vars(entry))
    intervals = {name: each for name, each in values.items() if isinstance(each, Estimate)}
    values.update({name: each.value for name, each in intervals.items()})
    return {**values, "intervals": {name: [e.low, e.high] for name, e in intervals.items()}}


def _reliability_dict(found: Reliability | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "cases": found.cases,
        "ece": found.ece,
        "ece_by_chance": found.by_chance,
        "over_confidence": found.over_confidence._asdict(),
        "brier": found.brier._asdict(),
        "bins": [entry._asdict() for entry in found.bins],
    }


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


def _finite(value: Any) -> Any:
    """The same with None for every float that JSON cannot say."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
