# SPDX-License-Identifier: Apache-2.0
"""Putting TensorFlow Lite graphs together: tensors, buffers, operators; also from pieces.

`oido.models.tflite.ops` has the operators; here is what holds them.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from oido.errors import ModelFormatError
from oido.models.damage import refuse_damage

__all__ = ["GraphBuilder", "operator_kind", "pack", "pack_pruned", "unpack"]

_IDENTIFIER = b"TFL3"
_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.complex64): schema.TensorType.COMPLEX64,
}


class GraphBuilder:
    """One graph that grows, operator by operator, in the order of the data.

    Tensors are handled by their numbers. batch: the first dimension of every tensor is the batch,
    1 in the file and resized by the interpreter to any number; or else all shapes are fixed.
    """

    def __init__(self, description: str, *, batch: bool = True) -> None:
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.description = description
        self._model.buffers = [schema.BufferT()]  # buffer 0 is the empty one, by convention
        self._model.operatorCodes = []
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._graph.inputs, self._graph.outputs = [], []
        self._batch = batch

    def graft(self, content: bytes, x: int) -> list[int]:
        """Add all of a finished graph of one input behind ``x``; its outputs' numbers here."""
        other, graph = unpack(content)
        if len(graph.inputs) != 1:
            raise ModelFormatError("a graph of several inputs cannot be put behind another")
        first_tensor = len(self._graph.tensors)
        first_buffer = len(self._model.buffers)
        self._model.buffers += other.buffers
        codes = [self._known_code(code) for code in other.operatorCodes]
        for tensor in graph.tensors:
            tensor.buffer += first_buffer
            tensor.name = f"part{first_tensor}_{len(self._graph.tensors)}"
            if not self._batch:
                tensor.shapeSignature = None
            self._graph.tensors.append(tensor)

        def renumber(tensors: Any) -> list[int]:
            here = [int(t) + first_tensor if t >= 0 else int(t) for t in tensors]
            entry = int(graph.inputs[0]) + first_tensor
            return [x if t == entry else t for t in here]

        for op in graph.operators:
            op.opcodeIndex = codes[op.opcodeIndex]
            op.inputs = np.array(renumber(op.inputs), np.int32)
            op.outputs = np.array(renumber(op.outputs), np.int32)
            self._graph.operators.append(op)
        return renumber(graph.outputs)

    def finish(self, outputs: dict[str, int] | list[int]) -> bytes:
        """The .tflite with these outputs (by name), without operators that none of them needs."""
        if isinstance(outputs, dict):
            for name, tensor in outputs.items():
                self._graph.tensors[tensor].name = name
        self._graph.outputs = list(outputs.values()) if isinstance(outputs, dict) else outputs
        self._model.subgraphs = [self._graph]
        return pack_pruned(self._model, self._graph)

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The shape of a tensor, its batch as 1."""
        return tuple(int(n) for n in self._graph.tensors[tensor].shape)

    def constant(self, values: NDArray[Any]) -> int:
        """A float32 or int32 constant."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        number = len(self._model.buffers) - 1
        return self._tensor("constant", values.shape, values.dtype, number, has_batch=False)

    def _tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: Any = np.float32,
        buffer: int = 0,
        has_batch: bool = True,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name = f"{name}_{len(self._graph.tensors)}"
        tensor.shape = np.array(shape, np.int32)
        if has_batch and self._batch:
            tensor.shapeSignature = np.array([-1, *shape[1:]], np.int32)
        tensor.type = _TYPES[np.dtype(dtype)]
        tensor.buffer = buffer
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _add(
        self,
        kind: str,
        inputs: list[int],
        shape: tuple[int, ...],
        options: str = "",
        dtype: Any = np.float32,
        *,
        version: int = 1,
        **fields: Any,
    ) -> int:
        """Add an operator by the schema's names; its output. fields: of its options."""
        entry = schema.OperatorCodeT()
        entry.builtinCode, entry.version = getattr(schema.BuiltinOperator, kind), version
        entry.deprecatedBuiltinCode = min(entry.builtinCode, 127)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._known_code(entry)
        operator.inputs = np.array(inputs, np.int32)
        output = self._tensor(f"op{len(self._graph.operators)}", shape, dtype)
        operator.outputs = np.array([output], np.int32)
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
            vars(operator.builtinOptions).update(fields)
        self._graph.operators.append(operator)
        return output

    def _dtype(self, tensor: int) -> Any:
        kind = self._graph.tensors[tensor].type
        return next(dtype for dtype, number in _TYPES.items() if number == kind)

    def _known_code(self, entry: Any) -> int:
        """The number of an operator code of this kind and version, added if it is new."""
        for index, known in enumerate(self._model.operatorCodes):
            if (_kind(known), known.version) == (_kind(entry), entry.version):
                return index
        self._model.operatorCodes.append(entry)
        return len(self._model.operatorCodes) - 1


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


def unpack(content: bytes, *, bare: bool = False) -> tuple[Any, Any]:
    """A .tflite as the schema's objects: the model and its graph. Raises ModelFormatError.

    bare: without metadata and signatures, which would not fit a graph that is changed.
    """
    if content[4:8] != _IDENTIFIER:
        raise ModelFormatError("not a TensorFlow Lite model (no TFL3 mark)")
    with refuse_damage("the model file is damaged or cut short"):
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        if bare:
            model.metadata, model.signatureDefs = [], []
        return model, model.subgraphs[0]


def pack(model: Any) -> bytes:
    """The .tflite of such a model."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


def operator_kind(model: Any, op: Any) -> int:
    """Its number in the schema's BuiltinOperator."""
    return _kind(model.operatorCodes[op.opcodeIndex])


def _kind(code: Any) -> int:
    return int(max(code.builtinCode, code.deprecatedBuiltinCode))
