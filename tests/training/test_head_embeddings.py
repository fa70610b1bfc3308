# SPDX-License-Identifier: Apache-2.0
"""Clips as heads see them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oido.errors import OptionError
from oido.training.embeddings import EmbeddedClips
from tests.training.embedded_sounds import made_clips


def three_clips() -> EmbeddedClips:
    """Windows 1, 2 · 3 (half padding) · 4, 8 (only padding)."""
    return EmbeddedClips.from_labels(
        np.array([[1.0], [2], [3], [4], [8]]),
        [0, 0, 1, 2, 2],
        ["b", "a", "b"],
        weights=[1, 0.5, 0.5, 0, 0],
        groups=["y", "x", "y"],
    )


def test_clips_have_means_maxima_and_shares() -> None:
    clips = three_clips()
    assert clips.classes == ("a", "b")
    assert clips.labels.tolist() == [1, 0, 1]
    np.testing.assert_allclose(clips.window_shares, [2 / 3, 1 / 3, 1, 0.5, 0.5])
    np.testing.assert_allclose(clips.means[:, 0], [4 / 3, 3, 6])
    np.testing.assert_allclose(clips.maxima[:, 0], [2, 3, 8])
    assert clips.groups[0] == clips.groups[2] != clips.groups[1]
    assert clips.folds.tolist() == [-1, -1, -1]


def test_views_of_a_clip_weigh_one() -> None:
    rows, index, weights = three_clips().views
    np.testing.assert_allclose(np.bincount(index, weights), 1)
    assert sorted(rows[:, 0].tolist()) == pytest.approx([1, 4 / 3, 2, 3, 4, 6, 8])


@pytest.mark.parametrize("chosen", [[0, 2], np.array([True, False, True])])
def test_subset_keeps_windows_with_their_clips(chosen: object) -> None:
    part = three_clips().subset(chosen)  # type: ignore[arg-type]
    assert part.embeddings[:, 0].tolist() == [1, 2, 4, 8]
    assert part.clip_index.tolist() == [0, 0, 1, 1]
    assert part.labels.tolist() == [1, 1]
    assert part.classes == ("a", "b")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"clip_index": np.array([0, 0, 1, 3, 3])}, "in the order"),
        ({"clip_index": np.array([0, 1, 0, 2, 2])}, "in the order"),
        ({"clip_index": np.array([0, 0, 1, 1, 1])}, "in the order"),
        ({"weights": np.ones(4)}, "as many"),
        ({"embeddings": np.full((5, 1), np.nan, np.float32)}, "finite"),
        ({"targets": np.ones((3, 2), np.float32)}, "multi_label"),
        ({"targets": np.full((3, 2), 0.5, np.float32)}, "targets are"),
        ({"targets": np.ones((3, 1), np.float32)}, "as many targets"),
        ({"groups": np.zeros(2, np.int64)}, "groups and folds"),
        ({"silence": np.zeros(3, np.float32)}, "silence"),
        ({"targets": np.zeros((0, 2), np.float32)}, "nothing to learn"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        replace(three_clips(), **change)  # type: ignore[arg-type]


def test_means_leave_out_padding_only() -> None:
    clips = made_clips(2, windows=3, silent=1)
    expected = clips.embeddings.reshape(6, 3, -1).mean(axis=1)
    np.testing.assert_allclose(clips.means, expected, rtol=1e-5)
