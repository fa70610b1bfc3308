# SPDX-License-Identifier: Apache-2.0
"""`oido clips`: words in, files out, and a code that tells what was not reached."""

from __future__ import annotations

from pathlib import Path

import pytest

from oido.cli import clips
from oido.cli.terminal import EXIT_FAILED_FILES, EXIT_OK
from oido.errors import OptionError
from tests.results.results_folders import FolderMaker, event, recording
from tests.results.results_folders import run as run_command
from tests.results.test_clip_files import tones

pytest.importorskip("duckdb", reason="needs oido[archive]")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    maker = FolderMaker(tmp_path / "results")
    rows = [tones(tmp_path / "rec" / "a.wav", 5.0), recording("gone/b.wav", 5.0)]
    events = [event("rec/a.wav", 1.0, 2.0, "Dog"), event("gone/b.wav", 1.0, 2.0, "Dog")]
    maker.commit({"recordings": rows, "events": events})
    return maker.folder


def run(*words: str | Path) -> int:
    return run_command(clips, *map(str, words))


def test_clips_and_what_was_not_reached(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "dogs"
    code = run(folder, "--label", "Dog", "-o", out, "--format", "wav", "--seconds", "2")
    assert code == EXIT_FAILED_FILES
    printed = capsys.readouterr().err
    assert "no clip of gone/b.wav: " in printed
    assert f"1 clip and clips.csv in {out}" in printed
    where = ("--where", "file like 'rec/%'")
    assert run(folder, "--label", "Dog", "-o", out, "--format", "wav", *where) == EXIT_OK
    with pytest.raises(OptionError, match="no recording was reached"):
        run(folder, "--label", "Dog", "-o", tmp_path / "x", "--where", "file like 'gone%'")
    assert not (tmp_path / "x").exists()


def test_words_that_do_not_go_together(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--label Owl"):
        run(folder, "-o", tmp_path / "x")
    table = tmp_path / "hits.csv"
    table.write_text("file,start_time,end_time\nrec/a.wav,1,2\n")
    with pytest.raises(OptionError, match="--where"):
        run(folder, "--from", table, "--where", "true", "-o", tmp_path / "x")
