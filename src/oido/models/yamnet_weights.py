# SPDX-License-Identifier: Apache-2.0
"""YAMNet's weights as float32, whatever file they came from.

The network is MobileNet v1 (tensorflow/models, research/audioset/yamnet/yamnet.py): a convolution,
then 13 pairs of a depthwise and a pointwise one, each with its batch normalisation folded in and
an activation behind it; the mean over time and bands is the embedding; a dense layer scores it.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from oido.errors import ModelFormatError

__all__ = ["EMBEDDING_DIM", "LAYERS", "Convolution", "Layer", "YamNetWeights", "from_int8"]

EMBEDDING_DIM = 1024

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


class Layer(NamedTuple):
    """One convolution as published: name, stride, shape of its weights as LiteRT has them.

    shape: [out, height, width, in], and of a depthwise one [1, height, width, channels].
    """

    name: str
    shape: tuple[int, int, int, int]
    stride: int

    @property
    def depthwise(self) -> bool:
        """Each channel by itself?"""
        return self.name.endswith("/depthwise_conv")

    @property
    def outputs(self) -> int:
        """Channels that come out."""
        return self.shape[3] if self.depthwise else self.shape[0]


def _layers() -> tuple[Layer, ...]:
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    filters = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    layers, channels = [Layer("layer1/conv", (32, 3, 3, 1), 2)], 32
    for number, (stride, wider) in enumerate(zip(strides, filters), start=2):
        layers.append(Layer(f"layer{number}/depthwise_conv", (1, 3, 3, channels), stride))
        layers.append(Layer(f"layer{number}/pointwise_conv", (wider, 1, 1, channels), 1))
        channels = wider
    return tuple(layers)


LAYERS = _layers()
"""The 27 convolutions in the order of the data: 14 layers, 13 of them pairs."""


@dataclass(frozen=True, eq=False)
class Convolution:
    """One convolution, batch normalisation folded in.

    weights: f32[out, height, width, in], and of a depthwise one f32[1, height, width, channels].
    bias: f32[out]. stride: of height and width. depthwise: each channel by itself.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: int
    depthwise: bool


@dataclass(frozen=True, eq=False)
class YamNetWeights:
    """Every number of one of the two YAMNets.

    convolutions: as `LAYERS` has them. activation: behind each of them, "relu" in the original and
    "relu6" in the one that was retrained for int8. dense: f32[classes, 1024]; dense_bias:
    f32[classes]. Raises ModelFormatError for any other shape, and for NaN or infinite numbers.
    """

    convolutions: tuple[Convolution, ...]
    dense: NDArray[np.float32]
    dense_bias: NDArray[np.float32]
    activation: Literal["relu", "relu6"]

    def __post_init__(self) -> None:
        if len(self.convolutions) != len(LAYERS):
            raise ModelFormatError(
                f"YAMNet has {len(LAYERS)} convolutions, and this {len(self.convolutions)}"
            )
        for layer, conv in zip(LAYERS, self.convolutions):
            _check(f"{layer.name}, weights", conv.weights, layer.shape)
            _check(f"{layer.name}, bias", conv.bias, (layer.outputs,))
            if (conv.stride, conv.depthwise) != (layer.stride, layer.depthwise):
                raise ModelFormatError(f"{layer.name}: the stride or kind is not YAMNet's")
        classes = len(self.dense_bias) if self.dense_bias.ndim else 0
        if classes < 1:
            raise ModelFormatError("the dense layer has no classes")
        _check("dense layer, weights", self.dense, (classes, EMBEDDING_DIM))
        _check("dense layer, bias", self.dense_bias, (classes,))

    @property
    def classes(self) -> int:
        """How many scores there are: 521."""
        return len(self.dense_bias)


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


def _check(what: str, values: NDArray[np.float32], shape: tuple[int, ...]) -> None:
    if values.shape != shape or values.dtype != np.float32:
        raise ModelFormatError(
            f"{what}: {values.dtype}{list(values.shape)}, and YAMNet has float32{list(shape)}"
        )
    if not np.isfinite(values).all():
        raise ModelFormatError(f"{what}: there are numbers that are NaN or infinite")
