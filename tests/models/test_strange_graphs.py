# SPDX-License-Identifier: Apache-2.0
"""Models that parse, but whose graph makes no sense: each is refused with an OidoError, or heard.

Heard are those whose graph is sound, but not as YAMNet's: they are run as a whole, as they are.

Every strange model differs from the real one in one thing, named in STRANGE. They are loaded in a
child (see damaged_child.py), so that one that never ends is told and not waited for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import Builder

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="each model needs a fork")

CHILD = Path(__file__).with_name("damaged_child.py")
WINDOW, MEL, LOG, PATCH, DENSE, END = 4, 10, 11, 12, 44, 46
"""Numbers of some operators (tflite/test_editor.py checks what stands where)."""


def ints(*values):
    return np.array(values, np.int32)


class Change:
    """What may be done to the parsed model, by operator number."""

    def __init__(self, model):
        self.model, self.graph = model, model.subgraphs[0]

    def op(self, number, **fields):
        for name, value in fields.items():
            setattr(self.graph.operators[number], name, value)

    def tensor(self, number, place, **fields):
        """The tensor that is input ``place`` of the operator."""
        tensor = self.graph.tensors[self.graph.operators[number].inputs[place]]
        for name, value in fields.items():
            setattr(tensor, name, value)

    def data(self, number, place, change):
        tensor = self.graph.tensors[self.graph.operators[number].inputs[place]]
        buffer = self.model.buffers[tensor.buffer]
        buffer.data = change(np.asarray(buffer.data))

    def patch(self, **fields):
        tensor = self.graph.tensors[self.graph.operators[PATCH].outputs[0]]
        for name, value in fields.items():
            setattr(tensor, name, value)


STRANGE = {
    "no-subgraph": lambda c: setattr(c.model, "subgraphs", []),
    "no-operators": lambda c: setattr(c.graph, "operators", []),
    "operators-absent": lambda c: setattr(c.graph, "operators", None),
    "no-tensors": lambda c: setattr(c.graph, "tensors", []),
    "no-operator-codes": lambda c: setattr(c.model, "operatorCodes", []),
    "unknown-operator-code": lambda c: c.op(20, opcodeIndex=999),
    "no-graph-inputs": lambda c: setattr(c.graph, "inputs", ints()),
    "graph-inputs-absent": lambda c: setattr(c.graph, "inputs", None),
    "no-graph-outputs": lambda c: setattr(c.graph, "outputs", ints()),
    "graph-output-beyond": lambda c: setattr(c.graph, "outputs", ints(9_999)),
    "mel-without-inputs": lambda c: c.op(MEL, inputs=ints()),
    "mel-inputs-absent": lambda c: c.op(MEL, inputs=None),
    "mel-with-one-input": lambda c: c.op(MEL, inputs=c.graph.operators[MEL].inputs[:1]),
    "mel-inputs-beyond": lambda c: c.op(MEL, inputs=ints(9_999, 9_999, 9_999)),
    "window-with-one-input": lambda c: c.op(WINDOW, inputs=c.graph.operators[WINDOW].inputs[:1]),
    "log-without-outputs": lambda c: c.op(LOG, outputs=ints()),
    "patch-without-outputs": lambda c: c.op(PATCH, outputs=ints()),
    "network-without-inputs": lambda c: c.op(DENSE, inputs=ints()),
    "network-outputs-absent": lambda c: c.op(DENSE, outputs=None),
    "operator-that-eats-itself": lambda c: c.op(END, inputs=c.graph.operators[END].outputs),
    "mel-without-shape": lambda c: c.tensor(MEL, 1, shape=None),
    "mel-of-another-shape": lambda c: c.tensor(MEL, 1, shape=ints(63, 257)),
    "mel-in-one-dimension": lambda c: c.tensor(MEL, 1, shape=ints(64 * 257)),
    "mel-of-integers": lambda c: c.tensor(MEL, 1, type=schema.TensorType.INT32),
    "mel-buffer-beyond": lambda c: c.tensor(MEL, 1, buffer=9_999),
    "mel-all-zero": lambda c: c.data(MEL, 1, np.zeros_like),
    "mel-cut": lambda c: c.data(MEL, 1, lambda d: d[:-3]),
    "mel-empty": lambda c: c.data(MEL, 1, lambda d: d[:0]),
    "window-cut": lambda c: c.data(WINDOW, 1, lambda d: d[:-4]),
    "window-longer-than-fft": lambda c: (
        c.tensor(WINDOW, 1, shape=ints(1, 1, 1200)),
        c.data(WINDOW, 1, lambda d: np.concatenate([d, d, d])),
    ),
    "offset-of-many-values": lambda c: c.data(
        MEL, 2, lambda d: np.arange(len(d) // 4, dtype=np.float32).view(np.uint8)
    ),
    "patch-of-one-frame": lambda c: c.patch(shape=ints(1, 1, 64)),
    "patch-of-no-frame": lambda c: c.patch(shape=ints(1, 0, 64)),
    "patch-of-other-frames": lambda c: c.patch(shape=ints(1, 90, 64)),
    "patch-flat": lambda c: c.patch(shape=ints(6_144)),
    "patch-without-shape": lambda c: c.patch(shape=None),
    "input-without-shape": lambda c: setattr(c.graph.tensors[c.graph.inputs[0]], "shape", ints(0)),
    "input-of-other-length": lambda c: setattr(
        c.graph.tensors[c.graph.inputs[0]], "shape", ints(15_601)
    ),
    "output-without-shape": lambda c: setattr(c.graph.tensors[c.graph.outputs[0]], "shape", None),
    "output-of-other-classes": lambda c: setattr(
        c.graph.tensors[c.graph.outputs[0]], "shape", ints(1, 520)
    ),
    "metadata-buffer-beyond": lambda c: [setattr(m, "buffer", 9_999) for m in c.model.metadata],
    "metadata-empty": lambda c: setattr(c.model.buffers[c.model.metadata[1].buffer], "data", None),
    "reshape-without-input-buffer": lambda c: [
        setattr(c.graph.tensors[c.graph.operators[14].inputs[-1]], "buffer", 9_999)
    ],
    "reshape-to-no-shape": lambda c: setattr(
        c.graph.tensors[c.graph.operators[14].outputs[0]], "shape", None
    ),
}


HEARD_AS_A_WHOLE = {
    "input-of-other-length",
    "mel-all-zero",
    "offset-of-many-values",
    "patch-flat",
    "patch-of-no-frame",
    "patch-of-other-frames",
}


@pytest.fixture(scope="module")
def outcomes(model, tmp_path_factory):
    """Name → what loading did."""
    whole = model.path.read_bytes()
    labels = whole[whole.index(b"PK\x03\x04") :]
    folder = tmp_path_factory.mktemp("strange")
    for name, change in {**STRANGE, "unchanged": lambda _: None}.items():
        parsed = schema.ModelT.InitFromPackedBuf(whole, 0)
        change(Change(parsed))
        builder = Builder(1 << 20)
        builder.Finish(parsed.Pack(builder), b"TFL3")
        (folder / f"{name}.tflite").write_bytes(bytes(builder.Output()) + labels)
    files = sorted(map(str, folder.glob("*.tflite")))
    child = subprocess.run(
        [sys.executable, str(CHILD), "hear", *files], capture_output=True, text=True, check=True
    )
    return {found["file"]: found for found in map(json.loads, child.stdout.splitlines())}


def test_the_unchanged_model_is_sound(outcomes):
    assert outcomes["unchanged"]["outcome"] == "sound"


@pytest.mark.parametrize("name", sorted(set(STRANGE) - HEARD_AS_A_WHOLE))
def test_a_strange_graph_is_refused(outcomes, name):
    found = outcomes[name]
    assert found["outcome"] == "refused", found
    assert found["detail"].startswith("ModelFormatError")


@pytest.mark.parametrize("name", sorted(HEARD_AS_A_WHOLE))
def test_a_sound_graph_of_another_kind_is_heard_as_it_is(outcomes, name):
    assert outcomes[name]["outcome"] == "sound", outcomes[name]
