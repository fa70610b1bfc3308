# SPDX-License-Identifier: Apache-2.0
"""Models with several heads, calibration and thresholds: each as the file says."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import oido
from oido.events.calibration import Calibrator
from oido.heads import Head, ScoreCalibration, Sigmoid
from oido.models.loading import load_model
from oido.models.model import AudioModel, LogMelNetwork
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.front_end import whole_graph
from oido.models.tflite.metadata import ModelMetadata, read_metadata
from oido.models.tflite.metadata_writer import PlainOutput, annotate, with_heads

STREET = Path(__file__).parents[2] / "examples" / "street.flac"
TAUGHT = ("calm", "loud", "bright")


def metadata_of(content: bytes) -> ModelMetadata:
    raw = TfliteGraph(content).metadata()
    assert raw is not None
    return read_metadata(raw, content)


@pytest.fixture(scope="module")
def taught(model: AudioModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """YAMNet with its own head first and three classes of a second one, as Model Maker does."""
    graph = whole_graph(model, model.path.read_bytes())
    dice = np.random.default_rng(1)
    weights = dice.normal(0, 0.1, (3, 1024)).astype(np.float32)
    head = graph.writer.softmax(
        graph.writer.dense(graph.embedding, weights, np.zeros(3, np.float32))
    )
    content = graph.writer.finish(
        {"base": graph.scores[0], "taught": head, "embedding": graph.embedding}
    )
    calibration = ScoreCalibration((Sigmoid(1.0, 4.0, -1.0), None, Sigmoid(0.9, 8.0, -3.0)))
    heads = [
        Head("base", model.labels),
        Head("taught", TAUGHT, calibration, (("calm", 0.75), ("bright", 0.9))),
        PlainOutput("embedding"),
    ]
    path = tmp_path_factory.mktemp("taught") / "taught.tflite"
    path.write_bytes(annotate(content, heads, sample_rate_hz=16_000, name="taught"))
    return path


def test_what_was_taught_last_is_heard_and_the_rest_is_there(
    taught: Path, classifier: oido.AudioClassifier
) -> None:
    heard = oido.AudioClassifier(taught, jobs=1)
    assert isinstance(heard.model.network, LogMelNetwork)
    assert [head.name for head in heard.model.heads] == ["base", "taught"]
    result, base = heard.classify(STREET), classifier.classify(STREET)
    assert (heard.labels, result.labels, result.heads) == (TAUGHT, TAUGHT, ("base", "taught"))
    np.testing.assert_allclose(result.scores.sum(axis=1), 1.0, atol=1e-5)
    assert (result.of_head("base").scores == base.scores).all()
    assert result.of_head("base").top(5) == base.top(5)
    assert (result.embeddings == base.embeddings).all()
    with pytest.raises(oido.OptionError, match="only base, taught"):
        result.of_head("other")


def test_another_head_may_be_chosen(taught: Path, classifier: oido.AudioClassifier) -> None:
    heard = oido.AudioClassifier(taught, head="base", jobs=1, category_allowlist=["Siren"])
    result = heard.classify(STREET)
    assert (result.scores == classifier.classify(STREET).scores).all()
    assert [c.label for c in result.top(5)] == ["Siren"]
    assert {c.label for c in result.of_head("taught").top()} == set(TAUGHT)
    streamed = np.concatenate([block.scores for block in heard.stream(STREET)])
    assert (streamed == result.scores).all()
    with pytest.raises(oido.OptionError, match="it has base, taught"):
        oido.AudioClassifier(taught, head="third")


def test_calibration_makes_probabilities_and_orders_by_them(taught: Path) -> None:
    heard = oido.AudioClassifier(taught, jobs=1)
    result = heard.classify(STREET)
    calibration = heard.model.head.calibration
    assert calibration is not None
    expected = Calibrator(calibration).apply(result.scores)
    assert result.probabilities is not None
    assert result.clip_probabilities is not None
    assert (result.probabilities == expected).all()
    assert (result.clip_probabilities == Calibrator(calibration).apply(result.clip_scores)).all()
    assert (result.probabilities[:, 1] == 0.0).all()  # no parameters: the default
    for window, scores, probabilities in zip(result.windows(), result.scores, expected):
        shown = [c.probability for c in window.categories]
        assert shown == sorted(shown, key=lambda p: -(p or 0.0))
        for c in window.categories:
            assert (c.score, c.probability) == (scores[c.index], probabilities[c.index])


def test_its_own_thresholds_are_the_default_ones_of_events(taught: Path) -> None:
    heard = oido.AudioClassifier(taught, jobs=1)
    result, calibration = heard.classify(STREET), heard.model.head.calibration
    assert calibration is not None
    events = result.events(threshold=0.5)
    assert {(event.label, event.label_index) for event in events} == {("bright", 2)}
    within = result.framewise_scores[:, 2]
    for event in events:
        assert within.min() < event.score < within.max()
        scores = np.zeros(3, np.float32)
        scores[2] = event.score
        assert event.probability == Calibrator(calibration).apply(scores)[2]
        assert 0.5 <= event.probability < 0.9
    assert result.events() == []  # its own threshold is 0.9
    assert {e.label for e in result.events(thresholds={"bright": 0.5})} == {"bright"}
    assert result.events(thresholds={"calm": 0.7}) == []


def test_rows_of_the_command_have_probabilities(taught: Path, tmp_path: Path) -> None:
    def run(*options: str) -> str:
        command = [sys.executable, "-m", "oido", "classify", str(STREET), "--model", str(taught)]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
        return done.stdout

    lines = run("--clip", "--format", "csv").splitlines()
    assert lines[0].split(",")[-2:] == ["probability", "also"]
    assert {line.split(",")[4] for line in lines[1:]} == set(TAUGHT)
    assert all(0.0 <= float(line.split(",")[-2]) <= 1.0 for line in lines[1:])
    base = run("--clip", "--format", "csv", "--head", "base").splitlines()
    assert len(base) == 6


def test_an_export_of_it_keeps_both_heads(taught: Path, tmp_path: Path) -> None:
    report = oido.export(taught, tmp_path / "again.tflite")
    assert report.outputs == (("base", 521), ("taught", 3))
    first, second = (oido.load_model(path) for path in (taught, tmp_path / "again.tflite"))
    assert first.heads == second.heads


def test_an_export_with_framewise_scores_has_some_of_each_head(
    taught: Path, tmp_path: Path
) -> None:
    path = tmp_path / "again.tflite"
    report = oido.export(taught, path, framewise=True)
    assert report.outputs[2:] == (("framewise_base", 521), ("framewise_taught", 3))
    assert report.shapes[2:] == ((1, 3, 521), (1, 3, 3))
    again, before = oido.AudioClassifier(path, jobs=1), oido.AudioClassifier(taught, jobs=1)
    assert [head.name for head in again.model.heads] == ["base", "taught"]
    first, second = before.classify(STREET), again.classify(STREET)
    assert (second.scores == first.scores).all()
    assert (second.of_head("base").scores == first.of_head("base").scores).all()
    assert (second.framewise_scores == first.framewise_scores).all()


def test_changed_heads_leave_the_framewise_outputs_as_they_are(
    taught: Path, tmp_path: Path
) -> None:
    path = tmp_path / "again.tflite"
    oido.export(taught, path, framewise=True)
    loaded = load_model(path)
    base, own = loaded.heads
    changed = replace(loaded, heads=(base, replace(own, thresholds=(("loud", 0.5),))))
    written = with_heads(changed)
    assert written is not None
    path.write_bytes(written)
    assert load_model(path).heads == changed.heads
    metadata = metadata_of(written)
    assert [o.name for o in metadata.outputs][2:] == ["framewise_base", "framewise_taught"]
    assert metadata.labels(3) == TAUGHT
