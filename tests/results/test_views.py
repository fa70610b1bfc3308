# SPDX-License-Identifier: Apache-2.0
"""The views over parts: the same rows, however DuckDB is told to open them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from pyarrow.parquet import read_schema

from oido.batch.arrow_rows import schemas
from oido.results import Results
from oido.results.views import TABLES, alike, rows_of, with_times
from tests.results.results_folders import FolderMaker, event, recording


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, list[str]]:
    """Of four commits; the first, and the third, as version 0.1.0 wrote it."""
    maker = FolderMaker(tmp_path / "results")
    found: dict[str, list[str]] = {"events": [], "recordings": []}
    for number in range(4):
        maker.has_also = number % 2 == 1
        name = f"{number}.wav"
        rows = [event(name, 2.0, 3.0, "Dog", 0.5), event(name, 0.0, 1.0, "Cat", 0.25)]
        paths = maker.commit({"events": rows, "recordings": [recording(name, 60.0)]})
        for table, path in zip(found, paths):
            found[table].append(str(maker.folder / path))
    return found


@pytest.mark.parametrize("table", ["events", "recordings"])
@pytest.mark.parametrize("n_parts", [1, 4])
def test_rows_and_columns_are_the_same_opened_at_once_or_one_by_one(
    parts: dict[str, list[str]], table: str, n_parts: int
) -> None:
    paths = parts[table][:n_parts]
    by_groups = duckdb.sql(rows_of(table, paths, False, read_schema))
    at_once = duckdb.sql(rows_of(table, paths, False, None))
    assert (by_groups.columns, by_groups.types) == (at_once.columns, at_once.types)
    assert by_groups.fetchall() == at_once.fetchall()
    assert set(by_groups.columns) >= set(TABLES[table])


def test_parts_of_the_same_columns_are_one_group_and_keep_their_order(
    parts: dict[str, list[str]], tmp_path: Path
) -> None:
    a, b, c, d = parts["events"]
    assert alike([a, c, b, d], read_schema) == [[a, c], [b, d]]
    assert alike([a, b, c], read_schema) == [[a], [b], [c]]
    assert alike([], read_schema) == []
    Path(b).write_bytes(b"PAR1 and no more")
    assert alike([a, b, str(tmp_path / "gone"), c], read_schema) == [
        [a],
        [b],
        [str(tmp_path / "gone")],
        [c],
    ]
    assert alike([a, d] * 20, read_schema) is None


@pytest.mark.parametrize("table", list(TABLES))
def test_a_table_without_parts_is_typed_and_empty(table: str) -> None:
    for calibrated in (False, True):
        rows = duckdb.sql(rows_of(table, [], calibrated, read_schema))
        assert set(TABLES[table]) <= set(rows.columns)
        assert ("probability" in rows.columns) == (calibrated and "score" in TABLES[table])
        assert rows.fetchall() == []


def test_times_are_added_at_the_end_for_those_who_want_them() -> None:
    source = rows_of("events", [], False, read_schema)
    assert with_times("events", source, False) == source
    duckdb_here = duckdb.connect()
    duckdb_here.execute("CREATE TABLE clock (file VARCHAR, recorded_at TIMESTAMPTZ, time_from INT)")
    timed = duckdb_here.sql(with_times("events", source, True))
    assert timed.columns == [*duckdb_here.sql(source).columns, "start_at"]


def test_an_empty_archive_has_all_columns_of_recordings(tmp_path: Path) -> None:
    with Results(str(FolderMaker(tmp_path / "results").folder)) as results:
        columns = results.sql("SELECT * FROM recordings").schema.names
    assert set(columns) >= set(schemas(calibrated=False)["recordings"].names)
