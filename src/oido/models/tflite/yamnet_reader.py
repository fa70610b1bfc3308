# SPDX-License-Identifier: Apache-2.0
"""YAMNet's weights out of a .tflite: the quantised one, or a float one such as TensorFlow Hub's.

The network is found by its operators. The float file takes a waveform of any length and brings no
metadata; its front end, which is the published one, is written anew. Converters make it smaller by
keeping weights in 16 or 8 bits; they are made float32 again, and so are heard as the original.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from oido.arrays import F32
from oido.errors import ModelFormatError
from oido.messages import tr
from oido.models.damage import refuse_damage
from oido.models.networks.yamnet import EMBEDDING_DIM, LAYERS, Convolution, YamNetWeights
from oido.models.tflite.packing import constant_values, operator_kind, unpack

_OP = schema.BuiltinOperator
_INT8_KINDS = [
    *(_OP.DEPTHWISE_CONV_2D if layer.depthwise else _OP.CONV_2D for layer in LAYERS),
    *(_OP.MEAN, _OP.FULLY_CONNECTED, _OP.LOGISTIC),
]
"""The quantised network's operators, from the first convolution to the scores."""
_ACTIVATIONS: dict[int, Literal["relu", "relu6"]] = {
    schema.ActivationFunctionType.RELU: "relu",
    schema.ActivationFunctionType.RELU6: "relu6",
}
_Constants = tuple[F32, F32]


def from_int8(model: bytes) -> YamNetWeights:
    """The weights inside `yamnet/classification` (the quantised .tflite), made float32 again.

    An int8 weight stands for (q − zero point) · scale, with a scale per output channel; an int32
    bias for q · input scale · weight scale (TensorFlow Lite's 8-bit quantisation specification).
    Raises ModelFormatError if this is no quantised YAMNet, or is damaged.
    """
    # A damaged scale may overflow; what it makes is refused.
    with (
        refuse_damage(tr("its graph makes no sense, the file is damaged")),
        np.errstate(all="ignore"),
    ):
        graph = _Graph(model)
        kinds = list(map(graph.kind, graph.operators))
        first = kinds.index(_OP.CONV_2D) if _OP.CONV_2D in kinds else 0
        ops = graph.operators[first : first + len(_INT8_KINDS)]
        if kinds[first : first + len(_INT8_KINDS)] != _INT8_KINDS:
            raise ModelFormatError(tr("its operators are not those of a quantised YAMNet"))
        if any(before.outputs[0] != after.inputs[0] for before, after in pairwise(ops)):
            raise ModelFormatError(tr("its operators are not in a row, as YAMNet's are"))
        return graph.weights(ops[: len(LAYERS)], ops[len(LAYERS) + 1], graph.dequantize)


def from_float(model: bytes) -> YamNetWeights:
    """The weights inside a float YAMNet, also where they are stored as float16, or as int8 of
    dynamic range. Raises ModelFormatError if it is not one."""
    with refuse_damage(tr("its graph is not YAMNet's")), np.errstate(all="ignore"):
        graph = _Graph(model)
        by_kind: dict[int, list[Any]] = {}
        for op in graph.operators:
            by_kind.setdefault(graph.kind(op), []).append(op)
        expected = _INT8_KINDS[: len(LAYERS)]
        for kind in set(expected):
            if (count := len(by_kind.get(kind, []))) != expected.count(kind):
                raise ModelFormatError(
                    tr(
                        "YAMNet has {count} convolutions of this kind, and this {count_2}",
                        count=expected.count(kind),
                        count_2=count,
                    )
                )
        in_order = {kind: iter(ops) for kind, ops in by_kind.items()}
        dense = [
            op
            for op in by_kind.get(_OP.FULLY_CONNECTED, [])
            if int(graph.tensors[op.inputs[1]].shape[-1]) == EMBEDDING_DIM
        ]
        if len(dense) != 1:
            raise ModelFormatError(
                tr("YAMNet has one dense layer of scores, and this {n_dense}", n_dense=len(dense))
            )
        return graph.weights([next(in_order[kind]) for kind in expected], dense[0], graph.floats)


class _Graph:
    """A graph's operators, and the constants that they read."""

    def __init__(self, content: bytes) -> None:
        self._model, graph = unpack(content)
        self.operators, self.tensors = graph.operators, graph.tensors

    def kind(self, op: Any) -> int:
        return operator_kind(self._model, op)

    def weights(
        self, convolutions: Sequence[Any], dense: Any, constants: Callable[[Any], _Constants]
    ) -> YamNetWeights:
        """Of these operators; ``constants`` gives the weights and the bias of one."""
        activations = {int(op.builtinOptions.fusedActivationFunction) for op in convolutions}
        if len(activations) != 1 or not activations <= set(_ACTIVATIONS):
            raise ModelFormatError(
                tr("its activations are neither ReLU nor ReLU6, as YAMNet's are")
            )
        layers = []
        for op in convolutions:
            options, depthwise = op.builtinOptions, self.kind(op) == _OP.DEPTHWISE_CONV_2D
            if options.padding != schema.Padding.SAME or options.strideH != options.strideW:
                raise ModelFormatError(tr("a convolution's padding or stride is not YAMNet's"))
            layers.append(Convolution(*constants(op), int(options.strideH), depthwise))
        return YamNetWeights(tuple(layers), *constants(dense), _ACTIVATIONS[activations.pop()])

    def floats(self, op: Any) -> _Constants:
        """As they are, or made float32 again: of float16 files, and of those whose weights alone
        are int8 (dynamic range)."""
        # Values of half precision go through an operator of their own, and int8 ones may.
        sources = {int(o.outputs[0]): o.inputs[0] for o in self.operators if self._widens(o)}
        numbers = (sources.get(int(number), number) for number in op.inputs[1:3])
        weights, bias = (self.tensors[number] for number in numbers)
        if weights.type == schema.TensorType.INT8:
            return self._dequantized(weights), self._wide(bias)
        return self._wide(weights), self._wide(bias)

    def dequantize(self, op: Any) -> _Constants:
        source, weights, bias = (self.tensors[number] for number in op.inputs[:3])
        whole = self._dequantized(weights)
        scale = np.asarray(weights.quantization.scale, np.float64)  # f64[channels], or f64[1]
        steps = self._stored(bias, schema.TensorType.INT32).astype(np.float64)
        source_scale = np.asarray(source.quantization.scale, np.float64)
        return whole, (steps * (source_scale * scale)).astype(np.float32)

    def _widens(self, op: Any) -> bool:
        return bool(self.kind(op) == _OP.DEQUANTIZE)

    def _dequantized(self, tensor: Any) -> F32:
        whole = self._stored(tensor, schema.TensorType.INT8)
        scale = np.asarray(tensor.quantization.scale, np.float64)
        zero_point = np.asarray(tensor.quantization.zeroPoint, np.float64)
        along = [1] * whole.ndim
        along[int(tensor.quantization.quantizedDimension)] = -1
        centred = whole.astype(np.float64) - zero_point.reshape(along)
        return (centred * scale.reshape(along)).astype(np.float32)

    def _wide(self, tensor: Any) -> F32:
        if tensor.type == schema.TensorType.FLOAT16:
            return self._stored(tensor, schema.TensorType.FLOAT16).astype(np.float32)
        return self._stored(tensor, schema.TensorType.FLOAT32)

    def _stored(self, tensor: Any, kind: int) -> NDArray[Any]:
        if tensor.type != kind:
            raise ModelFormatError(tr("a weight is not stored as YAMNet's are"))
        return constant_values(self._model, tensor).copy()
