# SPDX-License-Identifier: Apache-2.0
"""``oido calibrate``, from made sounds to a file that hears probabilities."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import oido
from oido.cli import calibrate
from oido.heads import ScoreCalibration, ScoreTransformation, Sigmoid
from oido.models.calibration_file import Calibration, apply_calibration
from oido.models.loading import load_model
from tests.calibration.labelled_sounds import YAMNET_LABELS, labelled_sounds
from tests.datasets.recordings import record
from tests.signal.decode.wav_bytes import wav

NAME = "yamnet/classification"


def run(*words: object) -> int:
    """The command by itself."""
    parser = argparse.ArgumentParser(prog="oido")
    calibrate.add_parser(parser.add_subparsers(required=True))
    args = parser.parse_args(["calibrate", *map(str, words)])
    code: int = args.run(args)
    return code


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled_sounds(tmp_path_factory.mktemp("labelled"))


def test_every_kind_of_file_says_the_same(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [tmp_path / f"c.{kind}" for kind in ("tflite", "json", "csv")]
    outputs = [word for path in paths for word in ("-o", path)]
    figures = tmp_path / "report.json"
    assert run(NAME, table, *outputs, "--target", "recall=0.9", "--json", figures, "-q") == 0
    out = capsys.readouterr().out
    assert "Clicking" in out
    assert "518 labels of the model have no clip" in out
    assert "transformation INVERSE_LOGISTIC" in out
    alone = Calibration.read(paths[1])
    packed = load_model(paths[0]).head
    assert packed.calibration == alone.scores
    assert packed.thresholds == alone.thresholds
    assert {label for label, _ in alone.thresholds} == set(YAMNET_LABELS.values())
    of_text = ScoreCalibration.parse(
        paths[2].read_text("utf-8"), 521, ScoreTransformation.INVERSE_LOGISTIC,
        alone.scores.default_score
    )  # fmt: skip
    assert of_text == alone.scores
    content = json.loads(figures.read_text("utf-8"))
    assert content["held_out"]["brier_after"] < content["held_out"]["brier_before"]
    hiss = table.parent / "sounds" / "hiss" / "hiss-1.wav"
    ready = apply_calibration(load_model(NAME), alone)
    results = [oido.AudioClassifier(m, jobs=1).classify(hiss) for m in (paths[0], ready)]
    np.testing.assert_array_equal(results[0].probabilities, results[1].probabilities)
    best = dict(zip(results[0].labels, results[0].clip_probabilities.tolist()))
    assert best["Hiss"] > 0.5 > best["Clicking"]
    evidence = dict(zip(alone.labels, alone.evidence))
    assert evidence["Hiss"].recordings == 6
    assert evidence["Speech"].note == "no clip of it: pooled"


def test_the_same_data_give_the_same_bytes(table: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        run(NAME, table, "-o", tmp_path / f"{name}.tflite", "-q")
    assert (tmp_path / "a.tflite").read_bytes() == (tmp_path / "b.tflite").read_bytes()


def test_a_calibration_that_one_has_is_put_in(tmp_path: Path) -> None:
    scores = ScoreCalibration((Sigmoid(1, 2, -1), None) + (Sigmoid(0.5, 1, 0),) * 519)
    (tmp_path / "s.csv").write_text(scores.text(), encoding="utf-8")
    words = ("--from", tmp_path / "s.csv", "--transformation", "LOG", "--default-score", 0.25)
    assert run(NAME, *words, "-o", tmp_path / "m.tflite") == 0
    packed = load_model(tmp_path / "m.tflite").head.calibration
    assert packed == ScoreCalibration(scores.sigmoids, ScoreTransformation.LOG, 0.25)


def test_two_lines_too_few_are_told(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("\n".join(["1,2,3"] * 519), encoding="utf-8")
    with pytest.raises(oido.OptionError, match=r"s\.csv.* 519 line.* line 520 is missing"):
        run(NAME, "--from", tmp_path / "s.csv", "-o", tmp_path / "m.tflite")
    with pytest.raises(oido.OptionError, match="cannot be read"):
        run(NAME, "--from", tmp_path / "none.csv", "-o", tmp_path / "m.tflite")
    assert not (tmp_path / "m.tflite").exists()


def test_guarantees_need_recordings(table: Path) -> None:
    with pytest.raises(oido.OptionError, match="needs 22 recordings of each class"):
        run(NAME, table, "--guarantee", "fnr=0.1", "-q")


def test_a_guarantee_states_what_it_assumes(
    table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(NAME, table, "--guarantee", "fnr=0.4", "--confidence", 0.9, "-q") == 0
    out = capsys.readouterr().out
    assert "with confidence 0.9" in out
    assert "one urn" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "m.onnx"), "name it .tflite"),
        (("--json", "r.html"), "ends in .json"),
        (("--target", "luck"), "no aim 'luck'"),
        (("--guarantee", "luck=0.1"), "no guarantee of 'luck'"),
        (("--guarantee", "fnr=0.1", "--confidence", "2"), "confidence"),
        (("--from", "s.csv"), "labelled recordings, or"),
    ],
)
def test_wrong_words_are_told(table: Path, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(oido.OptionError, match=message):
        run(NAME, table, *words, "-q")


def test_what_makes_it_worse_is_not_written_but_by_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of what YAMNet is sure of, and rightly, four clips can only make it less sure."""
    few = tmp_path / "clips.csv"
    for number in (1, 2):
        (tmp_path / f"nothing {number}.wav").write_bytes(wav(np.zeros(16_000 * number), 16_000))
    examples = Path(__file__).parents[2] / "examples"
    few.write_text(
        "file,label,start_time,end_time\nnothing 1.wav,Silence,,\nnothing 2.wav,Silence,,\n"
        f"{examples}/alarm.flac,Alarm,,\n{examples}/street.flac,Alarm,1,5\n",
        "utf-8",
    )
    out, figures = tmp_path / "few.tflite", tmp_path / "few.json"
    assert run(NAME, few, "-o", out, "--json", figures, "-q") == 1
    printed = capsys.readouterr()
    assert "WORSE" in printed.out
    assert f"{out} not written" in printed.err
    assert "--force" in printed.err
    assert not out.exists()
    assert json.loads(figures.read_text("utf-8"))["clips"] == 4  # why, is for reading
    assert run(NAME, few, "-o", out, "--force", "-q") == 0
    assert load_model(out).head.calibration is not None
    assert run(NAME, few, "-q") == 0  # nothing was to be written


def test_labels_of_the_data_are_mapped_to_those_of_the_model(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tmp_path / "names.csv"
    rows = [f'{kind},"{label}"' for kind, label in YAMNET_LABELS.items()]
    names.write_text("\n".join(["mine,the model's", *rows]), "utf-8")
    made = [tmp_path / f"{name}.json" for name in "ab"]
    with pytest.raises(oido.OptionError, match=r"no label 'beep'.*--map FILE"):
        run(NAME, table.parent / "sounds", "-q")
    assert run(NAME, table, "-o", made[0], "-q") == 0
    assert run(NAME, table.parent / "sounds", "--map", names, "-o", made[1], "-q") == 0
    one, other = (Calibration.read(path) for path in made)
    assert (one.scores, one.thresholds) == (other.scores, other.thresholds)


def test_without_anything_to_go_by() -> None:
    with pytest.raises(oido.OptionError, match="give labelled recordings"):
        run(NAME)
    with pytest.raises(SystemExit):
        run(NAME, "data", "--target", "f1", "--guarantee", "fnr=0.1")


def test_labels_that_the_model_does_not_have(tmp_path: Path) -> None:
    record(tmp_path / "Dogg" / "1.wav")
    record(tmp_path / "Rain" / "1.wav")
    with pytest.raises(oido.OptionError, match="no label 'Dogg'; the nearest are: 'Dog'"):
        run(NAME, tmp_path, "-q")


def test_a_calibration_beside_the_model_is_heard_too(table: Path, tmp_path: Path) -> None:
    """In Python and by the command; a calibration of another model is refused."""
    packed, alone = tmp_path / "c.tflite", tmp_path / "c.json"
    assert run(NAME, table, "-o", packed, "-o", alone, "-q") == 0
    hiss = table.parent / "sounds" / "hiss" / "hiss-1.wav"
    one = oido.AudioClassifier(packed, jobs=1).classify(hiss)
    other = oido.AudioClassifier(calibration=alone, jobs=1).classify(hiss)
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert one.events() == other.events()
    command = [sys.executable, "-m", "oido", "classify", str(hiss), "--clip", "--format", "csv"]
    done = subprocess.run(
        [*command, "--calibration", str(alone)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0].endswith(",score,probability,also")
    assert lines[1].split(",")[4] == other.top(1)[0].label
    wrong = subprocess.run(
        [*command, "--model", str(packed), "--calibration", str(alone)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert wrong.returncode in (1, 2)
    assert "Traceback" not in wrong.stderr
    assert "calibrate this one" in wrong.stderr
