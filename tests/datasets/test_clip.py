# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest

from oido.datasets.clip import Clip, source_of
from oido.errors import OptionError


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("Dog bark/1-100032-A.ogg", "1-100032"),
        ("1-100032-A-0.wav", "1-100032"),
        ("siren/100032-3-0-12.wav", "100032"),
        ("owl/garden_12.0s_15.0s.wav", "garden"),
        ("owl/0.913_4_garden_12s_15s.wav", "garden"),
        ("wren/garden_3.0_6.0.flac", "garden"),
        ("dog/one.wav", "dog/one"),
        ("dog/one.mp3", "dog/one"),
        ("cat\\one.wav", "cat/one"),
        ("LOCA_2021_09_24_652_3.wav", "LOCA_2021_09_24_652_3"),
        ("2024-05-01_06-30.wav", "2024-05-01_06-30"),
    ],
)
def test_the_source_of_a_file_by_its_name(name: str, source: str) -> None:
    assert source_of(name) == source


def test_a_clip_knows_its_source_and_keeps_one_that_is_given() -> None:
    assert Clip("birds/owl/1-100032-A.ogg").group == "1-100032"
    assert Clip("birds/owl/1-100032-A.ogg", group="night").group == "night"


def test_labels_are_sorted_and_unlike() -> None:
    assert Clip("a.wav", ("B", "A", "B")).labels == ("A", "B")


def test_backgrounds_are_clips_where_no_event_is_heard() -> None:
    assert Clip("a.wav").is_background
    assert not Clip("a.wav", ("A",)).is_background
    assert not Clip("a.wav", (), ("A",), complete=False).is_background


def test_clips_are_shown_with_their_times() -> None:
    assert str(Clip("a.wav")) == "a.wav"
    assert str(Clip("a.wav", start_time=1.5, end_time=2)) == "a.wav [1.5 s to 2 s]"
    assert str(Clip("a.wav", start_time=1.5)) == "a.wav [1.5 s to end]"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": "Dog"}, "a tuple of labels"),
        ({"labels": ("a/b",)}, "slash"),
        ({"labels": ("A",), "negatives": ("A",)}, "heard and to be absent"),
        ({"start_time": -1.0}, "cannot start"),
        ({"start_time": float("nan")}, "cannot start"),
        ({"start_time": 2.0, "end_time": 2.0}, "cannot end"),
        ({"end_time": float("inf")}, "cannot end"),
    ],
)
def test_impossible_clips_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Clip("a.wav", **options)
