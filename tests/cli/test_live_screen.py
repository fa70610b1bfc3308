# SPDX-License-Identifier: Apache-2.0
"""The view of `oido listen`: it fits any terminal, and says what is heard."""

from __future__ import annotations

import re
import sys
from typing import Any

import numpy as np
import pytest

from oido.cli.live_screen import Screen, can_draw
from oido.events.selection import Selector
from oido.heads import Head
from oido.inference.postprocess import make_postprocessors
from oido.live.monitor import LiveUpdate
from oido.live.source import SourceGap, UtcClock
from oido.params import Selection
from oido.types import Event


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 12), (20, 6), (5, 3), (1, 1)])
def test_the_view_fits_any_terminal(columns: int, rows: int, classifier: Any) -> None:
    clock = UtcClock()
    clock.update(1.0)
    screen = Screen("oido  mic:\x1b[31mred", clock, classifier.postprocessor.selector, 0.48, 8)
    scores = np.random.default_rng(0).random(521).astype(np.float32)
    for second in range(40):
        event = Event("Dog", 69, second, second + 1.0, 0.5, None, "Dog")
        screen.on_update(LiveUpdate(second, second + 1.0, scores, scores, [event], []))
    lines = screen.lines(columns, rows)
    assert len(lines) <= rows
    assert all(len(line) <= max(1, columns - 1) and "\x1b" not in line for line in lines)
    if rows == 24:
        assert sum(line.endswith("0.50  Dog") for line in lines) >= 8
        assert sum(line.startswith("█") for line in lines) == 8


SECOND = 0.48


def selector_of(*labels: str) -> Selector:
    head = Head("sounds", labels)
    readers = make_postprocessors((head,), head, Selection(), locale="en", rolls_up=False)
    return readers["sounds"].selector


@pytest.fixture
def screen() -> Screen:
    clock = UtcClock()
    clock.update(0.0, 1_777_636_800.0)
    return Screen("oido  mic", clock, selector_of("Dog", "Cat"), SECOND, 8)


def window(number: int, *scores: float, skipped: int = 0) -> LiveUpdate:
    values = np.array(scores, np.float32)
    start = number * SECOND
    return LiveUpdate(start, start + 0.975, values, values, [], [], skipped)


def bars(screen: Screen) -> dict[str, float]:
    found = [re.fullmatch(r"[█·#.]+ (\d\.\d\d)  (\w+)", line) for line in screen.lines(80, 24)]
    return {bar[2]: float(bar[1]) for bar in found if bar}


def test_a_bar_rises_at_once_and_falls_slowly(screen: Screen) -> None:
    screen.on_update(window(0, 0.9, 0.2))
    assert bars(screen) == {"Dog": 0.9, "Cat": 0.2}
    assert list(bars(screen)) == ["Dog", "Cat"]
    screen.on_update(window(1, 0.0, 0.3))
    assert bars(screen) == {"Dog": 0.54, "Cat": 0.3}
    for number in range(2, 20):
        screen.on_update(window(number, 0.0, 0.0))
    assert max(bars(screen).values(), default=0.0) <= 0.02


def test_labels_of_a_strangers_model_cannot_move_the_cursor() -> None:
    clock = UtcClock()
    clock.update(0.0, 0.0)
    screen = Screen("oido", clock, selector_of("\x1b[2JDog", "C\rat"), SECOND, 8)
    event = Event("\x1b[2JDog", 0, 0.0, 1.0, 0.9, None, "\x1b[2JDog")
    screen.on_update(window(0, 0.9, 0.8)._replace(events=[event]))
    page = "".join(screen.lines(80, 24))
    assert page.isprintable()
    assert page.count("Dog") == 2


def test_a_coarser_hop_and_messages_stand_on_the_last_line(
    screen: Screen, capsys: pytest.CaptureFixture[str]
) -> None:
    screen.on_message("before it is open")
    assert capsys.readouterr().err == "oido: before it is open\n"
    assert screen.lines(80, 24)[-1] == "Ctrl-C ends"
    screen.open()
    screen.on_update(window(0, 0.1, 0.1))
    screen.on_update(window(2, 0.1, 0.1, skipped=1))
    assert screen.lines(80, 24)[-1].startswith("a window is heard every 0.96 s now")
    screen.on_message("the \x1b[31mbroker is away")
    assert screen.lines(80, 24)[-1] == "the  [31mbroker is away"
    screen.close()
    out = capsys.readouterr().out
    assert out.startswith("\x1b[?1049h\x1b[?25l")
    assert out.endswith("\x1b[?25h\x1b[?1049loido  mic: 0:01 heard, 0 events\n")
    screen.close()  # once more writes nothing
    assert capsys.readouterr().out == ""


def test_the_level_says_when_it_is_too_loud(screen: Screen) -> None:
    screen.show(np.full((1_000, 1), 0.1, np.float32))
    line = screen.lines(80, 24)[1]
    assert re.search(r" -20 dB  peak -20 dB$", line)
    screen._drawn = 0.0
    screen.show(np.ones((1_000, 1), np.float32))
    assert screen.lines(80, 24)[1].endswith("peak 0 dB  too loud: it is clipped")


def test_a_gap_stands_among_the_events(screen: Screen) -> None:
    screen.gap(SourceGap(1.0, 2.5, "the camera has gone"))
    (line,) = [line for line in screen.lines(80, 24) if "camera" in line]
    assert line.endswith("   2.50 s  nothing came: the camera has gone")


@pytest.mark.parametrize(
    ("is_terminal", "term"), [(True, "xterm"), (True, "dumb"), (False, "xterm")]
)
def test_it_draws_only_on_a_terminal_that_can(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, term: str
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setenv("TERM", term)
    assert can_draw() == (is_terminal and term != "dumb")
