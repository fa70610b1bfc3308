# SPDX-License-Identifier: Apache-2.0
"""Scores of columns: the same head on the same image, before time is averaged away."""

from __future__ import annotations

import numpy as np
import pytest

from oido.models.loading import load_model
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.framewise import with_framewise
from oido.runtime.litert import LiteRtRuntime
from tests.signal.sounds import noise, sine


@pytest.fixture(scope="module")
def patches(model):
    """f32[12, 96, 64]: noise of many levels, and tones."""
    from oido.inference.predictor import Predictor

    sounds = [noise(15_600, level=0.3 / (n + 1), seed=n) for n in range(6)]
    sounds += [sine(300.0 * (n + 1), 15_600, 16_000) * 0.5 for n in range(6)]
    predictor = Predictor.of(model)
    return np.concatenate([predictor.patches(s.astype(np.float32), 7_680) for s in sounds])


def runtimes(model):
    graph = model.network.graph
    content, columns = with_framewise(graph.network)
    return LiteRtRuntime(graph.projection, graph.network), LiteRtRuntime(
        graph.projection, content, columns
    )


@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_scores_and_embeddings_stay_as_they_were(model, patches, precision):
    plain, framewise = runtimes(load_model(model.path, precision=precision))
    before, after = plain.run(patches), framewise.run(patches)
    np.testing.assert_array_equal(before.scores, after.scores)
    np.testing.assert_array_equal(before.embeddings, after.embeddings)
    assert before.framewise is None
    assert after.framewise.shape == (12, 3, 521)


def test_the_logits_of_the_columns_average_to_the_windows_own(model, patches):
    """The head is linear, and the embedding is the mean of the columns."""
    _, framewise = runtimes(load_model(model.path, precision="float32"))
    outputs = framewise.run(patches)
    columns = outputs.framewise.astype(np.float64)
    mean = np.log(columns / (1 - columns)).mean(axis=1)
    np.testing.assert_allclose(1 / (1 + np.exp(-mean)), outputs.scores, atol=1e-5)


def test_int8_columns_are_those_of_float_up_to_their_steps(model, patches):
    """A step of the int8 logits is 0.35, of the scores 1/256; activations are rounded, too."""
    whole = runtimes(load_model(model.path, precision="int8"))[1].run(patches)
    fine = runtimes(load_model(model.path, precision="float32"))[1].run(patches)
    windows = np.abs(whole.scores - fine.scores).max()
    assert np.abs(whole.framewise - fine.framewise).max() < max(0.2, 2 * windows)


def test_columns_follow_time(model):
    """A patch with sound in its last third only: that is where the scores are."""
    from oido.inference.predictor import Predictor

    sound = np.zeros(15_600, np.float32)
    sound[11_000:] = noise(4_600, level=0.5)
    outputs = runtimes(model)[1].run(Predictor.of(model).patches(sound, 7_680))
    silence = model.labels.index("Silence")
    first, _, last = outputs.framewise[0, :, silence]
    assert first > last


def test_a_network_without_a_mean_over_an_image_has_none():
    graph = GraphWriter("dense")
    x = graph.input("x", (1, 8))
    y = graph.dense(x, np.ones((4, 8), np.float32), np.zeros(4, np.float32))
    assert with_framewise(graph.finish([graph.sigmoid(y), y])) is None


def test_an_output_that_needs_more_than_the_embedding_has_none():
    """Scores from the image itself: a column's cannot be known from its mean."""
    graph = GraphWriter("bypass")
    image = graph.reshape(graph.input("x", (1, 24)), (1, 3, 2, 4))
    embedding = graph.mean(image)
    flat = graph.reshape(image, (1, 24))
    scores = graph.dense(flat, np.ones((2, 24), np.float32), np.zeros(2, np.float32))
    assert with_framewise(graph.finish([graph.sigmoid(scores), embedding])) is None
