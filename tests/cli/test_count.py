# SPDX-License-Identifier: Apache-2.0
"""`oido count`: a sentence, a table, and a warning where the sample says nothing."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from oido.cli import clips, count
from oido.errors import OptionError
from tests.results.results_folders import FolderMaker, event
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
    content = list(csv.DictReader(table.open(newline="")))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, content[0])
        writer.writeheader()
        writer.writerows({**row, "verdict": "yes"} for row in content)
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
