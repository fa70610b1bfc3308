# SPDX-License-Identifier: Apache-2.0
"""Names and labels of strangers, with all that a terminal obeys in them, in every command's output.

Every command runs with a terminal as its output, and what is written to that is searched.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from oido.calibration.fit import save_model
from oido.cli.main import run
from oido.models.model import AudioModel

pytestmark = pytest.mark.skipif(os.name == "nt", reason="file names that Windows forbids")

HOSTILE = "\x1b[31m\x1b]0;t\x07\r\x08\x9b2J\u202e\u2028\x7f"


class TerminalBytes(io.TextIOWrapper):
    """What a program believes to be a terminal."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="")

    def isatty(self) -> bool:
        return True

    def shown(self) -> str:
        self.flush()
        self.seek(0)
        return self.read()


@pytest.fixture(scope="module")
def hostile_model(model: AudioModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """YAMNet, but each label begins with what a terminal obeys (a label ends no line of a file)."""
    path = tmp_path_factory.mktemp("model") / "hostile.tflite"
    mark = HOSTILE.replace("\r", "")
    labels = tuple(mark + label for label in model.labels)
    head = replace(model.head, labels=labels, thresholds=((labels[0], 0.3),))
    save_model(replace(model, heads=(head,), name=f"name{HOSTILE}"), path)
    return path


@pytest.fixture
def hostile_file(tmp_path: Path) -> Path:
    path = tmp_path / "in" / f"a{HOSTILE}\n.wav"
    path.parent.mkdir()
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 32_000)
    soundfile.write(path, noise, 16_000)
    return path


def shown(*words: object, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit code, and all that the terminal got."""
    terminal = TerminalBytes()
    with monkeypatch.context() as patch:
        patch.setenv("NO_COLOR", "1")  # what is ours; test_terminal.py has that
        patch.setattr(sys, "stdout", terminal)
        patch.setattr(sys, "stderr", terminal)
        try:
            code = run([str(word) for word in words])
        except SystemExit as error:  # argparse
            code = int(str(error.code))
    return code, terminal.shown()


def controls(text: str) -> set[str]:
    """What of it a terminal would obey, beside line ends and tabs."""
    kinds = {"Cc", "Zl", "Zp", "Cs"}
    return {c for c in text if unicodedata.category(c) in kinds or c in "\u202e\u2066"} - set(
        "\n\t"
    )


@pytest.mark.slow
def test_no_command_shows_them_raw(
    hostile_model: Path, hostile_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = hostile_file.with_name(f"broken{HOSTILE}.wav")
    broken.write_bytes(b"RIFF" + bytes(40))
    results, missing = tmp_path / f"res{HOSTILE}", tmp_path / f"missing{HOSTILE}.wav"
    model = ("--model", hostile_model)
    commands: list[tuple[tuple[object, ...], int]] = [
        (("classify", hostile_file.parent, *model, "--threshold", "0", "-q"), 3),
        (("classify", hostile_file, *model, "--clip", "-q"), 0),
        (("classify", hostile_file, *model, "--format", "csv", "-q"), 0),
        (("classify", missing, "-q"), 3),  # a slow machine would draw progress
        (("classify", hostile_file, "--model", missing), 1),
        (("classify", hostile_file, *model, "--allow", f"no{HOSTILE}\n"), 2),
        (("classify", hostile_file, f"--no-such{HOSTILE}"), 2),
        (("classify", hostile_file, "-o", tmp_path / f"x{HOSTILE}"), 2),
        (("models", "info", hostile_model), 0),
        (("models", "info", hostile_model, "--labels"), 0),
        (("thresholds", "show", hostile_model), 0),
        (("batch", hostile_file.parent, *model, "-o", results, "-q"), 3),
        (("batch", "status", results), 3),
        (("batch", "status", results, "--json"), 3),
        (("batch", "verify", results), 0),
        (("query", results), 0),
        (("query", results, "--table", "recordings"), 0),
        (("query", results, "--format", "csv"), 0),
        (("query", results, f"nothing{HOSTILE} = 1"), 2),
        (("report", results), 0),
        (("convert", results, "-o", tmp_path / f"out{HOSTILE}.csv"), 0),
    ]
    for words, expected in commands:
        code, text = shown(*words, monkeypatch=monkeypatch)
        assert code == expected, (words, text)
        assert not controls(text), (words, text)
        assert "internal error" not in text, (words, text)
    assert r"\x1b[31m" in text


def test_a_line_end_in_a_name_ends_no_line_of_a_report(
    hostile_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "results"
    assert shown("batch", hostile_file, "-o", results, "-q", monkeypatch=monkeypatch)[0] == 0
    for part in results.glob("windows/*.parquet"):
        part.write_bytes(part.read_bytes()[:-1])
    hostile_file.unlink()
    (results / "of\nme").write_text("mine")
    code, text = shown("batch", "verify", results, monkeypatch=monkeypatch)
    assert code == 4
    assert "foreign   of\\nme: is not of oido\n" in text
    (lost,) = [line for line in text.split("\n") if line.startswith("lost ")]
    assert r"\x7f\n.wav: its rows are damaged" in lost


def test_an_internal_error_is_escaped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[object]:
        raise ZeroDivisionError(HOSTILE)

    monkeypatch.setattr("oido.live.microphone.input_devices", fail)
    code, text = shown("devices", monkeypatch=monkeypatch)
    assert code == 1
    assert r"internal error, ZeroDivisionError: \x1b[31m" in text
    assert not controls(text)


def test_the_next_program_gets_them_as_they_are(hostile_model: Path, hostile_file: Path) -> None:
    words = [
        "classify",
        hostile_file,
        "--model",
        hostile_model,
        "--format",
        "jsonl",
        "-q",
        "--clip",
    ]
    command = [sys.executable, "-m", "oido", *map(str, words)]
    done = subprocess.run(command, capture_output=True, check=True)
    row = json.loads(done.stdout.decode().split("\n")[0])
    assert row["file"] == str(hostile_file)
    assert row["label"].startswith(HOSTILE.replace("\r", ""))


def test_a_pseudoterminal_gets_none_of_them(hostile_model: Path, hostile_file: Path) -> None:
    """The same through the kernel, as a process of its own."""
    import pty

    words = ["classify", hostile_file, "--model", hostile_model, "--threshold", "0", "-q"]
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "oido", *map(str, words)]
    plain = {**os.environ, "NO_COLOR": "1"}
    process = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, env=plain)
    os.close(child)
    content = b""
    while True:
        try:
            block = os.read(parent, 65_536)
        except OSError:  # what Linux says when the other side is closed
            break
        if not block:
            break
        content += block
    os.close(parent)
    assert process.wait() == 0
    assert not controls(content.decode().replace("\r\n", "\n"))
    assert rb"\x1b]0;t\x07" in content
