# SPDX-License-Identifier: Apache-2.0
"""Errors of commands as sentences and exit codes; what is in them is escaped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oido.cli.main import run
from oido.cli.terminal import EXIT_FATAL, EXIT_INTERRUPTED, EXIT_USAGE
from oido.errors import AudioError, ModelFetchError, OptionError
from tests.cli.listening import OIDO, STREET


def raised(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command that raises this."""

    def fail() -> list[object]:
        raise error

    monkeypatch.setattr("oido.live.microphone.input_devices", fail)
    return run(["devices"])


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (OptionError("a\nb\x1b"), EXIT_USAGE, "oido: a\\nb\\x1b\n"),
        (AudioError("\u202ea"), EXIT_FATAL, "oido: \\u202ea\n"),
        (ModelFetchError("tried:\n - \x1ba"), EXIT_FATAL, "oido: tried:\n - \\x1ba\n"),
        (KeyboardInterrupt("1\x07"), EXIT_INTERRUPTED, "oido: interrupted; 1\\x07\n"),
        (KeyError("a\x1b"), EXIT_FATAL, "KeyError: 'a\\x1b' (-v shows where)\n"),
    ],
)
def test_errors_are_escaped_sentences(
    error: BaseException,
    code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert raised(error, monkeypatch) == code
    assert capsys.readouterr().err.endswith(says)


def test_the_place_of_a_defect_is_shown_on_request_and_escaped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> list[object]:
        raise ZeroDivisionError("\x1b[2J")

    monkeypatch.setattr("oido.cli.classify.plan_of", fail)
    assert run(["classify", "x.wav", "-v"]) == EXIT_FATAL
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "ZeroDivisionError: \\x1b[2J" in err


def test_wrong_arguments_are_escaped_too(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    assert run(["devices", "--no\x1b[2J"]) == EXIT_USAGE
    assert "there is no option --no\\x1b[2J" in capsys.readouterr().err
    assert (sys.stdout, sys.stderr) == before


_CLASSIFY = [*OIDO, "classify", str(STREET), "--windows", "-q"]
_LISTEN = [*OIDO, "listen", "-", "--jsonl", "--windows"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("command", [_CLASSIFY, _LISTEN], ids=["classify", "listen"])
def test_an_output_that_is_full_is_told(command: list[str]) -> None:
    with open("/dev/full", "w") as full, STREET.open("rb") as sound:
        done = subprocess.run(
            command, stdin=sound, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == EXIT_FATAL
    assert done.stderr == "oido: the output cannot be written (No space left on device)\n"


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_nothing(closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'"$@" {closed}', "sh", *_CLASSIFY],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (">&-" not in closed.replace("2>&-", ""))
