# SPDX-License-Identifier: Apache-2.0
"""Graphs put together: what LiteRT computes of them, what is left out, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from oido.errors import ModelFormatError
from oido.models.model import AudioModel
from oido.models.tflite.builder import operator_kind, pack, unpack
from oido.models.tflite.ops import GraphWriter


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


def test_packing_what_was_unpacked_changes_no_score(model: AudioModel) -> None:
    content = model.path.read_bytes()
    sound = np.random.default_rng(0).normal(0, 0.1, 15_600).astype(np.float32)
    (expected,) = run(content, sound)
    for bare in (False, True):
        parsed, _ = unpack(content, bare=bare)
        assert bool(parsed.metadata) != bare
        (found,) = run(pack(parsed), sound)
        assert (found == expected).all()


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\0\0\0\0TFL3", b"RIFF" * 9])
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    with pytest.raises(ModelFormatError, match=r"no TFL3 mark|damaged or cut short"):
        unpack(content)


def test_a_type_that_is_none_of_the_formats_is_a_defect_and_not_a_wrong_file() -> None:
    wrong: Any = np.zeros(3, np.float64)
    with pytest.raises(KeyError):
        GraphWriter("x").constant(wrong)
