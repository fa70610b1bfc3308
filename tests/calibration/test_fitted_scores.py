# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oido.calibration.data import fit, hold_out
from oido.calibration.report import report_of
from oido.calibration.risk_control import Guarantee
from oido.calibration.thresholds import ThresholdTarget
from oido.datasets.splits import folds_to_judge_by
from oido.errors import OptionError
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
