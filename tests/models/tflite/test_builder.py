# SPDX-License-Identifier: Apache-2.0
"""Graphs put together: what LiteRT computes of them, what is left out, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from oido.errors import ModelFormatError, OptionError
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.packing import operator_kind, unpack

RNG = np.random.default_rng(8)

ROWS = RNG.normal(0, 2, (1, 6)).astype(np.float32)

IMAGE = RNG.normal(0, 1, (1, 5, 7, 3)).astype(np.float32)

WEIGHTS = RNG.normal(0, 0.5, (4, 3, 3, 3)).astype(np.float32)

BIAS = RNG.normal(0, 0.5, 4).astype(np.float32)

ONES = RNG.normal(0, 0.5, (1, 3, 3, 3)).astype(np.float32)

TABLE = np.array([[0, 2], [2, 1]], np.int32)

Written = Callable[[GraphWriter, int], int]

Expected = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def run(content: bytes, *inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The outputs by LiteRT, in the graph's order, for inputs of any batch."""
    interpreter = Interpreter(model_content=content, num_threads=1)
    for details, values in zip(interpreter.get_input_details(), inputs):
        interpreter.resize_tensor_input(details["index"], values.shape)
    interpreter.allocate_tensors()
    for details, values in zip(interpreter.get_input_details(), inputs):
        interpreter.set_tensor(details["index"], values)
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


def layer(scale: float, *, batch: bool = True) -> bytes:
    """x [n, 3] → relu(scale · x) and scale · x."""
    writer = GraphWriter("a layer", batch=batch)
    x = writer.input("x", (1, 3))
    scaled = writer.multiply(x, writer.constant(np.array([scale], np.float32)))
    return writer.finish([writer.relu(scaled), scaled])


X = np.array([[1.0, -2.0, 3.0]], np.float32)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_free_batch_takes_any_number_of_rows(n: int) -> None:
    rows = np.repeat(X, n, axis=0)
    positive, scaled = run(layer(2.0), rows)
    assert (scaled == 2 * rows).all()
    assert (positive == np.maximum(2 * rows, 0)).all()


def test_a_finished_graph_behind_another_computes_both() -> None:
    writer = GraphWriter("two of them")
    x = writer.input("x", (1, 3))
    shifted = writer.add(x, writer.constant(np.array([1.0], np.float32)))
    first, _ = writer.graft(layer(2.0), shifted)
    _, second = writer.graft(layer(-3.0), first)
    content = writer.finish({"first": first, "second": second})
    one, other = run(content, X)
    assert (one == np.maximum(2 * (X + 1), 0)).all()
    assert (other == -3 * np.maximum(2 * (X + 1), 0)).all()
    _, graph = unpack(content)
    assert [graph.tensors[t].name for t in graph.outputs] == [b"first", b"second"]


def test_a_graph_of_fixed_shapes_grafts_one_with_a_free_batch() -> None:
    writer = GraphWriter("fixed", batch=False)
    positive, _ = writer.graft(layer(2.0), writer.input("x", (1, 3)))
    content = writer.finish([positive])
    _, graph = unpack(content)
    assert all(tensor.shapeSignature is None for tensor in graph.tensors)
    assert (run(content, X)[0] == np.maximum(2 * X, 0)).all()


def test_operators_of_one_kind_share_a_code_and_needless_ones_are_left_out() -> None:
    writer = GraphWriter("needless")
    x = writer.input("x", (1, 3))
    big = writer.constant(np.zeros(100_000, np.float32))
    writer.multiply(x, writer.part(big, 0, 3))  # nobody needs it
    y = writer.relu(writer.relu(x))
    content = writer.finish([y])
    model, graph = unpack(content)
    assert [operator_kind(model, op) for op in graph.operators] == [19, 19]  # RELU in the schema
    assert len({op.opcodeIndex for op in graph.operators}) == 1
    assert len(content) < 4_000
    assert (run(content, X)[0] == np.maximum(X, 0)).all()


def test_a_graph_of_two_inputs_cannot_stand_behind_another() -> None:
    writer = GraphWriter("two inputs")
    both = writer.add(writer.input("x", (1, 3)), writer.input("y", (1, 3)))
    content = writer.finish([both])
    other = GraphWriter("behind")
    with pytest.raises(ModelFormatError, match="several inputs cannot be put behind another"):
        other.graft(content, other.input("x", (1, 3)))


def test_a_type_that_is_none_of_the_formats_is_a_defect_and_not_a_wrong_file() -> None:
    wrong: Any = np.zeros(3, np.float64)
    with pytest.raises(KeyError):
        GraphWriter("x").constant(wrong)


def computed(values: NDArray[np.float32], write: Written) -> NDArray[np.float32]:
    writer = GraphWriter("one operator", batch=False)
    x = writer.input("x", values.shape)
    output = write(writer, x)
    (found,) = run(writer.finish([output]), values)
    assert found.shape == writer.shape(output), "the shape that was written is the one computed"
    return found


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda w, x: w.add(x, x), lambda v: 2 * v),
        (lambda w, x: w.subtract(x, w.constant(BIAS[:1])), lambda v: v - BIAS[0]),
        (lambda w, x: w.multiply(x, x), lambda v: v * v),
        (lambda w, x: w.relu(x), lambda v: np.maximum(v, 0)),
        (lambda w, x: w.sigmoid(x), lambda v: 1 / (1 + np.exp(-v))),
        (lambda w, x: w.softmax(x), lambda v: np.exp(v) / np.exp(v).sum(-1, keepdims=True)),
        (lambda w, x: w.hard_swish(x), lambda v: v * np.clip(v + 3, 0, 6) / 6),
        (lambda w, x: w.log(w.multiply(x, x)), lambda v: np.log(v * v)),
        (lambda w, x: w.sqrt(w.multiply(x, x)), np.abs),
        (lambda w, x: w.l2_normalize(x), lambda v: v / np.linalg.norm(v, axis=-1, keepdims=True)),
        (lambda w, x: w.maximum(x), lambda v: v.max(-1, keepdims=True)),
        (lambda w, x: w.pad(x, (0, 1), (2, 3)), lambda v: np.pad(v, ((0, 1), (2, 3)))),
        (
            lambda w, x: w.reflect(x, (0, 0), (2, 3)),
            lambda v: np.pad(v, ((0, 0), (2, 3)), mode="reflect"),
        ),
        (lambda w, x: w.reshape(x, (3, 2)), lambda v: v.reshape(3, 2)),
        (lambda w, x: w.transpose(w.reshape(x, (3, 2))), lambda v: v.reshape(3, 2).T),
        (lambda w, x: w.part(w.reshape(x, (6,)), 1, 4), lambda v: v.reshape(6)[1:5]),
        (lambda w, x: w.rows(w.reshape(x, (3, 2)), TABLE), lambda v: v.reshape(3, 2)[TABLE]),
    ],
)
def test_rows(write: Written, expected: Expected) -> None:
    np.testing.assert_allclose(
        computed(ROWS, write), expected(ROWS.astype(np.float64)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("activation", ["none", "relu", "relu6"])
def test_a_dense_layer(activation: str) -> None:
    weights = RNG.normal(0, 3, (4, 6)).astype(np.float32)
    found = computed(ROWS, lambda w, x: w.dense(x, weights, BIAS, activation))  # type: ignore[arg-type]
    low, high = {"none": (-np.inf, np.inf), "relu": (0, np.inf), "relu6": (0, 6)}[activation]
    expected = np.clip(ROWS.astype(np.float64) @ weights.T + BIAS, low, high)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def convolved(
    image: NDArray[np.float32], weights: NDArray[np.float32], stride: int, same: bool
) -> NDArray[np.float64]:
    """By the definition, tap by tap; TensorFlow's SAME puts the odd zero behind."""
    size, outputs = weights.shape[1], []
    edges = []
    for side in image.shape[1:3]:
        total = max(0, (-(-side // stride) - 1) * stride + size - side) if same else 0
        edges.append((total // 2, total - total // 2))
    padded = np.pad(image.astype(np.float64), ((0, 0), *edges, (0, 0)))
    for top in range(0, padded.shape[1] - size + 1, stride):
        row = []
        for left in range(0, padded.shape[2] - size + 1, stride):
            patch = padded[0, top : top + size, left : left + size]
            row.append((weights * patch).sum(axis=(1, 2)))
        outputs.append(row)
    return np.array(outputs)[None]  # [1, height, width, out, in]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("same", [True, False])
def test_convolutions(stride: int, same: bool) -> None:
    found = computed(IMAGE, lambda w, x: w.conv(x, WEIGHTS, BIAS, stride=stride, same_padding=same))
    expected = convolved(IMAGE, WEIGHTS, stride, same).sum(axis=-1) + BIAS
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    found = computed(
        IMAGE,
        lambda w, x: w.conv(x, ONES, BIAS[:3], stride=stride, same_padding=same, depthwise=True),
    )
    expected = convolved(IMAGE, ONES, stride, same)[..., 0, :] + BIAS[:3]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_mean_of_an_image() -> None:
    expected = IMAGE.astype(np.float64).mean(axis=(1, 2))
    np.testing.assert_allclose(computed(IMAGE, lambda w, x: w.mean(x)), expected, atol=1e-6)
    kept = computed(IMAGE, lambda w, x: w.mean(x, keep_dims=True))
    np.testing.assert_allclose(kept, expected[:, None, None], atol=1e-6)


def test_a_spectrum_is_that_of_numpy() -> None:
    waves = RNG.normal(0, 1, (3, 64)).astype(np.float32)
    found = computed(waves, lambda w, x: w.spectrum(x))
    np.testing.assert_allclose(found, np.abs(np.fft.rfft(waves)), rtol=1e-4, atol=1e-4)


def test_a_spectrum_needs_a_power_of_two() -> None:
    writer = GraphWriter("x", batch=False)
    with pytest.raises(OptionError, match="power of two of samples, not 60"):
        writer.spectrum(writer.input("x", (3, 60)))


def test_int8_becomes_float_again(model) -> None:
    """The published scores before their last operator, dequantised by ours."""
    content = model.path.read_bytes()
    sound = RNG.normal(0, 0.1, 15_600).astype(np.float32)
    _, graph = unpack(content)
    writer = GraphWriter.on(content)
    quantised = int(graph.operators[-1].inputs[0])
    ours = writer.dequantize(quantised)
    scores, again = run(writer.finish([int(graph.outputs[0]), ours]), sound)
    assert scores.max() > 0
    assert (again == scores).all()
