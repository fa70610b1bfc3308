# SPDX-License-Identifier: Apache-2.0
"""One suite over every kind of model: what a classifier may count on, whatever it holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oido
from oido.heads import Head
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.models.networks.yamnet_h5 import BATCH_NORM_EPSILON
from oido.models.tflite.metadata_writer import annotate
from oido.models.tflite.yamnet_reader import from_int8
from tests.models.tflite.test_metadata_writer import LABELS, RATE, bare  # noqa: F401  # a fixture

ROOT = Path(__file__).parents[2]
STREET = ROOT / "examples" / "street.flac"
MODELS = Path(os.environ.get("OIDO_TEST_MODELS", ROOT.parent / "shared" / "models"))


@pytest.fixture(scope="module")
def original(model: AudioModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A yamnet.h5 of the official layout; the true one cannot be part of a test."""
    pytest.importorskip("h5py")
    from tests.models.networks.test_yamnet_h5 import keras_layers, write_h5

    weights = from_int8(model.path.read_bytes())
    identity = [
        (conv.bias, np.zeros(len(conv.bias)), np.full(len(conv.bias), 1.0 - BATCH_NORM_EPSILON))
        for conv in weights.convolutions
    ]
    path = tmp_path_factory.mktemp("h5") / "yamnet.h5"
    return Path(write_h5(path, keras_layers(weights, identity)))


@pytest.fixture(scope="module", params=["int8", "float32", "original", "mn04", "whole"])
def any_model(request: pytest.FixtureRequest, model: AudioModel, tmp_path_factory: Any) -> Any:
    if request.param == "int8":
        return model
    if request.param == "float32":
        return load_model("yamnet/classification", precision="float32")
    if request.param == "original":
        return load_model(request.getfixturevalue("original"))
    if request.param == "mn04":
        path = MODELS / "mn04_as_mAP_432.pt"
        if not path.exists():
            pytest.skip(f"{path.name} is not here; OIDO_TEST_MODELS names its folder")
        return load_model(path)
    path = tmp_path_factory.mktemp("whole") / "tones.tflite"
    content = request.getfixturevalue("bare")
    path.write_bytes(annotate(content, [Head("scores", LABELS)], sample_rate_hz=RATE))
    return load_model(path)


@pytest.fixture(scope="module")
def any_classifier(any_model: AudioModel) -> oido.AudioClassifier:
    return oido.AudioClassifier(any_model, jobs=1)


def test_a_model_says_what_it_is(any_model: AudioModel) -> None:
    content = any_model.path.read_bytes()
    assert any_model.size_bytes == len(content)
    assert len(any_model.sha256) == 64
    assert len(any_model.labels) == len(set(any_model.labels)) > 1
    windows = any_model.windows
    assert windows.hop_samples % windows.step_samples == 0
    assert windows.hop_samples <= windows.longest_hop_samples <= windows.window_samples
    assert any_model.precision in ("int8", "float32")


def test_scores_embeddings_and_times_fit_together(any_classifier: oido.AudioClassifier) -> None:
    result = any_classifier.classify(STREET)
    n, classes = result.scores.shape
    windowing = any_classifier.windowing
    assert n == windowing.count(round(result.duration * windowing.sample_rate_hz))
    assert classes == len(any_classifier.labels)
    assert result.scores.dtype == result.embeddings.dtype == np.float32
    assert result.scores.min() >= 0.0
    assert result.scores.max() <= 1.0
    assert len(result.embeddings) == len(result.times) == n
    assert np.isfinite(result.embeddings).all()
    hop = windowing.hop_samples / windowing.sample_rate_hz
    np.testing.assert_allclose(np.diff(result.times[:, 0]), hop, atol=1e-12)


@pytest.mark.parametrize("batch", [1, 3])
def test_batches_and_threads_do_not_change_a_score(
    any_classifier: oido.AudioClassifier, batch: int
) -> None:
    expected = any_classifier.classify(STREET)
    blocks = list(any_classifier.stream(STREET, jobs=2, batch_windows=batch))
    tolerance = 0.0 if any_classifier.model.precision == "int8" else 1e-5
    scores = np.concatenate([b.scores for b in blocks])
    np.testing.assert_allclose(scores, expected.scores, rtol=0, atol=tolerance)


@pytest.mark.parametrize("samples", [1, 100, 15_599, 15_601])
def test_short_audio_is_padded(any_classifier: oido.AudioClassifier, samples: int) -> None:
    rate = any_classifier.windowing.sample_rate_hz
    noise = np.random.default_rng(1).uniform(-0.1, 0.1, samples).astype(np.float32)
    result = any_classifier.classify(noise, sample_rate=rate)
    assert len(result.scores) == any_classifier.windowing.count(samples)
    assert np.isfinite(result.clip_scores).all()


def test_a_hop_beyond_the_window_is_refused(any_model: AudioModel) -> None:
    seconds = any_model.windows.window_samples / any_model.windows.sample_rate_hz
    with pytest.raises(oido.OptionError, match="the nearest is"):
        oido.AudioClassifier(any_model, hop=2 * seconds)


def test_the_original_made_of_the_same_weights_says_the_same_as_float32(
    original: Path, model: AudioModel
) -> None:
    """Only the activation differs (ReLU, not ReLU6), and weights of ReLU6 rarely exceed it."""
    floats = oido.AudioClassifier("yamnet/classification", precision="float32", jobs=1)
    h5 = oido.AudioClassifier(original, jobs=1)
    a, b = floats.classify(STREET), h5.classify(STREET)
    assert a.labels == b.labels
    assert (a.scores.argmax(1) == b.scores.argmax(1)).mean() > 0.5


def test_precision_that_is_not_there(model: AudioModel, original: Path) -> None:
    with pytest.raises(oido.OptionError, match="int8"):
        oido.AudioClassifier(original, precision="int8")
