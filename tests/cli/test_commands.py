# SPDX-License-Identifier: Apache-2.0
"""Help, and what starting the command loads."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from oido.cli.main import build_parser, run


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


WRITES = [
    "query r -o",
    "report r -o",
    "report r --json",
    "clips r --label Dog -o",
    "find r --like x.wav -o",
    "find r --like x.wav --index",
    "count r --label Dog --reviewed c.csv -o",
    "count r --label Dog --reviewed c.csv --report",
    "labels show",
    "train d -o",
    "train d --report",
    "calibrate m d -o",
    "evaluate m d --json",
    "drift a b --json",
    "export m -o",
    "adapt r m --labels p.db -o",
]


@pytest.mark.parametrize("words", WRITES)
def test_what_is_written_to_this_computer_goes_to_no_address(
    words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a path, ``s3://bucket/x.csv`` is a file in a folder ``s3:``, where nobody looks for it."""
    monkeypatch.chdir(tmp_path)
    assert run([*words.split(), "s3://bucket/x.csv"]) == 2
    assert "s3://bucket/x.csv: is an address" in capsys.readouterr().err
    assert not (tmp_path / "s3:").exists()


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
