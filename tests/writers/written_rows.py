# SPDX-License-Identifier: Apache-2.0
"""Rows as a format writes them."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from oido.types import Row
from oido.writers.formats import Format

ROWS = [
    Row("street.wav", None, 0.0, 1.6875, "Siren", 390, 0.95703125),
    Row(
        "nächte/狗, 1.wav",
        1,
        3661.5,
        3662.46,
        "Bird vocalization, bird call, bird song",
        106,
        0.5,
        None,
        ("Bird", "Animal"),
    ),
    Row("a.wav", 0, 59.9996, 60.0, 'Sound "quoted" <&>', 7, 1 / 3),
]


def written(entry: Format, *batches: list[Row]) -> bytes:
    stream: Any = io.BytesIO() if entry.binary else io.StringIO(newline="")
    writer = entry.writer(stream)
    for batch in batches:
        writer.write(batch)
    writer.close()
    value = stream.getvalue()
    return value if entry.binary else value.encode()


def read_back(entry: Format, content: bytes) -> list[dict[str, Any]]:
    text = "" if entry.binary else content.decode()
    if entry.name == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    if entry.name == "jsonl":
        return [json.loads(line) for line in text.splitlines()]
    if entry.name == "json":
        return list(json.loads(text))
    parquet = pytest.importorskip("pyarrow.parquet")
    return list(parquet.read_table(io.BytesIO(content)).to_pylist())
