# SPDX-License-Identifier: Apache-2.0
"""Rows on standard output: as a table to read, or in a machine's format."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import IO, Any

from oido.batch.output_files import Sink
from oido.batch.plan import FileSummary, Task
from oido.cli.terminal import data_output, print_line, print_styled, use_utf8
from oido.messages import recognised, shown, tr
from oido.models.labels import label_text
from oido.options import Level
from oido.paths import escape_controls
from oido.types import AnyRow, Row
from oido.writers.base import RowWriter
from oido.writers.formats import Format

_BAR_CELLS = 20
_TIMES_CELLS = len("12:34.56 – 12:34.56")


class StandardOutput(Sink):
    """Rows in one format, for the next program of a pipe."""

    def __init__(self, entry: Format) -> None:
        super().__init__()
        self._stream: IO[Any] = sys.stdout.buffer if entry.binary else data_output()
        if not entry.binary:
            use_utf8(newline="")
        self._writer: RowWriter = entry.writer(self._stream)

    def write(self, task: Task, rows: Sequence[AnyRow]) -> None:
        self._writer.write(rows)

    def end(self, task: Task, summary: FileSummary) -> None:
        self._stream.flush()

    def commit(self) -> None:
        self._writer.close()


class Table(Sink):
    """Rows for a reader: times, a bar, the score, the label.

    several: name each recording before its rows. calibrated: show probabilities instead of scores.
    """

    def __init__(self, several: bool, level: Level, calibrated: bool = False) -> None:
        super().__init__()
        self._several, self._level = several, level
        self._meaning = shown(tr("probability") if calibrated else tr("score, not a probability"))
        self._heading: tuple[str, int | None] | None = None
        self._rows, self._shows_unknown = 0, False

    def write(self, task: Task, rows: Sequence[AnyRow]) -> None:
        for row in rows:
            assert isinstance(row, Row)
            if (row.file, row.channel) != self._heading:
                self._head(row.file, row.channel)
            times = f"{_clock(row.start_time)} – {_clock(row.end_time)}".ljust(_TIMES_CELLS)
            value = row.score if row.probability is None else row.probability
            bar = bar_text(value)
            filled = len(bar.rstrip("·."))
            print_styled(
                (f"{times}  ", ""),
                (bar[:filled], "cyan"),
                (bar[filled:], "dim"),
                (f" {value:.2f}  ", ""),
                (label_text(row.label), "bold"),
            )
            self._rows += 1
            self._shows_unknown = self._shows_unknown or row.label_index < 0

    def end(self, task: Task, summary: FileSummary) -> None:
        if not self._rows and summary.failure is None:
            self._head(task.name, None)
            print(shown(tr("(nothing above the threshold; try a lower --threshold, or --clip)")))
        if summary.unknown and summary.failure is None:
            print(
                shown(
                    tr("(unlike everything that this model was taught: what it says means little)")
                )
            )
        elif summary.unknown_stretches and not self._shows_unknown:
            n = summary.unknown_stretches
            sounds = tr("1 sound is") if n == 1 else tr("{n} sounds are", n=n)
            print(
                shown(
                    tr(
                        "({sounds} unlike everything that this model was taught; "
                        "--unknown lists them)",
                        sounds=sounds,
                    )
                )
            )
        self._rows, self._shows_unknown = 0, False
        sys.stdout.flush()

    def _head(self, file: str, channel: int | None) -> None:
        if self._several:
            first = self._heading is None
            number = "" if channel is None else tr(", channel {channel}", channel=channel)
            if not first:
                print()
            print_line(tr("{file}{number}", file=file, number=number))
        if self._heading is None or self._several:
            times, what = shown(tr("start – end")), shown(_WHATS[self._level])
            head = f"{times:<{_TIMES_CELLS}}  {self._meaning:<{_BAR_CELLS + 5}}  {what}"
            print_styled((head, "dim"))
        self._heading = (file, channel)


_WHATS: dict[Level, str] = {
    "events": tr("event"),
    "windows": tr("window"),
    "frames": tr("frame"),
    "clip": tr("recording"),
}


def bar_text(share: float, cells: int = _BAR_CELLS) -> str:
    """A share from 0 to 1 as a bar."""
    full = round(min(max(share, 0.0), 1.0) * cells)
    mark, rest = "█", "·"
    try:
        (mark + rest).encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        mark, rest = "#", "."
    return mark * full + rest * (cells - full)


def _clock(time: float) -> str:
    """Hours only where there are any: 0:03.21, 12:59.00, 3:01:07.50."""
    hundredths = round(time * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 100:02d}.{rest % 100:02d}"
    return f"{hours}:{minutes:02d}:{seconds}" if hours else f"{minutes}:{seconds}"


_READ_AS: dict[str, Callable[[str], str]] = {
    "label": lambda label: shown(label_text(label)),
    "also": lambda labels: "|".join(shown(label_text(label)) for label in labels.split("|")),
    "failure_reason": recognised,
}
"""What is stored in English, as people read it, by its column."""

_WIDEST = 60
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def show_table(
    table: Any, every_column: bool, head: Callable[[str], str] = lambda name: name
) -> None:
    """Print a ``pyarrow.Table``, numbers to the right.

    every_column: also those in which nothing stands, and the labels' numbers; else they are left
    out, because they take the room of the others. head: what stands over a column.
    """
    from oido.writers.query_tables import plain_rows

    rows = [row for batch in table.to_batches() for row in plain_rows(batch)]
    names = list(table.schema.names)
    kept = list(range(len(names)))
    if not every_column:
        empty = [bool(rows) and all(row[n] is None for row in rows) for n in kept]
        kept = [n for n in kept if not empty[n] and names[n] != "label_index"]
    cells = [[_cell(names[n], row[n]) for n in kept] for row in rows]
    heads = [escape_controls(head(names[n])) for n in kept]
    widths = [max(map(len, column)) for column in zip(heads, *cells)]
    numbers = [any(isinstance(row[n], (int, float)) for row in rows) for n in kept]
    for line in (heads, *cells):
        texts = (
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(line, widths, numbers)
        )
        print_line("  ".join(texts).rstrip())
    if not rows:
        print(shown(tr("(no row)")))


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}" if name.endswith("_time") else f"{value:.4g}"
    text = escape_controls(_READ_AS.get(name, str)(str(value)))
    if _TIME.fullmatch(text):
        return text[:19].replace("T", " ")  # to the second, as every time here is in UTC
    if len(text) <= _WIDEST:
        return text
    # The end of a path matters most; of other texts, the beginning.
    if name in ("file", "location"):
        return "…" + text[1 - _WIDEST :]
    return text[: _WIDEST - 1] + "…"
