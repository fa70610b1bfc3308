# SPDX-License-Identifier: Apache-2.0
"""What commands make of the options that they share."""

from __future__ import annotations

import argparse
import io
import sys
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path

import pytest

from oido.batch.sources import Recording
from oido.cli.arguments import Arguments
from oido.cli.main import build_parser
from oido.cli.options import make_tasks, open_results, plan_of, require_suffix
from oido.errors import OptionError
from tests.results.results_folders import FolderMaker, recording


def test_each_recording_is_a_task_and_standard_input_a_file_for_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.wav").write_bytes(b"x" * 10)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"sound")))
    recordings = [
        Recording(str(tmp_path / "a.wav"), "a.wav"),
        Recording("-", "-"),
        Recording("gone.wav", "gone.wav"),
    ]
    with ExitStack() as stack:
        tasks = make_tasks(recordings, 2, stack)
        assert [task.number for task in tasks] == [0, 1, 2]
        assert [task.name for task in tasks] == [str(tmp_path / "a.wav"), "<stdin>", "gone.wav"]
        assert [task.size_bytes for task in tasks] == [10, 5, 0]
        assert tasks[1].relative == "stdin"
        spooled = Path(tasks[1].path)
        assert spooled.read_bytes() == b"sound"
    assert not spooled.exists()


def test_a_plan_knows_whether_its_model_is_calibrated(tmp_path: Path) -> None:
    def plan(*words: str) -> bool:
        return plan_of(build_parser().parse_args(["classify", "x.wav", *words])).calibrated

    assert not plan()
    (tmp_path / "c.json").write_text("{}")
    assert plan("--calibration", str(tmp_path / "c.json"))
    (tmp_path / "m.tflite").write_bytes(b"no model")
    assert not plan("--model", str(tmp_path / "m.tflite"))  # loading it will say why


def test_a_name_must_end_as_its_format() -> None:
    require_suffix("-o", Path("a.CSV"), ".csv", ".json")
    require_suffix("-o", None, ".csv")
    with pytest.raises(OptionError, match=r"-o needs a name that ends in \.csv, not a\.txt"):
        require_suffix("-o", Path("a.txt"), ".csv")


def results_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add = Arguments(parser)
    add.results()
    add.clock()
    return parser


def folder_of(folder: Path, *names: str) -> str:
    """A results folder with these recordings."""
    maker = FolderMaker(folder)
    maker.commit({"recordings": [recording(name, 60.0) for name in names]})
    return str(folder)


def test_a_clock_of_options(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    parser = results_parser()
    parser.format_help()  # its percent signs are escaped
    folder = folder_of(tmp_path / "results", "20231015_120000.wav")
    args = parser.parse_args([folder, "--time-zone", "+02:00"])
    with open_results(args, prints_doubts=True) as results:
        (at,) = results.recordings(columns=["recorded_at"]).column(0).to_pylist()
    assert at.astimezone(timezone.utc) == datetime(2023, 10, 15, 10, tzinfo=timezone.utc)
    with pytest.raises(OptionError, match="Mars"):
        open_results(parser.parse_args([folder, "--time-zone", "Mars/Base"]), prints_doubts=True)


def test_doubts_are_a_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("duckdb")
    doubtful = [f"19700101_00000{second}.wav" for second in range(3)]
    folder = folder_of(tmp_path / "results", "20231029_023000.wav", *doubtful)
    args = results_parser().parse_args([folder, "--time-zone", "Europe/Madrid"])
    open_results(args, prints_doubts=False).close()
    assert capsys.readouterr().err == ""
    open_results(args, prints_doubts=True).close()
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("oido: the time of 1 recording came twice")
    assert second.startswith("oido: the times of 3 recordings came from a clock that was not set")


def test_two_readings_are_told_with_an_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("duckdb")
    folder = folder_of(tmp_path / "results", "20221125_102500-0300.WAV", "180801_0007.wav")
    args = results_parser().parse_args([folder])
    open_results(args, prints_doubts=True).close()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("oido: the times of 2 recordings can be read in two ways")
    offset = "2022-11-25 13:25:00+00:00, or of 2022-11-25 10:25:00+00:00; --time-pattern says which"
    number = "2018-08-01 00:07:00+00:00, or of no time of day; --time-pattern says which"
    assert line.endswith((offset, number))
    folder = folder_of(tmp_path / "sure", "20221125_102500-0300.WAV", "20221125_102500+0300.WAV")
    open_results(results_parser().parse_args([folder]), prints_doubts=True).close()
    assert capsys.readouterr().err == ""
