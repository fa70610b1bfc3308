# SPDX-License-Identifier: Apache-2.0
"""Labels in any language, from a file: written, and understood where they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile

from oido import AudioClassifier
from oido.cli.main import run
from oido.errors import OptionError
from tests.models.tflite.test_waveform import RATE, SOUND, annotated, network

LABELS = ("Corvus corax_Common Raven", "Corvus brachyrhynchos_American Crow", "Noise_Noise")
GERMAN = ("Corvus corax_Kolkrabe", "Corvus brachyrhynchos_Amerikanerkrähe", "Noise_Rauschen")
RAVEN = "Kolkrabe (Corvus corax)"


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A model of labels of two names, which gives each some score."""
    return str(annotated(network(), tmp_path, labels=LABELS))


@pytest.fixture
def sound(tmp_path: Path) -> str:
    soundfile.write(tmp_path / "sound.wav", SOUND, RATE, subtype="FLOAT")
    return str(tmp_path / "sound.wav")


def german(tmp_path: Path, lines: tuple[str, ...] = GERMAN, encoding: str = "utf-8") -> str:
    path = tmp_path / "labels_de.txt"
    path.write_bytes("\r\n".join([*lines, ""]).encode(encoding))
    return str(path)


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """The labels that are written."""
    capsys.readouterr()
    assert run(["classify", *arguments, "--windows", "--format", "jsonl", "-q"]) == 0
    return [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_its_labels_are_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, sound: str, encoding: str
) -> None:
    file = german(tmp_path, encoding=encoding)
    found = rows(capsys, sound, "--model", model, "--labels-file", file)
    assert {*found} == {RAVEN, "Amerikanerkrähe (Corvus brachyrhynchos)", "Rauschen (Noise)"}


@pytest.mark.parametrize(
    "name", ["Kolkrabe", "kolkrabe", RAVEN, GERMAN[0], "Common Raven", "corvus corax", LABELS[0]]
)
def test_they_are_understood_where_they_are_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, sound: str, name: str
) -> None:
    common = (sound, "--model", model, "--labels-file", german(tmp_path))
    assert {*rows(capsys, *common, "--allow", name)} == {RAVEN}
    assert RAVEN not in rows(capsys, *common, "--deny", name)
    thresholds = tmp_path / "thresholds.csv"
    thresholds.write_text(f'"{name}",0.01\n', encoding="utf-8")
    arguments = ["classify", *common, "--thresholds", str(thresholds), "--format", "jsonl", "-q"]
    assert run(arguments) == 0
    assert RAVEN in capsys.readouterr().out


def test_a_slip_is_answered_with_what_is_near_in_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, sound: str
) -> None:
    file = german(tmp_path)
    refused = ["classify", sound, "--model", model, "--labels-file", file, "--allow", "Kolkrahbe"]
    assert run(refused) != 0
    assert "Kolkrabe" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "refusal"),
    [
        (GERMAN[:2], r"has 2 labels and the model 3"),
        ((GERMAN[1], GERMAN[0], GERMAN[2]), r"label 1 is .* and the model's is 'Corvus corax'"),
        (("Kolkrabe", "Krähe", "Rauschen"), r"label 1 is 'Kolkrabe'.*as Latin_Common"),
        (("Corvus corax", "Corvus brachyrhynchos", "Noise"), r"Latin names only"),
    ],
)
def test_a_file_of_other_labels_is_refused(
    tmp_path: Path, model: str, lines: tuple[str, ...], refusal: str
) -> None:
    with pytest.raises(OptionError, match=refusal):
        AudioClassifier(model, labels_file=german(tmp_path, lines))
    with pytest.raises(OptionError, match=r"none\.txt: cannot be read"):
        AudioClassifier(model, labels_file=tmp_path / "none.txt")


def test_labels_of_one_name_are_counted_only(tmp_path: Path) -> None:
    path = annotated(network(), tmp_path, labels=("crow", "frog", "rain"))
    classifier = AudioClassifier(path, labels_file=german(tmp_path, ("Krähe", "Frosch", "Regen")))
    shown = {c.display_name for c in classifier.classify(SOUND, RATE).windows(3)[0].categories}
    assert shown == {"Krähe", "Frosch", "Regen"}
    assert classifier.label_indices(["Frosch", "rain"]) == [1, 2]


def test_results_live_and_the_list_of_labels_have_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, sound: str
) -> None:
    common = ["--model", model, "--labels-file", german(tmp_path)]
    archive = str(tmp_path / "archive")
    assert run(["batch", sound, "-o", archive, *common, "--jobs", "1", "-q"]) == 0
    for name in ("Kolkrabe", "corvus corax", RAVEN):
        capsys.readouterr()
        condition = ["query", archive, f"label = '{name}'", "--table", "windows"]
        assert run([*condition, "--format", "csv"]) == 0
        assert RAVEN in capsys.readouterr().out
    live = ["listen", sound, "--replay", *common, "--jsonl", "--windows"]
    assert run([*live, "--on", "Kolkrabe>0.01", "--do", "save:heard"]) == 0
    heard = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert RAVEN in {row["label"] for row in heard if "label" in row}
    assert run(["models", "info", model, "--labels", "--labels-file", german(tmp_path)]) == 0
    assert RAVEN in capsys.readouterr().out.splitlines()
