# SPDX-License-Identifier: Apache-2.0
"""Clips as heads see them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oido.errors import OptionError
from oido.training.embeddings import EmbeddedClips, FurtherWindows
from tests.training.embedded_sounds import made_clips, one_label_clips


def three_clips() -> EmbeddedClips:
    """Windows 1, 2 · 3 (half padding) · 4, 8 (only padding)."""
    return one_label_clips(
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
        ({"quiet": np.zeros(3, np.float32)}, "quiet"),
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


def with_copies() -> EmbeddedClips:
    """Two copies' windows of the first clip, one of the last with the second's source behind it."""
    clips = three_clips()
    copies = FurtherWindows(
        np.array([[10.0], [20], [30]], np.float32),
        np.array([0, 0, 2]),
        np.array([1, 0.25, 1]),
        np.array([-1, -1, clips.groups[1]]),
    )
    return replace(clips, extra=copies)


def test_copies_take_their_share_of_their_clips_weight() -> None:
    rows, index, weights = with_copies().views_and_copies(0.4)
    np.testing.assert_allclose(np.bincount(index, weights), 1)
    of_copies = rows[:, 0] >= 10
    np.testing.assert_allclose(np.bincount(index[of_copies], weights[of_copies]), [0.4, 0, 0.4])
    np.testing.assert_allclose(weights[of_copies], [0.4 * 0.8, 0.4 * 0.2, 0.4])
    for name, expected in zip(("rows", "index", "weights"), with_copies().views):
        found = dict(zip(("rows", "index", "weights"), with_copies().views_and_copies(0.0)))
        np.testing.assert_array_equal(found[name], expected)


def test_copies_are_not_seen_but_by_fitting() -> None:
    plain, copied = three_clips(), with_copies()
    np.testing.assert_array_equal(plain.means, copied.means)
    np.testing.assert_array_equal(plain.maxima, copied.maxima)
    assert len(copied.views[0]) == len(plain.views[0])


def test_subset_keeps_the_copies_of_its_clips_but_none_with_sounds_of_others() -> None:
    def kept(clips: list[int]) -> list[tuple[float, int]]:
        extra = with_copies().subset(clips).extra
        assert extra is not None
        return list(zip(extra.embeddings[:, 0].tolist(), extra.clip_index.tolist()))

    assert kept([1, 2]) == [(30, 1)]
    assert kept([0, 2]) == [(10, 0), (20, 0)]  # what is behind the third copy is held out
    assert kept([0, 1, 2]) == [(10, 0), (20, 0), (30, 2)]
    assert kept([1]) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"embeddings": np.zeros((3, 2), np.float32)}, "same model"),
        ({"embeddings": np.full((3, 1), np.inf, np.float32)}, "finite"),
        ({"weights": np.ones(2)}, "as many"),
        ({"beside": np.zeros(4, np.int64)}, "as many"),
        ({"clip_index": np.array([2, 0, 0])}, "in the order"),
        ({"clip_index": np.array([-1, 0, 0])}, "in the order"),
        ({"clip_index": np.array([0, 0, 3])}, "one of the 3 clips"),
    ],
)
def test_copies_that_do_not_fit_are_refused(change: dict[str, object], words: str) -> None:
    clips = with_copies()
    assert clips.extra is not None
    with pytest.raises(OptionError, match=words):
        replace(clips, extra=replace(clips.extra, **change))  # type: ignore[arg-type]
