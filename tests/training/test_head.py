# SPDX-License-Identifier: Apache-2.0
"""Heads as arrays: what they compute, and that they come back from a file."""

from __future__ import annotations

import numpy as np
import pytest

from oido.errors import OptionError
from oido.heads import OutputKind
from oido.training.embeddings import clip_probabilities
from oido.training.fit import fit_linear
from oido.training.head import Dense, EmbeddingHead
from tests.training.embedded_sounds import made_clips, made_tags


def tiny(output: str, square_root: bool = False) -> EmbeddingHead:
    layer = Dense(np.array([[1, 0], [0, 2]], np.float32), np.array([0, -1], np.float32))
    return EmbeddingHead(("a", "b"), (layer,), output, square_root)  # type: ignore[arg-type]


def test_scores_are_softmax_or_sigmoid_of_logits() -> None:
    x = np.array([[4, 9], [-1, 0]], np.float32)
    np.testing.assert_allclose(tiny("softmax").logits(x), [[4, 17], [-1, -1]])
    np.testing.assert_allclose(tiny("softmax", True).logits(x), [[2, 5], [0, -1]])
    np.testing.assert_allclose(tiny("softmax").scores(x)[1], [0.5, 0.5])
    np.testing.assert_allclose(tiny("sigmoid").scores(x)[1], 1 / (1 + np.e), rtol=1e-6)


def test_scores_never_overflow() -> None:
    x = np.array([[1e5, -1e5]], np.float32)
    for output in ("softmax", "sigmoid"):
        assert np.isfinite(tiny(output).scores(x)).all()


def test_second_layer_sees_only_what_is_positive() -> None:
    first = Dense(np.array([[1], [-1]], np.float32), np.zeros(2, np.float32))
    last = Dense(np.array([[1, 10]], np.float32), np.zeros(1, np.float32))
    head = EmbeddingHead(("a",), (first, last), "sigmoid", False)
    np.testing.assert_allclose(head.logits(np.array([[3], [-3]], np.float32)), [[3], [30]])


def test_scaled_head_has_scaled_logits() -> None:
    x = np.array([[4, 9], [-1, 0]], np.float32)
    head = tiny("softmax")
    np.testing.assert_allclose(head.scaled(0.5).logits(x), head.logits(x) * 0.5)


def test_other_sizes_are_refused() -> None:
    with pytest.raises(OptionError, match="embeddings of 2"):
        tiny("softmax").scores(np.zeros((1, 3), np.float32))


def test_undecided_windows_say_nothing_of_a_clip() -> None:
    clips = made_clips(1, 2, windows=3, silent=1)
    third = np.full(2, 0.5)
    scores = np.array([third, third, [0.9, 0.1], third, third, [0.2, 0.8]], np.float32)
    sure = clip_probabilities(scores, clips, "softmax")
    np.testing.assert_allclose(sure, [[0.9, 0.1], [0.2, 0.8]], atol=1e-3)
    np.testing.assert_allclose(clips.clip_means(scores)[0], [1.9 / 3, 1.1 / 3], rtol=1e-5)


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_clip_of_one_window_keeps_its_scores(output: OutputKind) -> None:
    clips = made_clips(2, windows=1, silent=0)
    scores = fit_linear(clips).scores(clips.embeddings)
    pooled = clip_probabilities(scores, clips, output)
    whole = scores.sum(axis=1, keepdims=True) if output == "softmax" else 1
    np.testing.assert_allclose(pooled, scores / whole, atol=1e-6)


def test_power_mean_of_tags_is_between_mean_and_largest() -> None:
    clips = made_tags(3)
    scores = np.random.default_rng(0).random((6, 3)).astype(np.float32)
    pooled = clip_probabilities(scores, clips, "sigmoid")
    assert (clips.clip_means(scores) <= pooled + 1e-6).all()
    assert (pooled <= np.maximum.reduceat(scores, clips.starts, axis=0) + 1e-6).all()
