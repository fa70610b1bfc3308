# SPDX-License-Identifier: Apache-2.0
"""Clip scores against straightforward NumPy, however the windows arrive."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.errors import OptionError
from oido.events.aggregation import TOP_K, Aggregator, confidence
from oido.options import AGGREGATIONS


def reference(name, scores, weights, loudness):  # noqa: PLR0911
    """f64[C], from the docstring of Aggregator."""
    if len(scores) == 1 and name != "confident-mean":
        return scores[0].astype(np.float64)
    weighted = scores.astype(np.float64) * weights[:, None]
    if name == "loudness-mean" and loudness.any():
        return np.average(scores.astype(np.float64), axis=0, weights=loudness)
    if name in ("mean", "loudness-mean"):
        return np.average(scores.astype(np.float64), axis=0, weights=weights)
    if name == "power-mean":
        return np.average(scores.astype(np.float64) ** 4, axis=0, weights=weights) ** 0.25
    if name == "confident-mean":
        s = np.maximum(scores.astype(np.float64), 1e-30)
        heard = scores.astype(np.float64).sum(axis=1)  # what lacks to 1 is quiet
        sure = [
            1
            + sum(x / h * math.log(max(x / h, 1e-30)) for x in row if x > 1e-30)
            / math.log(max(2, len(row)))
            for row, h in zip(s, np.maximum(heard, 1e-30))
        ]
        shares = weights * (np.maximum(sure, 0) ** 2 * heard + 1e-6)
        mean = np.exp((shares[:, None] * np.log(s)).sum(axis=0) / shares.sum())
        return mean / mean.sum()
    if name == "max":
        return weighted.max(axis=0)
    return np.sort(weighted, axis=0)[::-1][:3].mean(axis=0)


def aggregate(name, scores, weights, cuts=(), loudness=None):
    loudness = np.zeros(len(scores)) if loudness is None else loudness
    aggregator = Aggregator(name)
    for start, end in itertools.pairwise([0, *cuts, len(scores)]):
        if end > start:
            aggregator.push(scores[start:end], weights[start:end], loudness[start:end])
    return aggregator.flush()


@st.composite
def cases(draw):
    n, classes = draw(st.integers(1, 30)), draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    scores = (random.integers(0, 257, (n, classes)) / 256).astype(np.float32)
    weights = np.ones(n)
    weights[-1] = draw(st.floats(0.01, 1.0))
    loudness = random.uniform(0, 1, n) * random.integers(0, 2, n) * draw(st.integers(0, 1))
    return scores, weights, loudness, draw(st.lists(st.integers(0, n), max_size=5).map(sorted))


@pytest.mark.parametrize("name", AGGREGATIONS)
@given(case=cases())
def test_clip_scores_are_those_of_plain_numpy(name, case):
    scores, weights, loudness, cuts = case
    before = scores.copy()
    got = aggregate(name, scores, weights, cuts, loudness)
    assert got.dtype == np.float32
    assert got.shape == (scores.shape[1],)
    np.testing.assert_allclose(
        got, reference(name, scores, weights, loudness), rtol=1e-6, atol=1e-9
    )
    np.testing.assert_array_equal(scores, before)


def test_there_are_six_and_top_k_is_three():
    assert AGGREGATIONS == (
        "loudness-mean",
        "mean",
        "max",
        "top-k-mean",
        "confident-mean",
        "power-mean",
    )
    assert TOP_K == 3


def test_a_window_that_is_sure_outweighs_many_that_are_not():
    undecided, sure = [[0.34, 0.33, 0.33]] * 9, [[0.01, 0.98, 0.01]]
    scores = np.array(undecided + sure, np.float32)
    clip = aggregate("confident-mean", scores, np.ones(10))
    assert clip[1] > 0.95
    assert clip.sum() == pytest.approx(1.0)
    assert aggregate("mean", scores, np.ones(10))[1] < 0.4


def test_background_between_the_sounds_of_a_clip_does_not_outweigh_them():
    """A clap in ten windows of a quiet room, which are surer of the room than it of the clap."""
    scores = np.array([[0.01, 0.01, 0.98]] * 9 + [[0.95, 0.02, 0.03]], np.float32)
    background = np.array([False, False, True])
    assert clip_of(scores, None).argmax() == 2
    clip = clip_of(scores, background)
    assert clip.argmax() == 0
    weight = confidence(scores.astype(np.float64)) ** 2 * (1 - scores[:, 2]) + 1e-6
    mean = np.exp((weight[:, None] * np.log(scores)).sum(axis=0) / weight.sum())
    np.testing.assert_allclose(clip, mean / mean.sum(), rtol=1e-5)
    assert clip_of(scores[:9], background).argmax() == 2, "and alone it is what the clip is"


def test_the_quiet_between_the_sounds_of_a_clip_says_nothing():
    """What lacks to 1 is quiet; a clip is of one of the classes whatever that is."""
    scores = np.array([[0.004, 0.016]] * 9 + [[0.9, 0.05]], np.float32)
    clip = clip_of(scores, None)
    assert clip[0] > 0.9
    assert clip.sum() == pytest.approx(1.0)


def clip_of(scores, absences):
    aggregator = Aggregator("confident-mean", absences)
    aggregator.push(scores, np.ones(len(scores)), np.ones(len(scores)))
    return aggregator.flush()


def test_a_loud_window_counts_for_more_and_silence_for_nothing():
    scores, loudness = np.array([[0.2], [0.8], [1.0]], np.float32), np.array([1.0, 3.0, 0.0])
    assert aggregate("loudness-mean", scores, np.ones(3), (), loudness)[0] == pytest.approx(0.65)


@pytest.mark.parametrize(("name", "expected"), [("mean", 0.4), ("max", 0.9), ("top-k-mean", 0.6)])
def test_a_case_worked_out_by_hand(name, expected):
    scores = np.array([[0.1], [0.9], [0.2], [0.3], [0.5], [0.4]], np.float32)
    assert aggregate(name, scores, np.ones(6))[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "expected"), [("mean", (0.2 + 0.8 * 0.25) / 1.25), ("max", 0.2), ("top-k-mean", 0.2)]
)
def test_a_padded_window_counts_by_its_share_of_sound(name, expected):
    scores, weights = np.array([[0.2], [0.8]], np.float32), np.array([1.0, 0.25])
    assert aggregate(name, scores, weights)[0] == pytest.approx(expected)


@pytest.mark.parametrize("name", AGGREGATIONS)
@pytest.mark.parametrize("weight", [1.0, 0.5, 0.001])
def test_a_single_padded_window_speaks_for_the_clip(name, weight):
    scores = np.array([[0.25, 0.5]], np.float32)
    expected = scores[0] / (scores.sum() if name == "confident-mean" else 1)
    np.testing.assert_allclose(aggregate(name, scores, np.array([weight])), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["median", "", "Mean", None, "top-3-mean"])
def test_an_unknown_aggregation_is_told_the_known_ones(name):
    with pytest.raises(OptionError, match="mean, max, top-k-mean"):
        Aggregator(name)
