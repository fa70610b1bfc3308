# SPDX-License-Identifier: Apache-2.0
"""Errors of commands as sentences and exit codes; what is in them is escaped."""

from __future__ import annotations

import sys

import pytest

from oido.cli.main import run
from oido.cli.terminal import EXIT_FATAL, EXIT_INTERRUPTED, EXIT_USAGE
from oido.errors import AudioError, ModelFetchError, OptionError


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
