# SPDX-License-Identifier: Apache-2.0
"""Intervals hold the true figure as often as they say, also of recordings that hang together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.evaluation.bootstrap import Bootstrap, wilson


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


@given(
    right=st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40),
    seed=st.integers(0, 3),
)
def test_a_share_lies_in_its_interval_and_that_in_0_to_1(
    right: list[tuple[int, bool]], seed: int
) -> None:
    groups = np.array([group for group, _ in right])
    parts = np.array([is_right for _, is_right in right])
    found = Bootstrap(groups, seed=seed).share(parts, np.ones(len(parts)))
    assert found.value == parts.mean()
    assert 0 <= found.low <= found.value <= found.high <= 1
    # No surer than as many trials as there are clips.
    low, high = wilson(found.value, len(parts))
    assert found.low <= low + 1e-9
    assert found.high >= high - 1e-9


def test_a_sample_draws_whole_recordings_as_many_as_there_are() -> None:
    groups = np.array([7, 7, 3, 3, 3, 9])
    drawn = Bootstrap(groups)
    assert (drawn.count, drawn.weights.shape) == (3, (drawn.rounds, 6))
    assert (drawn.weights[:, 0] == drawn.weights[:, 1]).all()
    assert (drawn.weights[:, 2] == drawn.weights[:, 4]).all()
    assert (drawn.weights[:, [0, 2, 5]].sum(axis=1) == 3).all()
    assert (Bootstrap(groups).weights == drawn.weights).all()
    assert (Bootstrap(groups, seed=1).weights != drawn.weights).any()
    values = np.array([1, 0, 2, 0, 0, 5])
    expected = drawn.weights[:, 0] + 2 * drawn.weights[:, 2] + 5 * drawn.weights[:, 5]
    assert (drawn.sums(values) == expected).all()


def test_many_clips_and_classes_have_fewer_samples() -> None:
    few, many = np.arange(10), np.arange(2_000)
    assert Bootstrap(few).rounds == 1_000
    assert Bootstrap(many, classes=500).rounds == 200
    assert 200 < Bootstrap(many, classes=200).rounds < 1_000


def test_what_is_not_known_has_no_interval() -> None:
    drawn = Bootstrap(np.arange(5))
    samples = np.linspace(0.2, 0.6, drawn.rounds)
    assert drawn.percentiles(0.4, samples).has_interval
    unknown = [
        drawn.percentiles(math.nan, samples),
        drawn.percentiles(0.4, np.full(drawn.rounds, 0.4)),
        drawn.percentiles(0.4, np.where(samples < 0.45, np.nan, samples)),
        Bootstrap(np.zeros(5, np.int64)).percentiles(0.4, samples),
        drawn.share(np.zeros(5), np.zeros(5)),
    ]
    assert not any(estimate.has_interval for estimate in unknown)
    assert not unknown[0].is_known
    assert unknown[1].is_known
