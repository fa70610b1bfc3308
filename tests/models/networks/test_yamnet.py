# SPDX-License-Identifier: Apache-2.0
"""The float graphs that oido writes, against NumPy, and against the int8 model."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import soundfile
from ai_edge_litert.interpreter import Interpreter

from oido.models.networks.yamnet import network, projection
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.yamnet_reader import from_int8
from oido.params import FrontEndParams
from oido.runtime.litert import LiteRtRuntime
from oido.signal.frontend import FrontEnd

STREET = "examples/street.flac"


@pytest.fixture(scope="module")
def content(model):
    return model.path.read_bytes()


@pytest.fixture(scope="module")
def weights(content):
    return from_int8(content)


@pytest.fixture(scope="module")
def cut(content):
    """The official file in two: its own projection and its int8 network."""
    return TfliteGraph(content).cut_front_end()


@pytest.fixture(scope="module")
def runtime(cut, weights):
    """The same with graphs of our own: float32 throughout."""
    bins = slice(cut.first_bin, cut.last_bin + 1)
    return LiteRtRuntime(projection(cut.mel[:, bins], cut.log_offset), network(weights))


@pytest.fixture(scope="module")
def street(request, cut, runtime):
    """Scores of the int8 network and of its float weights on a real recording: f32[61, 521]."""
    samples, rate = soundfile.read(request.config.rootpath / STREET, dtype="float32")
    assert rate == 16_000
    params = FrontEndParams(rate, 400, 160, 512, 96)
    bins = (cut.first_bin, cut.last_bin)
    patches = FrontEnd(params, cut.window, bins, runtime.project).patches(samples, 7_680)
    int8 = LiteRtRuntime(cut.projection, cut.network)
    return int8.run(patches).scores, runtime.run(patches).scores


def _pad_same(x, kernel, stride):
    """TensorFlow's SAME: zeros on both sides, the odd one behind."""
    edges = [(0, 0)]
    for size in x.shape[1:3]:
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        edges.append((total // 2, total - total // 2))
    return np.pad(x, [*edges, (0, 0)])


def _convolved(x, conv):
    """f64[N, height, width, in] → f64[N, height / stride, width / stride, out], by the formula."""
    _, kernel, _, _ = conv.weights.shape
    s, height, width = conv.stride, -(-x.shape[1] // conv.stride), -(-x.shape[2] // conv.stride)
    padded = _pad_same(x, kernel, s)
    total = conv.bias.astype(np.float64)
    for row in range(kernel):
        for column in range(kernel):
            part = padded[:, row : row + height * s : s, column : column + width * s : s]
            tap = conv.weights[:, row, column].astype(np.float64)
            total = total + (part * tap[0] if conv.depthwise else part @ tap.T)
    return total


def numpy_forward(weights, patches):
    """(scores, embeddings), f64, by NumPy alone."""
    x = patches.astype(np.float64)[..., None]
    for conv in weights.convolutions:
        x = np.maximum(_convolved(x, conv), 0.0)
        if weights.activation == "relu6":
            x = np.minimum(x, 6.0)
    embeddings = x.mean(axis=(1, 2))
    logits = embeddings @ weights.dense.astype(np.float64).T + weights.dense_bias
    return 0.5 + 0.5 * np.tanh(logits / 2), embeddings  # 1 / (1 + e^−x), without overflow


def _patches(n):
    """Like log-mel: between ln 0.001 and a loud sound's."""
    return np.random.default_rng(5).uniform(-6.9, 3.0, (n, 96, 64)).astype(np.float32)


@pytest.mark.parametrize("activation", ["relu6", "relu"])
def test_the_network_is_the_formula(weights, cut, activation):
    weights = dataclasses.replace(weights, activation=activation)
    patches = _patches(4)
    patches[3] = np.log(np.float32(0.001))  # silence
    scores, embeddings, _ = LiteRtRuntime(cut.projection, network(weights)).run(patches)
    expected_scores, expected_embeddings = numpy_forward(weights, patches)
    assert scores.shape == (4, 521)
    assert embeddings.shape == (4, 1024)
    np.testing.assert_allclose(scores, expected_scores, rtol=0, atol=1e-5)
    largest = expected_embeddings.max()
    np.testing.assert_allclose(embeddings, expected_embeddings, rtol=0, atol=1e-5 * largest)


def test_scores_may_be_of_one_class_out_of_all(weights, cut):
    few = dataclasses.replace(weights, dense=weights.dense[:7], dense_bias=weights.dense_bias[:7])
    patches = _patches(3)
    scores, embeddings, _ = LiteRtRuntime(cut.projection, network(few, "softmax")).run(patches)
    _, expected_embeddings = numpy_forward(few, patches)
    powers = np.exp(expected_embeddings @ few.dense.astype(np.float64).T + few.dense_bias)
    assert scores.shape == (3, 7)
    np.testing.assert_allclose(scores, powers / powers.sum(axis=1, keepdims=True), atol=1e-5)
    largest = expected_embeddings.max()
    np.testing.assert_allclose(embeddings, expected_embeddings, rtol=0, atol=1e-5 * largest)


def test_shapes_that_the_file_declares(weights):
    graph = Interpreter(model_content=network(weights), num_threads=1)
    (patches,) = graph.get_input_details()
    scores, embedding = graph.get_output_details()
    assert list(patches["shape_signature"]) == [-1, 96, 64]
    assert list(scores["shape_signature"]) == [-1, 521]
    assert list(embedding["shape_signature"]) == [-1, 1024]


@pytest.mark.parametrize("n", [1, 2, 7, 64])
def test_a_batch_is_its_patches_one_by_one(runtime, n):
    patches = _patches(n)
    scores, embeddings, _ = runtime.run(patches)
    singles = [runtime.run(patches[i : i + 1]) for i in range(n)]
    np.testing.assert_allclose(scores, np.concatenate([s.scores for s in singles]), atol=1e-6)
    both = np.concatenate([s.embeddings for s in singles])
    np.testing.assert_allclose(embeddings, both, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 96, 192, 1_000])
def test_the_projection_equals_the_models_own_to_the_last_bit(model, runtime, frames):
    own = LiteRtRuntime(model.network.graph.projection, model.network.graph.network)
    bins = model.network.graph.last_bin - model.network.graph.first_bin + 1
    random = np.random.default_rng(frames)
    magnitudes = np.exp(random.uniform(-12, 5, (frames, bins))).astype(np.float32)
    magnitudes[0] = 0.0
    expected = own.project(magnitudes)
    assert expected.shape == (frames, 64)
    np.testing.assert_array_equal(runtime.project(magnitudes), expected)


def _ranks(values):
    """Ranks from 0, equal values sharing their mean rank: f64[n]."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse]


def test_float_and_int8_agree_on_a_real_recording(street, capsys):
    """Ranks are compared among the classes that int8 does not round to 0 (some 33 of 521)."""
    int8, floats = street
    heard = int8 > 0
    agreement = [
        np.corrcoef(_ranks(a[h]), _ranks(b[h]))[0, 1] for a, b, h in zip(int8, floats, heard)
    ]
    top_1 = np.mean(int8.argmax(axis=1) == floats.argmax(axis=1))
    difference = np.abs(int8 - floats)
    with capsys.disabled():
        print(
            f"\nstreet.flac, {len(int8)} windows, {heard.sum(axis=1).mean():.0f} classes above 0: "
            f"Spearman {np.median(agreement):.3f} (median), {np.min(agreement):.3f} (least); "
            f"same top-1 in {top_1:.0%}; scores differ by {difference.mean():.4f} (mean), "
            f"{difference.max():.3f} (most)"
        )
    assert np.median(agreement) > 0.95
    assert top_1 > 0.8
    assert difference.mean() < 0.002
    assert difference.max() < 0.1


def test_float_scores_are_finer_than_int8(street):
    int8, floats = street
    assert len(np.unique(int8)) <= 256
    assert len(np.unique(floats)) > 50 * len(np.unique(int8))
