# SPDX-License-Identifier: Apache-2.0
"""``oido completion``: what the real shells make of it, where they are installed."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from oido.cli.completion import SHELLS
from oido.cli.main import build_parser, run


def script(shell: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert run(["completion", shell]) == 0
    path = folder / f"oido.{shell}"
    path.write_text(capsys.readouterr().out, "utf-8")
    return path


def in_bash(script: Path, line: str) -> list[str]:
    """What ``line`` and a press of the tabulator would offer."""
    code = (
        f"source {script}\n"
        'COMP_WORDS=("$@"); COMP_CWORD=$(( $# - 1 )); _oido; printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    return _offered(["bash", "-c", code, "bash", *line.split(" ")], script)


def in_zsh(script: Path, line: str) -> list[str]:
    """The same, with what zsh would show by functions that print it instead."""
    code = (
        "compadd() { [[ $1 == -- ]] && shift; print -l -- ${(M)@:#$PREFIX*}; }\n"
        '_describe() { local -a all=("${(@P)2}"); all=("${all[@]%%:*}")\n'
        "  print -l -- ${(M)all:#$PREFIX*}; }\n"
        "_files() { print FILES; }; compdef() { }\n"
        f"source {script}\n"
        'words=("$@"); CURRENT=$#; PREFIX=${words[CURRENT]}; _oido\n'
    )
    return _offered(["zsh", "-f", "-c", code, "zsh", *line.split(" ")], script)


def in_fish(script: Path, line: str) -> list[str]:
    code = f"complete -c oido -e; source {script}; complete -C {line!r}"
    return [entry.split("\t")[0] for entry in _offered(["fish", "--no-config", "-c", code], script)]


def _offered(command: list[str], script: Path) -> list[str]:
    done = subprocess.run(
        command,
        cwd=script.parent,
        env={**os.environ, "HOME": str(script.parent), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not done.stderr, done.stderr
    return [line for line in done.stdout.splitlines() if line]


OFFERED = {"bash": in_bash, "zsh": in_zsh, "fish": in_fish}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("oido cl", {"classify", "clips"}),
        ("oido c", {"classify", "clips", "count", "convert", "calibrate", "cache", "completion"}),
        ("oido classify --thresh", {"--threshold", "--thresholds"}),
        ("oido classify street.flac --min", {"--min-duration"}),
        ("oido models ", {"list", "fetch", "info", "annotate", "verify"}),
        ("oido models fetch --from", {"--from-file"}),
        ("oido models fetch ya", {"yamnet", "yamnet/classification"}),
        ("oido classify --model efficientat/m", {"efficientat/mn04", "efficientat/mn10"}),
        ("oido classify --labels ", {"specific", "all"}),
        ("oido cache clear em", {"embeddings"}),
        ("oido rev", {"review"}),
        ("oido review --choose ", {"stratified", "top", "random", "uncertain", "novel"}),
        ("oido completion ", {"bash", "zsh", "fish"}),
        ("oido thresholds edit --uns", {"--unset"}),
    ],
)
def test_the_shell_offers_what_may_follow(
    shell: str, line: str, offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed here")
    found = set(OFFERED[shell](script(shell, tmp_path, capsys), line))
    files = {"FILES", f"oido.{shell}"}
    assert found - files == offered


def test_zsh_itself_takes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sourced after compinit, and as a file of fpath; with zsh's own functions."""
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed here")
    path = script("zsh", tmp_path, capsys)
    shutil.copy(path, tmp_path / "_oido")
    start = "autoload -U compinit; compinit -u -D"
    for code in (f"{start}; source {path}", f"fpath+={tmp_path}; {start}"):
        assert _offered(["zsh", "-f", "-c", f"{code}; print $_comps[oido]"], path) == ["_oido"]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_option_is_known(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    words = capsys.readouterr().out

    def check(parser: argparse.ArgumentParser) -> None:
        for action in parser._actions:
            for flag in action.option_strings:
                spelled = flag if shell != "fish" else f"-l {flag[2:]}" if flag[:2] == "--" else ""
                assert spelled in words
            if isinstance(action, argparse._SubParsersAction):
                for name, below in action.choices.items():
                    assert name in words
                    check(below)

    check(build_parser())


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", "tcsh"]) == 2
    assert "must be one of bash, zsh, fish, not 'tcsh'" in capsys.readouterr().err
