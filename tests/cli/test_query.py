# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pyarrow.parquet
import pytest

from oido.cli import query
from oido.errors import OptionError
from tests.results.results_folders import FolderMaker, event, recording
from tests.results.results_folders import run as run_command

pytest.importorskip("duckdb", reason="needs oido[archive]")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    maker = FolderMaker(tmp_path / "results")
    name = "20231015_063000.WAV"
    rows = [event(name, n + 0.1, n + 0.7, "Dog" if n % 2 else "Cat", n / 128) for n in range(70)]
    bad = recording("bad.wav", 0.0, failure_kind="EmptyAudioError", failure_reason="is empty")
    maker.commit({"recordings": [recording(name, 90.0), bad], "events": rows})
    return str(maker.folder)


def run(*words: str) -> int:
    return run_command(query, *words)


def test_csv_has_the_columns_of_classify_and_the_time(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "label = 'Dog' and score > 0.52", "--format", "csv") == 0
    assert capsys.readouterr().out.splitlines() == [
        "file,channel,start_time,end_time,label,label_index,score,also,start_at",
        "20231015_063000.WAV,,67.1,67.7,Dog,3,0.5234375,,2023-10-15T06:31:07.100000Z",
        "20231015_063000.WAV,,69.1,69.7,Dog,3,0.5390625,,2023-10-15T06:31:09.100000Z",
    ]


def test_json_lines_json_and_parquet_hold_the_same(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (folder, "score < 0.04", "--columns", "label,score,start_at", "--limit", "3")
    for name in ("jsonl", "json", "csv", "parquet"):
        assert run(*words, "-o", str(tmp_path / f"out.{name}")) == 0
        assert f"3 rows in {tmp_path / f'out.{name}'}" in capsys.readouterr().err
    rows = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert rows[1] == {
        "label": "Dog",
        "score": 0.0078125,
        "start_at": "2023-10-15T06:30:01.100000Z",
    }
    lines = (tmp_path / "out.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == rows
    table = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text("utf-8"))))
    assert [float(row["score"]) for row in table] == [row["score"] for row in rows]
    parquet = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert parquet["label"].to_pylist() == [row["label"] for row in rows]
    assert str(parquet.schema.field("start_at").type) == "timestamp[us, tz=UTC]"


def test_sql_of_every_kind_of_value(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    sql = """select label, count(*) n, sum(label_index) s, avg(end_time) a, list(score)[1:2] l,
        min(start_at)::date d, 1.50::decimal(4,2) e, 'nan'::double x, {'k': max(score)} m,
        null z, true t, interval '1 hour' i from events group by label order by label"""
    assert run(folder, "--sql", sql, "--format", "jsonl") == 0
    first, _ = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["label"], first["n"], first["s"], first["e"]) == ("Cat", 35, 105, 1.5)
    assert (first["d"], first["x"], first["z"], first["t"]) == ("2023-10-15", None, None, True)
    assert first["m"] == {"k": 68 / 128}
    assert run(folder, "--sql", sql, "--format", "csv", "--limit", "1") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_screen_shows_some_and_tells_of_the_rest(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert len(lines) == 51
    assert lines[0].split() == ["file", "start_time", "end_time", "label", "score", "start_at"]
    assert lines[1].split()[1:4] == ["0.10", "0.70", "Cat"]
    assert lines[1].endswith("2023-10-15 06:30:00")
    assert "the first 50 rows; --limit 0 shows all" in shown.err
    assert run(folder, "--limit", "0") == 0
    assert len(capsys.readouterr().out.splitlines()) == 71
    assert run(folder, "--limit", "70") == 0
    assert capsys.readouterr().err == ""
    assert run(folder, "score > 1") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "(no row)"
    assert run(folder, "--table", "recordings") == 0
    assert "is empty" in capsys.readouterr().out


def test_a_label_that_others_stand_for_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maker = FolderMaker(tmp_path / "results")
    rows = [
        {**event("a.wav", 1.0, 2.0, "Bark"), "also": also} for also in ("Dog|Animal", "Dog", "")
    ]
    maker.commit({"recordings": [recording("a.wav", 9.0)], "events": rows})
    told = "oido: 2 rows stand for Dog under a closer label: also like '%Dog%'\n"
    for condition, says in (
        ("label = 'Perro'", told),
        ("label = 'Dog' and score > 0.1", told),
        ("label = 'Animal'", told.replace("2 rows stand", "1 row stands").replace("Dog", "Animal")),
        ("label = 'Cat'", ""),
        ("score > 1", ""),
        ("label = 'Bark'", ""),
    ):
        assert run(str(maker.folder), condition) == 0
        assert capsys.readouterr().err == says
    assert run(str(maker.folder), "also like '%Dog%'", "--limit", "0") == 0
    assert capsys.readouterr().out.count("Bark") == 2
    assert run(str(maker.folder), "label = 'Dog'", "-q") == 0
    assert capsys.readouterr().err == ""


def test_the_end_of_a_name_is_told_to_be_no_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maker = FolderMaker(tmp_path / "results")
    name = "rec/A/it's_1.wav"
    maker.commit({"recordings": [recording(name, 9.0)], "events": [event(name, 1, 2, "Dog")]})
    assert run(str(maker.folder), "label = 'Dog' and file = 'it''s_1.wav'") == 0
    assert capsys.readouterr().err == (
        f"oido: names of files are whole, such as {name}: file like '%it''s_1.wav'\n"
    )
    for condition in ("file like '%it''s_1.wav'", "file = 'other.wav'", f"file = '{name[:6]}'"):
        assert run(str(maker.folder), condition) == 0
        assert capsys.readouterr().err == ""


def test_no_row_is_a_valid_file(folder: str, tmp_path: Path) -> None:
    for name in ("csv", "json", "jsonl", "parquet"):
        target = tmp_path / f"none.{name}"
        assert run(folder, "--table", "windows", "-o", str(target), "-q") == 0
    assert (tmp_path / "none.csv").read_text().startswith("file,channel,start_time")
    assert json.loads((tmp_path / "none.json").read_text()) == []
    assert (tmp_path / "none.jsonl").read_text() == ""
    assert pyarrow.parquet.read_table(tmp_path / "none.parquet").num_rows == 0


def test_a_query_that_breaks_leaves_no_file(folder: str, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    target.write_text("old")
    with pytest.raises(OptionError, match="cannot be answered"):
        run(folder, "--sql", "select cast(label as int) from events", "-o", str(target))
    assert target.read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.csv", "results"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--sql", "select 1", "--table", "events"), "--sql is a whole query: leave out --table"),
        (("a = 1", "--sql", "select 1"), "leave out a condition"),
        (("a = 1", "--where", "b = 2"), "say the condition once"),
        (("--limit", "-1"), "--limit is 1 row or more, or 0 for all"),
        (("-o", "out.xlsx"), "the name does not tell the format"),
        (("--format", "excel"), "there is no format 'excel' of tables; choose from csv"),
        (("--time-zone", "Mars"), "there is no time zone 'Mars'"),
        (("--time-pattern", "%Y"), "needs a year, a day and an hour"),
        (("--time-from", "mtime"), "choose from auto, name, tags, modified"),
        (("--columns", "file,x"), "events has no column 'x'"),
        (("--table", "birds"), "there is no table 'birds'"),
    ],
)
def test_wrong_usage(folder: str, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        run(folder, *words)


def test_where_works_after_other_options(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--table", "recordings", "--where", "failure_kind is not null", "--format", "jsonl")
    assert run(folder, *words) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["file"] == "bad.wav"


def test_doubtful_times_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker = FolderMaker(tmp_path / "results")
    names = ("20231029_023000.WAV", "20231029_023100.WAV", "20230326_023000.WAV")
    maker.commit({"recordings": [recording(name, 60.0) for name in names]})
    assert run(str(maker.folder), "--time-zone", "Europe/Madrid") == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("oido: the times of 2 recordings came twice")
    assert told[1].startswith("oido: the time of 1 recording never came")
    assert run(str(maker.folder), "--time-zone", "Europe/Madrid", "-q") == 0
    assert capsys.readouterr().err == ""


def test_files_quote_formulas_and_standard_output_does_not(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    select = ("--sql", "select '=1+1' as a, -1 as b, '-1' as c")
    output = tmp_path / "a.csv"
    for words, expected in (((), "'=1+1,-1,'-1"), (("--csv-cells", "exact"), "=1+1,-1,-1")):
        assert run(folder, *select, "-o", str(output), "-q", *words) == 0
        assert output.read_text() == f"a,b,c\n{expected}\n"
    for words, expected in (((), "=1+1,-1,-1"), (("--csv-cells", "quoted"), "'=1+1,-1,'-1")):
        assert run(folder, *select, "--format", "csv", *words) == 0
        assert capsys.readouterr().out == f"a,b,c\n{expected}\n"
