# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import pytest

import oido
from oido.cli import evaluate
from oido.heads import Head
from oido.models.tflite.metadata_writer import annotate
from tests.datasets.recordings import record
from tests.models.tflite.test_metadata_heads import graph_of

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


def _two_sounds(folder: Path) -> Path:
    for label, name in (("my_siren", "street.flac"), ("my_alarm", "alarm.flac")):
        (folder / label).mkdir(parents=True)
        shutil.copy(EXAMPLES / name, folder / label)
    return folder


def test_other_names_are_mapped_to_the_models(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, names = _two_sounds(tmp_path / "data"), tmp_path / "names.csv"
    with pytest.raises(oido.OptionError, match=r"no label 'my_alarm'.*--map FILE"):
        run("yamnet/classification", str(data))
    names.write_text('my_siren;Siren\nmy_alarm;"Smoke detector, smoke alarm"\n', "utf-8")
    figures = tmp_path / "f.json"
    words = ("yamnet/classification", str(data), "--map", str(names), "--json", str(figures))
    assert run(*words) == 0
    content = json.loads(figures.read_text("utf-8"))
    assert {row["label"] for row in content["classes"]} == {"Siren", "Smoke detector, smoke alarm"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("my_siren\n", "line 1: write a label of the data, a comma"),
        ("my_siren,\n", "line 1: write a label of the data, a comma"),
        ("my_siren,Siren\nmy_siren,Alarm\n", "line 2: 'my_siren' cannot be both 'Siren' and 'Al"),
        ("label,model\n", "none of the labels to rename is in the data, which have 'my_alarm'"),
        ("my_siren,Sirenn\nmy_alarm,Alarm\n", "no label 'Sirenn'"),
    ],
)
def test_a_wrong_map_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    names = tmp_path / "names.csv"
    names.write_text(text, "utf-8")
    data = _two_sounds(tmp_path / "data")
    with pytest.raises(oido.OptionError, match=message):
        run("yamnet/classification", str(data), "--map", str(names))


def test_guessed_sources_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    for number, name in enumerate(["rex-1", "rex-2", "ben", "max"]):
        record(data / "Siren" / f"{name}.wav", seconds=1.0 + number / 10)
    assert run("yamnet/classification", str(data)) == 0
    assert "by their names, 2 recordings" in capsys.readouterr().err
    assert run("yamnet/classification", str(data), "--each-is-a-source") == 0
    assert "by their names" not in capsys.readouterr().err


def test_a_head_of_several_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, figures = tmp_path / "m.tflite", tmp_path / "f.json"
    heads = [Head("place", ("in", "out")), Head("scores", ("Dog", "Cat", "Owl"))]
    model.write_bytes(annotate(graph_of(2, 3), heads, sample_rate_hz=8_000))
    table = tmp_path / "clips.csv"
    record(tmp_path / "1.wav", seconds=4.0)
    table.write_text("file,start_time,end_time,label\n1.wav,0,2,in\n1.wav,2,4,out\n", "utf-8")
    words = (str(model), str(table), "--json", str(figures))
    assert run(*words, "--head", "place") == 0
    content = json.loads(figures.read_text("utf-8"))
    assert {row["label"] for row in content["classes"]} == {"in", "out"}
    assert content["facts"]["head"] == "place"
    with pytest.raises(oido.OptionError, match=r"no label 'in'.*: background, where it has none$"):
        run(*words)
    (tmp_path / "names.csv").write_text("in,Dog\nout,background\n", "utf-8")
    assert run(*words, "--map", str(tmp_path / "names.csv")) == 0
    content = json.loads(figures.read_text("utf-8"))
    assert (content["clips"], [row["clips"] for row in content["classes"]]) == (2, [1, 0, 0])
    with pytest.raises(oido.OptionError, match="no head 'base'; it has place, scores"):
        run(*words, "--head", "base")
    data = oido.Dataset.load(table)
    by_name = oido.evaluate(model, data, head="place").to_dict()
    placed = oido.AudioClassifier(model, head="place")
    assert oido.evaluate(placed, data).to_dict()["classes"] == by_name["classes"]
    with pytest.raises(oido.OptionError, match="of the head 'place' already"):
        oido.evaluate(placed, data, head="scores")
    pytest.importorskip("sed_scores_eval", reason="needs oido[evaluate]")
    assert run(*words, "--events", "--head", "place") == 0
    content = json.loads(figures.read_text("utf-8"))
    assert {row["label"] for row in content["events"]["classes"]} == {"in", "out"}


def test_events_are_refused_before_anything_is_heard(tmp_path: Path) -> None:
    pytest.importorskip("sed_scores_eval", reason="needs oido[evaluate]")
    (tmp_path / "Siren").mkdir()
    (tmp_path / "Siren" / "no-sound.wav").write_bytes(b"")  # which hearing would call so
    with pytest.raises(oido.OptionError, match=r"no region with an event.*without times"):
        run("yamnet/classification", str(tmp_path), "--events")
