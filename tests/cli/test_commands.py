# SPDX-License-Identifier: Apache-2.0
"""Help, models, doctor, and what starting the command loads."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oido.cli.main import build_parser, run
from oido.models import fetch
from oido.models.registry import DEFAULT_MODEL, card


def parsers(
    parser: argparse.ArgumentParser | None = None,
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    parser = parser or build_parser()
    yield parser.prog, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers(child)


@pytest.mark.parametrize(("name", "parser"), list(parsers()), ids=[p[0] for p in parsers()])
def test_every_command_and_option_has_help(name: str, parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help for choice in action._choices_actions}
            assert set(helps) == set(action.choices), f"{name}: a command lacks its line of help"
        elif not isinstance(action, argparse._VersionAction | argparse._HelpAction):
            positional = not action.option_strings and action.metavar is not None
            assert action.help or positional, f"{name}: {action.dest} lacks help"


@pytest.mark.parametrize("command", [[], ["classify"], ["models"], ["doctor"]])
def test_help_has_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        run([*command, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    assert text.count("\n  oido ") >= 1


def test_help_loads_no_numpy_and_no_runtime() -> None:
    code = (
        "import sys\n"
        "from oido.cli.main import run\n"
        "try:\n    run(['classify', '--help'])\nexcept SystemExit: pass\n"
        "heavy = {'numpy', 'ai_edge_litert', 'soundfile', 'av', 'soxr', 'flatbuffers', 'pyarrow'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_models_list_info_verify(capsys: pytest.CaptureFixture[str]) -> None:
    path = fetch.fetch(card(DEFAULT_MODEL))
    assert run(["models", "list"]) == 0
    assert DEFAULT_MODEL in capsys.readouterr().out
    assert run(["models", "info", DEFAULT_MODEL]) == 0
    text = capsys.readouterr().out
    for fact in ("16000 Hz", "15600 samples", "521", "Apache-2.0", "not probabilities"):
        assert fact in text
    assert run(["models", "info", str(path), "--labels"]) == 0
    labels = capsys.readouterr().out.splitlines()
    assert len(labels) == 521
    assert (labels[0], labels[494]) == ("Speech", "Silence")
    assert run(["models", "verify"]) == 0


def test_models_fetch_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fetch.fetch(card(DEFAULT_MODEL))
    monkeypatch.setenv("OIDO_CACHE", str(tmp_path / "cache"))
    assert run(["models", "fetch", DEFAULT_MODEL, "--from-file", str(path)]) == 0
    installed = Path(capsys.readouterr().out.strip())
    assert installed.is_relative_to(tmp_path)
    assert installed.read_bytes() == path.read_bytes()
    wrong = tmp_path / "wrong.tflite"
    wrong.write_bytes(b"x" * 4_126_810)
    assert run(["models", "fetch", "--from-file", str(wrong)]) == 1
    assert "SHA-256" in capsys.readouterr().err


def test_doctor_hears_a_beep(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "hears a 1 kHz tone as 'Beep, bleep'" in text
    assert "FAIL" not in text


def test_unexpected_errors_are_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from oido.cli import doctor

    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(doctor, "_line", broken)
    assert run(["doctor"]) == 1
    assert "internal error, ZeroDivisionError: oh" in capsys.readouterr().err
