# SPDX-License-Identifier: Apache-2.0
"""A run over recordings, in this process with real workers: what is printed, counted and kept."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from oido.batch.output_files import Sink
from oido.batch.plan import FileSummary, Plan, Task
from oido.cli.run_pool import run_plan
from oido.cli.terminal import EXIT_FAILED_FILES, EXIT_OK
from oido.types import AnyRow
from tests.batch.archives import record

PLAN = Plan(level="clip", top=1)


class Kept(Sink):
    """Keeps what comes; ``interrupts``: at the end of so many recordings, somebody hits Ctrl-C."""

    def __init__(self, manifest: Path | None = None, interrupts: int | None = None) -> None:
        super().__init__()
        self.manifest_path, self._interrupts = manifest, interrupts
        self.rows: list[AnyRow] = []
        self.ended: list[str] = []
        self.state = "open"

    def write(self, task: Task, rows: Sequence[AnyRow]) -> None:
        self.rows += rows

    def end(self, task: Task, summary: FileSummary) -> None:
        self.ended.append(summary.name)
        if len(self.ended) == self._interrupts:
            raise KeyboardInterrupt

    def commit(self) -> None:
        self.state = "committed"

    def save_partial(self) -> None:
        self.state = "partial"


def args(*paths: Path, quiet: bool = False, verbose: bool = False) -> argparse.Namespace:
    return argparse.Namespace(paths=[str(p) for p in paths], jobs=1, quiet=quiet, verbose=verbose)


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    for number in range(3):
        record(tmp_path / f"{number}.wav", 2.0, number)
    (tmp_path / "1.wav").write_bytes(b"RIFF, but no more")
    return sorted(tmp_path.glob("*.wav"))


def test_a_failure_is_a_line_and_an_exit_code(
    recordings: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sink = Kept(tmp_path / "run.manifest.json")
    assert run_plan(args(*recordings), PLAN, lambda _: sink) == EXIT_FAILED_FILES
    errors = capsys.readouterr().err.splitlines()
    assert [line for line in errors if str(recordings[1]) in line] == [
        line for line in errors if line.startswith(f"oido: {recordings[1]}: ")
    ]
    assert errors[-1].startswith("oido: 2 recordings, 4.0 s of audio in ")
    assert errors[-1].endswith("; 1 failed")
    assert (len(sink.rows), sink.state) == (2, "committed")
    assert sink.ended == [str(path) for path in recordings]
    manifest = json.loads((tmp_path / "run.manifest.json").read_text("utf-8"))
    assert [bool(r.get("failure")) for r in manifest["recordings"]] == [False, True, False]
    assert manifest["interrupted"] is False


def test_quiet_and_verbose(recordings: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    good = recordings[0]
    assert run_plan(args(good, quiet=True), PLAN, lambda _: Kept()) == EXIT_OK
    assert capsys.readouterr().err == ""
    assert run_plan(args(good, verbose=True), PLAN, lambda _: Kept()) == EXIT_OK
    # A slow machine tells of its progress, too.
    (line,) = (text for text in capsys.readouterr().err.splitlines() if str(good) in text)
    assert line.startswith(f"oido: {good}: 2.00 s, 1 channel(s), 4 windows")
    assert line.endswith(", 1 rows")


def test_interrupted_it_keeps_what_is_done_and_says_how_much(
    recordings: list[Path], tmp_path: Path
) -> None:
    sink = Kept(tmp_path / "run.manifest.json", interrupts=2)
    with pytest.raises(KeyboardInterrupt, match="1 of 3 recordings were done"):
        run_plan(args(*recordings, quiet=True), PLAN, lambda _: sink)
    assert sink.state == "partial"
    manifest = json.loads((tmp_path / "run.manifest.json").read_text("utf-8"))
    assert manifest["interrupted"] is True
    assert [r["name"] for r in manifest["recordings"]] == [str(recordings[0])]


def test_a_recording_under_way_is_in_the_manifest_with_how_far_it_was(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).uniform(-0.2, 0.2, 16_000 * 120)
    soundfile.write(tmp_path / "long.wav", sound, 16_000)

    class Interrupted(Kept):
        def write(self, task: Task, rows: Sequence[AnyRow]) -> None:
            super().write(task, rows)
            if len(self.rows) > 70:
                raise KeyboardInterrupt

    sink = Interrupted(tmp_path / "run.manifest.json")
    with pytest.raises(KeyboardInterrupt, match="0 of 1 recordings were done"):
        run_plan(
            args(tmp_path / "long.wav", quiet=True), Plan(level="windows", top=1), lambda _: sink
        )
    (entry,) = json.loads((tmp_path / "run.manifest.json").read_text("utf-8"))["recordings"]
    assert entry["failure"]["kind"] == "Interrupted"
    assert "those rows are kept" in entry["failure"]["reason"]
    assert 0 < entry["rows"] <= len(sink.rows)
