# SPDX-License-Identifier: Apache-2.0
"""CSV, JSON lines and JSON: one combined table for all recordings."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from typing import IO, Any

from oido.types import Row
from oido.writers.base import CALIBRATED, COLUMNS, score_of, seconds_of

__all__ = ["CsvWriter", "JsonLinesWriter", "JsonWriter", "record_of"]


def record_of(row: Row, calibrated: bool = False) -> dict[str, Any]:
    """A row as the values that are written, by column name."""
    values = row._replace(
        start_time=seconds_of(row.start_time),
        end_time=seconds_of(row.end_time),
        score=score_of(row.score),
        probability=None if row.probability is None else score_of(row.probability),
    )._asdict()
    return {column: values[column] for column in _columns(calibrated)}


def _columns(calibrated: bool) -> tuple[str, ...]:
    return (*COLUMNS, CALIBRATED) if calibrated else COLUMNS


class CsvWriter:
    """Comma-separated, with a header; an empty channel means that channels were mixed."""

    def __init__(self, stream: IO[str], calibrated: bool = False) -> None:
        self._calibrated = calibrated
        self._writer = csv.DictWriter(stream, _columns(calibrated), lineterminator="\n")
        self._writer.writeheader()

    def write(self, rows: Sequence[Row]) -> None:
        self._writer.writerows(record_of(row, self._calibrated) for row in rows)

    def close(self) -> None:
        """Nothing is missing."""


class JsonLinesWriter:
    """One JSON object per row and line."""

    def __init__(self, stream: IO[str], calibrated: bool = False) -> None:
        self._stream, self._calibrated = stream, calibrated

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            record = record_of(row, self._calibrated)
            self._stream.write(json.dumps(record, ensure_ascii=False) + "\n")

    def close(self) -> None:
        """Nothing is missing."""


class JsonWriter:
    """One JSON array of row objects, a row per line."""

    def __init__(self, stream: IO[str], calibrated: bool = False) -> None:
        self._stream, self._calibrated = stream, calibrated
        self._before = "[\n"

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            record = record_of(row, self._calibrated)
            self._stream.write(self._before + json.dumps(record, ensure_ascii=False))
            self._before = ",\n"

    def close(self) -> None:
        self._stream.write("[]\n" if self._before == "[\n" else "\n]\n")
