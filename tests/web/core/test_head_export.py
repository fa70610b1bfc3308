# SPDX-License-Identifier: Apache-2.0
"""A head that the page writes behind a network: the file that oido, LiteRT and the page load."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import oido
from oido.errors import ModelFormatError
from oido.heads import Head, ScoreCalibration, ScoreTransformation, Sigmoid
from oido.inference.predictor import whole_runtime
from oido.models.loading import load_model
from oido.models.model import AudioModel, WholeNetwork
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.metadata_writer import annotate
from oido.server.device_model import device_model
from tests.web.core.written_head import SOUNDS, head_of, written

Export = Callable[..., Path]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """(base's bytes, a head, options) → the file that the page writes; skips without Node.js."""
    return lambda base, head, **options: written(tmp_path, base, head, **options)


@pytest.mark.parametrize(
    ("precision", "framewise", "square_root"),
    [("int8", False, True), ("int8", True, False), ("float32", True, True)],
)
def test_oido_hears_by_it(
    export: Export, street: NDArray[np.float32], precision: str, framewise: bool, square_root: bool
) -> None:
    base = load_model("yamnet/classification", precision=precision)
    before = oido.AudioClassifier(base, jobs=1).classify(street, 16_000)
    head = head_of(1_024, square_root)
    made = export(device_model(base).content, head, isFramewise=framewise)

    classifier = oido.AudioClassifier(made, jobs=1)
    result = classifier.classify(street, 16_000)
    assert list(classifier.labels) == [*before.labels, *SOUNDS]
    n = len(before.labels)
    assert np.array_equal(result.scores[:, :n], before.scores)
    expected = head.scores(before.embeddings)[:, :-1]
    np.testing.assert_allclose(result.scores[:, n:], expected, atol=2e-5)
    assert expected.std() > 0.01  # they do say something
    assert np.array_equal(result.embeddings, before.embeddings)
    assert dict(classifier.model.head.thresholds) == dict.fromkeys(SOUNDS, 0.5)
    assert classifier.model.name == "my-sounds.tflite"
    assert "Apache" in classifier.model.licence
    assert set(SOUNDS) & {event.label for event in result.events()}


def test_it_is_run_as_it_is(export: Export, model: AudioModel, street: NDArray[np.float32]) -> None:
    """By LiteRT alone, window by window, as apps do; with the columns that the page wants."""
    made = export(device_model(model).content, head_of(1_024))
    graph = TfliteGraph(made.read_bytes())
    assert graph.output_sizes() == [523, 523]
    runtime = whole_runtime(WholeNetwork(made.read_bytes(), (0, 1)))
    expected = oido.AudioClassifier(made, jobs=1).classify(street[:15_600], 16_000).scores
    outputs = runtime.run(street[None, :15_600]).scores[0]
    np.testing.assert_allclose(outputs[:523], expected[0], atol=2e-5)
    columns = outputs[523:].reshape(3, 523)
    np.testing.assert_allclose(columns[:, 521:], np.tile(expected[0, 521:], (3, 1)), atol=2e-5)

    plain = export(model.path.read_bytes(), head_of(1_024), isFramewise=False)
    assert TfliteGraph(plain.read_bytes()).output_sizes() == [523]
    assert len(plain.read_bytes()) < len(model.path.read_bytes()) + 100_000


def test_a_taught_model_is_taught_more(
    export: Export, taught: Path, street: NDArray[np.float32]
) -> None:
    """Calibrated as `oido train` writes it: what is new is a probability, too."""
    base = oido.AudioClassifier(taught, jobs=1)
    before = base.classify(street, 16_000)
    made = export(taught.read_bytes(), head_of(1_024))
    result = oido.AudioClassifier(made, jobs=1).classify(street, 16_000)
    n = len(before.labels)
    assert result.labels[n:] == tuple(SOUNDS)
    assert before.probabilities is not None
    assert result.probabilities is not None
    np.testing.assert_allclose(result.probabilities[:, :n], before.probabilities, atol=1e-5)
    expected = head_of(1_024).scores(before.embeddings)[:, :-1]
    np.testing.assert_allclose(result.probabilities[:, n:], expected, atol=1e-4)
    # Whose sounds point nowhere leaves it as it is what the model calls unknown.
    assert before.similarities is not None
    np.testing.assert_allclose(result.similarities, before.similarities, atol=1e-5)


def test_mn04_is_taught_by_its_last_mean(export: Export, mn04_short: tuple[bytes, Any]) -> None:
    content, base = mn04_short
    size = TfliteGraph(content).output_sizes()
    clip = np.random.default_rng(3).normal(0, 0.2, 64_000).astype(np.float32)
    before = oido.AudioClassifier(base, jobs=1).classify(clip, 32_000)
    made = export(content, head_of(384, square_root=False))
    result = oido.AudioClassifier(made, jobs=1).classify(clip, 32_000)
    assert result.scores.shape[1] == size[0] + 2
    np.testing.assert_allclose(result.scores[:, :-2], before.scores, atol=1e-5)
    assert result.scores[:, -2:].min() > 0
    assert result.scores[:, -2:].sum(axis=1).max() < 1


def _without_embedding() -> bytes:
    writer = GraphWriter("one layer", batch=False)
    dice = np.random.default_rng(5)
    waveform = writer.reshape(writer.input("audio_clip", (1_600,)), (1, 1_600))
    weights = dice.normal(0, 1, (2, 1_600)).astype(np.float32)
    scores = writer.sigmoid(writer.dense(waveform, weights, np.zeros(2, np.float32)))
    return writer.finish({"scores": scores})


def test_what_cannot_be_taught_is_refused(export: Export, model: AudioModel) -> None:
    outputs = [Head("scores", ("a", "b"))]
    plain = annotate(_without_embedding(), outputs, sample_rate_hz=16_000)
    with pytest.raises(ModelFormatError, match="no embedding that could be learnt from"):
        export(plain, head_of(16))

    sigmoids = (Sigmoid(1.0, 2.0, 0.5),) * 521
    calibration = ScoreCalibration(sigmoids, ScoreTransformation.LOG)
    head = Head("scores", model.head.labels, calibration)
    by_logs = annotate(model.path.read_bytes(), [head], sample_rate_hz=16_000)
    with pytest.raises(ModelFormatError, match="its calibration has no place for new labels"):
        export(by_logs, head_of(1_024))


def test_its_packed_files_are_a_zip(export: Export, model: AudioModel) -> None:
    made = export(model.path.read_bytes(), head_of(1_024)).read_bytes()
    with zipfile.ZipFile(io.BytesIO(made)) as packed:
        assert packed.testzip() is None
        assert {entry.compress_type for entry in packed.infolist()} == {zipfile.ZIP_STORED}
        labels = next(name for name in packed.namelist() if name.endswith("_labels.txt"))
        assert packed.read(labels).decode("utf-8").split("\n")[521:] == SOUNDS
        assert json.loads(packed.read("oido.json"))["version"] == 1
    assert made.count(b"PK\5\6") == 1  # nothing is left of the older one
