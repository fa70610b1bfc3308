# SPDX-License-Identifier: Apache-2.0
"""Thresholds against every possible one, tried by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.calibration.thresholds import best_thresholds


def f1(probabilities: np.ndarray, truth: np.ndarray, threshold: float) -> float:
    said = probabilities >= threshold
    return 2 * float((said & (truth > 0)).sum()) / max(1.0, float(said.sum() + truth.sum()))


@given(
    st.lists(st.tuples(st.integers(12, 88), st.booleans()), min_size=12, max_size=40).filter(
        lambda rows: 5 <= sum(t for _, t in rows) < len(rows)
    )
)
def test_no_threshold_in_the_range_is_better(rows: list[tuple[int, bool]]) -> None:
    p = np.array([[value / 100] for value, _ in rows], np.float32)
    truth = np.array([[float(t)] for _, t in rows], np.float32)
    (chosen,) = best_thresholds(p, truth, "sigmoid")
    best = max(f1(p[:, 0], truth[:, 0], t) for t in np.arange(0.1, 0.9, 0.005))
    assert f1(p[:, 0], truth[:, 0], float(chosen)) == pytest.approx(best)


def test_few_clips_give_one_half_and_unknown_targets_do_not_count() -> None:
    p = np.array([[0.2], [0.3], [0.9], [0.8]], np.float32)
    assert best_thresholds(p, np.array([[1], [1], [0], [0]], np.float32), "sigmoid").tolist() == [
        0.5
    ]
    p = np.tile(np.array([[0.2, 0.2], [0.8, 0.8]], np.float32), (6, 1))
    truth = np.tile(np.array([[0, np.nan], [1, 1]], np.float32), (6, 1))
    assert best_thresholds(p, truth, "sigmoid").tolist() == [0.5, 0.5]
    shifted = best_thresholds(p * np.float32(0.5), truth, "sigmoid")
    assert shifted[0] == pytest.approx(0.25)


def test_of_a_softmax_it_is_above_what_an_undecided_model_gives_each_class() -> None:
    truth = np.eye(3, dtype=np.float32)[[0, 1, 2] * 6]
    p = np.where(truth > 0, 0.3, 0.05).astype(np.float32)
    assert best_thresholds(p, truth, "sigmoid").tolist() == pytest.approx([0.175] * 3)
    assert best_thresholds(p, truth, "softmax").tolist() == pytest.approx([1 / 3 + 0.1] * 3)
    sure = best_thresholds(np.where(truth > 0, 0.9, 0.05).astype(np.float32), truth, "softmax")
    assert sure.tolist() == pytest.approx([0.475] * 3)


def test_it_stays_within_its_range() -> None:
    truth = np.array([[0], [1]] * 6, np.float32)
    low = np.array([[0.001], [0.02]] * 6, np.float32)
    high = np.array([[0.96], [0.99]] * 6, np.float32)
    assert best_thresholds(low, truth, "sigmoid")[0] == pytest.approx(0.1)
    assert best_thresholds(high, truth, "sigmoid")[0] == pytest.approx(0.9)
