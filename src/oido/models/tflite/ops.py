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

from oido.arrays import F32
from oido.errors import OptionError
from oido.models.tflite.builder import GraphBuilder, unpack

__all__ = ["Activation", "GraphWriter"]

Activation = Literal["none", "relu", "relu6"]
_FUSED = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}


class GraphWriter(GraphBuilder):
    """A graph and the operators that can be added to it."""

    @classmethod
    def on(cls, content: bytes) -> GraphWriter:
        """A writer that adds to a finished graph; its tensors keep their numbers."""
        writer = cls("", batch=False)
        writer._model, writer._graph = unpack(content, bare=True)
        return writer

    def input(self, name: str, shape: tuple[int, ...]) -> int:
        """A float32 input of this shape, batch included (as 1)."""
        tensor = self._tensor(name, shape)
        self._graph.inputs = [*self._graph.inputs, tensor]
        return tensor

    # Networks

    def conv(
        self,
        x: int,
        weights: F32,
        bias: F32,
        *,
        stride: int = 1,
        activation: Activation = "none",
        same_padding: bool = True,
        depthwise: bool = False,
    ) -> int:
        """2-D convolution; weights [out, height, width, in].

        depthwise: of each channel by itself; weights [1, height, width, channels].
        """
        sides = self.shape(x)[1:3]
        if not same_padding:
            sides = (sides[0] - weights.shape[1] + 1, sides[1] - weights.shape[2] + 1)
        channels = weights.shape[3] if depthwise else weights.shape[0]
        return self._add(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
            [x, self.constant(weights), self.constant(bias)],
            (1, -(-sides[0] // stride), -(-sides[1] // stride), channels),
            "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions",
            fusedActivationFunction=_FUSED[activation],
            strideH=stride,
            strideW=stride,
            dilationHFactor=1,
            dilationWFactor=1,
            padding=schema.Padding.SAME if same_padding else schema.Padding.VALID,
            **({"depthMultiplier": 1} if depthwise else {}),
        )

    def dense(self, x: int, weights: F32, bias: F32, activation: Activation = "none") -> int:
        """Fully connected layer over the last axis of [n, in]; weights [out, in]."""
        inputs = [x, self.constant(weights), self.constant(bias)]
        shape, fused = (self.shape(x)[0], weights.shape[0]), _FUSED[activation]
        options = "FullyConnectedOptions"
        return self._add("FULLY_CONNECTED", inputs, shape, options, fusedActivationFunction=fused)

    def mean(self, x: int, keep_dims: bool = False) -> int:
        """The mean of an image over height and width: [1, 1, 1, channels] or [1, channels]."""
        channels = self.shape(x)[-1]
        shape = (1, 1, 1, channels) if keep_dims else (1, channels)
        axes = self.constant(np.array([1, 2], np.int32))
        return self._add("MEAN", [x, axes], shape, "ReducerOptions", keepDims=keep_dims)

    def maximum(self, x: int) -> int:
        """The largest value of each row: [n, k] → [n, 1]."""
        axes, shape = self.constant(np.array([1], np.int32)), (self.shape(x)[0], 1)
        return self._add("REDUCE_MAX", [x, axes], shape, "ReducerOptions", keepDims=True)

    # Element by element

    def add(self, x: int, y: int, activation: Activation = "none") -> int:
        """x + y; either may be broadcast."""
        fused = _FUSED[activation]
        return self._binary("ADD", x, y, "AddOptions", fusedActivationFunction=fused)

    def subtract(self, x: int, y: int) -> int:
        """x − y; either may be broadcast."""
        return self._binary("SUB", x, y, "SubOptions")

    def multiply(self, x: int, y: int) -> int:
        """x · y; either may be broadcast."""
        return self._binary("MUL", x, y, "MulOptions")

    def relu(self, x: int) -> int:
        """max(x, 0)."""
        return self._add("RELU", [x], self.shape(x))

    def sigmoid(self, x: int) -> int:
        """1 / (1 + e^−x)."""
        return self._add("LOGISTIC", [x], self.shape(x))

    def softmax(self, x: int) -> int:
        """e^x / Σ e^x over the last axis."""
        return self._add("SOFTMAX", [x], self.shape(x), "SoftmaxOptions", beta=1.0)

    def hard_swish(self, x: int) -> int:
        """x · relu6(x + 3) / 6."""
        return self._add("HARD_SWISH", [x], self.shape(x), "HardSwishOptions")

    def log(self, x: int) -> int:
        """The natural logarithm."""
        return self._add("LOG", [x], self.shape(x))

    def sqrt(self, x: int) -> int:
        """The square root."""
        return self._add("SQRT", [x], self.shape(x))

    def l2_normalize(self, x: int) -> int:
        """x / |x| over the last axis."""
        return self._add("L2_NORMALIZATION", [x], self.shape(x), "L2NormOptions")

    def dequantize(self, x: int) -> int:
        """float32 of an int8 tensor."""
        return self._add("DEQUANTIZE", [x], self.shape(x), "DequantizeOptions", version=2)

    # Shapes

    def pad(self, x: int, *edges: tuple[int, int]) -> int:
        """Zeros before and after, for each axis."""
        return self._add_edges("PAD", x, edges, "PadOptions")

    def reflect(self, x: int, *edges: tuple[int, int]) -> int:
        """Mirrored values before and after, for each axis; the outermost value is not repeated."""
        mode = schema.MirrorPadMode.REFLECT
        return self._add_edges("MIRROR_PAD", x, edges, "MirrorPadOptions", mode=mode)

    def reshape(self, x: int, shape: tuple[int, ...]) -> int:
        """Another shape; the first dimension is whatever is left (the batch, where it is free)."""
        target = np.array([-1, *shape[1:]], np.int32)
        inputs, dtype = [x, self.constant(target)], self._dtype(x)
        return self._add("RESHAPE", inputs, shape, "ReshapeOptions", dtype, newShape=target)

    def transpose(self, x: int) -> int:
        """[a, b] → [b, a]."""
        order = self.constant(np.array([1, 0], np.int32))
        return self._add("TRANSPOSE", [x, order], self.shape(x)[::-1], "TransposeOptions")

    def part(self, x: int, start: int, length: int) -> int:
        """x[start : start + length] of a vector."""
        edges = [self.constant(np.array([n], np.int32)) for n in (start, length)]
        return self._add("SLICE", [x, *edges], (length,), "SliceOptions")

    def rows(self, x: int, numbers: NDArray[np.int32]) -> int:
        """The rows of [n, k] that an array of row numbers names: its shape and k."""
        shape = (*numbers.shape, self.shape(x)[1])
        inputs = [x, self.constant(numbers.astype(np.int32))]
        return self._add("GATHER", inputs, shape, "GatherOptions")

    # Spectra

    def spectrum(self, x: int) -> int:
        """Magnitudes of the real FFT of each row: [t, n] → [t, n / 2 + 1]; n a power of two."""
        frames, samples = self.shape(x)
        if samples & (samples - 1):
            raise OptionError(f"an FFT has a power of two of samples, not {samples}")
        image = self.reshape(x, (frames, 1, samples))
        length = self.constant(np.array([1, samples], np.int32))
        bins = samples // 2 + 1
        shape = (frames, 1, bins)
        waves = self._add("RFFT2D", [image, length], shape, "Rfft2dOptions", np.complex64)
        waves = self.reshape(waves, (frames, bins))
        return self._add("COMPLEX_ABS", [waves], (frames, bins))

    def _binary(self, kind: str, x: int, y: int, options: str, **fields: Any) -> int:
        shape = np.broadcast_shapes(self.shape(x), self.shape(y))
        return self._add(kind, [x, y], shape, options, **fields)

    def _add_edges(
        self, kind: str, x: int, edges: tuple[tuple[int, int], ...], options: str, **fields: Any
    ) -> int:
        shape = tuple(n + before + after for n, (before, after) in zip(self.shape(x), edges))
        inputs = [x, self.constant(np.array(edges, np.int32))]
        return self._add(kind, inputs, shape, options, **fields)
