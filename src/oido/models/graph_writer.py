# SPDX-License-Identifier: Apache-2.0
"""Writing float TensorFlow Lite graphs, an operator at a time, without TensorFlow.

A writer is a list of operators in the order of the data. Tensors are handled by their numbers.
Images are [batch, height, width, channels]; the batch is 1 in the file and may be resized to any
number by the interpreter, which is why no operator may have the batch inside a constant.
"""

from __future__ import annotations

from typing import Any, Literal

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

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
_TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.int32): schema.TensorType.INT32,
}


class GraphWriter:
    """Builds one graph; each method adds an operator and gives the number of its output."""

    def __init__(self, description: str) -> None:
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.description = description
        self._model.buffers = [schema.BufferT()]  # buffer 0 is the empty one, by convention
        self._model.operatorCodes = []
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._graph.inputs, self._graph.outputs = [], []

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The shape of a tensor, its batch as 1."""
        return tuple(int(n) for n in self._graph.tensors[tensor].shape)

    def input(self, name: str, shape: tuple[int, ...]) -> int:
        """A float32 input of this shape, batch included (as 1)."""
        tensor = self._tensor(name, shape)
        self._graph.inputs = [*self._graph.inputs, tensor]
        return tensor

    def constant(self, values: NDArray[Any]) -> int:
        """A float32 or int32 constant."""
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        number = len(self._model.buffers) - 1
        return self._tensor("constant", values.shape, values.dtype, number, has_batch=False)

    def conv(
        self,
        x: int,
        weights: NDArray[np.float32],
        bias: NDArray[np.float32],
        *,
        stride: int = 1,
        activation: Activation = "none",
        same_padding: bool = True,
    ) -> int:
        """2-D convolution; weights [out, height, width, in]."""
        options = schema.Conv2DOptionsT()
        options.strideH = options.strideW = stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.padding = _SAME if same_padding else _VALID
        options.fusedActivationFunction = _FUSED[activation]
        height, width = self._convolved(x, weights.shape[1:3], stride, same_padding)
        shape = (1, height, width, weights.shape[0])
        inputs = [x, self.constant(weights), self.constant(bias)]
        return self._add(_OP.CONV_2D, inputs, shape, _OPTIONS.Conv2DOptions, options)

    def depthwise(
        self,
        x: int,
        weights: NDArray[np.float32],
        bias: NDArray[np.float32],
        *,
        stride: int = 1,
        activation: Activation = "none",
        same_padding: bool = True,
    ) -> int:
        """Convolution of each channel by itself; weights [1, height, width, channels]."""
        options = schema.DepthwiseConv2DOptionsT()
        options.strideH = options.strideW = stride
        options.dilationHFactor = options.dilationWFactor = options.depthMultiplier = 1
        options.padding = _SAME if same_padding else _VALID
        options.fusedActivationFunction = _FUSED[activation]
        height, width = self._convolved(x, weights.shape[1:3], stride, same_padding)
        shape = (1, height, width, weights.shape[3])
        inputs = [x, self.constant(weights), self.constant(bias)]
        return self._add(
            _OP.DEPTHWISE_CONV_2D, inputs, shape, _OPTIONS.DepthwiseConv2DOptions, options
        )

    def dense(
        self,
        x: int,
        weights: NDArray[np.float32],
        bias: NDArray[np.float32],
        activation: Activation = "none",
    ) -> int:
        """Fully connected layer over the last axis of [batch, in]; weights [out, in]."""
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = _FUSED[activation]
        inputs = [x, self.constant(weights), self.constant(bias)]
        shape = (1, weights.shape[0])
        return self._add(
            _OP.FULLY_CONNECTED, inputs, shape, _OPTIONS.FullyConnectedOptions, options
        )

    def pad(self, x: int, before: int, after: int) -> int:
        """Zeros around height and width of an image."""
        edges = np.array([[0, 0], [before, after], [before, after], [0, 0]], np.int32)
        _, height, width, channels = self.shape(x)
        shape = (1, height + before + after, width + before + after, channels)
        options = schema.PadOptionsT()
        return self._add(_OP.PAD, [x, self.constant(edges)], shape, _OPTIONS.PadOptions, options)

    def mean(self, x: int, keep_dims: bool = False) -> int:
        """The mean of an image over height and width: [1, 1, 1, channels] or [1, channels]."""
        options = schema.ReducerOptionsT()
        options.keepDims = keep_dims
        channels = self.shape(x)[-1]
        shape = (1, 1, 1, channels) if keep_dims else (1, channels)
        axes = self.constant(np.array([1, 2], np.int32))
        return self._add(_OP.MEAN, [x, axes], shape, _OPTIONS.ReducerOptions, options)

    def reshape(self, x: int, shape: tuple[int, ...]) -> int:
        """Another shape; its first dimension is the batch."""
        target = np.array([-1, *shape[1:]], np.int32)
        options = schema.ReshapeOptionsT()
        options.newShape = target
        inputs = [x, self.constant(target)]
        return self._add(_OP.RESHAPE, inputs, shape, _OPTIONS.ReshapeOptions, options)

    def add(self, x: int, y: int, activation: Activation = "none") -> int:
        """x + y; either may be broadcast."""
        options = schema.AddOptionsT()
        options.fusedActivationFunction = _FUSED[activation]
        shape = np.broadcast_shapes(self.shape(x), self.shape(y))
        return self._add(_OP.ADD, [x, y], shape, _OPTIONS.AddOptions, options)

    def multiply(self, x: int, y: int) -> int:
        """x · y; either may be broadcast."""
        options = schema.MulOptionsT()
        shape = np.broadcast_shapes(self.shape(x), self.shape(y))
        return self._add(_OP.MUL, [x, y], shape, _OPTIONS.MulOptions, options)

    def sigmoid(self, x: int) -> int:
        """1 / (1 + e^−x)."""
        return self._add(_OP.LOGISTIC, [x], self.shape(x))

    def hard_swish(self, x: int) -> int:
        """x · relu6(x + 3) / 6."""
        return self._add(
            _OP.HARD_SWISH,
            [x],
            self.shape(x),
            _OPTIONS.HardSwishOptions,
            schema.HardSwishOptionsT(),
        )

    def log(self, x: int) -> int:
        """The natural logarithm."""
        return self._add(_OP.LOG, [x], self.shape(x))

    def finish(self, outputs: list[int]) -> bytes:
        """The .tflite with these outputs."""
        self._graph.outputs = outputs
        self._model.subgraphs = [self._graph]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _convolved(
        self, x: int, kernel: tuple[int, ...], stride: int, same_padding: bool
    ) -> tuple[int, int]:
        sides = self.shape(x)[1:3]
        if not same_padding:
            sides = (sides[0] - kernel[0] + 1, sides[1] - kernel[1] + 1)
        return -(-sides[0] // stride), -(-sides[1] // stride)

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
        if has_batch:
            tensor.shapeSignature = np.array([-1, *shape[1:]], np.int32)
        tensor.type = _TYPES[np.dtype(dtype)]
        tensor.buffer = buffer
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def _add(
        self,
        code: int,
        inputs: list[int],
        shape: tuple[int, ...],
        options_type: int = 0,
        options: Any = None,
    ) -> int:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._code(code)
        operator.inputs = np.array(inputs, np.int32)
        output = self._tensor(f"op{len(self._graph.operators)}", shape)
        operator.outputs = np.array([output], np.int32)
        operator.builtinOptionsType, operator.builtinOptions = options_type, options
        self._graph.operators.append(operator)
        return output

    def _code(self, code: int) -> int:
        for index, known in enumerate(self._model.operatorCodes):
            if known.builtinCode == code:
                return index
        entry = schema.OperatorCodeT()
        entry.builtinCode, entry.version = code, 1
        entry.deprecatedBuiltinCode = min(code, 127)
        self._model.operatorCodes.append(entry)
        return len(self._model.operatorCodes) - 1
