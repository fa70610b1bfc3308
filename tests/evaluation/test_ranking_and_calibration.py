# SPDX-License-Identifier: Apache-2.0
"""Ranks and probabilities against scikit-learn, their definitions, and simulated truth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.evaluation.bootstrap import Bootstrap
from oido.evaluation.metrics import measure
from oido.evaluation.ranking_and_calibration import (
    average_precision,
    d_prime,
    expected_calibration_error,
    ranking_samples,
    reliability,
    roc_auc,
)
from tests.evaluation.made_predictions import judged, random_judged

pytest.importorskip("sklearn")

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
