# SPDX-License-Identifier: Apache-2.0
"""TensorFlow Lite files as the schema's objects, and these as files again."""

from __future__ import annotations

from copy import copy
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from oido.errors import ModelFormatError
from oido.messages import tr
from oido.models.damage import refuse_damage
from oido.models.tflite.limits import require_proportion

_IDENTIFIER = b"TFL3"
DTYPES: dict[int, Any] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.UINT8: np.uint8,
    schema.TensorType.BOOL: np.bool_,
    schema.TensorType.COMPLEX64: np.complex64,
}
"""What holds the values of a tensor, by its type."""


def pack_pruned(model: Any, graph: Any) -> bytes:
    """The .tflite without operators that no output needs, and without what only those read.

    What nothing reads is more than a waste: some versions of LiteRT end the process over it.
    """
    needed = {int(t) for t in graph.outputs}
    kept = []
    for op in reversed(graph.operators):
        if needed & {int(t) for t in op.outputs}:
            needed |= {int(t) for t in op.inputs}
            kept.append(op)
    graph.operators = kept[::-1]
    used = {graph.tensors[t].buffer for t in needed if t >= 0}
    for number, buffer in enumerate(model.buffers):
        if number not in used:
            buffer.data = None
    return pack(model)


Parsed = tuple[Any, Any]
"""A .tflite as the schema's objects: the model and its graph."""


def unpack(content: bytes, *, bare: bool = False) -> Parsed:
    """A .tflite as the schema's objects: the model and its graph. Raises ModelFormatError.

    bare: without metadata and signatures, which would not fit a graph that is changed.
    """
    if content[4:8] != _IDENTIFIER:
        raise ModelFormatError(tr("not a TensorFlow Lite model (no TFL3 mark)"))
    with refuse_damage(tr("the model file is damaged or cut short")):
        require_proportion(content)
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        _join_appended(model, content)
        if bare:
            model.metadata, model.signatureDefs = [], []
        return model, model.subgraphs[0]


def copied(model: Any) -> tuple[Any, Any]:
    """A model and its graph, as `unpack` gives them, bare, for changes that leave this one as it
    is. Arrays are shared: they are to be replaced, not written to.

    A fifth of the time that the file takes to be read again.
    """
    model = copy(model)
    model.metadata, model.signatureDefs = [], []
    model.buffers = [copy(buffer) for buffer in model.buffers]
    model.operatorCodes = list(model.operatorCodes)
    graph = copy(model.subgraphs[0])
    graph.tensors = [copy(tensor) for tensor in graph.tensors]
    graph.operators = [copy(operator) for operator in graph.operators]
    for operator in graph.operators:
        operator.builtinOptions = copy(operator.builtinOptions)
    model.subgraphs = [graph, *model.subgraphs[1:]]
    return model, graph


def _join_appended(model: Any, content: bytes) -> None:
    """Constants that stand behind the graph, as some converters write them, become its own."""
    appended = [buffer for buffer in model.buffers if buffer.offset > 1 and buffer.data is None]
    if sum(buffer.size for buffer in appended) > len(content):
        raise ModelFormatError(tr("its constants are larger than the file"))
    for buffer in appended:
        data = content[buffer.offset : buffer.offset + buffer.size]
        buffer.data, buffer.offset, buffer.size = np.frombuffer(data, np.uint8), 0, 0


def constant_values(model: Any, tensor: Any) -> NDArray[Any]:
    """What a constant holds, in its own type and shape. Raises KeyError for an unusual type."""
    data = np.ascontiguousarray(model.buffers[tensor.buffer].data, np.uint8)
    values: NDArray[Any] = data.view(DTYPES[tensor.type]).reshape(tensor.shape)
    return values


def pack(model: Any) -> bytes:
    """The .tflite of such a model."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def operator_kind(model: Any, op: Any) -> int:
    """Its number in the schema's BuiltinOperator."""
    return code_kind(model.operatorCodes[op.opcodeIndex])


def code_kind(code: Any) -> int:
    """The same of an operator code."""
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))
