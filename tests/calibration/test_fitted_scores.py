# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from oido.calibration.data import fit, hold_out
from oido.calibration.report import report_of
from oido.calibration.risk_control import Guarantee
from oido.calibration.thresholds import ThresholdTarget
from oido.datasets.splits import folds_to_judge_by
from oido.errors import OptionError
from oido.events.calibration import Calibrator
from tests.calibration.labelled_sounds import made_scores

SIZE = 6
"""Labels of the head; the made classes are its columns 1 to 4."""
F1 = ThresholdTarget("f1")


def test_a_recording_is_never_on_both_sides() -> None:
    labelled = made_scores(clips_per_group=4)
    held = hold_out(labelled, SIZE, F1)
    for group in np.unique(labelled.groups):
        assert len(np.unique(held.folds[labelled.groups == group])) == 1
    assert np.bincount(held.folds).min() > 40


def test_held_out_probabilities_know_nothing_of_their_clips() -> None:
    """What is true of the clips of one fold does not change what is said of them."""
    labelled = made_scores()
    held = hold_out(labelled, SIZE, F1)
    first = held.folds == 0
    turned = labelled.targets.copy()
    turned[first] = 1 - turned[first]
    other = hold_out(replace(labelled, targets=turned), SIZE, F1)
    np.testing.assert_array_equal(other.folds, held.folds)
    np.testing.assert_array_equal(other.probabilities[first], held.probabilities[first])
    np.testing.assert_array_equal(other.detected[first], held.detected[first])
    assert (other.probabilities[~first] != held.probabilities[~first]).mean() > 0.9


def test_given_folds_are_kept_and_given_parts_are_not() -> None:
    labelled = made_scores(clips=40)
    by_fold = [replace(c, fold=str(n % 4)) for n, c in enumerate(labelled.clips)]
    assert folds_to_judge_by(by_fold, 0).tolist() == [n % 4 for n in range(40)]
    parts = [replace(c, fold="test" if n < 5 else "train") for n, c in enumerate(labelled.clips)]
    assert len(np.unique(folds_to_judge_by(parts, 0))) == 5


def test_one_recording_cannot_be_judged() -> None:
    labelled = made_scores(clips=40, clips_per_group=40)
    with pytest.raises(OptionError, match="one recording"):
        hold_out(labelled, SIZE, F1)


def test_the_calibration_is_right_and_the_report_says_so() -> None:
    labelled = made_scores(clips=2_000)
    fitted = fit(labelled, SIZE, F1)
    held = hold_out(labelled, SIZE, F1)
    report = report_of(labelled, fitted, held, F1)
    assert report.before.ece > 0.1
    assert report.after.ece < 0.02
    assert report.after.brier.value < 0.8 * report.before.brier.value
    assert report.named_after is None  # several classes a clip
    for row, sigmoid in zip(report.classes, fitted.calibration.sigmoids[1:5], strict=True):
        assert (row.slope, row.offset) == (sigmoid.slope, sigmoid.offset)
        assert row.slope == pytest.approx(1, abs=0.15)
        assert row.offset == pytest.approx(3, abs=0.4)
    assert fitted.calibration.sigmoids[0] == fitted.calibration.sigmoids[5]
    assert np.isnan(fitted.thresholds[[0, 5]]).all()


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


def test_guarantees_are_refused_whole_and_left_out_of_folds() -> None:
    """So many that the whole is enough, and four fifths of it are not."""
    labelled = made_scores(clips=100)
    counts = labelled.targets.sum(0).astype(int)
    rate = float(1 - 0.1 ** (1 / counts.min()))
    wish = Guarantee("fnr", rate + 1e-6)
    fitted = fit(labelled, SIZE, wish)
    assert np.isfinite(fitted.thresholds[1:5]).all()
    held = hold_out(labelled, SIZE, wish)
    rarest = int(counts.argmin())
    assert not held.decided[:, rarest].any()
    report = report_of(labelled, fitted, held, wish)
    assert not report.classes[rarest].recall.is_known
    assert "one urn" in str(report)
    with pytest.raises(OptionError, match=f"'class {rarest}' has {counts.min()}"):
        fit(labelled, SIZE, Guarantee("fnr", rate - 1e-3))


def test_a_guarantee_holds_on_held_out_recordings() -> None:
    labelled = made_scores(clips=1_000, clips_per_group=2)
    wish = Guarantee("false-alarms", 0.1, 0.95)
    report = report_of(labelled, fit(labelled, SIZE, wish), hold_out(labelled, SIZE, wish), wish)
    for row in report.classes:
        assert 0.01 < row.false_rate.value <= 0.1
