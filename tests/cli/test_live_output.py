# SPDX-License-Identifier: Apache-2.0
"""Lines of `oido listen` for a reader and for programs: the same facts, each at once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from oido.cli.live_output import HopWatch, JsonLines, Lines, printable, value_of
from oido.events.selection import Selector
from oido.heads import Head
from oido.inference.postprocess import make_postprocessors
from oido.live.monitor import LiveUpdate
from oido.live.source import SourceGap, UtcClock
from oido.live.triggers import TriggerState
from oido.params import Selection
from oido.types import Event

NOON = 1_777_636_800.0
"""2026-05-01, 12:00 in UTC."""


@pytest.fixture(autouse=True)
def madrid(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Two hours ahead of UTC."""
    if not hasattr(time, "tzset"):
        pytest.skip("the zone cannot be set here")
    monkeypatch.setenv("TZ", "Europe/Madrid")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def clock() -> UtcClock:
    made = UtcClock()
    made.update(0.0, NOON)
    return made


@pytest.fixture
def selector() -> Selector:
    head = Head("sounds", ("Dog", "Cat"))
    readers = make_postprocessors((head,), head, Selection(), locale="en", rolls_up=False)
    return readers["sounds"].selector


EVENT = Event("Dog", 0, 1.5, 2.5, 1 / 3, None, "Dog")
STATE = TriggerState(
    0, "dog", "Dog>0.5", "on", "Dog", 0.75, 0.5, 1.5, 2.5, "2026-05-01T12:00:01.500Z", "", "mic"
)


def update(**changes: Any) -> LiveUpdate:
    scores = np.array([0.9, 0.25], np.float32)
    return LiveUpdate(1.0, 1.975, scores, scores, [], [])._replace(**changes)


def records(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_json_lines_have_their_type_and_both_times(
    clock: UtcClock, selector: Selector, capsys: pytest.CaptureFixture[str]
) -> None:
    output = JsonLines("mic:küche", clock, selector, 0.48, None)
    output.on_update(update(events=[EVENT], begun=[EVENT], triggers=[STATE]))
    event, began, trigger = records(capsys)
    assert event == {
        "type": "event",
        "source": "mic:küche",
        "start_time": 1.5,
        "end_time": 2.5,
        "start_utc": "2026-05-01T12:00:01.500Z",
        "end_utc": "2026-05-01T12:00:02.500Z",
        "label": "Dog",
        "label_index": 0,
        "score": 0.33333333,
    }
    assert began == {**event, "type": "began"}
    assert trigger == STATE.record()
    output.gap(SourceGap(4.0, 2.0, "nobody there"))
    (gap,) = records(capsys)
    assert (gap["type"], gap["start_time"], gap["end_time"]) == ("gap", 4.0, 6.0)
    assert gap["reason"] == "nobody there"


def test_windows_are_written_on_request_and_by_probability_where_there_is_one(
    clock: UtcClock, selector: Selector, capsys: pytest.CaptureFixture[str]
) -> None:
    JsonLines("mic", clock, selector, 0.48, 1).on_update(update())
    (window,) = records(capsys)
    score = round(float(np.float32(0.9)), 8)
    assert window["categories"] == [{"label": "Dog", "label_index": 0, "score": score}]
    JsonLines("mic", clock, selector, 0.48, 1).on_update(update(scores=None, values=None))
    assert records(capsys) == []  # the end is no window
    probable = Event("Dog", 0, 1.5, 2.5, 0.9, 0.25, "Dog")
    assert (value_of(probable), value_of(EVENT)) == (0.25, 1 / 3)
    JsonLines("mic", clock, selector, 0.48, None).on_update(update(events=[probable]))
    (event,) = records(capsys)
    assert (event["score"], event["probability"]) == (0.9, 0.25)


def test_lines_have_the_time_of_day_here(
    clock: UtcClock, selector: Selector, capsys: pytest.CaptureFixture[str]
) -> None:
    output = Lines("mic", clock, selector, 0.48, 2)
    output.on_update(update(events=[EVENT], triggers=[STATE, STATE]))
    assert capsys.readouterr().out.splitlines() == [
        "14:00:01  Dog 0.90, Cat 0.25",
        "14:00:01     1.00 s  0.33  Dog",
        "14:00:01  ON   Dog>0.5  (0.50)",
        "14:00:01  ON   Dog>0.5  (0.50)",
    ]
    output.gap(SourceGap(61.0, 2.0, "nobody there"))
    assert capsys.readouterr().out == "14:01:01     2.00 s  nothing came: nobody there\n"
    output.on_message("one sentence")
    assert capsys.readouterr().err == "oido: one sentence\n"


def test_a_change_of_the_hop_is_told_once(
    clock: UtcClock, selector: Selector, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = HopWatch(0.48)
    steps = [watch.change(update(skipped=n)) for n in (0, 1, 1, 3, 3, 0)]
    assert steps == [None, 0.96, None, 1.92, None, 0.48]
    assert watch.change(update(skipped=1, scores=None)) is None  # the end says nothing of it
    output = JsonLines("mic", clock, selector, 0.48, None)
    for skipped in (0, 1, 1):
        output.on_update(update(skipped=skipped))
    (hop,) = records(capsys)
    assert (hop["type"], hop["hop"]) == ("hop", 0.96)
    Lines("mic", clock, selector, 0.48, None).on_update(update(skipped=1))
    assert "a window is heard every 0.96 s now" in capsys.readouterr().out


def test_nothing_that_moves_the_cursor_is_left() -> None:
    assert printable("a\x1b[31mb\rc\nd\u2028e\x7f") == "a [31mb c d e "
    assert printable("küche 狗") == "küche 狗"
