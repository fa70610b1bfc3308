# SPDX-License-Identifier: Apache-2.0
"""The facts of yamnet/classification's graph, and that the cut keeps its numbers."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from oido.models.tflite.editor import TfliteGraph


@pytest.fixture(scope="module")
def operators(model):
    """The names of the untouched graph's operators, in order."""
    parsed = schema.ModelT.InitFromPackedBuf(model.path.read_bytes(), 0)
    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
    codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in parsed.operatorCodes]
    return [names[codes[op.opcodeIndex]] for op in parsed.subgraphs[0].operators]


def test_operators_are_where_the_design_says(operators):
    assert len(operators) == 47
    front_end = operators[:13]
    assert {"RFFT2D", "COMPLEX_ABS", "FULLY_CONNECTED", "LOG"} <= set(front_end)
    assert operators[13] == "QUANTIZE"
    convolutions = operators[16:43]
    assert convolutions.count("CONV_2D") == 14
    assert convolutions.count("DEPTHWISE_CONV_2D") == 13
    assert operators[43:] == ["MEAN", "FULLY_CONNECTED", "LOGISTIC", "DEQUANTIZE"]


def test_the_window_is_a_periodic_hann(model):
    expected = [0.5 - 0.5 * math.cos(2 * math.pi * n / 400) for n in range(400)]
    assert model.network.graph.window.shape == (400,)
    np.testing.assert_allclose(model.network.graph.window, expected, rtol=0, atol=1e-6)
    assert model.network.graph.window[200] == 1.0, "a symmetric window has no sample at its top"


def test_the_mel_matrix_is_htks_from_125_to_7500(model):
    """64 triangles, linear in mel = 2595 log10(1 + f/700), written out here one by one."""

    def mel(hz: float) -> float:
        return 2595.0 * math.log10(1.0 + hz / 700.0)

    low, high = mel(125.0), mel(7500.0)
    edges = [low + (high - low) * k / 65 for k in range(66)]
    expected = np.zeros((64, 257))
    for band in range(64):
        left, top, right = edges[band : band + 3]
        for k in range(1, 257):
            at = mel(k * 16_000 / 512)
            expected[band, k] = max(
                0.0, min((at - left) / (top - left), (right - at) / (right - top))
            )
    assert model.network.graph.mel.shape == (64, 257)
    np.testing.assert_allclose(model.network.graph.mel, expected, rtol=0, atol=1e-4)
    used = np.flatnonzero(expected.any(axis=0))
    assert (model.network.graph.first_bin, model.network.graph.last_bin) == (used[0], used[-1])


def test_sizes_and_the_offset_of_the_logarithm(model):
    graph = model.network.graph
    assert graph.log_offset == np.float32(0.001)
    assert (graph.patch_frames, graph.mel.shape[0]) == (96, 64)
    assert graph.input_samples == 15_600


def test_the_network_takes_any_number_of_patches(model):
    network = Interpreter(model_content=model.network.graph.network, num_threads=1)
    signature = network.get_input_details()[0]["shape_signature"]
    assert list(signature) == [-1, 96, 64]
    scores, embedding = network.get_output_details()
    assert scores["shape"][-1] == 521
    assert int(np.prod(embedding["shape"])) == 1024


def test_the_cut_parts_hold_no_front_end_and_no_network(model):
    """Weights are kept once; the projection has those of the mel matrix only."""
    assert len(model.network.graph.projection) < model.size_bytes // 10
    assert 3_500_000 < len(model.network.graph.network) < model.size_bytes


def test_cutting_leaves_the_graph_as_it_was(model):
    content = model.path.read_bytes()
    graph = TfliteGraph(content)
    first, second = graph.cut_front_end(), graph.cut_front_end()
    assert first.network == second.network == model.network.graph.network
    assert first.projection == second.projection == model.network.graph.projection
    assert graph.metadata() == TfliteGraph(content).metadata()
    assert content == model.path.read_bytes()


def test_the_embedding_is_the_pool_of_the_untouched_graph(model, classifier):
    """Read from inside the whole .tflite, and dequantised here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = Interpreter(
            model_path=str(model.path), num_threads=1, experimental_preserve_all_tensors=True
        )
    whole.allocate_tensors()
    pool = next(d for d in whole.get_tensor_details() if d["name"].endswith("reduce_mean"))
    assert pool["dtype"] == np.int8
    scale, zero_point = pool["quantization"]
    random = np.random.default_rng(7)
    for level in (0.001, 0.05, 0.5):
        waveform = (random.uniform(-1, 1, 15_600) * level).astype(np.float32)
        whole.set_tensor(whole.get_input_details()[0]["index"], waveform)
        whole.invoke()
        quantised = whole.get_tensor(pool["index"]).reshape(-1).astype(np.float64)
        result = classifier.classify(waveform, 16_000)
        assert result.embeddings.shape == (1, 1024)
        expected = (quantised - zero_point) * scale
        np.testing.assert_allclose(result.embeddings[0], expected, rtol=0, atol=scale / 1000)
        scores = whole.get_tensor(whole.get_output_details()[0]["index"])
        np.testing.assert_array_equal(result.scores, scores)
