# SPDX-License-Identifier: Apache-2.0
"""CSV, JSON lines and JSON: one combined table for all recordings."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from typing import IO, Any

from oido.types import Row
from oido.writers.base import COLUMNS, score_of, seconds_of

__all__ = ["CsvWriter", "JsonLinesWriter", "JsonWriter", "record_of"]


def record_of(row: Row) -> dict[str, Any]:
    """A row as the values that are written, by column name."""
    values = row._replace(
        start_time=seconds_of(row.start_time),
        end_time=seconds_of(row.end_time),
        score=score_of(row.score),
    )._asdict()
    return {column: values[column] for column in COLUMNS}


class CsvWriter:
    """Comma-separated, with a header; an empty channel means that channels were mixed."""

    def __init__(self, stream: IO[str]) -> None:
        self._writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        self._writer.writeheader()

    def write(self, rows: Sequence[Row]) -> None:
        self._writer.writerows(record_of(row) for row in rows)

    def close(self) -> None:
        """Nothing is missing."""


class JsonLinesWriter:
    """One JSON object per row and line."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._stream.write(json.dumps(record_of(row), ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Nothing is missing."""


class JsonWriter:
    """One JSON array of row objects, a row per line."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._before = "[\n"

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._stream.write(self._before + json.dumps(record_of(row), ensure_ascii=False))
            self._before = ",\n"

    def close(self) -> None:
        self._stream.write("[]\n" if self._before == "[\n" else "\n]\n")
