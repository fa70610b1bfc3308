# SPDX-License-Identifier: Apache-2.0
"""`oido labels`: from tables to a store and back, and two people's stores to one."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from oido.cli import labels
from oido.errors import OptionError


def run(*words: str | Path) -> None:
    parser = argparse.ArgumentParser(prog="oido")
    labels.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["labels", *map(str, words)])
    args.run(args)


def test_two_people_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    track = tmp_path / "a.txt"
    track.write_text("1\t2\tOwl\n3\t4\tOwl\n")
    ana, bo = tmp_path / "ana.db", tmp_path / "bo.db"
    run("add", ana, track, "--who", "Ana", "--recording", "a.wav")
    track.write_text("1\t2\tOwl\n3\t4\t-Owl\n")
    run("add", bo, track, "--who", "Bo", "--recording", "a.wav")
    run("merge", ana, bo)
    run("show", ana)
    out = capsys.readouterr().out
    assert "2 entries of" in out
    assert "Owl by Ana: 2 yes, 0 no, 0 unsure" in out
    assert "several people answered 2, 1 of them alike" in out
    run("undo", ana, "--who", "Bo")
    assert "taken back: no to Owl in a.wav at 3.00 s" in capsys.readouterr().out
    run("export", ana, "-o", tmp_path / "labels.csv")
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    assert [line.split(",")[:5] for line in lines[1:]] == [
        ["a.wav", "", "1.000", "2.000", "Owl"],
        ["a.wav", "", "3.000", "4.000", "Owl"],
    ]
    run("export", ana, "-o", f"{tmp_path}/tracks/")
    assert (tmp_path / "tracks" / "a.txt").read_text().startswith("1.000000\t2.000000\tOwl")


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no such label store"):
        run("show", tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(OptionError, match="no such label store"):
        run("merge", tmp_path / "new.db", tmp_path / "none.db")
    assert not (tmp_path / "new.db").exists()
    track = tmp_path / "a.txt"
    track.write_text("1\t2\tOwl\n")
    run("add", tmp_path / "p.db", track, "--recording", "a.wav")
    run("undo", tmp_path / "p.db")
    with pytest.raises(OptionError, match="no answer to take back"):
        run("undo", tmp_path / "p.db")
    with pytest.raises(OptionError, match=r"\.csv, \.txt"):
        run("export", tmp_path / "p.db", "-o", tmp_path / "x.doc")
    with pytest.raises(OptionError, match=r"s3://b/x\.csv: is an address"):
        run("export", tmp_path / "p.db", "-o", "s3://b/x.csv")
