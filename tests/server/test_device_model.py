# SPDX-License-Identifier: Apache-2.0
"""What a browser gets of a model: the same scores, and those of a window's parts beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oido.errors import ModelFormatError, OptionError
from oido.heads import Head, ScoreCalibration, Sigmoid
from oido.inference.export import check_windows
from oido.inference.predictor import Predictor
from oido.models.labels import label_indices
from oido.models.loading import ensemble, load_model
from oido.models.model import AudioModel, Novelty, WholeNetwork
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.front_end import whole_graph
from oido.models.tflite.metadata import read_metadata
from oido.models.tflite.metadata_writer import annotate
from oido.runtime.litert import WholeRuntime
from oido.server import device_model as module
from oido.server.device_model import describe_model, device_model


@pytest.fixture(scope="module")
def two_heads(model: AudioModel, tmp_path_factory: pytest.TempPathFactory) -> AudioModel:
    """YAMNet with a head of three classes behind its own."""
    graph = whole_graph(model, model.path.read_bytes())
    weights = np.random.default_rng(1).normal(0, 0.1, (3, 1024)).astype(np.float32)
    scores = graph.writer.dense(graph.embedding, weights, np.zeros(3, np.float32))
    outputs = {"base": graph.scores[0], "taught": graph.writer.softmax(scores)}
    content = graph.writer.finish(outputs)
    calibration = ScoreCalibration((Sigmoid(1.0, 4.0, -1.0), None, Sigmoid(0.9, 8.0, -3.0)))
    taught = Head("taught", ("calm", "loud", "bright"), calibration, (("calm", 0.75),))
    path = tmp_path_factory.mktemp("heads") / "taught.tflite"
    heads = [Head("base", model.labels), taught]
    path.write_bytes(annotate(content, heads, sample_rate_hz=16_000, name="taught"))
    return load_model(path)


def outputs_of(content: bytes) -> list[str]:
    raw = TfliteGraph(content).metadata()
    assert raw is not None
    return [output.name for output in read_metadata(raw, content).outputs]


@pytest.mark.parametrize("which", ["model", "two_heads"])
def test_it_has_the_scores_of_the_file_and_of_the_columns(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model: AudioModel = request.getfixturevalue(which)
    content = device_model(model).content
    heads = [head.name for head in model.heads]
    assert outputs_of(content) == [*heads, *(f"{name}_framewise" for name in heads)]

    n, sizes = len(heads), [len(head.labels) for head in model.heads]
    every = tuple(range(2 * n))
    runtime = WholeRuntime(content, every)
    original = WholeRuntime(model.path.read_bytes(), every[:n])
    predictor = Predictor.of(model, framewise=True)
    for window in check_windows(15_600):
        values = runtime.run(window[None]).scores[0]
        assert np.array_equal(values[: sum(sizes)], original.run(window[None]).scores[0])
        parts = np.split(values[sum(sizes) :], np.cumsum([3 * size for size in sizes])[:-1])
        framewise = np.concatenate([part.reshape(3, -1) for part in parts], axis=1)
        expected = predictor.predict(window, 7_680).framewise
        assert expected is not None
        assert np.abs(framewise - expected[0]).max() <= 1e-6

    (tmp_path / "again.tflite").write_bytes(content)
    again = load_model(tmp_path / "again.tflite")
    assert again.heads == model.heads


def test_another_network_has_no_columns(model: AudioModel) -> None:
    content = model.path.read_bytes()
    whole = replace(model, network=WholeNetwork(content))
    assert device_model(whole).content == content


def test_framewise_scores_that_are_others_are_refused(
    model: AudioModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TOLERANCE", -1.0)
    with pytest.raises(ModelFormatError, match="other framewise scores than it should"):
        device_model(model)


def test_two_networks_are_refused(model: AudioModel) -> None:
    with pytest.raises(OptionError, match="is two networks"):
        device_model(ensemble(model, model))


def test_what_the_page_knows_of_a_model(model: AudioModel, two_heads: AudioModel) -> None:
    described = describe_model(model, device_model(model))
    assert described["imageSamples"] == 15_360
    assert (described["columns"], described["leastSimilarity"]) == (3, None)
    assert described["calibration"] is None
    animal, dog, bark = label_indices(model.labels, ["Animal", "Dog", "Bark"])
    assert set(described["kinship"]["ancestors"][bark]) >= {animal, dog}
    assert described["kinship"]["parents"][bark] == [dog]
    assert described["kinship"]["parents"][animal] == []

    taught = describe_model(two_heads, None)
    assert (taught["url"], taught["kinship"]) == (None, None)
    assert (taught["columns"], taught["leastSimilarity"]) == (3, None)
    assert taught["labels"] == ["calm", "loud", "bright"]
    assert taught["thresholds"] == [0.75, 0.2, 0.2]
    assert taught["calibration"] == {
        "text": "1,4,-1\n\n0.9,8,-3",
        "transformation": 0,
        "defaultScore": 0.0,
    }


def test_the_page_knows_what_a_server_tells_of_windows(model: AudioModel) -> None:
    """How many parts each has, and of a taught model below which similarity it is unknown."""
    taught = replace(model, novelty=Novelty("similarity", 0.625))
    assert describe_model(taught, None)["leastSimilarity"] == 0.625
    assert describe_model(ensemble(model, model), None)["columns"] == 3
    whole = replace(model, network=WholeNetwork(model.path.read_bytes()))
    assert describe_model(whole, None)["columns"] == 0
