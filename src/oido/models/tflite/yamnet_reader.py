# SPDX-License-Identifier: Apache-2.0
"""YAMNet's weights out of a .tflite: the quantised one, or a float one such as TensorFlow Hub's.

The network is found by its operators. The float file takes a waveform of any length and brings no
metadata; its front end, which is the published one, is written anew.
"""

from __future__ import annotations

import struct
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from oido.errors import ModelFormatError
from oido.models.networks.yamnet_weights import EMBEDDING_DIM, LAYERS, Convolution, YamNetWeights

__all__ = ["from_float", "from_int8"]

_OP = schema.BuiltinOperator
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)
"""What reading a damaged graph may raise: its numbers point anywhere."""


def from_int8(model: bytes) -> YamNetWeights:
    """The weights inside `yamnet/classification` (the quantised .tflite), made float32 again.

    An int8 weight stands for (q − zero point) · scale, with a scale per output channel; an int32
    bias for q · input scale · weight scale (TensorFlow Lite's 8-bit quantisation specification).
    Raises ModelFormatError if this is no quantised YAMNet, or is damaged.
    """
    if model[4:8] != b"TFL3":
        raise ModelFormatError("not a TensorFlow Lite model (no TFL3 mark)")
    try:
        with np.errstate(all="ignore"):  # of a damaged scale; what it makes is refused
            return _Int8Graph(model).weights()
    except _DAMAGE as error:
        raise ModelFormatError(
            f"its graph makes no sense ({type(error).__name__}: {error}); the file is damaged"
        ) from error


class _Int8Graph:
    """The operators from the first convolution to the scores, and their constants."""

    _KINDS = (
        _OP.CONV_2D,
        *((_OP.DEPTHWISE_CONV_2D, _OP.CONV_2D) * 13),
        _OP.MEAN,
        _OP.FULLY_CONNECTED,
        _OP.LOGISTIC,
    )

    def __init__(self, content: bytes) -> None:
        self._model: Any = schema.ModelT.InitFromPackedBuf(content, 0)
        graph = self._model.subgraphs[0]
        self._tensors: Any = graph.tensors
        kinds = [self._kind(op) for op in graph.operators]
        first = kinds.index(_OP.CONV_2D) if _OP.CONV_2D in kinds else 0
        self._ops: Any = graph.operators[first : first + len(self._KINDS)]
        if tuple(kinds[first : first + len(self._KINDS)]) != self._KINDS:
            raise ModelFormatError("its operators are not those of a quantised YAMNet")
        for before, after in zip(self._ops, self._ops[1:]):
            if before.outputs[0] != after.inputs[0]:
                raise ModelFormatError("its operators are not in a row, as YAMNet's are")

    def weights(self) -> YamNetWeights:
        convolutions = [self._convolution(op) for op in self._ops[: len(LAYERS)]]
        activations = {op.builtinOptions.fusedActivationFunction for op in self._ops[: len(LAYERS)]}
        if activations != {schema.ActivationFunctionType.RELU6}:
            raise ModelFormatError("its activations are not ReLU6, as the quantised YAMNet's are")
        dense, dense_bias = self._constants(self._ops[len(LAYERS) + 1])
        return YamNetWeights(tuple(convolutions), dense, dense_bias, "relu6")

    def _convolution(self, op: Any) -> Convolution:
        options = op.builtinOptions
        if options.padding != schema.Padding.SAME or options.strideH != options.strideW:
            raise ModelFormatError("a convolution's padding or stride is not YAMNet's")
        weights, bias = self._constants(op)
        depthwise = self._kind(op) == _OP.DEPTHWISE_CONV_2D
        return Convolution(weights, bias, int(options.strideH), depthwise)

    def _constants(self, op: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Weights and bias of one operator, dequantised."""
        source, weights, bias = (self._tensors[i] for i in op.inputs[:3])
        scale, zero_point = self._quantisation(weights)
        whole = self._stored(weights, schema.TensorType.INT8, np.int8)
        axis = int(weights.quantization.quantizedDimension)
        along = [1] * whole.ndim
        along[axis] = -1
        centred = whole.astype(np.float64) - zero_point.reshape(along)
        source_scale, _ = self._quantisation(source)
        steps = self._stored(bias, schema.TensorType.INT32, np.int32).astype(np.float64)
        return (
            (centred * scale.reshape(along)).astype(np.float32),
            (steps * (source_scale * scale)).astype(np.float32),
        )

    def _quantisation(self, tensor: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scale and zero point: f64[channels], or f64[1] where all share one."""
        scale = np.asarray(tensor.quantization.scale, np.float64)
        return scale, np.asarray(tensor.quantization.zeroPoint, np.float64)

    def _stored(self, tensor: Any, kind: int, dtype: type[np.generic]) -> NDArray[Any]:
        if tensor.type != kind:
            raise ModelFormatError("a weight is not stored as the quantised YAMNet's are")
        data = np.ascontiguousarray(self._model.buffers[tensor.buffer].data, np.uint8)
        return data.view(dtype).reshape(tensor.shape)

    def _kind(self, op: Any) -> int:
        code = self._model.operatorCodes[op.opcodeIndex]
        return int(max(code.builtinCode, code.deprecatedBuiltinCode))


_ACTIVATIONS: dict[int, Literal["relu", "relu6"]] = {
    schema.ActivationFunctionType.RELU: "relu",
    schema.ActivationFunctionType.RELU6: "relu6",
}


def from_float(model: bytes) -> YamNetWeights:
    """The weights inside a float YAMNet. Raises ModelFormatError if it is not one."""
    try:
        return _weights(schema.ModelT.InitFromPackedBuf(model, 0))
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelFormatError(f"its graph is not YAMNet's ({error})") from error
    except struct.error as error:
        raise ModelFormatError("the model file is damaged or cut short") from error


def _weights(model: Any) -> YamNetWeights:
    graph = model.subgraphs[0]
    by_kind: dict[int, list[Any]] = {}
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        by_kind.setdefault(max(code.builtinCode, code.deprecatedBuiltinCode), []).append(op)
    n_depthwise = sum(layer.depthwise for layer in LAYERS)
    counts = len(by_kind.get(_OP.CONV_2D, [])), len(by_kind.get(_OP.DEPTHWISE_CONV_2D, []))
    if counts != (len(LAYERS) - n_depthwise, n_depthwise):
        raise ModelFormatError(f"YAMNet has {len(LAYERS)} convolutions, and this {sum(counts)}")
    turns = {kind: iter(ops) for kind, ops in by_kind.items()}
    ops = [next(turns[_kind(layer.depthwise)]) for layer in LAYERS]
    activations = {int(op.builtinOptions.fusedActivationFunction) for op in ops}
    if len(activations) != 1 or not activations <= set(_ACTIVATIONS):
        raise ModelFormatError("its activations are neither ReLU nor ReLU6, as YAMNet's are")
    convolutions = []
    for layer, op in zip(LAYERS, ops):
        options = op.builtinOptions
        if options.padding != schema.Padding.SAME or options.strideH != options.strideW:
            raise ModelFormatError(f"{layer.name}: the padding or stride is not YAMNet's")
        weights, bias = (_constant(model, graph, number) for number in op.inputs[1:3])
        convolutions.append(Convolution(weights, bias, int(options.strideH), layer.depthwise))
    dense = [
        op
        for op in by_kind.get(_OP.FULLY_CONNECTED, [])
        if int(graph.tensors[op.inputs[1]].shape[-1]) == EMBEDDING_DIM
    ]
    if len(dense) != 1:
        raise ModelFormatError(f"YAMNet has one dense layer of scores, and this {len(dense)}")
    scores, bias = (_constant(model, graph, number) for number in dense[0].inputs[1:3])
    return YamNetWeights(tuple(convolutions), scores, bias, _ACTIVATIONS[activations.pop()])


def _kind(depthwise: bool) -> int:
    return int(_OP.DEPTHWISE_CONV_2D if depthwise else _OP.CONV_2D)


def _constant(model: Any, graph: Any, number: int) -> NDArray[np.float32]:
    tensor = graph.tensors[number]
    if tensor.type != schema.TensorType.FLOAT32:
        raise ModelFormatError("a weight is not float32")
    data = np.ascontiguousarray(model.buffers[tensor.buffer].data, np.uint8)
    return data.view(np.float32).reshape(tensor.shape).copy()
