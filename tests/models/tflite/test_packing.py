# SPDX-License-Identifier: Apache-2.0
"""Files as the schema's objects and back: nothing changes, and what is no file is refused."""

from __future__ import annotations

import numpy as np
import pytest

from oido.errors import ModelFormatError
from oido.models.model import AudioModel
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.packing import constant_values, copied, pack, pack_pruned, unpack
from tests.models.tflite.test_builder import layer, run


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


def test_a_copy_is_changed_without_the_model_that_it_is_of() -> None:
    model, graph = unpack(layer(2.0))
    content = pack(model)
    other, other_graph = copied(model)
    other_graph.outputs = other_graph.outputs[:1]
    other_graph.operators.pop()
    other.buffers[1].data = None
    assert len(graph.outputs) == 2
    assert pack(model) == content


def test_what_no_output_needs_is_left_out_with_its_constants() -> None:
    writer = GraphWriter("two ways")
    x = writer.input("x", (1, 3))
    kept = writer.multiply(x, writer.constant(np.array([2], np.float32)))
    gone = writer.multiply(x, writer.constant(np.arange(3, dtype=np.float32) + 5))
    model, graph = unpack(writer.finish([kept, gone]))
    graph.outputs = graph.outputs[:1]
    pruned, left = unpack(pack_pruned(model, graph))
    assert len(left.operators) == 1
    (constant,) = (t for t in left.operators[0].inputs if t != left.inputs[0])
    assert constant_values(pruned, left.tensors[constant]).tolist() == [2.0]
    (out,) = run(pack(pruned), np.array([[1.0, -2.0, 3.0]], np.float32))
    assert out.tolist() == [[2.0, -4.0, 6.0]]
