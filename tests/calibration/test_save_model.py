# SPDX-License-Identifier: Apache-2.0
"""Models with another calibration: the same scores, the new heads, everything else kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import oido
from oido.calibration.fit import save_model
from oido.errors import OptionError
from oido.heads import Head, ScoreCalibration, Sigmoid
from oido.models.loading import load_model
from oido.models.model import AudioModel, Notes
from oido.models.tflite.metadata_writer import PlainOutput, annotate
from tests.models.tflite.test_metadata_heads import graph_of

STREET = Path(__file__).parents[2] / "examples" / "street.flac"


def changed(model: AudioModel) -> AudioModel:
    """Its last head, with a calibration and a threshold."""
    scores = ScoreCalibration(tuple(Sigmoid(1, 9, -n / 50) for n in range(len(model.labels))))
    head = replace(model.head, calibration=scores, thresholds=((model.labels[0], 0.7),))
    return replace(model, heads=(*model.heads[:-1], head))


def test_the_published_model_keeps_its_scores(model: AudioModel, tmp_path: Path) -> None:
    ready, path = changed(model), tmp_path / "new.tflite"
    save_model(ready, path)
    again = load_model(path)
    assert again.heads == ready.heads
    assert (again.licence, again.attribution) != ("", "")
    old, new = (oido.AudioClassifier(m, jobs=1).classify(STREET) for m in (ready, again))
    np.testing.assert_array_equal(new.scores, old.scores)
    np.testing.assert_array_equal(new.probabilities, old.probabilities)
    np.testing.assert_array_equal(new.embeddings, old.embeddings)


def test_other_outputs_and_notes_stay(tmp_path: Path) -> None:
    path = tmp_path / "two.tflite"
    outputs = [Head("place", ("in", "out")), PlainOutput("embedding"), Head("scores", ("a", "b"))]
    notes = Notes(aggregations={"scores": "max"}, hop_samples=200, training={"seed": 7})
    path.write_bytes(annotate(graph_of(2, 5, 2), outputs, sample_rate_hz=8_000, notes=notes,
                               name="two", description="d", licence="l", author="a"))  # fmt: skip
    model = load_model(path)
    save_model(changed(model), tmp_path / "new.tflite")
    again = load_model(tmp_path / "new.tflite")
    assert again.heads == changed(model).heads
    assert again.heads[0] == model.heads[0]
    assert again.head.aggregation == "max"
    assert again.windows == model.windows
    kept = (again.name, again.summary, again.licence, again.attribution)
    assert kept == ("two", "d", "l", "a")
    assert again.network.embedding == 1


def test_in_place_is_kept_first(model: AudioModel, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    save_model(changed(model), path)
    first = path.read_bytes()
    save_model(replace(load_model(path), heads=model.heads), path)
    second = path.read_bytes()
    save_model(load_model(path), path)
    assert (tmp_path / "m.tflite.orig").read_bytes() == first
    assert (tmp_path / "m.tflite.orig2").read_bytes() == second
    assert load_model(path).head.calibration is None


def test_the_published_file_is_never_replaced(model: AudioModel) -> None:
    before = model.path.read_bytes()
    with pytest.raises(OptionError, match="published"):
        save_model(changed(model), model.path)
    with pytest.raises(OptionError, match=r"name it so"):
        save_model(changed(model), Path("m.onnx"))
    assert model.path.read_bytes() == before


@pytest.mark.slow
def test_a_network_that_is_no_file_yet_is_exported(tmp_path: Path) -> None:
    """The quantised weights run in float32: another graph, checked by `oido.export`."""
    model = changed(load_model("yamnet/classification", precision="float32"))
    save_model(model, tmp_path / "float.tflite")
    again = load_model(tmp_path / "float.tflite")
    assert again.head.calibration == model.head.calibration
    assert again.head.thresholds == model.head.thresholds
