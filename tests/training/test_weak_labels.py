# SPDX-License-Identifier: Apache-2.0
"""Weak labels on made-up embeddings, in which it is known which windows hold the class."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.training.embeddings import EmbeddedClips, clip_probabilities
from oido.training.fit import LinearOptions, fit_linear, prepare
from tests.training.embedded_sounds import SILENCE, SIZE

WINDOWS = 40
CLASSES = ("owl", "siren", "wren")


def minutes(
    clips: int = 36, *, seed: int = 0, sounding: int = 3
) -> tuple[EmbeddedClips, NDArray[np.bool_]]:
    """Long clips, some with one class or two, and bool[M, C]: which windows hold it.

    Each place sounds its own way, and two thirds of a class are at two of six places, so that
    whoever learns from all windows learns the places.
    """
    random = np.random.default_rng(seed)
    places = random.normal(0, 0.25, (6, SIZE))
    targets = np.zeros((clips, len(CLASSES)), np.float32)
    rows = np.zeros((clips, WINDOWS, SIZE))
    holds = np.zeros((clips, WINDOWS, len(CLASSES)), np.bool_)
    for clip in range(clips):
        place = clip % 6
        rows[clip] = SILENCE + places[place] + random.normal(0, 0.15, (WINDOWS, SIZE))
        usual = place // 2 if random.random() < 2 / 3 else int(random.integers(3))
        for number in {usual} if clip % 5 else {usual, (usual + 1) % 3} if clip % 2 else set():
            targets[clip, number] = 1
            start = random.integers(0, WINDOWS - sounding)
            holds[clip, start : start + sounding, number] = True
            rows[clip, start : start + sounding, 4 * number : 4 * number + 4] += 0.8
    made = EmbeddedClips(
        np.maximum(rows, 0).reshape(-1, SIZE).astype(np.float32),
        np.repeat(np.arange(clips), WINDOWS),
        np.ones(clips * WINDOWS),
        targets,
        CLASSES,
        np.arange(clips),
        np.full(clips, -1),
        multi_label=True,
        quiet=SILENCE[None],
        weak=np.ones(clips, np.bool_),
    )
    return made, holds.reshape(-1, len(CLASSES))


def average_precision(scores: NDArray[np.float32], holds: NDArray[np.bool_]) -> float:
    """Of windows, the mean over classes."""
    found = []
    for column, truth in zip(scores.T, holds.T):
        hits = truth[np.argsort(-column, kind="stable")]
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        found.append(float(precision[hits].mean()))
    return float(np.mean(found))


def test_the_windows_that_hold_the_sound_are_chosen() -> None:
    clips, holds = minutes()
    learnt = prepare(clips, LinearOptions().views)
    count = len(clips.clip_index)
    chosen = (learnt.targets[:count] > 0) & (learnt.weights[:count] > 0)
    assert (chosen & holds).sum() / chosen.sum() > 0.8
    assert (chosen & holds).sum() / holds.sum() > 0.7
    labelled = np.nan_to_num(clips.targets) > 0
    for clip in range(len(clips)):  # and of every label at least one window
        assert (chosen[clips.clip_index == clip].any(axis=0) == labelled[clip]).all()
    # The windows without the sound are learnt as such, and weigh as much as those with it.
    ordinary = (learnt.targets[:count] == 0) & (learnt.weights[:count] > 0)
    assert not (ordinary & holds).sum() > 0.1 * holds.sum()
    sums = np.add.reduceat(learnt.weights[:count] * ordinary, clips.starts, axis=0)
    np.testing.assert_allclose(sums[~labelled], 1)
    # None where a place has nothing but the class, so that no window there is known to be without.
    assert (np.isclose(sums, 1) | (sums == 0)).all()
    assert (sums > 0).mean() > 0.9


def test_windows_are_told_apart_that_learning_from_all_would_confuse() -> None:
    clips, _ = minutes()
    others, holds = minutes(seed=1)
    chosen = fit_linear(clips).scores(others.embeddings)
    everything = fit_linear(replace(clips, weak=None)).scores(others.embeddings)
    assert average_precision(chosen, holds) > average_precision(everything, holds) + 0.1


def test_labels_of_clips_that_are_left_out_choose_nothing() -> None:
    clips, _ = minutes()
    known = np.arange(len(clips)) % 3 > 0
    one = prepare(clips.subset(known), LinearOptions().views)
    targets = clips.targets.copy()
    targets[~known] = 1 - targets[~known]
    other = prepare(replace(clips, targets=targets).subset(known), LinearOptions().views)
    np.testing.assert_array_equal(one.targets, other.targets)
    np.testing.assert_array_equal(one.weights, other.weights)


def test_clips_whose_labels_hold_throughout_stay_as_they_are() -> None:
    clips, _ = minutes()
    weak = np.arange(len(clips)) % 2 == 0
    mixed = prepare(replace(clips, weak=weak), LinearOptions().views)
    plain = prepare(replace(clips, weak=None), LinearOptions().views)
    strong = ~weak[clips.clip_index]
    count = len(clips.clip_index)
    np.testing.assert_array_equal(mixed.targets[:count][strong], plain.targets[:count][strong])
    np.testing.assert_array_equal(mixed.weights[:count][strong], plain.weights[:count][strong])
    assert not (mixed.weights[count : count + len(clips)][weak]).any()  # the means of minutes


def test_a_class_that_every_recording_has_is_learnt_from_all_its_windows() -> None:
    clips, _ = minutes(12)
    targets = clips.targets.copy()
    targets[:, 0] = 1
    learnt = prepare(replace(clips, targets=targets), LinearOptions().views)
    assert (learnt.targets[: len(clips.clip_index), 0] == 1).all()


def test_a_class_of_one_source_is_judged_by_itself() -> None:
    clips, _ = minutes()
    targets = clips.targets.copy()
    kept = int(np.flatnonzero(targets[:, 2])[0])
    targets[:, 2] = np.arange(len(clips)) == kept
    learnt = prepare(replace(clips, targets=targets), LinearOptions().views)
    chosen = (learnt.targets > 0)[: len(clips.clip_index), 2]
    of_clip = clips.clip_index == kept
    assert chosen[of_clip].any()
    assert not chosen[~of_clip].any()
    assert np.isfinite(learnt.weights).all()


def test_a_minute_holds_what_one_of_its_windows_does() -> None:
    clips, _ = minutes(3)
    scores = np.full((3 * WINDOWS, 3), 0.1, np.float32)
    scores[5, 1] = 0.9
    pooled = clip_probabilities(scores, clips, "sigmoid")
    assert pooled[0, 1] == np.float32(0.9)
    assert pooled[0, 0] == np.float32(0.1)


def test_weak_labels_need_a_yes_or_no_for_each_clip() -> None:
    clips, _ = minutes(6)
    with pytest.raises(OptionError, match="a yes or no for each of 6 clips"):
        replace(clips, weak=np.ones(5, np.bool_))
    with pytest.raises(OptionError, match="tags"):
        replace(clips, targets=np.eye(3, dtype=np.float32)[[0, 1, 2] * 2], multi_label=False)
