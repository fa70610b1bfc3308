# SPDX-License-Identifier: Apache-2.0
"""Tables of any columns as CSV, JSON lines, JSON and Parquet, a batch at a time."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import IO, Any

from oido.errors import OptionError
from oido.writers.base import score_of, seconds_of

__all__ = ["FORMATS", "format_named", "plain_rows", "plain_value", "write_table"]

_SECONDS = ("start_time", "end_time")


def write_table(reader: Any, format_name: str, stream: IO[Any]) -> int:
    """Write what a ``pyarrow.RecordBatchReader`` gives; how many rows that were.

    stream: binary for Parquet, else text. Seconds and scores are written as `oido classify` writes
    them, times as ISO 8601. No row at all is a valid file with its header.
    """
    return _WRITERS[format_name](reader, stream)


def plain_rows(batch: Any) -> Iterator[list[Any]]:
    """The rows of a batch as values that any format can hold: text, numbers, lists, None."""
    columns = []
    for column, field in zip(batch.columns, batch.schema):
        plain = _plain_of(field)
        columns.append([None if value is None else plain(value) for value in column.to_pylist()])
    yield from map(list, zip(*columns))


def _csv(reader: Any, stream: IO[str]) -> int:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(reader.schema.names)
    count = 0
    for batch in reader:
        count += batch.num_rows
        for row in plain_rows(batch):
            writer.writerow([json.dumps(v) if isinstance(v, (list, dict)) else v for v in row])
    return count


def _json_lines(reader: Any, stream: IO[str]) -> int:
    count = 0
    for line in _objects(reader):
        stream.write(line + "\n")
        count += 1
    return count


def _json(reader: Any, stream: IO[str]) -> int:
    count = 0
    for line in _objects(reader):
        stream.write(("[\n" if count == 0 else ",\n") + line)
        count += 1
    stream.write("\n]\n" if count else "[]\n")
    return count


def _objects(reader: Any) -> Iterator[str]:
    names = reader.schema.names
    for batch in reader:
        for row in plain_rows(batch):
            yield json.dumps(dict(zip(names, row)), ensure_ascii=False)


def _parquet(reader: Any, stream: IO[bytes]) -> int:
    import pyarrow.parquet

    count = 0
    with pyarrow.parquet.ParquetWriter(stream, reader.schema, compression="zstd") as writer:
        for batch in reader:
            count += batch.num_rows
            writer.write_batch(batch)
    return count


_WRITERS: dict[str, Callable[[Any, IO[Any]], int]] = {
    "csv": _csv,
    "jsonl": _json_lines,
    "json": _json,
    "parquet": _parquet,
}
FORMATS = tuple(_WRITERS)
"""The names of the formats."""


def _plain_of(field: Any) -> Callable[[Any], Any]:
    """How values of a column are written."""
    if field.name in _SECONDS and str(field.type) == "double":
        return seconds_of
    return score_of if str(field.type) == "float" else plain_value


def plain_value(value: Any) -> Any:
    """A value, whatever it holds, as JSON can have it; times are ISO 8601."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, date):  # a datetime is one, too
        return _iso(value)
    if isinstance(value, (list, tuple)):
        return [plain_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain_value(item) for key, item in value.items()}
    return value if value is None or isinstance(value, (str, int)) else str(value)


def _iso(value: date) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    return value.isoformat()


def format_named(name: str) -> str:
    """The name as it is known here. Raises OptionError naming all."""
    if name.strip().lower() in FORMATS:
        return name.strip().lower()
    raise OptionError(f"there is no format {name!r} of tables; choose from {', '.join(FORMATS)}")
