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

from oido.evaluation.bootstrap import Bootstrap, wilson
from oido.evaluation.metrics import Metrics, measure
from oido.evaluation.predictions import JudgedWindows
from oido.evaluation.ranking_and_calibration import (
    average_precision,
    d_prime,
    expected_calibration_error,
    ranking_samples,
    reliability,
    roc_auc,
)
from tests.evaluation.made_predictions import judged, random_judged

sklearn_metrics = pytest.importorskip("sklearn.metrics")

NAN = float("nan")
RANKED = st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3)), max_size=14)


def brute_ap(heard: list[bool], scores: list[float]) -> float:
    """The definition, threshold by threshold."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        kept = [is_in for is_in, score in zip(heard, scores) if score >= threshold]
        recall = sum(kept) / sum(heard)
        total += (recall - before) * sum(kept) / len(kept)
        before = recall
    return total


def brute_auc(heard: list[bool], scores: list[float]) -> float:
    """The share of pairs in the right order."""
    true = [s for h, s in zip(heard, scores) if h]
    false = [s for h, s in zip(heard, scores) if not h]
    won = sum((t > f) + 0.5 * (t == f) for t in true for f in false)
    return won / (len(true) * len(false))


@given(RANKED)
def test_ranking_of_weighted_clips_is_that_of_repeated_ones(
    ranked: list[tuple[bool, int, int]],
) -> None:
    heard = np.array([r[0] for r in ranked], bool)
    scores = np.array([r[1] / 5 for r in ranked], np.float32)
    weights = np.array([r[2] for r in ranked])
    if not heard.any() or heard.all():
        assert math.isnan(average_precision(heard, scores))
        assert math.isnan(roc_auc(heard, scores))
        return
    assert average_precision(heard, scores) == pytest.approx(brute_ap(list(heard), list(scores)))
    assert roc_auc(heard, scores) == pytest.approx(brute_auc(list(heard), list(scores)))
    several = np.stack([weights, np.ones_like(weights)]).astype(np.float32)
    precisions, areas = ranking_samples(heard, scores, several)
    assert precisions[1] == pytest.approx(brute_ap(list(heard), list(scores)))
    assert areas[1] == pytest.approx(brute_auc(list(heard), list(scores)))
    again, values = np.repeat(heard, weights), np.repeat(scores, weights)
    if again.any() and not again.all():
        assert precisions[0] == pytest.approx(brute_ap(list(again), list(values)))
        assert areas[0] == pytest.approx(brute_auc(list(again), list(values)))
    else:
        assert math.isnan(areas[0])


def test_d_prime_is_the_distance_of_normal_densities() -> None:
    random = np.random.default_rng(0)
    false, true = random.normal(0, 1, 40_000), random.normal(1.5, 1, 40_000)
    area = roc_auc(np.repeat([True, False], 40_000), np.concatenate([true, false]))
    assert d_prime(area) == pytest.approx(1.5, abs=0.03)
    assert d_prime(0.5) == 0
    assert (d_prime(1.0), d_prime(0.0)) == (math.inf, -math.inf)
    assert math.isnan(d_prime(NAN))


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


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for right, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson(right / trials, trials) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("per_group", "least"), [(1, 0.9), (5, 0.9)])
def test_intervals_of_shares_hold_the_true_share(per_group: int, least: float) -> None:
    """Also where the clips of a recording are right or wrong together."""
    random, held, naive = np.random.default_rng(4), 0, 0
    count, truth, trials = 40, 0.8, 200
    for _ in range(trials):
        right = np.repeat(random.random(count) < truth, per_group)
        groups = np.repeat(np.arange(count), per_group)
        low, high = Bootstrap(groups).share(right, np.ones(len(right)))[1:]
        held += low <= truth <= high
        low, high = wilson(float(right.mean()), len(right))
        naive += low <= truth <= high
    assert held / trials >= least
    if per_group > 1:
        assert naive / trials < 0.8  # counting clips as if they were independent is too sure


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


def test_calibration_error_is_that_of_its_definition() -> None:
    clips = random_judged(200, 4, skill=3)
    found = measure(clips).reliability
    confidence = clips.probabilities.max(axis=1).astype(float)
    right = clips.probabilities.argmax(axis=1) == clips.truth
    expected = 0.0
    for low in np.arange(10) / 10:
        inside = (confidence >= low) & ((confidence < low + 0.1) | (low == 0.9))
        if inside.any():
            expected += abs(confidence[inside].mean() - right[inside].mean()) * inside.mean()
    assert found.ece == pytest.approx(expected, abs=1e-6)
    assert found.over_confidence.value == pytest.approx(confidence.mean() - right.mean(), abs=1e-6)
    assert sum(each.cases for each in found.bins) == found.cases == 200
    assert found.brier.value == pytest.approx(((clips.probabilities - clips.targets) ** 2).mean())


def test_perfect_probabilities_exceed_the_error_of_chance_one_time_in_twenty() -> None:
    random, beyond, trials = np.random.default_rng(1), 0, 200
    for _ in range(trials):
        said = random.random((100, 2)).astype(np.float32)
        came = (random.random(said.shape) < said).astype(np.float32)
        clips = judged(came, said, multi_label=True)
        found = reliability(clips, said, Bootstrap(clips.groups, 1_000_000))
        beyond += found.ece > found.by_chance
    assert 0.01 <= beyond / trials <= 0.12


def test_raw_scores_are_judged_beside_the_probabilities() -> None:
    clips = random_judged(100, scores=random_judged(100, seed=8).probabilities)
    found = measure(clips)
    assert clips.scores is not None
    assert found.reliability_before == measure(
        replace(clips, probabilities=clips.scores, scores=None)
    ).reliability  # fmt: skip
    assert measure(replace(clips, scores=None)).reliability_before is None


def test_calibration_error_is_the_gap_between_confidence_and_what_came_true() -> None:
    sure, right = np.full(10, 0.8), np.array([True] * 8 + [False] * 2)
    assert expected_calibration_error(sure, right) == pytest.approx(0, abs=1e-6)
    assert expected_calibration_error(sure, np.ones(10)) == pytest.approx(0.2)
    two = np.array([0.9, 0.1])  # of two bins, whose gaps must not cancel
    assert expected_calibration_error(two, np.array([False, True])) == pytest.approx(0.9)
    assert math.isnan(expected_calibration_error(np.zeros(0), np.zeros(0)))
