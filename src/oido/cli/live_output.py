# SPDX-License-Identifier: Apache-2.0
"""What `oido listen` writes where there is no terminal: lines to read, or JSON lines."""

from __future__ import annotations

import json
import sys
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oido.cli.terminal import print_message, use_utf8
from oido.events.selection import Selector
from oido.live.monitor import LiveUpdate
from oido.live.source import SourceGap, UtcClock, utc_text
from oido.live.triggers import TriggerState
from oido.types import Category, Event
from oido.writers.base import score_of, seconds_of

__all__ = [
    "HopWatch",
    "JsonLines",
    "Lines",
    "LiveOutput",
    "event_line",
    "gap_line",
    "hop_sentence",
    "local_time",
    "printable",
    "trigger_line",
    "value_of",
]


class LiveOutput(Protocol):
    """Shows predictions; any thread may call ``on_message``, the rest is for the main thread."""

    def open(self) -> None: ...

    def show(self, block: NDArray[np.float32]) -> None: ...

    def on_update(self, update: LiveUpdate) -> None: ...

    def gap(self, gap: SourceGap) -> None: ...

    def on_message(self, sentence: str) -> None: ...

    def close(self) -> None: ...


class HopWatch:
    """Notices by the windows left out that the hop changes. hop_seconds: as it was asked for."""

    def __init__(self, hop_seconds: float) -> None:
        self._hop_seconds, self._step = hop_seconds, 1

    def change(self, update: LiveUpdate) -> float | None:
        """The hop from now on, in seconds; None while it stays as it is."""
        step = update.skipped + 1
        if update.scores is None or step == self._step:
            return None
        self._step = step
        return step * self._hop_seconds


def hop_sentence(hop_seconds: float) -> str:
    """A change of the hop for a reader."""
    return f"a window is heard every {hop_seconds:g} s now, as fast as what is heard can be taken"


class _Text:
    """Predictions go to standard output, messages to standard error."""

    def __init__(
        self,
        source: str,
        clock: UtcClock,
        selector: Selector,
        hop_seconds: float,
        top: int | None,
    ) -> None:
        self._source, self._clock, self._selector = source, clock, selector
        self._hop = HopWatch(hop_seconds)
        self._top = top
        """Of each window; None: windows are not written."""

    def open(self) -> None:
        use_utf8()

    def show(self, block: NDArray[np.float32]) -> None: ...

    def close(self) -> None: ...

    def on_message(self, sentence: str) -> None:
        print_message(sentence)

    def _categories(self, update: LiveUpdate) -> list[Category]:
        if update.scores is None or self._top is None:
            return []
        return self._selector.categories(update.scores, self._top)


class JsonLines(_Text):
    """One object a line, at once; "type" is began, event, window, trigger, gap or hop."""

    def on_update(self, update: LiveUpdate) -> None:
        if (hop := self._hop.change(update)) is not None:
            self._write("hop", update.start_time, update.end_time, {"hop": seconds_of(hop)})
        if self._top is not None and update.scores is not None:
            categories = [_record(c) for c in self._categories(update)]
            self._write("window", update.start_time, update.end_time, {"categories": categories})
        for event in update.events:
            self._write("event", event.start_time, event.end_time, _record(event))
        for event in update.begun:
            self._write("began", event.start_time, event.end_time, _record(event))
        for state in update.triggers:
            self._line(state.record())

    def gap(self, gap: SourceGap) -> None:
        end = gap.start_time + gap.seconds
        self._write("gap", gap.start_time, end, {"reason": gap.reason})

    def _write(self, kind: str, start: float, end: float, more: dict[str, Any]) -> None:
        times = {
            "start_time": seconds_of(start),
            "end_time": seconds_of(end),
            "start_utc": utc_text(self._clock.at(start)),
            "end_utc": utc_text(self._clock.at(end)),
        }
        self._line({"type": kind, "source": self._source, **times, **more})

    def _line(self, record: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
        sys.stdout.flush()


class Lines(_Text):
    """One line per event for a reader: the time of day, how long, the score, the label."""

    def on_update(self, update: LiveUpdate) -> None:
        if (hop := self._hop.change(update)) is not None:
            self._line(f"{local_time(self._clock, update.start_time)}  {hop_sentence(hop)}")
        if categories := self._categories(update):
            best = ", ".join(f"{c.display_name} {value_of(c):.2f}" for c in categories)
            self._line(f"{local_time(self._clock, update.start_time)}  {best}")
        for event in update.events:
            self._line(event_line(self._clock, event))
        for state in update.triggers:
            self._line(trigger_line(self._clock, state))

    def gap(self, gap: SourceGap) -> None:
        self._line(gap_line(self._clock, gap))

    def _line(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def event_line(clock: UtcClock, event: Event) -> str:
    """An event for a reader."""
    seconds = event.end_time - event.start_time
    when = local_time(clock, event.start_time)
    return f"{when}  {seconds:7.2f} s  {value_of(event):.2f}  {event.display_name}"


def gap_line(clock: UtcClock, gap: SourceGap) -> str:
    """A gap of the source for a reader."""
    when = local_time(clock, gap.start_time)
    return f"{when}  {gap.seconds:7.2f} s  nothing came: {gap.reason}"


def trigger_line(clock: UtcClock, state: TriggerState) -> str:
    """A trigger's change for a reader."""
    when = state.start_time if state.state == "on" else state.end_time
    condition = f"{printable(state.condition)}  ({value_of(state):.2f})"
    return f"{local_time(clock, when)}  {state.state.upper():<3}  {condition}"


def local_time(clock: UtcClock, stream_time: float) -> str:
    """The time of day where oido runs: 14:03:05."""
    return clock.at(stream_time).astimezone().strftime("%H:%M:%S")


def value_of(item: Category | Event | TriggerState) -> float:
    """The probability where there is one, else the score."""
    return item.score if item.probability is None else item.probability


def printable(text: str) -> str:
    """Without what could move the cursor."""
    return "".join(c if c.isprintable() else " " for c in text)


def _record(item: Category | Event) -> dict[str, Any]:
    index = item.index if isinstance(item, Category) else item.label_index
    record: dict[str, Any] = {
        "label": item.display_name,
        "label_index": index,
        "score": score_of(item.score),
    }
    if item.probability is not None:
        record["probability"] = score_of(item.probability)
    return record
