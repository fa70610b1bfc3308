# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import oido
from oido.evaluation.predictions import UNKNOWN, JudgedWindows
from tests.evaluation.made_predictions import judged, random_judged

NAN = float("nan")


def test_truth_is_a_class_or_no_event_or_unknown() -> None:
    clips = judged([[1, 0], [0, 1], [0, 0], [1, NAN], [NAN, 0]], np.zeros((5, 2)))
    assert clips.truth.tolist() == [0, 1, 2, UNKNOWN, UNKNOWN]
    assert clips.known.tolist() == [[True] * 2] * 3 + [[True, False], [False, True]]


def test_a_class_is_always_named_where_every_clip_has_one() -> None:
    clips = judged(np.eye(3), [[0.1, 0.2, 0.3], [0.2, 0.2, 0.1], [0, 0, 0]])
    assert clips.decided.tolist() == [2, 0, 0]  # the largest; the first of equal ones


def test_no_event_is_an_answer_where_there_are_clips_without_one() -> None:
    said = [[0.4, 0.3], [0.5, 0.6], [0.9, 0.2], [0.5, 0.4]]
    clips = judged([[1, 0], [0, 1], [0, 0], [1, 0]], said)
    assert clips.decided.tolist() == [2, 1, 0, 0]  # equality with the threshold counts as heard
    other = replace(clips, thresholds=np.array([0.3, 0.7], np.float32))
    assert other.decided.tolist() == [0, 0, 0, 0]  # the largest of those that reach their own


def test_a_class_for_no_event_competes() -> None:
    said = np.array([[0.5, 0.1], [0.3, 0.1], [0.6, 0.1]], np.float32)
    nothing = np.array([0.4, 0.6, 0.7], np.float32)
    clips = judged([[1, 0], [1, 0], [0, 1]], said, threshold=0.2, no_event=nothing)
    assert clips.decided.tolist() == [0, 2, 2]


def test_groups_are_numbered_by_source() -> None:
    clips = judged(np.eye(3), np.eye(3), groups=["b", "a", "b"])
    assert clips.groups.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clips": ()}, "nothing to judge"),
        ({"classes": ("a", "a")}, "twice"),
        ({"probabilities": np.zeros((2, 2), np.float32)}, r"must be \[3, 2\]"),
        ({"probabilities": np.full((3, 2), np.nan, np.float32)}, "finite"),
        ({"thresholds": np.zeros(3, np.float32)}, "thresholds must be"),
        ({"targets": np.full((3, 2), 0.5, np.float32)}, "1, 0, or NaN"),
        ({"targets": np.ones((3, 2), np.float32)}, "multi_label"),
        ({"splits": ("one",)}, "as many splits"),
        ({"no_event": np.zeros(2, np.float32)}, "no_event must be"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    clips = judged([[1, 0], [0, 1], [0, 0]], np.zeros((3, 2)))
    with pytest.raises(oido.OptionError, match=message):
        replace(clips, **change)


def test_windows_must_be_of_the_clips() -> None:
    clips = random_judged(4, 2)
    good = JudgedWindows(np.zeros((5, 2), np.float32), np.array([0, 1, 2, 3, 3]))
    assert replace(clips, windows=good).windows is good
    bad: list[tuple[dict[str, Any], str]] = [
        ({"clip_index": np.array([0, 1, 2, 3, 4])}, "clips 0 to 3"),
        ({"probabilities": np.zeros((4, 2), np.float32)}, "probabilities of windows"),
        ({"no_event": np.zeros(5, np.float32)}, "no_event is needed"),
        ({"times": np.zeros((4, 2))}, "times of windows"),
        ({"targets": np.ones((5, 2), np.float32)}, "multi_label"),
    ]
    for change, message in bad:
        with pytest.raises(oido.OptionError, match=message):
            replace(clips, windows=replace(good, **change))
