# SPDX-License-Identifier: Apache-2.0
"""How good a calibration is on held-out clips: by class, and compared with the raw scores."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from oido.arrays import I64
from oido.calibration.data import FittedScores, HeldOut, LabelledScores, Wish
from oido.calibration.risk_control import Guarantee
from oido.datasets.clip import LeftOut
from oido.evaluation.bootstrap import Bootstrap, Estimate
from oido.evaluation.predictions import ClipPredictions
from oido.evaluation.ranking_and_calibration import Reliability, reliability
from oido.messages import shown, tr
from oido.models.calibration_file import Evidence, shortest
from oido.paths import escape_controls


@dataclass(frozen=True)
class ClassCalibration:
    """One class. threshold: of the calibration that was made, or None; reached: whether it reaches
    the target on the clips that it was chosen on.

    slope, offset: its sigmoid. precision, recall, false_rate (the share of clips without the class
    in which it is reported), alarms_per_hour: on held-out clips, at thresholds that were chosen
    without them; NaN where there was nothing to count.
    """

    label: str
    evidence: Evidence
    slope: float
    offset: float
    threshold: float | None
    reached: bool
    precision: Estimate
    recall: Estimate
    false_rate: Estimate
    alarms_per_hour: Estimate


@dataclass(frozen=True)
class CalibrationReport:
    """wish: a target or a guarantee. unlabelled: labels of the model that no clip has; pooled.

    before, after: how far raw scores and held-out probabilities are from what came true, over all
    clips and classes; named_before, named_after: of each clip's highest class only, None with
    several classes per clip. overall: all classes' decisions together.
    """

    wish: Wish
    clips: int
    recordings: int
    folds: int
    classes: tuple[ClassCalibration, ...]
    overall: ClassCalibration
    before: Reliability
    after: Reliability
    named_before: Reliability | None
    named_after: Reliability | None
    unlabelled: int
    left_out: tuple[LeftOut, ...] = ()

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        return tuple(row.evidence for row in self.classes)

    @property
    def is_worse(self) -> bool:
        """Whether raw scores are nearer to what came true than held-out probabilities are."""
        return self.after.brier.value > self.before.brier.value

    @property
    def figures(self) -> dict[str, Any]:
        """Plain JSON values: what the calibration's file keeps of it."""
        return {
            "clips": self.clips,
            "recordings": self.recordings,
            "folds": self.folds,
            "held_out": {
                "ece_before": _number(self.before.ece),
                "ece_after": _number(self.after.ece),
                "brier_before": _number(self.before.brier.value),
                "brier_after": _number(self.after.brier.value),
                "precision": _numbers(self.overall.precision),
                "recall": _numbers(self.overall.recall),
            },
            "assumptions": list(self.wish.assumptions) if isinstance(self.wish, Guarantee) else [],
        }

    def json(self) -> str:
        """Every figure."""
        values = {
            "wish": str(self.wish),
            **self.figures,
            "unlabelled": self.unlabelled,
            "overall": _row(self.overall),
            "classes": [_row(row) for row in self.classes],
            "left_out": [item._asdict() for item in self.left_out],
        }
        return json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False)

    def __str__(self) -> str:
        lines = [
            tr(
                "{n_classes} classes, {clips} clips of {recordings} recordings; "
                "judged on recordings that were held out ({folds} folds)",
                n_classes=len(self.classes),
                clips=self.clips,
                recordings=self.recordings,
                folds=self.folds,
            ),
            "",
            _before_after(tr("calibration error"), self.before.ece, self.after.ece),
            _before_after(tr("Brier score"), self.before.brier.value, self.after.brier.value),
        ]
        if self.named_before is not None and self.named_after is not None:
            pair = self.named_before.ece, self.named_after.ece
            lines.append(_before_after(tr("error of the best"), *pair))
        if self.is_worse:
            lines += ["", tr("WORSE than the scores as they are: too few recordings to go by")]
        lines += ["", tr("thresholds for {wish}:", wish=self.wish)]
        lines += _table([*self.classes, self.overall])
        if unreached := [row.label for row in self.classes if not row.reached]:
            some = ", ".join(unreached[:5]) + (", …" if len(unreached) > 5 else "")
            lines += [
                "",
                tr(
                    "no threshold does it for {n_unreached} classes: {some}",
                    n_unreached=len(unreached),
                    some=some,
                ),
            ]
        if self.unlabelled:
            lines += [
                "",
                tr(
                    "{unlabelled} labels of the model have no clip; they take the "
                    "pooled sigmoid and no threshold: their probabilities are as if they "
                    "were as frequent as these classes, mostly too high; --allow leaves them out",
                    unlabelled=self.unlabelled,
                ),
            ]
        if isinstance(self.wish, Guarantee):
            lines += ["", self.wish.sentence, tr("It holds if:")]
            lines += ["  - " + sentence for sentence in self.wish.assumptions]
        lines += [
            tr("left out: {name}: {reason}", name=item.name, reason=item.reason)
            for item in self.left_out
        ]
        return "\n".join(escape_controls(shown(line)) for line in lines)


def report_of(
    labelled: LabelledScores,
    fitted: FittedScores,
    held: HeldOut,
    wish: Wish,
    *,
    left_out: tuple[LeftOut, ...] = (),
    seed: int = 0,
) -> CalibrationReport:
    """seed: of the bootstrap samples of intervals."""
    bootstrap = Bootstrap(labelled.groups, len(labelled.classes), seed)
    predict_clips = _Judge(labelled, held, bootstrap)
    rows = []
    for number, label in enumerate(labelled.classes):
        column = labelled.columns[number]
        sigmoid = fitted.calibration.sigmoids[column]
        assert sigmoid is not None
        threshold = shortest(fitted.thresholds[column])
        targets = labelled.targets[:, number]
        groups = np.unique(labelled.groups[targets > 0])
        counts = int((targets > 0).sum()), len(groups), int((targets == 0).sum())
        rows.append(
            ClassCalibration(
                label,
                Evidence(*counts, fitted.notes[number]),
                sigmoid.slope,
                sigmoid.offset,
                None if math.isnan(threshold) else threshold,
                bool(fitted.reached[number]),
                *predict_clips.figures(np.s_[:, number : number + 1]),
            )
        )
    evidence = Evidence(clips=sum(row.evidence.clips for row in rows))
    overall = ClassCalibration(
        tr("all"), evidence, math.nan, math.nan, None, True, *predict_clips.figures(np.s_[:, :])
    )
    one = _predictions(labelled, held)
    many = replace(one, multi_label=True)
    both = labelled.scores, held.probabilities
    before, after = (reliability(many, values, bootstrap) for values in both)
    named: list[Reliability | None] = [None, None]
    if not labelled.multi_label:
        named = [reliability(one, values, bootstrap) for values in both]
    return CalibrationReport(
        wish=wish,
        clips=len(labelled),
        recordings=bootstrap.count,
        folds=len(np.unique(held.folds)),
        classes=tuple(rows),
        overall=overall,
        before=before,
        after=after,
        named_before=named[0],
        named_after=named[1],
        unlabelled=len(fitted.thresholds) - len(labelled.classes),
        left_out=left_out,
    )


class _Judge:
    """Figures of some columns of the decisions on held-out clips."""

    def __init__(self, labelled: LabelledScores, held: HeldOut, bootstrap: Bootstrap) -> None:
        self._true = held.decided & (labelled.targets > 0)
        self._false = held.decided & (labelled.targets == 0)
        self._held, self._bootstrap, self._hours = held, bootstrap, labelled.hours

    def figures(self, columns: Any) -> tuple[Estimate, Estimate, Estimate, Estimate]:
        """Precision, recall, false rate, alarms per hour."""
        true, false = self._true[columns], self._false[columns]
        detected = self._held.detected[columns]
        hits, alarms = (true & detected).sum(1), (false & detected).sum(1)
        share = self._bootstrap.share
        return (
            share(hits, hits + alarms),
            share(hits, true.sum(1)),
            share(alarms, false.sum(1)),
            self._per_hour((self._held.alarms[columns] * false).sum(1), false.sum(1)),
        )

    def _per_hour(self, alarms: I64, classes: I64) -> Estimate:
        hours = classes * self._hours
        if not hours.sum():
            return Estimate(math.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            samples = self._bootstrap.sums(alarms) / self._bootstrap.sums(hours)
        found = samples[np.isfinite(samples)]
        value = float(alarms.sum() / hours.sum())
        # Three in 95 of 100 such data, where none was seen (Hanley and Lippman-Hand 1983).
        high = max(float(np.quantile(found, 0.975)), 3.0 / float(hours.sum()), value)
        return Estimate(value, float(np.quantile(found, 0.025)), high)


def _predictions(labelled: LabelledScores, held: HeldOut) -> ClipPredictions:
    return ClipPredictions(
        labelled.clips,
        labelled.classes,
        labelled.targets,
        held.probabilities,
        np.full(len(labelled.classes), 0.5, np.float32),
        multi_label=labelled.multi_label,
    )


def _before_after(name: str, before: float, after: float) -> str:
    times = "" if not before > 0 else tr("  ({share:.2f} times)", share=after / before)
    change = shown(times)
    return f"{shown(name):<18}{before:.4f} → {after:.4f}{change}"


def _table(rows: list[ClassCalibration]) -> list[str]:
    width = min(32, max(len(shown(row.label)) for row in rows))
    heads = (tr("clips"), tr("rec."), tr("threshold"), tr("precision"), tr("recall"))
    titles = [*map(shown, heads), shown(tr("false alarms/h"))]
    lines = [f"  {shown(tr('class')):<{width}} {titles[0]:>6} {titles[1]:>5} {titles[2]:>9}  "
             f"{titles[3]:<18} {titles[4]:<18} {titles[5]:<18}".rstrip()]  # fmt: skip
    for row in rows:
        recordings = str(row.evidence.recordings) if row.evidence.recordings else ""
        threshold = "" if row.threshold is None else f"{row.threshold:.4g}"
        lines.append(
            f"  {shown(row.label)[:width]:<{width}} {row.evidence.clips:>6} {recordings:>5} "
            f"{threshold:>9}  {_interval_text(row.precision):<18} {_interval_text(row.recall):<18} "
            f"{_interval_text(row.alarms_per_hour):<18} {shown(row.evidence.note)}".rstrip()
        )
    return lines


def _interval_text(estimate: Estimate) -> str:
    if not estimate.is_known:
        return "-"
    interval = f" [{estimate.low:.2f}, {estimate.high:.2f}]" if estimate.has_interval else ""
    return f"{estimate.value:.2f}{interval}"


def _row(row: ClassCalibration) -> dict[str, Any]:
    values: dict[str, Any] = {"label": row.label, **asdict(row.evidence)}
    values |= {"slope": _number(row.slope), "offset": _number(row.offset)}
    values |= {"threshold": row.threshold, "reached": row.reached}
    for name in ("precision", "recall", "false_rate", "alarms_per_hour"):
        values[name] = _numbers(getattr(row, name))
    return values


def _numbers(estimate: Estimate) -> list[float | None]:
    return [_number(value) for value in estimate]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)
