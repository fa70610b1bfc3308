# SPDX-License-Identifier: Apache-2.0
"""What a calibration is worth: figures of held-out clips, and words that follow from them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from oido.calibration.data import LabelledScores, Wish, fit, hold_out
from oido.calibration.report import CalibrationReport, report_of
from oido.calibration.risk_control import Guarantee
from oido.calibration.thresholds import ThresholdTarget
from oido.datasets.clip import LeftOut
from oido.events.calibration import Calibrator
from tests.calibration.labelled_sounds import made_scores

SIZE = 6
"""Labels of the head; the made classes are its columns 1 to 4."""


F1 = ThresholdTarget("f1")


def test_figures_are_those_of_the_held_out_decisions() -> None:
    labelled = made_scores()
    aim = ThresholdTarget("precision", 0.8)
    held = hold_out(labelled, SIZE, aim)
    report = report_of(labelled, fit(labelled, SIZE, aim), held, aim)
    true = labelled.targets > 0
    assert report.overall.precision.value == pytest.approx(true[held.detected].mean())
    assert report.overall.recall.value == pytest.approx(held.detected[true].mean())
    low, high = report.overall.precision[1:]
    assert low < 0.8 < high
    row = report.classes[2]
    assert row.recall.value == pytest.approx(held.detected[:, 2][true[:, 2]].mean())
    assert row.evidence.clips == true[:, 2].sum()
    assert row.evidence.recordings == true[:, 2].sum()
    content = json.loads(report.json())
    assert content["classes"][2]["recall"][0] == pytest.approx(row.recall.value, abs=1e-6)
    assert content["held_out"]["ece_after"] == pytest.approx(report.after.ece, abs=1e-6)
    text = str(report)
    assert "class 2" in text
    assert "2 labels of the model have no clip" in text


def test_false_alarms_are_counted_in_held_out_windows() -> None:
    labelled = made_scores()
    aim = ThresholdTarget("false-alarms-per-hour", 60.0)
    fitted, held = fit(labelled, SIZE, aim), hold_out(labelled, SIZE, aim)
    report = report_of(labelled, fitted, held, aim)
    absent = labelled.targets == 0
    hours = (absent * labelled.hours[:, None]).sum()
    expected = held.alarms[absent].sum() / hours
    assert report.overall.alarms_per_hour.value == pytest.approx(expected)
    assert 30 < expected < 90
    columns = list(labelled.columns)
    parts = Calibrator(replace(fitted.calibration, sigmoids=fitted.calibration.sigmoids[1:5]))
    heard = parts.apply(labelled.windows) >= fitted.thresholds[columns].astype(np.float32)
    begins = heard.reshape(-1, 3, 4)
    begins[:, 1:] &= ~heard.reshape(-1, 3, 4)[:, :-1].copy()
    in_sample = (begins.sum(1) * absent).sum(0) / (absent * labelled.hours[:, None]).sum(0)
    assert (in_sample <= 60).all()


def test_a_calibration_that_does_harm_says_so() -> None:
    """Eight clips whose raw scores are perfect."""
    labelled = made_scores(clips=8, classes=2)
    labelled.targets[:] = np.eye(2)[np.arange(8) % 2]
    perfect = replace(labelled, scores=np.where(labelled.targets, 0.99, 0.01).astype(np.float32))
    report = report_of(perfect, fit(perfect, 3, F1), hold_out(perfect, 3, F1), F1)
    assert report.is_worse
    assert "WORSE than the scores as they are" in str(report)
    good = made_scores()
    assert "WORSE" not in str(report_of(good, fit(good, 5, F1), hold_out(good, 5, F1), F1))


def test_too_little_evidence_is_told() -> None:
    labelled = made_scores()
    labelled.targets[:, 3] = 0
    labelled.targets[:2, 3] = 1
    report = report_of(labelled, fit(labelled, SIZE, F1), hold_out(labelled, SIZE, F1), F1)
    assert report.classes[3].evidence.note == "too little evidence: pooled"
    assert "too little evidence: pooled" in str(report)
    assert report.classes[0].evidence.note == ""


def test_a_guarantee_holds_on_held_out_recordings() -> None:
    labelled = made_scores(clips=1_000, clips_per_group=2)
    wish = Guarantee("false-alarms", 0.1, 0.95)
    report = report_of(labelled, fit(labelled, SIZE, wish), hold_out(labelled, SIZE, wish), wish)
    for row in report.classes:
        assert 0.01 < row.false_rate.value <= 0.1


def report_on(labelled: LabelledScores, wish: Wish = F1, **options: Any) -> CalibrationReport:
    fitted, held = fit(labelled, SIZE, wish), hold_out(labelled, SIZE, wish)
    return report_of(labelled, fitted, held, wish, **options)


def test_json_and_text_say_the_same_and_hold_no_nan() -> None:
    left_out = (LeftOut("bad.wav", "is no sound"),)
    report = report_on(made_scores(clips=60, classes=3), left_out=left_out)
    content = json.loads(report.json())
    assert "NaN" not in report.json()
    assert content["left_out"] == [{"name": "bad.wav", "reason": "is no sound"}]
    assert content["overall"]["slope"] is None  # all classes together have no sigmoid
    assert (content["clips"], content["recordings"], content["unlabelled"]) == (60, 60, 3)
    assert {key: content[key] for key in report.figures} == json.loads(json.dumps(report.figures))
    text = str(report)
    assert text.startswith("3 classes, 60 clips of 60 recordings; judged on recordings")
    assert f"calibration error {report.before.ece:.4f} → {report.after.ece:.4f}" in text
    assert "left out: bad.wav: is no sound" in text
    for row in report.classes:
        (line,) = [each for each in text.splitlines() if each.startswith(f"  {row.label} ")]
        assert f"{row.evidence.clips:>6} {row.evidence.recordings:>5}" in line


def test_with_one_class_a_clip_the_best_one_is_judged_too() -> None:
    labelled = made_scores(clips=300)
    one = np.eye(4, dtype=np.float32)[np.random.default_rng(0).integers(0, 4, 300)]
    report = report_on(replace(labelled, targets=one, multi_label=False))
    assert report.named_before is not None
    assert report.named_after is not None
    assert report.named_after.cases == 300
    assert "error of the best" in str(report)


def test_intervals_are_wider_where_clips_hang_together() -> None:
    alone, together = (report_on(made_scores(clips_per_group=n)) for n in (1, 40))
    widths = [r.overall.recall.high - r.overall.recall.low for r in (alone, together)]
    assert widths[1] > widths[0]
    assert together.recordings == 10


def test_what_no_threshold_reaches_is_named() -> None:
    target = ThresholdTarget("precision", 0.999)
    labelled = made_scores(clips=60)
    noise = np.random.default_rng(1).uniform(0.4, 0.6, labelled.scores.shape).astype(np.float32)
    report = report_on(replace(labelled, scores=noise), target)
    missed = [row.label for row in report.classes if not row.reached]
    assert missed
    assert f"no threshold does it for {len(missed)} classes: {', '.join(missed[:5])}" in str(report)
