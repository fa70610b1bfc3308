# SPDX-License-Identifier: Apache-2.0
"""Frames that are pooled as they come: the evidence is that of all of them at once, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.events.spans import FramePool, odds_of, pooled


def frames(n: int, classes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, classes)).astype(np.float32) ** 3


def test_odds_are_limited_and_pooled_back_to_scores():
    scores = np.float32([0.0, 0.25, 0.5, 1.0])
    assert odds_of(scores).tolist() == [0.0, 1 / 3, 1.0, 1023.0]
    assert pooled(odds_of(scores))[:3].tolist() == scores[:3].tolist()


@pytest.mark.parametrize("classes", [1, 2, 3, 7, 8, 16, 521])
@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=30).filter(any), st.integers(0, 2**32 - 1))
def test_frames_that_come_one_by_one_are_as_all_at_once(classes, sizes, seed):
    scores = frames(sum(sizes), classes, seed)
    wide = np.concatenate([scores, scores[:, :1]], axis=1)  # as with a column of similarities
    off = np.full(classes, 0.2, np.float32)
    for source in (scores, wide[:, :-1]):
        pool = FramePool(3, lambda values: values, off)
        for end in np.cumsum(sizes):
            pool.extend(source[:end])
        assert (pool.first, pool.n) == (3, len(scores))
        assert np.array_equal(pool.means, odds_of(source).mean(axis=0))
        assert np.array_equal(pool.active, scores >= off)


def test_every_frame_is_judged_once():
    seen = []

    def values(scores: np.ndarray) -> np.ndarray:
        seen.append(len(scores))
        return scores

    pool, scores = FramePool(0, values, np.zeros(4, np.float32)), frames(100, 4)
    for end in range(1, 101):
        pool.extend(scores[:end])
    pool.extend(scores)
    assert seen == [1] * 100


def test_one_class_alone_is_a_column_of_any_order():
    """Its means are those of some frames, and not of the pushes before."""
    scores = frames(50, 1, 4)
    first, later = (FramePool(0, lambda v: v, np.zeros(1, np.float32)) for _ in range(2))
    first.extend(scores)
    for end in (1, 2, 20, 50):
        later.extend(scores[:end])
    assert first.means.tolist() == later.means.tolist() == [odds_of(scores).mean()]
