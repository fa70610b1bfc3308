# SPDX-License-Identifier: Apache-2.0
"""What `oido listen` shows: a view on a terminal (80 × 24 is enough), else lines, or JSON lines."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import unicodedata
from collections import deque
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.cli.tables import bar_text
from oido.cli.terminal import (
    data_output,
    direct,
    has_colours,
    print_line,
    print_message,
    silence_stderr,
    styled,
    use_utf8,
)
from oido.events.selection import Selector
from oido.live.monitor import LiveUpdate, UtcClock
from oido.live.source import SourceGap, utc_text
from oido.live.triggers import TriggerState
from oido.messages import shown, tr
from oido.models.labels import label_text
from oido.paths import escape_controls
from oido.signal.level import level_db
from oido.types import Category, Event
from oido.writers.base import score_of, seconds_of

_DRAW_SECONDS = 0.1
_KEPT_LINES = 200
_FALL = 0.6
"""A bar falls to this share of its height with each window, so that short sounds can be read."""

_LOWEST_DB = -60.0
_RESERVED_ROWS = 6  # title, level, two blank lines, heading of the events, notice
_NOTICE_ROWS = 3


class LiveOutput:
    """Shows predictions; any thread may call ``on_message``, the rest is for the main thread.

    hop_seconds: as it was asked for. top: labels of each window that are shown; None: windows are
    not. quiet: sentences are not shown.
    """

    _source: str
    _clock: UtcClock

    def __init__(
        self, selector: Selector, hop_seconds: float, top: int | None, *, quiet: bool = False
    ) -> None:
        self._selector, self._top, self._quiet = selector, top, quiet
        self._hop_seconds, self._step = hop_seconds, 1

    def attach(self, source: str, clock: UtcClock) -> None:
        """The source's name, and the time of day of a moment of its stream."""
        self._source, self._clock = source, clock

    def open(self) -> None:
        """Begin to show."""
        use_utf8()

    def show(self, block: NDArray[np.float32]) -> None:
        """A block f32[n, channels] came."""

    def on_update(self, update: LiveUpdate) -> None:
        """One more window, or the end."""
        raise NotImplementedError

    def gap(self, gap: SourceGap) -> None:
        """The source lost something."""
        when = _local_time(self._clock, gap.start_time)
        self._line(
            tr(
                "{when}  {seconds:7.2f} s  nothing came: {reason}",
                when=when,
                seconds=gap.seconds,
                reason=gap.reason,
            )
        )

    def on_message(self, sentence: str) -> None:
        """A sentence for the user, on standard error."""
        if not self._quiet:
            self._note(sentence)

    def close(self) -> None:
        """Nothing more is shown."""

    def _note(self, sentence: str) -> None:
        print_message(sentence)

    def _line(self, text: str) -> None:
        print_line(text)
        sys.stdout.flush()

    def _new_hop(self, update: LiveUpdate) -> float | None:
        """The hop from now on, in seconds, if windows left out show that it is another."""
        step = update.skipped + 1
        if update.scores is None or step == self._step:
            return None
        self._step = step
        return step * self._hop_seconds

    def _categories(self, update: LiveUpdate) -> list[Category]:
        if update.scores is None or self._top is None:
            return []
        return self._selector.categories(update.scores, self._top, of_clip=True)


class JsonLines(LiveOutput):
    """One object a line, at once; "type" is began, event, window, trigger, gap or hop."""

    def on_update(self, update: LiveUpdate) -> None:
        if (hop := self._new_hop(update)) is not None:
            self._times("hop", update.start_time, update.end_time, {"hop": seconds_of(hop)})
        if self._top is not None and update.scores is not None:
            categories = [_record(c) for c in self._categories(update)]
            self._times("window", update.start_time, update.end_time, {"categories": categories})
        for event in update.events:
            self._times("event", event.start_time, event.end_time, _record(event))
        for event in update.begun:
            self._times("began", event.start_time, event.end_time, _record(event))
        for state in update.triggers:
            self._object(state.record())

    def gap(self, gap: SourceGap) -> None:
        end = gap.start_time + gap.seconds
        self._times("gap", gap.start_time, end, {"reason": gap.reason})

    def _times(self, kind: str, start: float, end: float, more: dict[str, Any]) -> None:
        times = {
            "start_time": seconds_of(start),
            "end_time": seconds_of(end),
            "start_utc": utc_text(self._clock.at(start)),
            "end_utc": utc_text(self._clock.at(end)),
        }
        self._object({"type": kind, "source": self._source, **times, **more})

    def _object(self, record: dict[str, Any]) -> None:
        print(json.dumps(record, ensure_ascii=False), file=data_output(), flush=True)


class Lines(LiveOutput):
    """One line per event for a reader: the time of day, how long, the score, the label."""

    def on_update(self, update: LiveUpdate) -> None:
        if (hop := self._new_hop(update)) is not None:
            self._line(f"{_local_time(self._clock, update.start_time)}  " + _hop_sentence(hop))
        if categories := self._categories(update):
            named = ((shown(label_text(c.display_name)), _value_of(c)) for c in categories)
            best = ", ".join(f"{name} {value:.2f}" for name, value in named)
            self._line(f"{_local_time(self._clock, update.start_time)}  {best}")
        for event in update.events:
            self._line(_event_line(self._clock, event))
        for state in update.triggers:
            self._line(_trigger_line(self._clock, state))


class Screen(LiveOutput):
    """Draws on the terminal's other page, which leaves what was there as it was.

    top: how many labels have a bar.
    """

    def __init__(
        self, model: str, selector: Selector, hop_seconds: float, top: int, *, quiet: bool = False
    ) -> None:
        super().__init__(selector, hop_seconds, top, quiet=quiet)
        self._model, self._n_bars = model, top
        self._bars: dict[int, float] = {}
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._notice = ""
        self._levels: list[tuple[float, float]] = []
        self._level = (_LOWEST_DB, _LOWEST_DB)
        self._drawn = 0.0
        self._seconds = 0.0
        self._n_events = 0
        self._is_open = False
        self._hush = ExitStack()

    def attach(self, source: str, clock: UtcClock) -> None:
        """The title tells the source and the model."""
        super().attach(escape_controls(f"oido  {source}  {self._model}"), clock)

    def open(self) -> None:
        """Turn to the other page."""
        if os.name == "nt":
            os.system("")  # makes the console of Windows 10 and later read escape sequences
        # Whatever a library prints there would stand in the middle of the page.
        self._hush.enter_context(silence_stderr())
        self._is_open = True
        _write("\x1b[?1049h\x1b[?25l")
        self.draw()

    def close(self) -> None:
        """Turn back, and print one line of summary."""
        if self._is_open:
            self._is_open = False
            self._hush.close()
            _write("\x1b[?25h\x1b[?1049l")
            minutes, seconds = divmod(int(self._seconds), 60)
            ended = tr(
                "{source}: {minutes}:{seconds:02d} heard, {n_events} events",
                source=self._source,
                minutes=minutes,
                seconds=seconds,
                n_events=self._n_events,
            )
            _write(f"{shown(ended)}\n")

    def show(self, block: NDArray[np.float32]) -> None:
        """The level moves with each block."""
        self._levels.append(level_db(block))
        if time.monotonic() - self._drawn >= _DRAW_SECONDS:
            self._level = max(rms for rms, _ in self._levels), max(p for _, p in self._levels)
            self._levels = []
            self.draw()

    def on_update(self, update: LiveUpdate) -> None:
        """The bars move with each window."""
        self._seconds = update.end_time
        if (hop := self._new_hop(update)) is not None:
            self._note(_hop_sentence(hop))
        if update.values is not None:
            self._bars = {i: v * _FALL for i, v in self._bars.items() if v * _FALL > 0.01}
            for category in self._categories(update):
                before = self._bars.get(category.index, 0.0)
                self._bars[category.index] = max(_value_of(category), before)
        self._lines += [_event_line(self._clock, event) for event in update.events]
        self._n_events += len(update.events)
        self._lines += [_trigger_line(self._clock, state) for state in update.triggers]
        if self._is_open:
            self.draw()

    def _line(self, text: str) -> None:
        self._lines.append(text)

    def _note(self, sentence: str) -> None:
        """The last one stays on the last lines; before and after, they go to standard error."""
        if self._is_open:
            self._notice = escape_controls(shown(sentence))
        else:
            print_message(sentence)

    def draw(self) -> None:
        """All of it anew, in one write."""
        self._drawn = time.monotonic()
        size = shutil.get_terminal_size((80, 24))
        coloured = has_colours(sys.stdout)
        page = self.page(size.columns, size.lines)
        lines = [styled(line, style if coloured else "") for line, style in page]
        text = "\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J"
        _write(text)

    def page(self, columns: int, rows: int) -> list[tuple[str, str]]:
        """At most ``rows`` lines of at most ``columns`` cells, each with its style."""
        minutes, seconds = divmod(int(self._seconds), 60)
        clock = f"{minutes}:{seconds:02d}"
        width = max(1, columns - 1)  # the last cell of a line makes some terminals go on
        cells = max(4, min(30, width // 3))
        title = _cut(self._source, max(0, width - len(clock) - 1))
        title += " " * (width - len(clock) - sum(map(_cells, title)))
        rms, peak = self._level
        level = bar_text((rms - _LOWEST_DB) / -_LOWEST_DB, cells)
        clipped = tr("  too loud: it is clipped") if peak > -0.1 else ""
        page = [
            (f"{title}{clock}", "bold"),
            (
                tr(
                    "{level} {rms:4.0f} dB  peak {peak:.0f} dB{clipped}",
                    level=level,
                    rms=rms,
                    peak=peak,
                    clipped=clipped,
                ),
                "red" if clipped else "green",
            ),
            ("", ""),
        ]
        most_bars = max(1, min(self._n_bars, (rows - _RESERVED_ROWS) // 2 + 1))
        bars = sorted(self._bars.items(), key=lambda bar: -bar[1])[:most_bars]
        names = self._selector.display_names
        shown_names = {i: shown(label_text(names[i])) for i, _ in bars}
        page += [(f"{bar_text(v, cells)} {v:.2f}  {shown_names[i]}", "cyan") for i, v in bars]
        page += [("", "")] * (most_bars - len(bars) + 1)
        foot: list[tuple[str, str]] = [(tr("Ctrl-C ends"), "dim")]
        if self._notice:
            foot = [(line, "yellow") for line in _wrapped(self._notice, width)[:_NOTICE_ROWS]]
        left = rows - len(page) - 1 - len(foot)
        if left > 0:
            page.append((tr("time of day  lasted  score"), "dim"))
            last = [(line, "") for line in self._lines][-left:]
            page += last + [("", "")] * (left - len(last))
        page = [*page[: max(0, rows - len(foot))], *foot][:rows]
        return [(_cut(escape_controls(shown(line)), width), style) for line, style in page]


def _cells(character: str) -> int:
    """That it fills of a terminal's line: letters of East Asia and emoji two, accents none."""
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(text: str, cells: int) -> str:
    """As much of it as fits into so many cells."""
    for end, character in enumerate(text):
        cells -= _cells(character)
        if cells < 0:
            return text[:end]
    return text


def _wrapped(text: str, cells: int) -> list[str]:
    """A sentence in lines of so many cells, between words where there are some."""
    lines = []
    while text:
        line = _cut(text, cells) or text[:1]
        if text[len(line) :].strip() and not text[len(line)].isspace():
            line = line[: line.rfind(" ") + 1] or line
        lines.append(line.rstrip())
        text = text[len(line) :].lstrip()
    return lines


def can_draw() -> bool:
    """Whether standard output is a terminal that can be drawn on."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def _write(text: str) -> None:
    """As it is: it moves the cursor."""
    stream = direct(sys.stdout)
    stream.write(text)
    stream.flush()


def _hop_sentence(hop_seconds: float) -> str:
    """A change of the hop for a reader."""
    return tr(
        "a window is heard every {hop_seconds:g} s now, as fast as what is heard can be taken",
        hop_seconds=hop_seconds,
    )


def _event_line(clock: UtcClock, event: Event) -> str:
    """An event for a reader."""
    seconds = event.end_time - event.start_time
    when = _local_time(clock, event.start_time)
    label = shown(label_text(event.display_name))
    return f"{when}  {seconds:7.2f} s  {_value_of(event):.2f}  {label}"


def _trigger_line(clock: UtcClock, state: TriggerState) -> str:
    """A trigger's change for a reader."""
    when = state.start_time if state.state == "on" else state.end_time
    condition = f"{escape_controls(state.condition)}  ({_value_of(state):.2f})"
    return f"{_local_time(clock, when)}  {state.state.upper():<3}  {condition}"


def _local_time(clock: UtcClock, stream_time: float) -> str:
    """The time of day where oido runs: 14:03:05."""
    return clock.at(stream_time).astimezone().strftime("%H:%M:%S")


def _value_of(item: Category | Event | TriggerState) -> float:
    """The probability where there is one, else the score."""
    return item.score if item.probability is None else item.probability


def _record(item: Category | Event) -> dict[str, Any]:
    index = item.index if isinstance(item, Category) else item.label_index
    record: dict[str, Any] = {
        "label": item.display_name,
        "label_index": index,
        "score": score_of(item.score),
    }
    if item.probability is not None:
        record["probability"] = score_of(item.probability)
    if isinstance(item, Event):
        record["also"] = list(item.also)
    return record
