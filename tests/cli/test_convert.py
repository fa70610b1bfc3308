# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
from pathlib import Path

import pytest

from oido.batch.sources import find_sources
from oido.cli import convert
from oido.datasets.tables import read_rows
from oido.errors import OptionError
from tests.results.results_folders import FolderMaker, event, recording
from tests.results.results_folders import run as run_command

pytest.importorskip("duckdb", reason="needs oido[archive]")


def run(*words: str) -> int:
    return run_command(convert, *words)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    maker = FolderMaker(tmp_path / "results")
    for name in ("x/20231015_063000.WAV", "x/y/20231016_063000.WAV"):
        rows = [event(name, 1.0, 2.0, "Dog"), event(name, 3.0, 4.0, "Cat")]
        maker.commit({"recordings": [recording(name, 10.0)], "events": rows})
    return str(maker.folder)


def test_one_row_is_no_rows(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--where", "label = 'Dog' and file like '%16%'")
    assert run(folder, "-o", f"{tmp_path}/one.csv", *where) == 0
    assert f"1 row of 2 recordings in {tmp_path}/one.csv\n" in capsys.readouterr().err


def test_several_formats_and_what_is_told(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = f"{tmp_path}/out/"
    assert run(folder, "-o", output, "--format", "csv,audacity", "--format", "srt") == 0
    assert "4 rows of 2 recordings in 5 files\n" in capsys.readouterr().err
    names = sorted(p.name for p in (tmp_path / "out").rglob("*.*"))
    assert names == [
        ".oido-written",
        "20231015_063000.srt",
        "20231015_063000.txt",
        "20231016_063000.srt",
        "20231016_063000.txt",
        "events.csv",
        "oido-manifest.json",
    ]
    assert (tmp_path / "out" / "y" / "20231016_063000.srt").is_file()
    assert run(folder, "-o", output, "--format", "csv", "-q") == 0
    assert capsys.readouterr().err == ""
    assert run(folder, "-o", output, "--format", "srt") == 0
    assert "in 2 files, 2 of them replaced" in capsys.readouterr().err
    one = str(tmp_path / "one.csv")
    assert run(folder, "-o", one) == run(folder, "-o", one) == 0
    assert capsys.readouterr().err.endswith("in " + one + " (replaced)\n")


def test_conditions_split_and_combined(folder: str, tmp_path: Path) -> None:
    where = ("--where", "label = 'Dog' and start_at >= '2023-10-16'")
    assert run(folder, "-o", str(tmp_path / "dogs.csv"), *where) == 0
    assert len((tmp_path / "dogs.csv").read_text().splitlines()) == 2
    assert run(folder, "-o", f"{tmp_path}/each/", "--format", "jsonl", "--split") == 0
    assert len(list((tmp_path / "each").rglob("*.jsonl"))) == 2
    target = tmp_path / "all.selections.txt"
    assert run(folder, "-o", str(target), "--format", "raven", "--combined") == 0
    begins = [line.split("\t")[3] for line in target.read_text().splitlines()[1:]]
    assert begins == ["1.000000", "3.000000", "11.000000", "13.000000"]


def test_wrong_usage(folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OptionError, match="--combined is for tables and raven"):
        run(folder, "-o", f"{tmp_path}/x/", "--format", "vtt", "--combined")
    with pytest.raises(OptionError, match="there is no format 'doc'"):
        run(folder, "-o", f"{tmp_path}/x/", "--format", "doc")
    with pytest.raises(SystemExit):
        run(folder)
    assert "-o" in capsys.readouterr().err


FORMULAS = [f"{sign}1+1.wav" for sign in "=+-@'"] + [
    "'=1.wav",
    "\tx.wav",
    "a\n=1.wav",
    "x\u2028y.wav",
    "a\r.wav",
]


def test_no_cell_is_a_formula_and_what_is_written_is_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker = FolderMaker(tmp_path / "results")
    for name in FORMULAS:
        (tmp_path / name).write_bytes(b"RIFF")
        rows = [event(name, 1.0, 2.0, "=Dog")]
        maker.commit({"recordings": [recording(name, 10.0)], "events": rows})
    exact, quoted = tmp_path / "exact.csv", tmp_path / "quoted.csv"
    assert run(str(maker.folder), "-o", str(quoted), "-q") == 0
    assert run(str(maker.folder), "-o", str(exact), "--csv-cells", "exact", "-q") == 0
    with open(quoted, encoding="utf-8", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert {row["label"] for row in rows} == {"'=Dog"}
    assert not [row["file"] for row in rows if row["file"][0] in "=+-@\t"]
    with open(exact, encoding="utf-8", newline="") as file:
        assert sorted(row["file"] for row in csv.DictReader(file)) == sorted(FORMULAS)

    # Both readers of oido's own tables: of datasets, and of lists of recordings.
    read = [row.cells for row in read_rows(str(quoted), ("file", "label"))]
    assert sorted(cells["file"] for cells in read) == sorted(FORMULAS)
    assert {cells["label"] for cells in read} == {"=Dog"}
    monkeypatch.chdir(tmp_path)
    assert sorted(source.name for source in find_sources(["quoted.csv"])) == sorted(FORMULAS)


def test_what_is_converted_is_written_to_this_computer(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for output in ("s3://bucket/all.csv", "s3://bucket/labels/"):
        with pytest.raises(OptionError, match=f"{output}: is an address"):
            run(folder, "-o", output)
    assert not (tmp_path / "s3:").exists()
    assert run(folder, "-o", f"file://{tmp_path}/all.csv") == 0
    assert (tmp_path / "all.csv").is_file()
