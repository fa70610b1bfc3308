# SPDX-License-Identifier: Apache-2.0
"""calibration.json: written, read back, damaged, and given to models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oido
from oido.errors import OptionError, OutputError
from oido.heads import ScoreCalibration, ScoreTransformation, Sigmoid
from oido.models.calibration_file import (
    Calibration,
    Evidence,
    apply_calibration,
    read_sigmoids,
    shortest,
)
from oido.models.model import AudioModel
from tests.test_heads import calibrations


def for_model(model: AudioModel, **changes) -> Calibration:
    sigmoids = tuple(Sigmoid(1, 1 + n / 1000, -n / 100) for n in range(len(model.labels)))
    scores = ScoreCalibration(sigmoids, ScoreTransformation.INVERSE_LOGISTIC, 0.001)
    made = Calibration.of(
        model,
        model.head,
        scores=scores,
        thresholds=(("Siren", 0.4),),
        facts={"wish": "f1", "ünsinn": [1, None]},
    )
    return replace(made, **changes)


@settings(max_examples=40)
@given(calibrations, st.data())
def test_what_is_written_is_read_back(scores: ScoreCalibration, data: st.DataObject) -> None:
    labels = tuple(f"sound {n}" for n in range(len(scores.sigmoids)))
    chosen = data.draw(st.lists(st.sampled_from(labels), unique=True).map(sorted))
    thresholds = tuple((x, data.draw(st.floats(0, 1, width=32))) for x in labels if x in chosen)
    evidence = tuple(Evidence(n, 1, 5, "pooled" if n else "") for n in range(len(labels)))
    made = Calibration(
        "m", "0" * 64, "int8", 15_600, "scores", "mean", labels, scores, thresholds, evidence, {}
    )
    again = Calibration.parse(made.text())
    assert again == made
    assert again.text() == made.text()


def test_a_file_keeps_everything(model: AudioModel, tmp_path: Path) -> None:
    made = for_model(model)
    path = tmp_path / "new" / "calibration.json"
    made.save(path)
    again = Calibration.read(path)
    assert again == made
    assert again.facts == made.facts
    assert json.loads(path.read_text("utf-8"))["classes"][0]["label"] == "Speech"


def test_a_calibrated_model_hears_probabilities_and_its_thresholds(model: AudioModel) -> None:
    ready = apply_calibration(model, for_model(model))
    assert model.head.calibration is None
    street = Path(__file__).parents[2] / "examples" / "street.flac"
    result = oido.AudioClassifier(ready, jobs=1).classify(street)
    assert result.probabilities is not None
    x = result.scores.astype(np.float64).clip(1e-16, 1)
    n = np.arange(521)
    z = (1 + n / 1000) * (np.log(x) - np.log1p(-x)) - n / 100
    seen = result.scores > 1e-3
    np.testing.assert_allclose(result.probabilities[seen], (1 / (1 + np.exp(-z)))[seen], rtol=1e-3)
    plain = oido.AudioClassifier(model, jobs=1).classify(street)
    np.testing.assert_array_equal(plain.scores, result.scores)
    assert ready.head.thresholds == (("Siren", 0.4),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_sha256": "f" * 64}, "made for yamnet/classification.*ffffffffffff"),
        ({"precision": "float32"}, "in float32"),
        ({"window_samples": 16_000}, "windows of 16000"),
        ({"head": "birds"}, "head 'birds'"),
    ],
)
def test_another_models_calibration_is_refused(model: AudioModel, changes, message) -> None:
    with pytest.raises(OptionError, match=message):
        apply_calibration(model, for_model(model, **changes))


def test_labels_must_be_the_models(model: AudioModel) -> None:
    made = for_model(model)
    fewer = replace(made, labels=made.labels[:-2],
                    scores=replace(made.scores, sigmoids=made.scores.sigmoids[:-2]))  # fmt: skip
    with pytest.raises(OptionError, match="lacks 2 label"):
        apply_calibration(model, fewer)
    with pytest.raises(OptionError, match="another order"):
        apply_calibration(model, replace(made, labels=made.labels[::-1]))
    shorter = replace(model, heads=(replace(model.head, labels=made.labels[:-1]),))
    with pytest.raises(OptionError, match=f"has {made.labels[-1]!r}"):
        apply_calibration(shorter, made)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(format="other"), "format is not"),
        (lambda v: v.update(version=2), "update oido"),
        (lambda v: v.pop("classes"), "has no 'classes'"),
        (lambda v: v["classes"][3].pop("slope"), "has no 'slope'"),
        (lambda v: v["classes"][3].update(slope="steep"), "'steep' is no number"),
        (lambda v: v["classes"][3].update(slope=float("nan")), "finite"),
        (lambda v: v["classes"][3].update(scale=-1), "0 or more"),
        (lambda v: v["classes"][3].update(threshold=2), "from 0 to 1"),
        (lambda v: v["classes"][3].update(label=7), "no text"),
        (lambda v: v["classes"].pop(3) and v["classes"].append(None), "damaged"),
        (lambda v: v.update(transformation="SQUARE"), "no transformation 'SQUARE'"),
        (lambda v: v["classes"][3].update(evidence={"clips": 1, "foxes": 2}), "damaged"),
        (lambda v: v["classes"][3].update(evidence={}), "evidence for 1"),
    ],
)
def test_damaged_files_are_told(model: AudioModel, tmp_path: Path, change, message: str) -> None:
    values = json.loads(for_model(model).text())
    change(values)
    path = tmp_path / "c.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(OptionError, match=message) as told:
        Calibration.read(path)
    assert "c.json" in str(told.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"null", b'"x"'])
def test_files_that_are_no_calibration(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(OptionError, match=r"c\.json"):
        Calibration.read(path)
    with pytest.raises(OptionError, match="cannot be read"):
        Calibration.read(tmp_path / "none.json")


def test_a_file_that_cannot_be_written(model: AudioModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        for_model(model).save(tmp_path / "file" / "c.json")


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_shortest_is_the_same_float32(value: float) -> None:
    assert np.float32(shortest(value)) == np.float32(value)
    assert len(repr(shortest(value))) <= len(repr(value))


def test_shortest_is_short() -> None:
    assert shortest(float(np.float32(0.4))) == 0.4


def test_what_is_no_json_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "sound.json"
    path.write_text('{"format": \nfLaC')
    with pytest.raises(OptionError, match=r"sound\.json: it is no JSON \(line 2, column 1\)"):
        Calibration.read(path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000], ids=["lists", "objects"])
def test_a_calibration_that_goes_too_deep_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deep.json"
    path.write_text(text)
    with pytest.raises(OptionError, match=r"deep\.json: it is damaged"):
        Calibration.read(path)


@pytest.mark.parametrize(
    "text",
    [
        "1.0,2.5,-0.5\n\n0.5,1.0,0.0,0.25",
        "1.0,2.5,-0.5\n\n0.5,1.0,0.0,0.25\n",
        "1;2,5;-0,5\n;;;\n0,5;1;0;0,25\n",
        "1\t2,5\t-0,5\n\t\t\n0,5\t1\t0\t0,25\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_sigmoids_as_spreadsheets_write_them(
    tmp_path: Path, text: str, encoding: str, end: str
) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(text.replace("\n", end).encode(encoding))
    scores = read_sigmoids(path, 3, ScoreTransformation.LOG, 0.25)
    sigmoids = (Sigmoid(1.0, 2.5, -0.5), None, Sigmoid(0.5, 1.0, 0.0, 0.25))
    assert scores == ScoreCalibration(sigmoids, ScoreTransformation.LOG, 0.25)


def test_sigmoids_whose_last_labels_have_none(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text("1,2,3\n\n")
    assert read_sigmoids(path, 2, ScoreTransformation.IDENTITY, 0.0).sigmoids[1] is None
    with pytest.raises(OptionError, match=r"s\.csv: .* 2 line\(s\) for 4 label"):
        read_sigmoids(path, 4, ScoreTransformation.IDENTITY, 0.0)
    path.write_text("1;2;x\n")
    with pytest.raises(OptionError, match=r"s\.csv: .*must be scale,slope,offset"):
        read_sigmoids(path, 1, ScoreTransformation.IDENTITY, 0.0)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_calibration_in_another_encoding(tmp_path: Path, encoding: str) -> None:
    scores = ScoreCalibration((Sigmoid(1.0, 2.5, -0.5),))
    made = Calibration("año", "0" * 64, "int8", 15_600, "scores", "mean", ("búho",), scores)
    path = tmp_path / "c.json"
    path.write_bytes(made.text().encode(encoding))
    assert Calibration.read(path) == made
