# SPDX-License-Identifier: Apache-2.0
"""The view of `oido listen`, and its lines for a reader and for programs: the same facts."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from typing import Any
from unicodedata import east_asian_width

import numpy as np
import pytest

from oido.cli.live_output import JsonLines, Lines, LiveOutput, Screen, can_draw
from oido.events.selection import Selector
from oido.heads import Head
from oido.inference.postprocess import make_postprocessors
from oido.live.monitor import LiveUpdate, UtcClock
from oido.live.source import SourceGap
from oido.live.triggers import TriggerState
from oido.messages import in_language, tr
from oido.params import Selection
from oido.types import Event
from tests.spanish import english

HOP = 0.48
NOON = 1_777_636_800.0


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


def selector_of(*labels: str) -> Selector:
    head = Head("sounds", labels)
    readers = make_postprocessors((head,), head, Selection(), locale="en", rolls_up=False)
    return readers["sounds"].selector


@pytest.fixture
def selector() -> Selector:
    return selector_of("Dog", "Cat")


EVENT = Event("Dog", 0, 1.5, 2.5, 1 / 3, None, "Dog", ("Animal",))
STATE = TriggerState(
    0, "dog", "Dog>0.5", "on", "Dog", 0.75, 0.5, 1.5, 2.5, "2026-05-01T12:00:01.500Z", "", "mic"
)


def update(**changes: Any) -> LiveUpdate:
    scores = np.array([0.9, 0.25], np.float32)
    return LiveUpdate(1.0, 1.975, scores, scores, [], [])._replace(**changes)


def texts(screen: Screen, columns: int = 80, rows: int = 24) -> list[str]:
    """The lines of a page, without their styles."""
    return [text for text, _ in screen.page(columns, rows)]


def attached(output: LiveOutput, clock: UtcClock, source: str = "mic") -> LiveOutput:
    output.attach(source, clock)
    return output


def records(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_json_lines_have_their_type_and_both_times(
    clock: UtcClock, selector: Selector, capsys: pytest.CaptureFixture[str]
) -> None:
    output = attached(JsonLines(selector, HOP, None), clock, "mic:küche")
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
        "also": ["Animal"],
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
    attached(JsonLines(selector, HOP, 1), clock).on_update(update())
    (window,) = records(capsys)
    score = round(float(np.float32(0.9)), 8)
    assert window["categories"] == [{"label": "Dog", "label_index": 0, "score": score}]
    attached(JsonLines(selector, HOP, 1), clock).on_update(update(scores=None, values=None))
    assert records(capsys) == []  # the end is no window
    probable = Event("Dog", 0, 1.5, 2.5, 0.9, 0.25, "Dog")
    attached(JsonLines(selector, HOP, None), clock).on_update(update(events=[probable]))
    (event,) = records(capsys)
    assert (event["score"], event["probability"]) == (0.9, 0.25)
    attached(Lines(selector, HOP, None), clock).on_update(update(events=[probable]))
    assert capsys.readouterr().out == "14:00:01     1.00 s  0.25  Dog\n"


def test_lines_have_the_time_of_day_here(
    clock: UtcClock, selector: Selector, capsys: pytest.CaptureFixture[str]
) -> None:
    output = attached(Lines(selector, HOP, 2), clock)
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
    output = attached(JsonLines(selector, HOP, None), clock)
    changes = []
    for skipped in (0, 1, 1, 3, 3, 0):
        output.on_update(update(skipped=skipped))
        changes.append([(record["type"], record["hop"]) for record in records(capsys)])
    assert changes == [[], [("hop", 0.96)], [], [("hop", 1.92)], [], [("hop", 0.48)]]
    output.on_update(update(skipped=1, scores=None))
    assert records(capsys) == []  # the end says nothing of it
    attached(Lines(selector, HOP, None), clock).on_update(update(skipped=1))
    assert "a window is heard every 0.96 s now" in capsys.readouterr().out


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 12), (20, 6), (5, 3), (1, 1)])
def test_the_view_fits_any_terminal(columns: int, rows: int, classifier: Any) -> None:
    clock = UtcClock()
    clock.update(1.0)
    screen = Screen("yamnet", classifier.postprocessor.selector, HOP, 8)
    screen.attach("mic:\x1b[31mred", clock)
    scores = np.random.default_rng(0).random(521).astype(np.float32)
    for second in range(40):
        event = Event("Dog", 69, second, second + 1.0, 0.5, None, "Dog")
        screen.on_update(LiveUpdate(second, second + 1.0, scores, scores, [event], []))
    lines = texts(screen, columns, rows)
    assert len(lines) <= rows
    assert all(len(line) <= max(1, columns - 1) and "\x1b" not in line for line in lines)
    if rows == 24:
        assert sum(line.endswith("0.50  Dog") for line in lines) >= 8
        assert sum(line.startswith("█") for line in lines) == 8


def test_the_view_and_lines_are_spanish(
    clock: UtcClock, selector: Selector, capsys: pytest.CaptureFixture[str]
) -> None:
    gap = SourceGap(4.0, 2.0, tr("nothing came in time"))
    with in_language("es"):
        view = attached(Screen("yamnet", selector, HOP, 8), clock)
        view.show(np.ones((800, 1), np.float32))
        view.on_update(update(events=[EVENT], skipped=1))
        view.gap(gap)
        assert isinstance(view, Screen)
        shown_ = "\n".join(texts(view))
        lines = attached(Lines(selector, HOP, 2), clock)
        lines.on_update(update(events=[EVENT], skipped=1))
        lines.gap(gap)
        told = capsys.readouterr()
    assert not english(shown_)
    assert not english(told.out)
    assert not english(told.err.replace("oido: ", ""))
    assert "no llegó nada: no llegó nada a tiempo" in shown_
    assert "Ctrl-C termina" in shown_
    assert "ahora se oye una ventana cada 0.96 s" in told.out


@pytest.fixture
def screen(clock: UtcClock, selector: Selector) -> Screen:
    made = Screen("model", selector, HOP, 8)
    made.attach("mic", clock)
    return made


def window(number: int, *scores: float, skipped: int = 0) -> LiveUpdate:
    values = np.array(scores, np.float32)
    start = number * HOP
    return LiveUpdate(start, start + 0.975, values, values, [], [], skipped)


def bars(screen: Screen) -> dict[str, float]:
    found = [re.fullmatch(r"[█·#.]+ (\d\.\d\d)  (\w+)", line) for line in texts(screen)]
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


def test_labels_of_a_strangers_model_cannot_move_the_cursor(clock: UtcClock) -> None:
    screen = Screen("küche 狗", selector_of("\x1b[2JDog", "C\rat"), HOP, 8)
    screen.attach("a\x1b[31mb\rc\nd\u2028e\x7f", clock)
    event = Event("\x1b[2JDog", 0, 0.0, 1.0, 0.9, None, "\x1b[2JDog")
    screen.on_update(window(0, 0.9, 0.8)._replace(events=[event]))
    lines = texts(screen)
    assert lines[0].startswith(r"oido  a\x1b[31mb\rc\nd\u2028e\x7f  küche 狗 ")
    page = "".join(lines)
    assert page.isprintable()
    assert page.count("Dog") == 2


def test_lines_spell_out_what_a_terminal_obeys(
    clock: UtcClock, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = Lines(selector_of("\x1b[2JDog", "C\rat"), HOP, 2)
    lines.attach("mic", clock)
    event = Event("\x1b[2JDog", 0, 0.0, 1.0, 0.9, None, "\x1b[2JDog")
    lines.on_update(window(0, 0.9, 0.8)._replace(events=[event]))
    lines.gap(SourceGap(1.0, 2.0, "gone\n\u202eaway"))
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert out.count(r"\x1b[2JDog") == 2
    assert r"C\rat" in out
    assert r"gone\n\u202eaway" in out


def test_a_coarser_hop_and_messages_stand_on_the_last_line(
    screen: Screen, capsys: pytest.CaptureFixture[str]
) -> None:
    screen.on_message("before it is open")
    assert capsys.readouterr().err == "oido: before it is open\n"
    assert texts(screen)[-1] == "Ctrl-C ends"
    screen.open()
    screen.on_update(window(0, 0.1, 0.1))
    screen.on_update(window(2, 0.1, 0.1, skipped=1))
    assert texts(screen)[-1].startswith("a window is heard every 0.96 s now")
    screen.on_message("the \x1b[31mbroker is away")
    assert texts(screen)[-1] == r"the \x1b[31mbroker is away"
    screen.close()
    out = capsys.readouterr().out
    assert out.startswith("\x1b[?1049h\x1b[?25l")
    assert out.endswith("\x1b[?25h\x1b[?1049loido  mic  model: 0:01 heard, 0 events\n")
    screen.close()  # once more writes nothing
    assert capsys.readouterr().out == ""


def test_a_long_message_is_read_to_its_end(screen: Screen) -> None:
    screen.open()
    sentence = (
        "mqtt://homeassistant.local:1883/oido/kitchen: it wants a user and a password: "
        "mqtt://USER:PASSWORD@HOST/…; oido keeps trying"
    )
    screen.on_message(sentence)
    screen.on_update(window(0, 0.9, 0.2))
    for columns in (50, 80, 200):
        lines = texts(screen, columns)
        assert len(lines) == 24
        assert max(map(len, lines)) < columns
        foot = [line for line in lines if "mqtt" in line or "trying" in line or "wants" in line]
        assert lines[-len(foot) :] == foot
        assert " ".join(foot) == sentence
    assert len(texts(screen, 10, 4)) <= 4
    screen.close()


def test_labels_of_wide_letters_and_emoji_stay_in_their_line(clock: UtcClock) -> None:
    screen = Screen("狗" * 50, selector_of("犬の鳴き声" * 20, "🔔" * 50), HOP, 8)
    screen.attach("mic", clock)
    event = Event("犬", 0, 0.0, 1.0, 0.9, None, "犬の鳴き声" * 20)
    screen.on_update(window(0, 0.9, 0.8)._replace(events=[event]))
    for columns in (20, 61, 80):
        lines = texts(screen, columns)
        cells = [sum(2 if east_asian_width(c) in "WF" else 1 for c in line) for line in lines]
        assert max(cells) < columns
        assert lines[0].endswith(" 0:00")


def test_the_level_says_when_it_is_too_loud(screen: Screen) -> None:
    screen.show(np.full((1_000, 1), 0.1, np.float32))
    line = texts(screen)[1]
    assert re.search(r" -20 dB  peak -20 dB$", line)
    screen._drawn = 0.0
    screen.show(np.ones((1_000, 1), np.float32))
    assert texts(screen)[1].endswith("peak 0 dB  too loud: it is clipped")


@pytest.mark.parametrize(("variable", "coloured"), [("FORCE_COLOR", True), ("NO_COLOR", False)])
def test_the_view_has_colours_where_the_terminal_has(
    screen: Screen,
    variable: str,
    coloured: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "1")
    screen.on_update(window(0, 0.9, 0.2))
    screen.draw()
    drawn = capsys.readouterr().out
    assert ("\x1b[36m" in drawn) == coloured  # the bars
    plain = re.sub(r"\x1b\[\d*m", "", drawn)
    assert [line.removesuffix("\x1b[K") for line in plain.removeprefix("\x1b[H").split("\r\n")] == [
        *texts(screen)[:-1],
        texts(screen)[-1] + "\x1b[K\x1b[J",
    ]


def test_a_gap_stands_among_the_events(screen: Screen) -> None:
    screen.gap(SourceGap(1.0, 2.5, "the camera has gone"))
    (line,) = [line for line in texts(screen) if "camera" in line]
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
