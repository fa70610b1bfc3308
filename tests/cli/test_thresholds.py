# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

import oido
from oido.cli import thresholds
from oido.heads import Head, ScoreCalibration, Sigmoid
from oido.models.calibration_file import Calibration
from oido.models.loading import load_model
from oido.models.tflite.metadata_writer import annotate
from tests.models.tflite.test_metadata_heads import graph_of

OWN = (("Dog", 0.4), ("Cat, small", 0.2))
NEW = Sigmoid(1, 2, -1)


def run(*words: object) -> int:
    """The command by itself."""
    parser = argparse.ArgumentParser(prog="oido")
    thresholds.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["thresholds", *map(str, words)])
    code: int = args.run(args)
    return code


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    place = Head("place", ("in", "out"))
    head = Head("scores", ("Dog", "Cat, small", "Owl"), thresholds=OWN)
    path.write_bytes(annotate(graph_of(2, 3), [place, head], sample_rate_hz=8_000))
    return path


@pytest.fixture
def calibration(model: Path, tmp_path: Path) -> Path:
    loaded = load_model(model)
    made = Calibration.of(loaded, loaded.head, scores=ScoreCalibration((NEW,) * 3))
    made.save(tmp_path / "c.json")
    return tmp_path / "c.json"


@pytest.mark.parametrize("kind", ["model", "calibration"])
def test_they_are_shown_as_csv(
    kind: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("show", request.getfixturevalue(kind)) == 0
    assert capsys.readouterr().out == 'label,threshold\nDog,0.4\n"Cat, small",0.2\n'


def test_none_are_shown_as_none(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", model, "--head", "place") == 0
    shown = capsys.readouterr()
    assert shown.out == "label,threshold\n"
    assert "begin at 0.2" in shown.err


def test_some_are_changed(model: Path, tmp_path: Path) -> None:
    before = model.read_bytes()
    new = tmp_path / "new.tflite"
    words = ("--set", "owl=0.9", "--set", "Cat, small=0.05", "--unset", "dog")
    assert run("edit", model, "-o", new, *words) == 0
    assert load_model(new).head.thresholds == (("Cat, small", 0.05), ("Owl", 0.9))
    assert load_model(new).heads[0] == load_model(model).heads[0]
    assert model.read_bytes() == before


def test_in_place_can_be_undone(model: Path) -> None:
    before = model.read_bytes()
    assert run("edit", model, "--set", "Dog=0.5") == 0
    between = model.read_bytes()
    assert run("edit", model, "--set", "Dog=0.6", "--head", "scores") == 0
    assert load_model(model).head.thresholds[0] == ("Dog", 0.6)
    assert model.with_name("m.tflite.orig").read_bytes() == before
    assert model.with_name("m.tflite.orig2").read_bytes() == between


def test_a_calibration_is_changed_alone(calibration: Path, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("label,threshold\nOwl,0.75\n", encoding="utf-8")
    before = Calibration.read(calibration)
    assert run("edit", calibration, "--from", table) == 0
    after = Calibration.read(calibration)
    assert after == replace(before, thresholds=(*OWN, ("Owl", 0.75)))
    assert Calibration.read(calibration.with_name("c.json.orig")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "say what to change"),
        (("--set", "Dog"), "LABEL=P"),
        (("--set", "Dog=high"), "LABEL=P"),
        (("--set", "Dog=1.5"), "from 0 to 1"),
        (("--set", "Dog=nan"), "from 0 to 1"),
        (("--set", "Dig=0.5"), "no label 'Dig'; the nearest are: 'Dog'"),
        (("--unset", "Owl"), "'Owl' has no threshold"),
        (("--set", "Dog=1", "--head", "x"), "no head 'x'"),
        (("--set", "Dog=1", "-o", "m.json"), "name it so"),
    ],
)
def test_wrong_changes_are_told(model: Path, words: tuple[str, ...], message: str) -> None:
    before = model.read_bytes()
    with pytest.raises(oido.OptionError, match=message):
        run("edit", model, *words)
    assert model.read_bytes() == before
    assert list(model.parent.iterdir()) == [model]


def test_a_name_needs_a_file_to_write_to() -> None:
    with pytest.raises(oido.OptionError, match="say where to write"):
        run("edit", "yamnet/classification", "--set", "Dog=0.5")


@pytest.mark.parametrize("name", ["nowhere.tflite", "nowhere.json"])
def test_a_file_that_is_not_there_is_said_to_be_so(name: str, tmp_path: Path) -> None:
    with pytest.raises(oido.OidoError, match=r"(?i)no such"):
        run("edit", tmp_path / name, "--set", "Dog=0.5")


def test_a_calibration_knows_its_head(calibration: Path) -> None:
    with pytest.raises(oido.OptionError, match="is for head 'scores'"):
        run("show", calibration, "--head", "place")
    with pytest.raises(oido.OptionError, match="name it so"):
        run("edit", calibration, "--set", "Dog=1", "-o", "x.tflite")


def test_a_list_with_a_label_twice_changes_nothing(model: Path, tmp_path: Path) -> None:
    before = model.read_bytes()
    for text, says in (
        ("Dog,0.1\nDog,0.2\n", "names 'Dog' twice"),
        ("Dog,0.1\ndog,0.2\n", "one label"),
    ):
        listed = tmp_path / "new.csv"
        listed.write_text(text)
        with pytest.raises(oido.OptionError, match=says):
            run("edit", model, "--from", listed)
    assert model.read_bytes() == before
