# SPDX-License-Identifier: Apache-2.0
"""Writing int8 graphs: weights by channel, activations by tensor (TensorFlow Lite's int8 scheme).

real = scale · (integer − zero point). Weights are −127..127 around 0, with a scale for each output
channel (one for all in dense layers, as microcontrollers' kernels have it); biases are int32 of the
product of the input's and the weights' scale.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from oido.arrays import F32, F64
from oido.models.tflite.builder import GraphWriter

CONV_VERSION, DEPTHWISE_VERSION, DENSE_VERSION, POOL_VERSION, SCORES_VERSION = 3, 3, 4, 2, 2
"""Of the operators, from which on they take int8."""


class Steps(NamedTuple):
    """What an int8 of a tensor stands for: scale · (integer − zero)."""

    scale: float
    zero: int

    @classmethod
    def up_to(cls, largest: float) -> Steps:
        """From 0 on, as behind a ReLU."""
        return cls(max(largest, 1e-6) / 255, -128)

    @classmethod
    def between(cls, low: float, high: float) -> Steps:
        """Both ends, and 0 exactly."""
        low, high = min(low, 0.0), max(high, 1e-6)
        scale = (high - low) / 255
        return cls(scale, round(-128 - low / scale))


SCORES = Steps(1 / 256, -128)
"""Of softmax and sigmoid, which the kernels want so."""


class Int8Writer(GraphWriter):
    """A graph of a fixed batch of 1 whose activations are int8."""

    def __init__(self, description: str) -> None:
        super().__init__(description, batch=False)
        self._steps: dict[int, Steps] = {}

    def int8_input(self, name: str, shape: tuple[int, ...], steps: Steps) -> int:
        """The graph's input."""
        tensor = self._tensor(name, shape, np.int8)
        self._graph.inputs = [*self._graph.inputs, tensor]
        return self._stepped(tensor, steps)

    def int8_conv(
        self,
        x: int,
        weights: F32,
        bias: F32,
        output: Steps,
        *,
        stride: int = 1,
        depthwise: bool = False,
    ) -> int:
        """2-D convolution with padding and a ReLU, which begins at the output's zero.

        weights: [out, height, width, in], or depthwise [1, height, width, channels].
        """
        axis = 3 if depthwise else 0
        others = tuple(n for n in range(4) if n != axis)
        scales = np.maximum(np.abs(weights).max(axis=others).astype(np.float64), 1e-9) / 127
        shape = [1] * 4
        shape[axis] = -1
        inputs = [x, *self._int8_constants(x, weights, bias, scales, shape, axis)]
        sides = [-(-side // stride) for side in self.shape(x)[1:3]]
        more: dict[str, Any] = {"depthMultiplier": 1} if depthwise else {}
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        return self._int8(
            kind,
            inputs,
            (1, *sides, weights.shape[axis]),
            "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions",
            output,
            version=DEPTHWISE_VERSION if depthwise else CONV_VERSION,
            fusedActivationFunction=schema.ActivationFunctionType.RELU,
            strideH=stride,
            strideW=stride,
            dilationHFactor=1,
            dilationWFactor=1,
            padding=schema.Padding.SAME,
            **more,
        )

    def int8_pool(self, x: int) -> int:
        """The mean of an image over height and width: [1, channels], in the same steps."""
        _, height, width, channels = self.shape(x)
        pooled = self._int8(
            "AVERAGE_POOL_2D",
            [x],
            (1, 1, 1, channels),
            "Pool2DOptions",
            self._steps[x],
            version=POOL_VERSION,
            padding=schema.Padding.VALID,
            strideH=1,
            strideW=1,
            filterHeight=height,
            filterWidth=width,
            fusedActivationFunction=schema.ActivationFunctionType.NONE,
        )
        return self._stepped(self.reshape(pooled, (1, channels)), self._steps[x])

    def int8_dense(self, x: int, weights: F32, bias: F32, output: Steps) -> int:
        """A fully connected layer; weights [out, in]."""
        scales = np.array([max(float(np.abs(weights).max()), 1e-9) / 127])
        inputs = [x, *self._int8_constants(x, weights, bias, scales, [1, 1], 0)]
        fused = schema.ActivationFunctionType.NONE
        shape = (1, weights.shape[0])
        return self._int8(
            "FULLY_CONNECTED",
            inputs,
            shape,
            "FullyConnectedOptions",
            output,
            version=DENSE_VERSION,
            fusedActivationFunction=fused,
        )

    def int8_scores(self, x: int, kind: str) -> int:
        """ "softmax" or "sigmoid" of logits."""
        more: dict[str, Any] = {"beta": 1.0} if kind == "softmax" else {}
        name = "SOFTMAX" if kind == "softmax" else "LOGISTIC"
        options = "SoftmaxOptions" if kind == "softmax" else ""
        shape = self.shape(x)
        return self._int8(name, [x], shape, options, SCORES, version=SCORES_VERSION, **more)

    def _int8(
        self,
        kind: str,
        inputs: list[int],
        shape: tuple[int, ...],
        options: str,
        output: Steps,
        **more: Any,
    ) -> int:
        return self._stepped(self._add(kind, inputs, shape, options, np.int8, **more), output)

    def _int8_constants(
        self, x: int, weights: F32, bias: F32, scales: F64, shape: list[int], axis: int
    ) -> tuple[int, int]:
        """Weights and bias; scales: [channels], or [1] for all; shape: theirs beside weights."""
        rounded = np.round(weights / scales.reshape(shape)).clip(-127, 127).astype(np.int8)
        tensor = self.constant(rounded)
        self._quantise(tensor, scales, np.zeros(len(scales), np.int64), axis)
        of_bias = scales * self._steps[x].scale
        whole = np.round(bias / of_bias).clip(-(2**31) + 1, 2**31 - 1).astype(np.int32)
        bias_tensor = self.constant(whole)
        self._quantise(bias_tensor, of_bias, np.zeros(len(scales), np.int64), 0)
        return tensor, bias_tensor

    def _stepped(self, tensor: int, steps: Steps) -> int:
        self._steps[tensor] = steps
        zero = np.array([steps.zero], np.int64)
        self._quantise(tensor, np.array([steps.scale]), zero, 0)
        return tensor

    def _quantise(self, tensor: int, scales: F64, zeros: NDArray[np.int64], axis: int) -> None:
        quantisation = schema.QuantizationParametersT()
        quantisation.scale = scales.astype(np.float32)
        quantisation.zeroPoint = zeros
        quantisation.quantizedDimension = axis
        self._graph.tensors[tensor].quantization = quantisation
