# SPDX-License-Identifier: Apache-2.0
"""What `oido listen` writes where there is no terminal: lines to read, or JSON lines."""

from __future__ import annotations

import json
import sys
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

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
    "hop_sentence",
    "local_time",
    "trigger_line",
]


class LiveOutput(Protocol):
    """Shows what is heard; ``say`` may be called by any thread, the rest by the one that hears."""

    def open(self) -> None: ...

    def show(self, block: NDArray[np.float32]) -> None: ...

    def heard(self, heard: LiveUpdate) -> None: ...

    def gap(self, gap: SourceGap) -> None: ...

    def on_message(self, sentence: str) -> None: ...

    def close(self) -> None: ...


class HopWatch:
    """Knows by the windows left out when the hop changes. hop_seconds: as it was asked for."""

    def __init__(self, hop_seconds: float) -> None:
        self._hop_seconds, self._step = hop_seconds, 1

    def change(self, heard: LiveUpdate) -> float | None:
        """The hop from now on, in seconds; None while it stays as it is."""
        step = heard.skipped + 1
        if heard.scores is None or step == self._step:
            return None
        self._step = step
        return step * self._hop_seconds


def hop_sentence(hop_seconds: float) -> str:
    """What a reader is told of a change of the hop."""
    return f"a window is heard every {hop_seconds:g} s now, as fast as what is heard can be taken"


class _Text:
    """Standard output for what is heard, standard error for what is said."""

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
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(encoding="utf-8")

    def show(self, block: NDArray[np.float32]) -> None: ...

    def close(self) -> None: ...

    def on_message(self, sentence: str) -> None:
        print(f"oido: {sentence}", file=sys.stderr, flush=True)

    def _categories(self, heard: LiveUpdate) -> list[Category]:
        if heard.scores is None or self._top is None:
            return []
        return self._selector.categories(heard.scores, self._top)


class JsonLines(_Text):
    """One object a line, at once; "type" is began, event, window, trigger, gap or hop."""

    def heard(self, heard: LiveUpdate) -> None:
        if (hop := self._hop.change(heard)) is not None:
            self._write("hop", heard.start_time, heard.end_time, {"hop": seconds_of(hop)})
        if self._top is not None and heard.scores is not None:
            categories = [_category(c) for c in self._categories(heard)]
            self._write("window", heard.start_time, heard.end_time, {"categories": categories})
        for event in heard.events:
            self._write("event", event.start_time, event.end_time, _category(event))
        for event in heard.begun:
            self._write("began", event.start_time, event.end_time, _category(event))
        for state in heard.triggers:
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

    def heard(self, heard: LiveUpdate) -> None:
        if (hop := self._hop.change(heard)) is not None:
            self._line(f"{local_time(self._clock, heard.start_time)}  {hop_sentence(hop)}")
        if categories := self._categories(heard):
            best = ", ".join(f"{c.display_name} {_value(c):.2f}" for c in categories)
            self._line(f"{local_time(self._clock, heard.start_time)}  {best}")
        for event in heard.events:
            seconds = event.end_time - event.start_time
            clock = local_time(self._clock, event.start_time)
            self._line(f"{clock}  {seconds:7.2f} s  {_value(event):.2f}  {event.display_name}")
        for state in heard.triggers:
            self._line(trigger_line(self._clock, state))

    def gap(self, gap: SourceGap) -> None:
        clock = local_time(self._clock, gap.start_time)
        self._line(f"{clock}  {gap.seconds:7.2f} s  nothing came: {gap.reason}")

    def _line(self, text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def trigger_line(clock: UtcClock, state: TriggerState) -> str:
    """A trigger's change for a reader."""
    value = state.score if state.probability is None else state.probability
    when = state.start_time if state.state == "on" else state.end_time
    condition = "".join(c if c.isprintable() else " " for c in state.condition)
    return f"{local_time(clock, when)}  {state.state.upper():<3}  {condition}  ({value:.2f})"


def local_time(clock: UtcClock, stream_time: float) -> str:
    """The time of day where oido runs: 14:03:05."""
    return clock.at(stream_time).astimezone().strftime("%H:%M:%S")


def _value(found: Category | Event) -> float:
    return found.score if found.probability is None else found.probability


def _category(found: Category | Event) -> dict[str, Any]:
    index = found.index if isinstance(found, Category) else found.label_index
    record: dict[str, Any] = {
        "label": found.display_name,
        "label_index": index,
        "score": score_of(found.score),
    }
    if found.probability is not None:
        record["probability"] = score_of(found.probability)
    return record
