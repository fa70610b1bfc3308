# SPDX-License-Identifier: Apache-2.0
"""What a report on a classifier holds, apart from how it is written down."""

from __future__ import annotations

from dataclasses import dataclass

from oido.datasets.checks import DatasetSummary
from oido.datasets.clip import LeftOut
from oido.datasets.dataset import Dataset
from oido.evaluation.metrics import Metrics
from oido.evaluation.mistakes import Mistake
from oido.evaluation.predictions import ClipPredictions
from oido.evaluation.verdict import Baseline, CurvePoint, Remark

__all__ = ["Fact", "ReportData"]

Fact = str | int | float


@dataclass(frozen=True, eq=False)
class ReportData:
    """The figures, and what they were measured on; `Report` says what the fields mean.

    The HTML page is made of this alone, so that it need not know the report that offers it.
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
