# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

import oido
from oido.cli import drift
from tests.training.taught_sounds import make_sounds


def run(*words: str) -> int:
    """The command by itself."""
    parser = argparse.ArgumentParser(prog="oido")
    drift.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["drift", *words])
    code: int = args.run(args)
    return code


def test_words_figures_and_files_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sounds = make_sounds(tmp_path / "sounds", each=5)
    figures = tmp_path / "drift.json"
    assert run(str(sounds), str(sounds), "-q", "--json", str(figures)) == 0
    out = capsys.readouterr().out
    assert out.startswith("~ no shift found, but with only ")
    content = json.loads(figures.read_text("utf-8"))
    assert content["shifted"] is False
    assert content["new"]["recordings"] == 15

    (sounds / "click" / "bad.wav").write_bytes(b"RIFF")
    words = (str(sounds / "hiss"), str(sounds / "click"), "--level", "0.1")
    assert run(*words) == 3
    out = capsys.readouterr().out
    assert "a clear shift" in out
    assert f"left out: {sounds / 'click' / 'bad.wav'}: " in out


def test_a_wrong_name_is_told_before_anything_is_heard() -> None:
    with pytest.raises(oido.OptionError, match=r"--json needs a name that ends in \.json"):
        run("nowhere", "nowhere", "--json", "d.txt")
