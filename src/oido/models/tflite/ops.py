# SPDX-License-Identifier: Apache-2.0
"""Writing TensorFlow Lite graphs, an operator at a time, without TensorFlow.

Each method adds one operator and gives the number of its output. Images are [batch, height, width,
channels]. Where the batch is free, no operator may have it inside a constant.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.models.tflite.builder import GraphBuilder

__all__ = ["Activation", "GraphWriter"]

_OP = schema.BuiltinOperator
_OPTIONS = schema.BuiltinOptions
_SAME, _VALID = schema.Padding.SAME, schema.Padding.VALID

Activation = Literal["none", "relu", "relu6"]
_FUSED = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
_Float32s = NDArray[np.float32]


class GraphWriter(GraphBuilder):
    """A graph and the operators that can be added to it."""

    @classmethod
    def on(cls, content: bytes) -> GraphWriter:
        """A writer that adds to a finished graph; its tensors keep their numbers."""
        writer = cls("")
        writer._open(content)
        return writer

    def input(self, name: str, shape: tuple[int, ...]) -> int:
        """A float32 input of this shape, batch included (as 1)."""
        tensor = self._tensor(name, shape)
        self._graph.inputs = [*self._graph.inputs, tensor]
        return tensor

    def constant(self, values: NDArray[Any]) -> int:
        """A float32 or int32 constant."""
        return self._constant(values)

    # Networks

    def conv(
        self,
        x: int,
        weights: _Float32s,
        bias: _Float32s,
        *,
        stride: int = 1,
        activation: Activation = "none",
        same_padding: bool = True,
    ) -> int:
        """2-D convolution; weights [out, height, width, in]."""
        options = schema.Conv2DOptionsT()
        kind = (_OP.CONV_2D, _OPTIONS.Conv2DOptions, options)
        options.fusedActivationFunction = _FUSED[activation]
        return self._convolved(x, kind, weights, bias, weights.shape[0], stride, same_padding)

    def depthwise(
        self,
        x: int,
        weights: _Float32s,
        bias: _Float32s,
        *,
        stride: int = 1,
        activation: Activation = "none",
        same_padding: bool = True,
    ) -> int:
        """Convolution of each channel by itself; weights [1, height, width, channels]."""
        options = schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = 1
        kind = (_OP.DEPTHWISE_CONV_2D, _OPTIONS.DepthwiseConv2DOptions, options)
        options.fusedActivationFunction = _FUSED[activation]
        return self._convolved(x, kind, weights, bias, weights.shape[3], stride, same_padding)

    def dense(
        self, x: int, weights: _Float32s, bias: _Float32s, activation: Activation = "none"
    ) -> int:
        """Fully connected layer over the last axis of [n, in]; weights [out, in]."""
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = _FUSED[activation]
        inputs = [x, self.constant(weights), self.constant(bias)]
        shape = (self.shape(x)[0], weights.shape[0])
        return self._add(
            _OP.FULLY_CONNECTED, inputs, shape, _OPTIONS.FullyConnectedOptions, options
        )

    def mean(self, x: int, keep_dims: bool = False) -> int:
        """The mean of an image over height and width: [1, 1, 1, channels] or [1, channels]."""
        options = schema.ReducerOptionsT()
        options.keepDims = keep_dims
        channels = self.shape(x)[-1]
        shape = (1, 1, 1, channels) if keep_dims else (1, channels)
        axes = self.constant(np.array([1, 2], np.int32))
        return self._add(_OP.MEAN, [x, axes], shape, _OPTIONS.ReducerOptions, options)

    def maximum(self, x: int) -> int:
        """The largest value of each row: [n, k] → [n, 1]."""
        options = schema.ReducerOptionsT()
        options.keepDims = True
        axes = self.constant(np.array([1], np.int32))
        shape = (self.shape(x)[0], 1)
        return self._add(_OP.REDUCE_MAX, [x, axes], shape, _OPTIONS.ReducerOptions, options)

    # Element by element

    def add(self, x: int, y: int, activation: Activation = "none") -> int:
        """x + y; either may be broadcast."""
        options = schema.AddOptionsT()
        options.fusedActivationFunction = _FUSED[activation]
        return self._add(_OP.ADD, [x, y], self._broadcast(x, y), _OPTIONS.AddOptions, options)

    def subtract(self, x: int, y: int) -> int:
        """x − y; either may be broadcast."""
        options = schema.SubOptionsT()
        return self._add(_OP.SUB, [x, y], self._broadcast(x, y), _OPTIONS.SubOptions, options)

    def multiply(self, x: int, y: int) -> int:
        """x · y; either may be broadcast."""
        options = schema.MulOptionsT()
        return self._add(_OP.MUL, [x, y], self._broadcast(x, y), _OPTIONS.MulOptions, options)

    def relu(self, x: int) -> int:
        """max(x, 0)."""
        return self._add(_OP.RELU, [x], self.shape(x))

    def sigmoid(self, x: int) -> int:
        """1 / (1 + e^−x)."""
        return self._add(_OP.LOGISTIC, [x], self.shape(x))

    def softmax(self, x: int) -> int:
        """e^x / Σ e^x over the last axis."""
        options = schema.SoftmaxOptionsT()
        options.beta = 1.0
        return self._add(_OP.SOFTMAX, [x], self.shape(x), _OPTIONS.SoftmaxOptions, options)

    def hard_swish(self, x: int) -> int:
        """x · relu6(x + 3) / 6."""
        options = schema.HardSwishOptionsT()
        return self._add(_OP.HARD_SWISH, [x], self.shape(x), _OPTIONS.HardSwishOptions, options)

    def log(self, x: int) -> int:
        """The natural logarithm."""
        return self._add(_OP.LOG, [x], self.shape(x))

    def sqrt(self, x: int) -> int:
        """The square root."""
        return self._add(_OP.SQRT, [x], self.shape(x))

    def l2_normalized(self, x: int) -> int:
        """x / |x| over the last axis."""
        options = schema.L2NormOptionsT()
        shape = self.shape(x)
        return self._add(_OP.L2_NORMALIZATION, [x], shape, _OPTIONS.L2NormOptions, options)

    def dequantized(self, x: int) -> int:
        """float32 of an int8 tensor."""
        options = schema.DequantizeOptionsT()
        kind = _OPTIONS.DequantizeOptions
        return self._add(_OP.DEQUANTIZE, [x], self.shape(x), kind, options, version=2)

    # Shapes

    def pad(self, x: int, *edges: tuple[int, int]) -> int:
        """Zeros before and after, for each axis."""
        return self._padded(x, edges, _OP.PAD, _OPTIONS.PadOptions, schema.PadOptionsT())

    def reflect(self, x: int, *edges: tuple[int, int]) -> int:
        """Mirrored values before and after, for each axis; the outermost value is not repeated."""
        options = schema.MirrorPadOptionsT()
        options.mode = schema.MirrorPadMode.REFLECT
        return self._padded(x, edges, _OP.MIRROR_PAD, _OPTIONS.MirrorPadOptions, options)

    def reshape(self, x: int, shape: tuple[int, ...]) -> int:
        """Another shape; the first dimension is whatever is left (the batch, where it is free)."""
        target = np.array([-1, *shape[1:]], np.int32)
        options = schema.ReshapeOptionsT()
        options.newShape = target
        inputs = [x, self.constant(target)]
        kind = _OPTIONS.ReshapeOptions
        return self._add(_OP.RESHAPE, inputs, shape, kind, options, self._dtype(x))

    def transpose(self, x: int) -> int:
        """[a, b] → [b, a]."""
        order = self.constant(np.array([1, 0], np.int32))
        options = schema.TransposeOptionsT()
        kind = _OPTIONS.TransposeOptions
        return self._add(_OP.TRANSPOSE, [x, order], self.shape(x)[::-1], kind, options)

    def part(self, x: int, start: int, length: int) -> int:
        """x[start : start + length] of a vector."""
        edges = [self.constant(np.array([n], np.int32)) for n in (start, length)]
        options = schema.SliceOptionsT()
        return self._add(_OP.SLICE, [x, *edges], (length,), _OPTIONS.SliceOptions, options)

    def rows(self, x: int, numbers: NDArray[np.int32]) -> int:
        """The rows of [n, k] that an array of row numbers names: its shape and k."""
        options = schema.GatherOptionsT()
        shape = (*numbers.shape, self.shape(x)[1])
        inputs = [x, self.constant(numbers.astype(np.int32))]
        return self._add(_OP.GATHER, inputs, shape, _OPTIONS.GatherOptions, options)

    # Spectra

    def spectrum(self, x: int) -> int:
        """Magnitudes of the real FFT of each row: [t, n] → [t, n / 2 + 1]; n a power of two."""
        frames, samples = self.shape(x)
        if samples & (samples - 1):
            raise OptionError(f"an FFT has a power of two of samples, not {samples}")
        image = self.reshape(x, (frames, 1, samples))
        length = self.constant(np.array([1, samples], np.int32))
        bins = samples // 2 + 1
        shape, complex64 = (frames, 1, bins), np.complex64
        kind, options = _OPTIONS.Rfft2dOptions, schema.Rfft2dOptionsT()
        waves = self._add(_OP.RFFT2D, [image, length], shape, kind, options, complex64)
        waves = self.reshape(waves, (frames, bins))
        return self._add(_OP.COMPLEX_ABS, [waves], (frames, bins))

    def _convolved(
        self,
        x: int,
        kind: tuple[int, int, Any],
        weights: _Float32s,
        bias: _Float32s,
        channels: int,
        stride: int,
        same_padding: bool,
    ) -> int:
        code, options_type, options = kind
        options.strideH = options.strideW = stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.padding = _SAME if same_padding else _VALID
        sides = self.shape(x)[1:3]
        if not same_padding:
            sides = (sides[0] - weights.shape[1] + 1, sides[1] - weights.shape[2] + 1)
        shape = (1, -(-sides[0] // stride), -(-sides[1] // stride), channels)
        inputs = [x, self.constant(weights), self.constant(bias)]
        return self._add(code, inputs, shape, options_type, options)

    def _padded(
        self, x: int, edges: tuple[tuple[int, int], ...], code: int, kind: int, options: Any
    ) -> int:
        shape = tuple(n + before + after for n, (before, after) in zip(self.shape(x), edges))
        inputs = [x, self.constant(np.array(edges, np.int32))]
        return self._add(code, inputs, shape, kind, options)

    def _broadcast(self, x: int, y: int) -> tuple[int, ...]:
        return np.broadcast_shapes(self.shape(x), self.shape(y))
