# SPDX-License-Identifier: Apache-2.0
"""``oido train``, as people run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.taught_sounds import make_sounds


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    make_sounds(folder / "sounds")
    (folder / "sounds" / "beep" / "broken.wav").write_bytes(b"RIFF")
    (folder / "sounds" / "readme.txt").write_text("not a recording")
    return folder


def oido(desk: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "oido", *map(str, arguments)],
        cwd=desk,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ},
    )


def test_a_folder_becomes_a_classifier_a_report_and_then_events(desk: Path) -> None:
    done = oido(
        desk, "train", "sounds", "-o", "s.tflite", "--report", "s.html", "--no-cache", "--seed", "3"
    )
    assert done.returncode == 3, done.stderr  # one recording was left out
    assert "left out: " in done.stderr
    assert "broken.wav" in done.stderr
    assert "clip accuracy" in done.stdout
    assert "its scores differ by at most" in done.stdout
    assert (desk / "s.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    heard = oido(
        desk, "classify", "sounds/click/click-1.wav", "--model", "s.tflite", "--format", "jsonl"
    )
    rows = [json.loads(line) for line in heard.stdout.splitlines()]
    assert {row["label"] for row in rows} == {"click"}
    assert all(0.0 < row["probability"] <= 1.0 for row in rows)
    judged = oido(desk, "evaluate", "s.tflite", "sounds", "--json", "s.json")
    assert judged.returncode == 3, judged.stderr
    assert json.loads((desk / "s.json").read_text())["clip_accuracy"] >= 0.9


def test_a_check_tells_what_is_there_and_writes_nothing(desk: Path) -> None:
    before = sorted(desk.iterdir())
    done = oido(desk, "train", "sounds", "--check")
    assert done.returncode == 0, done.stderr
    for word in ("beep", "click", "hiss", "broken.wav"):
        assert word in done.stdout
    assert sorted(desk.iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("sounds",), "say where to write"),
        (("sounds", "-o", "s.h5"), "name it so"),
        (("nowhere", "-o", "s.tflite"), "no such folder"),
        (("sounds", "-o", "s.tflite", "--jobs", "0"), "must be 1 or more"),
        (("sounds/beep", "-o", "s.tflite"), ""),
    ],
)
def test_a_wrong_command_is_one_sentence(
    desk: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    done = oido(desk, "train", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("oido: ")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
