# SPDX-License-Identifier: Apache-2.0
"""`oido count`: a sentence, a table, and a warning where the sample says nothing."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from oido.cli import clips, count
from oido.errors import OptionError
from tests.results.results_folders import FolderMaker, answer_yes, event
from tests.results.results_folders import run as run_command
from tests.results.test_clip_files import tones

pytest.importorskip("duckdb", reason="needs oido[archive]")


def test_from_clips_to_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maker = FolderMaker(tmp_path / "results")
    rows = [tones(tmp_path / "rec" / site / "a.wav", 12.0) for site in ("north", "south")]
    events = [event("north/a.wav", n / 10, n / 10 + 0.2, "Owl", n / 128) for n in range(100)]
    maker.commit({"recordings": rows, "events": [*events, event("south/a.wav", 1.0, 2.0, "Owl")]})
    folder, table = str(maker.folder), tmp_path / "owls" / "clips.csv"
    words = (folder, "--label", "Owl", "-o", str(table.parent), "--count", "40", "-q")
    where = ("--where", "score <> 0.5")
    run_command(clips, *words, *where, "--choose", "stratified")
    answer_yes(table)
    out = tmp_path / "owls.csv"
    capsys.readouterr()
    reviewed = ("--label", "owl", "--reviewed", str(table))
    assert run_command(count, folder, *reviewed, "-o", str(out)) == 0
    printed = capsys.readouterr()
    assert "of 101 events are true" in printed.out
    assert "from 40 reviews; " in printed.out
    assert "no event was reviewed of south: " in printed.err
    found = list(csv.DictReader(out.open(newline="")))
    assert [row["site"] for row in found] == ["north", "south", "all"]
    assert float(found[0]["true_events"]) > 90
    with pytest.raises(OptionError, match="-o needs a name"):
        run_command(count, folder, *reviewed, "-o", str(tmp_path / "x.doc"))


def test_windows_are_a_share_and_no_number_an_hour(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maker = FolderMaker(tmp_path / "results")
    rows = [tones(tmp_path / "rec" / site / "a.wav", 12.0) for site in ("north", "south")]
    windows = [
        event(f"{site}/a.wav", n / 5, n / 5 + 0.2, "Owl", (n + 1) / 64)
        for site in ("north", "south")
        for n in range(50)
    ]
    maker.commit({"recordings": rows, "windows": windows})
    of_windows = (str(maker.folder), "--label", "Owl", "--of", "windows")
    run_command(clips, *of_windows, "-o", str(tmp_path / "w"), "--choose", "stratified", "-q")
    table = tmp_path / "w" / "clips.csv"
    answer_yes(table)
    capsys.readouterr()
    assert run_command(count, *of_windows, "--reviewed", str(table)) == 0
    printed = capsys.readouterr().out
    assert "an hour" not in printed
    of_north = re.search(r"  north: (\d+) \(\d+ to 50\) of 50, ([\d.]+)%", printed)
    assert of_north is not None, printed
    assert int(of_north[1]) >= 48
    assert abs(float(of_north[2]) - 100 * int(of_north[1]) / 50) <= 1.0
