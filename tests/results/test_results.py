# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import re
import shutil
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow.parquet
import pytest

from oido import AudioClassifier
from oido.errors import MissingExtraError, OidoError, OptionError, UnknownLabelError
from oido.results import Clock, Results
from tests.results.results_folders import FolderMaker, event, recording

UTC = timezone.utc


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


def test_rows_of_a_real_run_are_what_the_classifier_says(
    heard: Path, classifier: AudioClassifier
) -> None:
    with Results(str(heard)) as results:
        table = results.events("file like '%063000%'").to_pylist()
        windows = results.windows("file like '%063000%' and start_time = 0.48")["label"].to_pylist()
        sizes = {t: results.sql(f"select count(*) n from {t}").to_pylist()[0]["n"] for t in TABLES}
    result = classifier.classify(heard.parent / "recordings/north/20231015_063000.flac")
    expected = [(e.start_time, e.end_time, e.label, e.score) for e in result.events()]
    assert [(r["start_time"], r["end_time"], r["label"], r["score"]) for r in table] == expected
    start = datetime(2023, 10, 15, 6, 30, tzinfo=UTC)
    assert all(
        abs(r["start_at"] - start - timedelta(seconds=r["start_time"])) < timedelta(microseconds=2)
        for r in table
    )
    order = np.argsort(-result.scores[1], kind="stable")
    best = [classifier.labels[i] for i in order if result.scores[1][i] >= np.float32(0.1)]
    assert windows == best
    assert sizes["recordings"] == 4
    assert sizes["embeddings"] > 60


TABLES = ("events", "windows", "clips", "embeddings", "recordings")


def test_when_recordings_began_and_who_says_so(heard: Path) -> None:
    with Results(str(heard)) as results:
        rows = results.recordings(columns=["file", "recorded_at", "time_from"]).to_pylist()
    told = {Path(row["file"]).name: (row["recorded_at"], row["time_from"]) for row in rows}
    assert told == {
        "20231015_063000.flac": (datetime(2023, 10, 15, 6, 30, tzinfo=UTC), "name"),
        "20231015_120000.flac": (datetime(2023, 10, 15, 12, 0, tzinfo=UTC), "name"),
        "moth.wav": (datetime(2018, 12, 10, 17, 17, 30, tzinfo=UTC), "tags"),
        "broken.wav": (None, None),
    }


def test_rows_come_by_file_channel_and_time(folder: FolderMaker) -> None:
    name = "a/20231014_235900.WAV"
    rows = [{**event(name, 0.0, 1.0, "Owl"), "channel": n} for n in (1, 0)]
    folder.commit({"events": rows})
    with Results(place(folder)) as results:
        table = results.events().to_pylist()
        assert results.events(limit=2).to_pylist() == table[:2]
        assert results.events("score > 0.5", columns=["label", "file"]).column_names == [
            "label",
            "file",
        ]
    keys = [
        (r["file"], -1 if r["channel"] is None else r["channel"], r["start_time"]) for r in table
    ]
    assert keys == sorted(keys)
    assert len(keys) == 8


def test_times_are_the_clocks(folder: FolderMaker) -> None:
    with Results(place(folder), Clock(zone="Europe/Madrid")) as results:
        starts = results.events("label = 'Dog'")["start_at"].to_pylist()
        hours = results.sql("select hour(start_at) h from events order by all")["h"].to_pylist()
    assert starts[0] == datetime(2023, 10, 14, 21, 59, 5, 500000, tzinfo=UTC)
    assert starts[2] is None
    assert hours == [4, 4, 21, 21, None, None]
    with Results(place(folder), None) as results:
        assert "start_at" not in results.columns("events")


def test_only_what_is_committed_counts(folder: FolderMaker) -> None:
    stray = [event("b/20231015_063000.WAV", 9.0, 10.0, "Stray")]
    folder.write_part("events/stray.parquet", "events", stray)
    (retried,) = folder.commit({"events": [event("d.wav", 0.0, 1.0, "Old")]})
    folder.commit({"events": [event("d.wav", 0.0, 1.0, "New")]}, remove=[retried])
    (folder.folder / retried).unlink()
    with Results(place(folder)) as results:
        labels = set(results.events()["label"].to_pylist())
    assert labels == {"Dog", "Cat", "New"}


def test_an_archive_just_begun_has_every_table_and_no_row(tmp_path: Path) -> None:
    FolderMaker(tmp_path / "results", calibrated=True)
    with Results(str(tmp_path / "results")) as results:
        for table in TABLES:
            assert results.batches(table).read_all().num_rows == 0
        assert results.calibrated
        assert results.columns("events")[-2:] == ("probability", "start_at")


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
        ("select nope from events", r'"nope" not found.*events has the columns file, channel'),
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


def test_conditions_and_columns_that_are_none(folder: FolderMaker) -> None:
    with Results(place(folder)) as results:
        with pytest.raises(OptionError, match=r'"scor" not found.*events has the columns'):
            results.events("scor > 1")
        with pytest.raises(OptionError, match="events has no column 'x'; there are file, channel"):
            results.events(columns=["x"])
        with pytest.raises(OptionError, match="choose from events, windows, clips"):
            results.batches("things")
        with pytest.raises(OptionError, match="a limit is 0 rows or more"):
            results.events(limit=-1)
        assert results.events("label = 'Dog' -- and no more", limit=1).num_rows == 1
        assert results.events("label = 'Dog') or (label = 'Cat'").num_rows == 6


def test_labels_that_cannot_be_are_told(folder: FolderMaker) -> None:
    with Results(place(folder)) as results:
        with pytest.raises(UnknownLabelError, match="'Dgo'; the nearest are: 'Dog'"):
            results.events("score > 0.1 and label = 'Dgo'")
        with pytest.raises(UnknownLabelError, match="'cat'; the nearest are: 'Cat'"):
            results.events("label in ('Owl', 'cat')")
        assert results.events("label = 'Owl'").num_rows == 0, "AudioSet has it; nobody heard it"
        assert results.events("label in ('Dog', 'Dgo')").num_rows == 3
        assert results.events("label <> 'Dgo' and score > 2").num_rows == 0


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


def test_what_is_no_results_folder(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(OptionError, match="is not a results folder"):
            Results(str(path))


def test_a_part_that_is_damaged_or_gone(folder: FolderMaker) -> None:
    part = folder.folder / "events" / "00000002.parquet"
    content = part.read_bytes()
    for damaged in (content[:100], content[:-100], b"", None):
        part.write_bytes(damaged) if damaged is not None else part.unlink()
        with (
            pytest.raises(
                OidoError, match=r"cannot be read .*if a run is writing there, try again"
            ),
            Results(place(folder)) as results,
        ):
            results.events()


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


def test_doubtful_times_are_counted(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    names = ("20231029_023000.WAV", "20230326_023000.WAV", "19700101_000000.WAV", "x.wav")
    maker.commit({"recordings": [recording(name, 60.0) for name in names]})
    with Results(str(maker.folder), Clock(zone="Europe/Madrid")) as results:
        assert results.doubts == {"ambiguous": 1, "impossible": 1, "not set": 1}


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


def test_the_header_is_there(folder: FolderMaker) -> None:
    written = json.loads((folder.folder / "oido-archive.json").read_text("utf-8"))
    with Results(place(folder)) as results:
        assert results.header == written
