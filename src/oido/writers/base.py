# SPDX-License-Identifier: Apache-2.0
"""What every writer does, and how numbers are written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime, timezone
from typing import IO, Any, Protocol

from oido.types import Row

CALIBRATED = "probability"
"""A column behind the score, where the model has a calibration."""

ALSO = "also"
"""The last column: the labels that an event stands for, with ``|`` between them."""

START_AT = "start_at"
"""Behind it, in what is read back from an archive: when the row began by the clock, in UTC."""

COLUMNS = ("file", "channel", "start_time", "end_time", "label", "label_index", "score")
"""The columns of every machine-readable table, in order (version 1)."""


_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
"""How a text begins that a spreadsheet would run, or that `quote_cell` would be mistaken for."""


def quote_cell(value: Any) -> Any:
    """A cell of CSV as a spreadsheet shows it and does not run it: ``'`` before a formula's sign.

    Numbers stay. `unquote_cell` gives every text back.
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def unquote_cell(text: str) -> str:
    """What `quote_cell` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


class CsvLines:
    """What `csv.writer` writes to, with its ``lineterminator`` left as it is: lines end in ``\\n``.

    Before Python 3.13 it quotes a carriage return only where that is part of the line's end.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        """A whole line, which is how `csv.writer` writes."""
        self._stream.write(line.removesuffix("\r\n") + "\n")


class RowWriter(Protocol):
    """Writes rows of one kind (labels or embeddings) as they come; ``close`` completes the file.

    A file with no row at all is valid too: header only, or empty where the format has no header.
    """

    def write(self, rows: Sequence[Any]) -> None:
        """Append rows."""
        ...

    def close(self) -> None:
        """Write what the format wants at the end; the stream itself stays open."""
        ...


class TextWriter:
    """Rows as text, one after the other; nothing is missing at the end."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def text(self, row: Row) -> str:
        """What is written of a row."""
        raise NotImplementedError

    def write(self, rows: Sequence[Row]) -> None:
        self._stream.write("".join(map(self.text, rows)))

    def close(self) -> None: ...


def clock_text(time: date | None) -> str | None:
    """A moment as ISO 8601, in UTC if it has a zone; None stays."""
    if isinstance(time, datetime) and time.tzinfo is not None:
        return time.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    return None if time is None else time.isoformat()


def seconds_of(time: float) -> float:
    """Seconds to the microsecond: finer than a sample, and without binary tails."""
    return round(time, 6)


def score_of(score: float) -> float:
    """Scores to 8 decimals: exact for quantised models (multiples of 1/256)."""
    return round(score, 8)
