# SPDX-License-Identifier: Apache-2.0
"""YAMNet's weights out of a float .tflite, such as the one that TensorFlow Hub published.

That file takes a waveform of any length and brings no metadata. Its network is found by its
operators; the front end, which is the published one, is written anew.
"""

from __future__ import annotations

import struct
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from oido.errors import ModelFormatError
from oido.models.yamnet_weights import EMBEDDING_DIM, LAYERS, Convolution, YamNetWeights

__all__ = ["from_float"]

_OP = schema.BuiltinOperator
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
