# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

import oido
from oido.cli import evaluate
from tests.datasets.recordings import record

pytest.importorskip("sklearn")

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*words: str) -> int:
    """The command by itself."""
    parser = argparse.ArgumentParser(prog="oido")
    evaluate.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["evaluate", *words])
    code: int = args.run(args)
    return code


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    table = tmp_path / "clips.csv"
    table.write_text(
        "file,start_time,end_time,label\n"
        f"{EXAMPLES}/street.flac,0.8,5.8,Siren\n"
        f"{EXAMPLES}/street.flac,10.9,15.8,Bell\n"
        f"{EXAMPLES}/street.flac,16.9,20.4,background\n"
        f'{EXAMPLES}/alarm.flac,,,"Smoke detector, smoke alarm"\n',
        encoding="utf-8",
    )
    return table


def test_text_page_and_figures(
    labelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    page, figures = tmp_path / "r.html", tmp_path / "r.json"
    words = ["yamnet/classification", str(labelled), "--report", str(page), "--json", str(figures)]
    assert run(*words) == 0
    out = capsys.readouterr().out
    content = json.loads(figures.read_text("utf-8"))
    assert content["clips"] == 4
    assert f"clip accuracy   {content['clip_accuracy']:.3f}" in out
    assert f"mAP             {content['mAP']:.3f}" in out
    assert page.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert {row["label"] for row in content["classes"]} == {
        "Bell", "Siren", "Smoke detector, smoke alarm"
    }  # fmt: skip


def test_clips_left_out_make_exit_code_3(
    labelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with labelled.open("a", encoding="utf-8") as file:
        file.write("gone.wav,,,Siren\n")
    assert run("yamnet/classification", str(labelled), "-q") == 3
    assert "gone.wav: no such file" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--report", "r.pdf"], "--report needs a name that ends in .html"),
        (["--json", "r.html"], "--json needs a name that ends in .json"),
    ],
)
def test_wrong_names_are_told_before_anything_is_heard(words: list[str], message: str) -> None:
    with pytest.raises(oido.OptionError, match=message):
        run("yamnet/classification", "nowhere", *words)


def test_labels_of_another_model_are_told(tmp_path: Path) -> None:
    record(tmp_path / "Sirens" / "1.wav")
    record(tmp_path / "Bell" / "1.wav")
    with pytest.raises(oido.OptionError, match="nearest"):
        run("yamnet/classification", str(tmp_path), "-q")
