# SPDX-License-Identifier: Apache-2.0
"""The report as one HTML page: pictures, tables and sounds inside, no script, nothing loaded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oido.datasets.checks import DatasetSummary
from oido.datasets.clip import LeftOut
from oido.datasets.dataset import Dataset
from oido.evaluation.bootstrap import Estimate
from oido.evaluation.metrics import ClassMetrics, Metrics
from oido.evaluation.mistakes import Excerpt, Mistake, excerpt
from oido.evaluation.plots import (
    Picture,
    baselines_picture,
    confusion_picture,
    learning_picture,
    precision_recall_picture,
    reliability_picture,
    spectrogram_picture,
)
from oido.evaluation.predictions import ClipPredictions
from oido.evaluation.verdict import Baseline, CurvePoint, Remark
from oido.writers.html import render

__all__ = ["Fact", "ReportData", "html_page"]

Fact = str | int | float

MOST_BYTES = 5_000_000
"""Of sounds and their pictures, as they stand in the page; further mistakes are words only."""

_MOST_CLASSES = 25
"""Of a confusion table that can still be read."""


@dataclass(frozen=True, eq=False)
class ReportData:
    """The figures, and what they were measured on; `Report.of` says what the fields mean.

    The page is made of this alone, so that it need not know the report that offers it.
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
        text = f"{metrics.clips} clips from {metrics.recordings} recordings"
        if parts > 1:
            text += f", each judged by a model that had not seen its part of {parts}"
        if metrics.unknown:
            text += f"; {metrics.unknown} of them are not labelled completely, and have no accuracy"
        return f"{text}."


def html_page(report: ReportData) -> str:
    """The whole document. Labels and file names are text in it, whatever they hold.

    Raises MissingExtraError without Matplotlib or Jinja2.
    """
    m = report.metrics
    pictures = {
        "confusion": confusion_picture(m),
        "reliability": reliability_picture(m.reliability, m.reliability_before)
        if m.reliability.cases
        else None,
        "precision_recall": precision_recall_picture(report.judged, m),
        "baselines": baselines_picture(m.clip_accuracy, report.baselines),
        "learning": learning_picture(report.learning_curve),
    }
    figures = (
        ("clip accuracy", m.clip_accuracy),
        ("window accuracy", m.window_accuracy),
        ("right decisions", m.label_accuracy),
        ("mAP", m.macro_ap),
        ("ROC-AUC", m.macro_roc_auc),
        ("d′", Estimate(m.macro_d_prime)),
        ("macro F1", m.macro_f1),
        ("micro F1", m.micro_f1),
        ("ECE", Estimate(m.reliability.ece if report.judged.calibrated else math.nan)),
        ("Brier score", m.reliability.brier),
    )
    return render(
        "evaluation.html",
        "train",
        title=report.title,
        report=report,
        pictures=pictures,
        figures=figures,
        places=_places(m.classes),
        confusion=_confusion(m),
        mistakes=list(_with_media(report.mistakes)),
    )


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
        return {"title": "Every mistake", "heads": ("true", "said", "clips"), "rows": rows}
    used = np.flatnonzero(matrix.any(axis=0) | matrix.any(axis=1))
    return {
        "title": "The same as a table",
        "heads": ("true ↓ said →", *(labels[n] for n in used)),
        "rows": [(labels[n], *matrix[n, used].tolist()) for n in used],
    }


def _with_media(
    mistakes: Sequence[Mistake],
) -> Iterator[tuple[Mistake, Excerpt | None, Picture | None]]:
    """Each with its sound and the picture of that, while they exist and there is space for them."""
    free_bytes = MOST_BYTES
    for mistake in mistakes:
        if sound := excerpt(mistake.clip, mistake.centre):
            picture = spectrogram_picture(sound.log_mel, sound.start, sound.seconds)
            size = (len(sound.flac) + len(picture.svg)) * 4 // 3  # in base64
            if size <= free_bytes:
                free_bytes -= size
                yield mistake, sound, picture
                continue
        yield mistake, None, None
