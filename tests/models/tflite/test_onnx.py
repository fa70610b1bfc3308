# SPDX-License-Identifier: Apache-2.0
"""Each operator's translation, run by onnxruntime, gives what LiteRT gives."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from oido.errors import MissingExtraError, OptionError
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.onnx import to_onnx
from oido.models.tflite.packing import pack, unpack
from tests.models.tflite.test_builder import run

RNG = np.random.default_rng(9)
ROWS = RNG.normal(0, 2, (1, 6)).astype(np.float32)
IMAGE = RNG.normal(0, 1, (1, 5, 8, 3)).astype(np.float32)
WEIGHTS = RNG.normal(0, 0.5, (4, 3, 3, 3)).astype(np.float32)
BIAS = RNG.normal(0, 0.5, 4).astype(np.float32)
ONES = RNG.normal(0, 0.5, (1, 3, 3, 3)).astype(np.float32)
WAVES = RNG.normal(0, 1, (3, 64)).astype(np.float32)
TABLE = np.array([[0, 2], [2, 1]], np.int32)

Written = Callable[[GraphWriter, int], int]


def graph_of(shape: tuple[int, ...], write: Written) -> bytes:
    writer = GraphWriter("one operator", batch=False)
    return writer.finish({"y": write(writer, writer.input("x", shape))})


@pytest.mark.parametrize(
    ("values", "write"),
    [
        (ROWS, lambda w, x: w.add(x, x)),
        (ROWS, lambda w, x: w.subtract(x, w.constant(BIAS[:1]))),
        (ROWS, lambda w, x: w.multiply(x, w.constant(ROWS[0]))),
        (ROWS, lambda w, x: w.relu(x)),
        (ROWS, lambda w, x: w.sigmoid(x)),
        (ROWS, lambda w, x: w.softmax(x)),
        (ROWS, lambda w, x: w.hard_swish(x)),
        (ROWS, lambda w, x: w.log(w.multiply(x, x))),
        (ROWS, lambda w, x: w.sqrt(w.multiply(x, x))),
        (ROWS, lambda w, x: w.l2_normalize(x)),
        (ROWS, lambda w, x: w.maximum(x)),
        (ROWS, lambda w, x: w.pad(x, (0, 1), (2, 3))),
        (ROWS, lambda w, x: w.reflect(x, (0, 0), (2, 3))),
        (ROWS, lambda w, x: w.transpose(w.reshape(x, (3, 2)))),
        (ROWS, lambda w, x: w.side_to_side([x, w.relu(x), x])),
        (ROWS, lambda w, x: w.part(w.reshape(x, (6,)), 1, 4)),
        (ROWS, lambda w, x: w.rows(w.reshape(x, (3, 2)), TABLE)),
        (ROWS, lambda w, x: w.dense(x, WEIGHTS.reshape(-1, 6), np.zeros(18, "f4"), "relu")),
        (IMAGE, lambda w, x: w.conv(x, WEIGHTS, BIAS, activation="relu6")),
        (IMAGE, lambda w, x: w.conv(x, WEIGHTS, BIAS, stride=2)),
        (IMAGE, lambda w, x: w.conv(x, WEIGHTS, BIAS, stride=2, same_padding=False)),
        (IMAGE, lambda w, x: w.conv(x, ONES, BIAS[:3], stride=2, depthwise=True)),
        (IMAGE, lambda w, x: w.mean(x)),
        (IMAGE, lambda w, x: w.mean(x, keep_dims=True)),
        (WAVES, lambda w, x: w.spectrum(x)),
    ],
)
def test_an_operator_gives_the_same(values: NDArray[np.float32], write: Written) -> None:
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    content = graph_of(values.shape, write)
    translated = to_onnx(content, {"labels": "[]"})
    session = onnxruntime.InferenceSession(translated, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    (found,) = session.run(["y"], {entry.name: values})
    (expected,) = run(content, values)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert session.get_modelmeta().custom_metadata_map == {"labels": "[]"}


def test_what_has_no_translation_is_one_sentence_with_its_name() -> None:
    pytest.importorskip("onnx")
    model, _ = unpack(graph_of(ROWS.shape, lambda w, x: w.relu(x)))
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = 28  # TANH in the schema
    with pytest.raises(OptionError, match=r"the operator TANH has no translation to ONNX"):
        to_onnx(pack(model), {})
    model, graph = unpack(graph_of(IMAGE.shape, lambda w, x: w.conv(x, WEIGHTS, BIAS)))
    graph.operators[0].builtinOptions.fusedActivationFunction = 4
    with pytest.raises(OptionError, match="fused activation 4 has no translation"):
        to_onnx(pack(model), {})


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", [schema.Padding.SAME, schema.Padding.VALID])
def test_a_dilated_convolution_gives_the_same(stride: int, padding: int) -> None:
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    model, graph = unpack(graph_of(IMAGE.shape, lambda w, x: w.conv(x, WEIGHTS, BIAS)))
    options = {"dilationHFactor": 2, "dilationWFactor": 2, "padding": padding}
    vars(graph.operators[0].builtinOptions).update(**options, strideH=stride, strideW=stride)
    (expected,) = run(pack(model), IMAGE)
    graph.tensors[graph.outputs[0]].shape = np.array(expected.shape, np.int32)
    session = onnxruntime.InferenceSession(
        to_onnx(pack(model), {}), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {session.get_inputs()[0].name: IMAGE})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'oido\[onnx\]'"):
        to_onnx(graph_of(ROWS.shape, lambda w, x: w.relu(x)), {})
