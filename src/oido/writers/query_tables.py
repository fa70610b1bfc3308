# SPDX-License-Identifier: Apache-2.0
"""Tables of any columns as CSV, JSON lines, JSON and Parquet, a batch at a time."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import IO, Any

from oido.errors import OptionError
from oido.messages import tr
from oido.writers.base import CsvLines, clock_text, quote_cell, score_of, seconds_of

_SECONDS = ("start_time", "end_time")


def write_table(reader: Any, format_name: str, stream: IO[Any], *, quoted: bool = False) -> int:
    """Write what a ``pyarrow.RecordBatchReader`` gives; how many rows that were.

    stream: binary for Parquet, else text. Seconds and scores are written as `oido classify` writes
    them, times as ISO 8601. quoted: of CSV, texts that a spreadsheet would run are quoted. No
    row at all is a valid file with its header.
    """
    count = 0

    def batches() -> Iterator[Any]:
        nonlocal count
        for batch in reader:
            count += batch.num_rows
            yield batch

    write = partial(_csv, quoted=quoted) if format_name == "csv" else _WRITERS[format_name]
    write(batches(), reader.schema, stream)
    return count


def plain_rows(batch: Any, *, days: bool = False) -> Iterator[list[Any]]:
    """The rows of a batch as values that any format can hold: text, numbers, lists, None.

    days: dates stay dates.
    """
    columns = []
    for column, field in zip(batch.columns, batch.schema):
        plain, values = _plain_of(field), column.to_pylist()
        if not days or not str(field.type).startswith("date"):
            values = [None if value is None else plain(value) for value in values]
        columns.append(values)
    yield from map(list, zip(*columns))


def _csv(batches: Iterator[Any], schema: Any, stream: IO[str], quoted: bool = False) -> None:
    writer = csv.writer(CsvLines(stream))
    rows = chain.from_iterable(map(plain_rows, batches))
    for row in chain([schema.names], rows):
        cells = [json.dumps(v) if isinstance(v, (list, dict)) else v for v in row]
        writer.writerow(map(quote_cell, cells) if quoted else cells)


def _json_lines(batches: Iterator[Any], schema: Any, stream: IO[str]) -> None:
    for line in _objects(batches, schema):
        stream.write(line + "\n")


def _json(batches: Iterator[Any], schema: Any, stream: IO[str]) -> None:
    before = "[\n"
    for line in _objects(batches, schema):
        stream.write(before + line)
        before = ",\n"
    stream.write("[]\n" if before == "[\n" else "\n]\n")


def _objects(batches: Iterator[Any], schema: Any) -> Iterator[str]:
    for row in chain.from_iterable(map(plain_rows, batches)):
        yield json.dumps(dict(zip(schema.names, row)), ensure_ascii=False)


def _parquet(batches: Iterator[Any], schema: Any, stream: IO[bytes]) -> None:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)


_WRITERS: dict[str, Callable[[Iterator[Any], Any, IO[Any]], None]] = {
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
        return partial(_rounded, seconds_of)
    return partial(_rounded, score_of) if str(field.type) == "float" else plain_value


def _rounded(rounding: Callable[[float], float], value: float) -> float | None:
    return rounding(value) if math.isfinite(value) else None


def plain_value(value: Any) -> Any:
    """A value, whatever it holds, as JSON can have it; times are ISO 8601."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, date):  # a datetime is one, too
        return clock_text(value)
    if isinstance(value, (list, tuple)):
        return [plain_value(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain_value(item) for key, item in value.items()}
    return value if value is None or isinstance(value, (str, int)) else str(value)


def format_named(name: str) -> str:
    """The name as it is known here. Raises OptionError naming all."""
    if name.strip().lower() in FORMATS:
        return name.strip().lower()
    raise OptionError(
        tr(
            "there is no format {name!r} of tables; choose from {formats}",
            name=name,
            formats=", ".join(FORMATS),
        )
    )
