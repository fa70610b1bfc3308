# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np

import oido
from oido.datasets.clip import Clip
from oido.datasets.regions import TimedLabel, file_truths, merge_events
from tests.datasets.recordings import record


def test_regions_are_all_that_is_heard_in_a_recording(tmp_path: Path) -> None:
    paths = {name: str(record(tmp_path / f"{name}.wav")) for name in "abcde"}
    data = oido.Dataset.from_clips(
        [
            Clip(paths["a"], ("dog",), (), 1.0, 2.0),
            Clip(paths["a"], ("cat", "dog"), (), 3.0, 4.0, complete=False),
            Clip(paths["a"], (), (), 5.0, 6.0),  # background
            Clip(paths["b"]),
            Clip(paths["c"], ("dog",)),
            Clip(paths["d"], (), ("dog",), complete=False),
            Clip(paths["e"], ("cat",), (), 2.0, None),
        ]
    )
    truths, left_out = file_truths(data)
    assert {truth.path: truth.events for truth in truths} == {
        paths["a"]: (
            TimedLabel(1.0, 2.0, "dog"),
            TimedLabel(3.0, 4.0, "cat"),
            TimedLabel(3.0, 4.0, "dog"),
        ),
        paths["b"]: (),
        paths["e"]: (TimedLabel(2.0, None, "cat"),),
    }
    assert {Path(name).stem: reason for name, reason in left_out} == {
        "c": "is labelled as a whole, without times",
        "d": "nobody knows which events are in it",
    }
    assert truths[0].group == data[0].group


def test_events_end_with_the_recording_and_overlaps_are_joined() -> None:
    events = [
        TimedLabel(5.0, 9.0, "dog"),
        TimedLabel(1.0, 3.0, "dog"),
        TimedLabel(2.0, 4.0, "dog"),
        TimedLabel(4.0, 4.5, "dog"),  # touches, and is another
        TimedLabel(3.0, None, "cat"),
        TimedLabel(6.0, 7.0, "cow"),
    ]
    assert merge_events(events, duration=6.0) == [
        TimedLabel(3.0, 6.0, "cat"),
        TimedLabel(1.0, 4.0, "dog"),
        TimedLabel(4.0, 4.5, "dog"),
        TimedLabel(5.0, 6.0, "dog"),
    ]


def test_a_region_that_another_reaches_into_is_unsure_of_that_class_alone(tmp_path: Path) -> None:
    record(tmp_path / "a.wav", 10.0)
    rows = ("0,4,rain", "3,6,owl", "7,8,wren")
    table = tmp_path / "regions.csv"
    table.write_text("file,start_time,end_time,label\n" + "".join(f"a.wav,{r}\n" for r in rows))
    data = oido.Dataset.from_table(table)
    assert [(c.labels, c.unsure, c.complete) for c in data] == [
        (("rain",), ("owl",), False),
        (("owl",), ("rain",), False),
        (("wren",), (), True),
    ]
    assert data.classes == ("owl", "rain", "wren")
    np.testing.assert_array_equal(data.targets(), [[np.nan, 1, 0], [1, np.nan, 0], [0, 0, 1]])
    renamed = data.relabel({"owl": "Strix"})
    assert renamed[0].unsure == ("Strix",)
    np.testing.assert_array_equal(renamed.targets(), [[np.nan, 1, 0], [1, np.nan, 0], [0, 0, 1]])
