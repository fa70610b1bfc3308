# SPDX-License-Identifier: Apache-2.0
"""Tables of rows, read back by an independent reader."""

from __future__ import annotations

import pytest

from oido.writers.base import ALSO, COLUMNS
from oido.writers.formats import format_named
from tests.writers.written_rows import ROWS, read_back, written


@pytest.mark.parametrize("name", ["csv", "jsonl", "json", "parquet"])
def test_tables_keep_columns_order_and_values(name: str) -> None:
    entry = format_named(name)
    table = read_back(entry, written(entry, ROWS[:1], ROWS[1:]))
    assert [tuple(row) for row in table] == [(*COLUMNS, ALSO)] * 3
    for row, expected in zip(table, ROWS):
        assert row["file"] == expected.file
        assert row["label"] == expected.label
        assert int(row["label_index"]) == expected.label_index
        assert float(row["start_time"]) == pytest.approx(expected.start_time, abs=1e-6)
        assert float(row["end_time"]) == pytest.approx(expected.end_time, abs=1e-6)
        assert float(row["score"]) == pytest.approx(expected.score, abs=1e-7)
        also = list(expected.also) if name.startswith("json") else "|".join(expected.also)
        assert row["also"] == also
        none = expected.channel is None
        assert row["channel"] in ((None, "") if none else (expected.channel, str(expected.channel)))


@pytest.mark.parametrize("name", ["csv", "jsonl", "json", "parquet"])
def test_quantised_scores_are_written_exactly(name: str) -> None:
    entry = format_named(name)
    rows = [ROWS[0]._replace(score=n / 256) for n in range(257)]
    assert [float(r["score"]) for r in read_back(entry, written(entry, rows))] == [
        n / 256 for n in range(257)
    ]
