# SPDX-License-Identifier: Apache-2.0
"""Figures against scikit-learn, against their definitions, and against simulated truth."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from oido.evaluation.bootstrap import wilson
from oido.evaluation.metrics import Metrics, measure
from oido.evaluation.predictions import JudgedWindows
from oido.evaluation.ranking_and_calibration import average_precision, d_prime
from tests.evaluation.made_predictions import judged, random_judged

sklearn_metrics = pytest.importorskip("sklearn.metrics")

NAN = float("nan")


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("steps", [0, 4])
def test_one_class_per_clip_as_scikit_learn_has_it(background: bool, steps: int) -> None:
    clips = random_judged(background=background, steps=steps)
    found = measure(clips)
    accuracy = sklearn_metrics.accuracy_score(clips.truth, clips.decided)
    assert found.clip_accuracy.value == pytest.approx(accuracy)
    expected = sklearn_metrics.confusion_matrix(clips.truth, clips.decided, labels=range(4))
    assert found.confusion is not None
    assert (found.confusion == expected).all()
    assert found.majority == max(expected.sum(axis=1)) / 120
    _require_class_figures(found, clips.targets, clips.probabilities, clips.detected)


def test_several_classes_per_clip_as_scikit_learn_has_it() -> None:
    clips = random_judged(multi_label=True)
    found = measure(clips)
    targets = clips.targets.astype(int)
    assert found.clip_accuracy.value == sklearn_metrics.accuracy_score(targets, clips.detected)
    assert found.label_accuracy.value == pytest.approx((targets == clips.detected).mean())
    assert found.confusion is None
    _require_class_figures(found, clips.targets, clips.probabilities, clips.detected)


def _require_class_figures(
    found: Metrics, targets: NDArray[Any], probabilities: NDArray[Any], detected: NDArray[Any]
) -> None:
    truth = targets.astype(int)
    table = sklearn_metrics.precision_recall_fscore_support(truth, detected, zero_division=np.nan)
    for number, entry in enumerate(found.classes):
        figures = (entry.precision, entry.recall, entry.f1)
        assert [f.value for f in figures] == pytest.approx([c[number] for c in table[:3]])
        assert entry.clips == table[3][number]
        column = probabilities[:, number]
        area = sklearn_metrics.roc_auc_score(truth[:, number], column)
        assert entry.roc_auc.value == pytest.approx(area)
        assert entry.ap.value == pytest.approx(
            sklearn_metrics.average_precision_score(truth[:, number], column)
        )
        assert entry.brier == pytest.approx(
            sklearn_metrics.brier_score_loss(truth[:, number], column), rel=1e-5
        )
        assert entry.d_prime == d_prime(entry.roc_auc.value)
    for name in ("precision", "recall", "f1"):
        macro, micro = (
            sklearn_metrics.precision_recall_fscore_support(truth, detected, average=kind)
            for kind in ("macro", "micro")
        )
        place = ("precision", "recall", "f1").index(name)
        assert getattr(found, f"macro_{name}").value == pytest.approx(macro[place])
        assert getattr(found, f"micro_{name}").value == pytest.approx(micro[place])
    assert found.macro_ap.value == pytest.approx(
        sklearn_metrics.average_precision_score(truth, probabilities, average="macro")
    )


@given(seed=st.integers(0, 99))
def test_what_nobody_knows_counts_nothing(seed: int) -> None:
    whole = random_judged(40, seed=seed, multi_label=True)
    random = np.random.default_rng(seed)
    targets = np.where(random.random(whole.targets.shape) < 0.3, np.nan, whole.targets)
    found = measure(replace(whole, targets=targets.astype(np.float32)))
    complete = ~np.isnan(targets).any(axis=1)
    assert found.unknown == (~complete).sum()
    if complete.any():
        right = (whole.detected == (whole.targets > 0)).all(axis=1)[complete].mean()
        assert found.clip_accuracy.value == pytest.approx(right)
    for number, entry in enumerate(found.classes):
        known = ~np.isnan(targets[:, number])
        heard = targets[known, number] > 0
        assert (entry.clips, entry.others) == (heard.sum(), (~heard).sum())
        expected = average_precision(heard, whole.probabilities[known, number])
        assert entry.ap.value == pytest.approx(expected, nan_ok=True)


@given(seed=st.integers(0, 99), clips=st.integers(1, 12), multi_label=st.booleans())
def test_few_clips_give_figures_or_none_but_never_nonsense(
    seed: int, clips: int, multi_label: bool
) -> None:
    made = random_judged(clips, 4, seed=seed, multi_label=multi_label, steps=3, background=True)
    found = measure(made)
    estimates = [found.clip_accuracy, found.macro_ap, found.macro_f1, found.reliability.brier]
    for entry in found.classes:
        estimates += [entry.precision, entry.recall, entry.f1, entry.ap, entry.roc_auc]
        assert math.isnan(entry.ap.value) == (not entry.clips or not entry.others)
        assert math.isnan(entry.recall.value) == (not entry.clips)
        assert math.isnan(entry.precision.value) == (not entry.detected)
    for estimate in estimates:
        assert math.isnan(estimate.value) or 0 <= estimate.value <= 1
        if estimate.has_interval:
            assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_the_same_seed_gives_the_same_intervals() -> None:
    clips = random_judged(60)
    first, second, other = measure(clips), measure(clips), measure(clips, seed=1)
    assert first.macro_ap == second.macro_ap
    assert first.macro_ap.value == other.macro_ap.value
    assert first.macro_ap.low != other.macro_ap.low


def test_windows_are_judged_by_their_own_targets_or_those_of_their_clip() -> None:
    clips = judged([[1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.8]])
    said = np.array([[0.9, 0.1], [0.4, 0.6], [0.1, 0.9]], np.float32)
    windows = JudgedWindows(said, np.array([0, 0, 1]))
    found = measure(replace(clips, windows=windows))
    assert found.window_accuracy.value == pytest.approx(2 / 3)
    own = replace(windows, targets=np.array([[1, 0], [0, 1], [0, 1]], np.float32))
    assert measure(replace(clips, windows=own)).window_accuracy.value == 1
    assert math.isnan(measure(clips).window_accuracy.value)


def test_an_interval_needs_two_recordings() -> None:
    clips = random_judged(20, clips_per_group=20)
    found = measure(clips)
    assert not found.macro_ap.has_interval
    low, high = found.clip_accuracy[1:]
    assert high - low > 0.5  # one recording is one trial


def test_a_figure_that_never_varies_has_no_interval() -> None:
    """Eight clips without a mistake do not show that there are none."""
    found = measure(judged(np.eye(2)[[0, 1] * 4], np.eye(2)[[0, 1] * 4]))
    assert found.macro_ap == (1, pytest.approx(NAN, nan_ok=True), pytest.approx(NAN, nan_ok=True))
    low, high = found.clip_accuracy[1:]
    assert (low, high) == wilson(1.0, 8)
