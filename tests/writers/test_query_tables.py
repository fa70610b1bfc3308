# SPDX-License-Identifier: Apache-2.0
"""Tables of any columns in each format, read back, with values of every kind."""

from __future__ import annotations

import csv
import io
import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oido.errors import OptionError
from oido.writers.query_tables import FORMATS, format_named, plain_rows, write_table

TABLE = pa.table(
    {
        "file": pa.array(['nächte/"狗", 1.wav', None], pa.string()),
        "start_time": pa.array([0.1 + 0.2, 3661.5], pa.float64()),
        "score": pa.array([1 / 3, 0.95703125], pa.float32()),
        "number": pa.array([1, None], pa.int64()),
        "embedding": pa.array([[0.5, -1.0], []], pa.list_(pa.float32())),
    }
)


def written(table: Any, name: str, rows: int = 1) -> bytes:
    stream: Any = io.BytesIO() if name == "parquet" else io.StringIO(newline="")
    batches = table.to_batches(max_chunksize=rows)
    reader = pa.RecordBatchReader.from_batches(table.schema, batches)
    assert write_table(reader, name, stream) == table.num_rows
    value = stream.getvalue()
    return value if name == "parquet" else value.encode()


def read_back(content: bytes, name: str) -> list[dict[str, Any]]:
    if name == "parquet":
        return list(pq.read_table(io.BytesIO(content)).to_pylist())
    text = content.decode()
    if name == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    lines = json.loads(text) if name == "json" else map(json.loads, text.splitlines())
    return list(lines)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("rows", [1, 100])
def test_every_format_holds_every_row(name: str, rows: int) -> None:
    first, second = read_back(written(TABLE, name, rows), name)
    assert first["file"] == 'nächte/"狗", 1.wav'
    assert second["file"] in (None, "")
    assert float(first["start_time"]) == pytest.approx(0.3, abs=1e-6)
    assert float(second["score"]) == 0.95703125  # a quantised score is exact
    vector = first["embedding"]
    assert (json.loads(vector) if name == "csv" else vector) == [0.5, -1.0]


@pytest.mark.parametrize("name", FORMATS)
def test_no_row_at_all_is_a_valid_file(name: str) -> None:
    content = written(TABLE.slice(0, 0), name)
    assert read_back(content, name) == []
    if name == "csv":
        assert content.decode() == "file,start_time,score,number,embedding\n"


def plain(values: list[Any], kind: Any = None) -> list[Any]:
    (batch,) = pa.table({"value": pa.array(values, kind)}).to_batches()
    found = [row[0] for row in plain_rows(batch)]
    json.dumps(found, allow_nan=False)
    return found


def test_values_of_every_kind_are_plain() -> None:
    madrid = timezone(timedelta(hours=2))
    moment = datetime(2026, 5, 1, 14, 0, 0, 120_000, tzinfo=madrid)
    assert plain([moment], pa.timestamp("us", "Europe/Madrid")) == ["2026-05-01T12:00:00.120000Z"]
    assert plain([datetime(2026, 5, 1, 14)]) == ["2026-05-01T14:00:00"]
    assert plain([date(2026, 5, 1)]) == ["2026-05-01"]
    assert plain([float("nan"), float("inf"), 0.25]) == [None, None, 0.25]
    assert plain([Decimal("12.50"), Decimal("7.00")]) == [12.5, 7]
    assert plain([True, None]) == [True, None]
    assert plain([{"a": Decimal(1), "b": [date(2026, 5, 1)]}]) == [{"a": 1, "b": ["2026-05-01"]}]
    assert plain([timedelta(seconds=90)]) == ["0:01:30"]
    assert plain([b"bytes"]) == ["b'bytes'"]


def test_a_score_that_is_no_number_is_none_too() -> None:
    assert plain([float("nan"), 0.5], pa.float32()) == [None, 0.5]
    (batch,) = pa.table({"start_time": pa.array([float("inf"), 1.5])}).to_batches()
    found = [row[0] for row in plain_rows(batch)]
    assert found == [None, 1.5]


def test_formats_by_their_names() -> None:
    assert format_named(" CSV ") == "csv"
    with pytest.raises(OptionError, match="choose from csv, jsonl, json, parquet"):
        format_named("xml")
