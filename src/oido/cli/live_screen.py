# SPDX-License-Identifier: Apache-2.0
"""The terminal view of `oido listen`: level, bars, last events; 80 × 24 is enough."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import deque
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from oido.cli.live_output import (
    HopWatch,
    event_line,
    gap_line,
    hop_sentence,
    printable,
    trigger_line,
    value_of,
)
from oido.cli.tables import bar_text
from oido.cli.terminal import print_message, silence_stderr
from oido.events.selection import Selector
from oido.live.monitor import LiveUpdate
from oido.live.source import SourceGap, UtcClock
from oido.signal.level import level_db

__all__ = ["Screen", "can_draw"]

_DRAW_SECONDS = 0.1
_KEPT_LINES = 200
_FALL = 0.6
"""A bar falls to this share of its height with each window, so that short sounds can be read."""

_LOWEST_DB = -60.0
_RESERVED_ROWS = 6  # title, level, two blank lines, heading of the events, notice


class Screen:
    """Draws on the terminal's other page, which leaves what was there as it was.

    top: how many labels have a bar. title: of the first line.
    """

    def __init__(
        self, title: str, clock: UtcClock, selector: Selector, hop_seconds: float, top: int
    ) -> None:
        self._title, self._clock, self._selector, self._top = printable(title), clock, selector, top
        self._hop = HopWatch(hop_seconds)
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

    def open(self) -> None:
        """Turn to the other page."""
        if os.name == "nt":
            os.system("")  # makes the console of Windows 10 and later read escape sequences
        # Whatever a library prints there would stand in the middle of the page.
        self._hush.enter_context(silence_stderr())
        self._is_open = True
        self._write("\x1b[?1049h\x1b[?25l")
        self.draw()

    def close(self) -> None:
        """Turn back, and print one line of summary."""
        if self._is_open:
            self._is_open = False
            self._hush.close()
            self._write("\x1b[?25h\x1b[?1049l")
            minutes, seconds = divmod(int(self._seconds), 60)
            self._write(f"{self._title}: {minutes}:{seconds:02d} heard, {self._n_events} events\n")

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
        if (hop := self._hop.change(update)) is not None:
            self.on_message(hop_sentence(hop))
        if update.values is not None:
            self._bars = {i: v * _FALL for i, v in self._bars.items() if v * _FALL > 0.01}
            now = self._selector.categories(update.scores, self._top)  # type: ignore[arg-type]
            for category in now:
                before = self._bars.get(category.index, 0.0)
                self._bars[category.index] = max(value_of(category), before)
        self._lines += [event_line(self._clock, event) for event in update.events]
        self._n_events += len(update.events)
        self._lines += [trigger_line(self._clock, state) for state in update.triggers]
        if self._is_open:
            self.draw()

    def gap(self, gap: SourceGap) -> None:
        """A gap stands among the events."""
        self._lines.append(gap_line(self._clock, gap))

    def on_message(self, sentence: str) -> None:
        """The last sentence stays on the last line; before and after, they go to standard error."""
        if self._is_open:
            self._notice = printable(sentence)
        else:
            print_message(sentence)

    def draw(self) -> None:
        """All of it anew, in one write."""
        self._drawn = time.monotonic()
        size = shutil.get_terminal_size((80, 24))
        lines = self.lines(size.columns, size.lines)
        text = "\x1b[H" + "\r\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J"
        self._write(text)

    def lines(self, columns: int, rows: int) -> list[str]:
        """The page as at most ``rows`` lines of at most ``columns`` characters."""
        minutes, seconds = divmod(int(self._seconds), 60)
        clock = f"{minutes}:{seconds:02d}"
        width = max(1, columns - 1)  # the last cell of a line makes some terminals go on
        title = self._title[: max(0, width - len(clock) - 1)]
        page = [f"{title:<{max(0, width - len(clock))}}{clock}", self._level_line(width), ""]
        most_bars = max(1, min(self._top, (rows - _RESERVED_ROWS) // 2 + 1))
        bars = sorted(self._bars.items(), key=lambda bar: -bar[1])[:most_bars]
        page += [self._bar_line(index, value, width) for index, value in bars]
        page += [""] * (most_bars - len(bars) + 1)
        left = rows - len(page) - 2
        if left > 0:
            page.append("time of day  lasted  score")
            last = list(self._lines)[-left:]
            page += last + [""] * (left - len(last))
        page.append(self._notice or "Ctrl-C ends")
        return [printable(line)[:width] for line in page[:rows]]

    def _bar_line(self, index: int, value: float, width: int) -> str:
        name = self._selector.display_names[index]
        cells = max(4, min(30, width // 3))
        return f"{bar_text(value, cells)} {value:.2f}  {name}"

    def _level_line(self, width: int) -> str:
        rms, peak = self._level
        cells = max(4, min(30, width // 3))
        share = (rms - _LOWEST_DB) / -_LOWEST_DB
        clipped = "  too loud: it is clipped" if peak > -0.1 else ""
        return f"{bar_text(share, cells)} {rms:4.0f} dB  peak {peak:.0f} dB{clipped}"

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


def can_draw() -> bool:
    """Whether standard output is a terminal that can be drawn on."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
