# SPDX-License-Identifier: Apache-2.0
"""The results in DuckDB: only read, only these, and every mistake told in a sentence."""

from __future__ import annotations

import random
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.batch.results_folder import read_folder
from oido.cli import query as cli_query
from oido.errors import DamagedResultsError, MissingExtraError, OidoError, OptionError
from oido.results import Clock, Results, database
from oido.results.database import Database
from oido.results.query_text import quoted
from oido.results.views import TABLES
from tests.results.results_folders import FolderMaker, event, recording, run


@pytest.fixture
def folder(tmp_path: Path) -> FolderMaker:
    """Three recordings in three commits; the parts lie in another order than the names."""
    maker = FolderMaker(tmp_path / "results")
    for name in ("b/20231015_063000.WAV", "a/20231014_235900.WAV", "c/none.wav"):
        rows = [event(name, 5.5, 6.0, "Dog", 0.75), event(name, 1.0, 2.0, "Cat", 0.25)]
        maker.commit({"recordings": [recording(name, 60.0)], "events": rows})
    return maker


def place(folder: FolderMaker) -> str:
    return str(folder.folder)


@pytest.mark.parametrize(
    "query",
    [
        "copy events to '{0}/stolen.csv'",
        "copy events to '{0}/events/00000001.parquet' (format parquet, use_tmp_file false)",
        "with a as (copy (select 1) to '{0}/events/00000001.parquet' "
        "(format parquet, use_tmp_file false)) select * from a",
        "with a as (insert into clock values ('a', null, null) returning *) select * from a",
        "select * from (with a as (delete from clock returning *) select * from a)",
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('{0}/oido-archive.json')",
        "select * from '{0}/recordings/other.parquet'",
        "select * from glob('/*')",
        "attach '{0}/other.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "reset allowed_paths",
        "create table t (a int)",
        "drop view events",
        "export database '{0}/export'",
        "pragma database_list",
        "call pragma_version()",
        "explain analyze copy events to '{0}/stolen.csv'",
        "select 1; select 2",
        "select * from secret_frame",
        "",
    ],
)
def test_a_query_only_reads_and_only_the_results(folder: FolderMaker, query: str) -> None:
    secret_frame = pyarrow.table({"a": [1]})
    assert secret_frame.num_rows == 1
    folder.write_part("recordings/other.parquet", "recordings", [recording("x.wav", 1.0)])
    before = {p: p.read_bytes() for p in folder.folder.rglob("*") if p.is_file()}
    with Results(place(folder)) as results:
        clock = results.recordings().to_pylist()
        with pytest.raises(OptionError) as caught:
            results.sql(query.format(folder.folder))
        assert results.recordings().to_pylist() == clock
    assert "\n" not in str(caught.value)
    assert {p: p.read_bytes() for p in folder.folder.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("select nope from events", r'no column "nope"; events has the columns file, channel'),
        ("select * from evnts", r"evnts does not exist.*the tables are events, windows"),
        ("selec 1", r'syntax error at or near "selec"'),
        ("select cast('x' as int)", "Could not convert string 'x'"),
        ("select sqrt('a') from events", "cannot be answered|Could not"),
    ],
)
def test_mistakes_are_told_in_a_sentence(folder: FolderMaker, query: str, says: str) -> None:
    with Results(place(folder)) as results, pytest.raises(OptionError, match=says) as caught:
        results.sql(query)
    assert "\n" not in str(caught.value)


def test_several_readers_at_once(folder: FolderMaker) -> None:
    folder.commit({"events": [event("d.wav", float(n), n + 1.0, "Dog") for n in range(30_000)]})
    with Results(place(folder)) as results:
        first, second = results.batches("events"), results.batches("events", "label = 'Dog'")
        counts = [0, 0]
        for a, b in zip(first, second):
            counts[0] += a.num_rows
            counts[1] += b.num_rows
            assert results.sql("select 1 as one")["one"].to_pylist() == [1]
        assert min(counts) > 20_000


def test_a_folder_behind_a_url(folder: FolderMaker) -> None:
    store = fsspec.filesystem("memory")
    store.put(place(folder), "/bucket/results", recursive=True)
    try:
        with Results("memory://bucket/results") as remote, Results(place(folder)) as local:
            assert remote.events() == local.events()
            with pytest.raises(OptionError, match="reads the results and nothing else"):
                remote.sql("select * from read_text('memory://bucket/results/oido-archive.json')")
    finally:
        store.rm("/bucket", recursive=True)


def test_a_part_that_is_damaged_or_gone(folder: FolderMaker) -> None:
    part = folder.folder / "events" / "00000002.parquet"
    content = part.read_bytes()
    for damaged in (content[:100], content[:-100], b"", None):
        part.write_bytes(damaged) if damaged is not None else part.unlink()
        with (
            pytest.raises(
                DamagedResultsError, match=r"cannot be read .*if a run is writing there, try again"
            ),
            Results(place(folder)) as results,
        ):
            results.events()


def test_a_bit_that_flips_never_gives_other_rows(heard: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(heard, tmp_path / "out"))
    chance = random.Random(0)
    parts = [part for part in read_folder(str(out)).live if part.table in TABLES]
    assert {part.table for part in parts} == set(TABLES)
    for part in parts * 3:
        content = (out / part.path).read_bytes()
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        (out / part.path).write_bytes(flipped)
        for query in (f"select * from {part.table}", f'FROM "{part.table.upper()}" LIMIT 1'):
            with (
                pytest.raises(
                    OidoError, match=r"results cannot be read.* or else say `oido batch verify"
                ),
                Results(str(out)) as results,
            ):
                results.sql(query)
        (out / part.path).write_bytes(content)
    with Results(str(out)) as results:
        assert results.events().num_rows > 0


def test_only_what_a_query_names_is_compared_and_what_is_damaged_can_be_read(
    heard: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(heard, tmp_path / "out"))
    with Results(str(out)) as results:
        rows = results.events().num_rows
    part = next(part for part in read_folder(str(out)).live if part.table == "events")
    content = (out / part.path).read_bytes()
    # The name of the program that wrote it: a change that costs no row.
    (out / part.path).write_bytes(content.replace(b"parquet-cpp-arrow", b"parquet-cpp-arroW"))
    assert (out / part.path).read_bytes() != content
    with Results(str(out)) as results:
        assert results.windows().num_rows > 0
        with pytest.raises(DamagedResultsError, match=r"events/.*--repair.*--unchecked"):
            results.events()
    with Results(str(out), is_checked=False) as results:
        assert results.sql("select label from events").num_rows == rows
    assert run(cli_query, str(out), "--table", "windows") == 0
    with pytest.raises(DamagedResultsError):
        run(cli_query, str(out), "--format", "csv")
    assert run(cli_query, str(out), "--columns", "label", "--format", "csv", "--unchecked") == 0


@pytest.mark.parametrize(
    "above",
    ["label=Dog", "score=1", "file=x/channel=3", "date=2026-01-01", "tags=a/duration=7/label=Dog"],
)
def test_folders_above_do_not_overwrite_columns(
    folder: FolderMaker, tmp_path: Path, above: str
) -> None:
    """DuckDB takes a folder called key=value for a column, if it is not kept from it."""
    shutil.copytree(folder.folder, tmp_path / above / "results")
    with Results(place(folder)) as plain, Results(str(tmp_path / above / "results")) as below:
        for table in TABLES:
            assert below.columns(table) == plain.columns(table)
            assert below.batches(table).read_all().equals(plain.batches(table).read_all())


def test_names_with_quotes(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "o'hara's \"results\"")
    maker.commit({"events": [event("it's.wav", 0.0, 1.0, "Child speech, kid's")]})
    with Results(str(maker.folder)) as results:
        assert results.events("label = 'Child speech, kid''s'").num_rows == 1


def test_without_duckdb_the_extra_is_named(
    folder: FolderMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(MissingExtraError, match=re.escape("pip install 'oido[archive]'")):
        Results(place(folder))


def test_the_temporary_folder_goes(folder: FolderMaker, monkeypatch: Any, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with Results(place(folder)) as results:
        assert len(list(scratch.iterdir())) == 1
        assert results.events().num_rows == 6
    assert not list(scratch.iterdir())
    shutil.rmtree(folder.folder / "events")
    with pytest.raises(OidoError):
        Results(place(folder))
    assert not list(scratch.iterdir())


@given(text=st.text(max_size=40))
def test_any_text_is_a_string_of_sql(text: str) -> None:
    """DuckDB itself reads it back."""
    if "\0" not in text:
        assert duckdb.sql(f"SELECT {quoted(text)} AS t").fetchall() == [(text,)]


def test_views_have_the_columns_that_are_promised(folder: FolderMaker) -> None:
    with Database(read_folder(place(folder)), Clock()) as database:
        for table, columns in TABLES.items():
            times = ("recorded_at", "time_from") if table == "recordings" else ("start_at",)
            assert set(columns) <= set(database.columns[table])
            assert database.columns[table][-len(times) :] == times
        assert database.table("select count(*) n from events").to_pylist() == [{"n": 6}]
    with Database(read_folder(place(folder)), None) as database:
        assert "start_at" not in database.columns["events"]


def test_a_damaged_name_of_a_column_is_one_sentence(folder: FolderMaker) -> None:
    part = folder.folder / "events" / "00000001.parquet"
    part.write_bytes(part.read_bytes().replace(b"score", b"sc\xffre"))
    with pytest.raises(OidoError, match=r"oido batch verify"), Results(place(folder)) as results:
        results.events("score > 0")


def test_what_little_memory_cannot_hold_is_sorted_on_disk_or_gets_more(
    folder: FolderMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        rows = [event(f"{number}.wav", 1.0 * n, n + 1.0, "Dog" * 30, 0.5) for n in range(2_000)]
        folder.commit({"events": rows[::-1]})
    # Some 120 MB of texts that must be held at once.
    held = "SELECT len(list(repeat(CAST(i AS VARCHAR), 50))) AS n FROM range(400000) AS t(i)"
    ordered = "SELECT * FROM events ORDER BY label, start_time, file"
    with Results(place(folder)) as results:
        expected = results.sql(ordered)
        assert results.sql(held)["n"].to_pylist() == [400_000]
        assert results._database._larger == []
    monkeypatch.setattr(database, "_LEAST_MB", 40)
    monkeypatch.setattr(database, "_MB_OF_A_THREAD", 1)
    with Results(place(folder)) as results:
        assert results.sql(ordered).equals(expected)
        assert results._database._larger == []
        assert results.sql(held)["n"].to_pylist() == [400_000]
        assert len(results._database._larger) == 1
        monkeypatch.setattr(database, "_MOST_MB", 40)
    with Results(place(folder)) as results, pytest.raises(OptionError, match="cannot be answered"):
        results.sql(held)
