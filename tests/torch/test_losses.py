# SPDX-License-Identifier: Apache-2.0
"""Losses by their definitions, and the slope that few clips do not move far."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from oido.torch.finetune import _evaluate_clips as evaluate_clips  # noqa: E402  # after the skip
from oido.torch.training_loop import _window_loss as window_loss  # noqa: E402

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, -3.0]])
ONE = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def loss(targets, weights=None, multi_label=False, smoothing=0.0, logits=LOGITS):
    weights = torch.ones_like(logits) if weights is None else weights
    return float(window_loss(logits, targets, weights, multi_label, smoothing))


def test_one_class_is_cross_entropy_as_torch_has_it():
    expected = torch.nn.functional.cross_entropy(LOGITS, ONE.argmax(1))
    assert loss(ONE) == pytest.approx(float(expected))
    smoothed = torch.nn.functional.cross_entropy(LOGITS, ONE.argmax(1), label_smoothing=0.1)
    assert loss(ONE, smoothing=0.1) == pytest.approx(float(smoothed))


def test_several_classes_are_binary_cross_entropy():
    expected = torch.nn.functional.binary_cross_entropy_with_logits(LOGITS, ONE)
    assert loss(ONE, multi_label=True) == pytest.approx(float(expected))


def test_a_weight_counts_a_window_so_many_times():
    weights = torch.tensor([[3.0] * 3, [1.0] * 3])
    repeated, targets = (torch.cat([x[:1]] * 3 + [x[1:]]) for x in (LOGITS, ONE))
    for multi_label in (False, True):
        assert loss(ONE, weights, multi_label) == pytest.approx(
            loss(targets, multi_label=multi_label, logits=repeated)
        )


def test_a_label_without_weight_says_nothing():
    weights = torch.ones_like(LOGITS)
    weights[0, 1] = 0.0
    for unknown in (0.0, 1.0):
        targets = ONE.clone()
        targets[0, 1] = unknown
        assert loss(targets, weights, True) == pytest.approx(loss(ONE, weights, True))
    assert loss(ONE, torch.zeros_like(LOGITS), True) == 0.0  # and not NaN


def clips_of(rows, targets, multi_label=False, weights=None):
    """Each clip of one window, unless weights say otherwise."""
    logits = torch.tensor(rows)
    numbers = np.arange(len(rows))
    weights = np.ones(len(rows)) if weights is None else weights
    return evaluate_clips(logits, numbers, weights, np.array(targets, np.float32), multi_label)


def test_the_slope_is_the_one_that_logits_were_scaled_by():
    """Of many clips drawn by the probabilities of half of their logits."""
    dice = np.random.default_rng(0)
    true = dice.normal(0, 1.5, (4_000, 3))
    shares = np.exp(true) / np.exp(true).sum(1, keepdims=True)
    classes = (dice.random((4_000, 1)) > shares.cumsum(1)).sum(1)
    found = clips_of((2 * true).astype(np.float32), np.eye(3)[classes])
    assert found.slope == pytest.approx(0.5, rel=0.1)
    expected = -np.log(shares[np.arange(4_000), classes]).mean()
    assert found.log_loss == pytest.approx(expected, rel=0.02)


def test_few_clips_do_not_move_the_slope_far():
    """Two clips that are right would be surest with an endless slope."""
    few = clips_of([[1.0, 0.0], [0.0, 1.0]], [[1, 0], [0, 1]])
    many = clips_of([[1.0, 0.0], [0.0, 1.0]] * 500, [[1, 0], [0, 1]] * 500)
    assert 1.0 <= few.slope < 1.6
    assert many.slope == pytest.approx(4.0)
    assert few.accuracy == many.accuracy == 1.0


def test_the_score_of_a_clip_is_the_weighted_mean_of_its_windows():
    logits = torch.tensor([[4.0, 0.0], [0.0, 4.0], [0.0, 4.0]])
    clips, targets = np.array([0, 0, 1]), np.array([[1, 0], [0, 1]], np.float32)
    by_weight = [
        evaluate_clips(logits, clips, np.array([first, 1.0, 1.0]), targets, False).accuracy
        for first in (3.0, 0.2)
    ]
    assert by_weight == [1.0, 0.5]


def test_labels_that_nobody_knows_do_not_count():
    rows = [[3.0, -3.0], [-3.0, 3.0]]
    known = clips_of(rows, [[1, 0], [0, 1]], multi_label=True)
    partly = clips_of(rows, [[1, math.nan], [math.nan, 1]], multi_label=True)
    wrong = clips_of(rows, [[1, 1], [0, math.nan]], multi_label=True)
    assert known.accuracy == partly.accuracy == 1.0
    assert wrong.accuracy == pytest.approx(2 / 3)
    assert math.isfinite(partly.log_loss)
