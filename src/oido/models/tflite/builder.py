# SPDX-License-Identifier: Apache-2.0
"""Writing TensorFlow Lite graphs without TensorFlow: operator by operator, and also from pieces."""

from __future__ import annotations

from functools import partialmethod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from oido.arrays import F32
from oido.errors import ModelFormatError, OptionError
from oido.messages import tr
from oido.models.tflite.packing import DTYPES, code_kind, pack_pruned, unpack

if TYPE_CHECKING:
    from typing_extensions import Self


Activation = Literal["none", "relu", "relu6"]
_FUSED = {
    "none": schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
_TYPES = {np.dtype(dtype): kind for kind, dtype in DTYPES.items()}


class GraphWriter:
    """One graph that grows, operator by operator, in the order of the data.

    Most methods add one operator and give the number of its output. Images are [batch, height,
    width, channels]. Where the batch is free, no operator may have it inside a constant.

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

    @classmethod
    def on(cls, content: bytes, *, batch: bool = False) -> Self:
        """A writer that adds to a finished graph; its tensors keep their numbers."""
        writer = cls("", batch=batch)
        writer._model, writer._graph = unpack(content, bare=True)
        return writer

    def input(self, name: str, shape: tuple[int, ...]) -> int:
        """A float32 input of this shape, batch included (as 1)."""
        tensor = self._tensor(name, shape)
        self._graph.inputs = [*self._graph.inputs, tensor]
        return tensor

    def graft(self, content: bytes, x: int) -> list[int]:
        """Add all of a finished graph of one input behind ``x``; its outputs' numbers here."""
        other, graph = unpack(content)
        if len(graph.inputs) != 1:
            raise ModelFormatError(tr("a graph of several inputs cannot be put behind another"))
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

    # Networks

    def conv(
        self,
        x: int,
        weights: F32,
        bias: F32,
        *,
        stride: int | tuple[int, int] = 1,
        activation: Activation = "none",
        same_padding: bool = True,
        depthwise: bool = False,
    ) -> int:
        """2-D convolution; weights [out, height, width, in]; stride: down and across.

        depthwise: of each channel by itself; weights [1, height, width, channels].
        """
        filters = self.constant(weights)
        options: dict[str, Any] = {"stride": stride, "activation": activation}
        options |= {"same_padding": same_padding, "depthwise": depthwise}
        return self.conv_by(x, filters, bias, **options)

    def conv_by(
        self,
        x: int,
        filters: int,
        bias: F32,
        *,
        stride: int | tuple[int, int] = 1,
        activation: Activation = "none",
        same_padding: bool = True,
        depthwise: bool = False,
    ) -> int:
        """The same with weights that are a tensor of the graph."""
        sides, shape = self.shape(x)[1:3], self.shape(filters)
        if not same_padding:
            sides = (sides[0] - shape[1] + 1, sides[1] - shape[2] + 1)
        down, across = (stride, stride) if isinstance(stride, int) else stride
        return self._add(
            "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
            [x, filters, self.constant(bias)],
            (1, -(-sides[0] // down), -(-sides[1] // across), shape[3] if depthwise else shape[0]),
            "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions",
            fusedActivationFunction=_FUSED[activation],
            strideH=down,
            strideW=across,
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

    def _along(self, x: int, axis: int = 1, kind: str = "REDUCE_MAX") -> int:
        shape = tuple(1 if n == axis else size for n, size in enumerate(self.shape(x)))
        axes = self.constant(np.array([axis], np.int32))
        return self._add(kind, [x, axes], shape, "ReducerOptions", keepDims=True)

    # Along one axis, which stays as 1: [n, k] → [n, 1] or [1, k].
    maximum = _along
    average = partialmethod(_along, kind="MEAN")

    def highest_over(self, x: int, axis: int) -> int:
        """The largest value over one axis, which goes."""
        shape = tuple(n for k, n in enumerate(self.shape(x)) if k != axis)
        axes = self.constant(np.array([axis], np.int32))
        return self._add("REDUCE_MAX", [x, axes], shape, "ReducerOptions", keepDims=False)

    def average_pool(self, x: int, size: tuple[int, int], stride: tuple[int, int]) -> int:
        """Means of an image's pieces of this height and width, without padding."""
        shape = self.shape(x)
        sides = ((n - k) // s + 1 for n, k, s in zip(shape[1:3], size, stride))
        return self._add(
            "AVERAGE_POOL_2D",
            [x],
            (shape[0], *sides, shape[3]),
            "Pool2DOptions",
            padding=schema.Padding.VALID,
            strideH=stride[0],
            strideW=stride[1],
            filterHeight=size[0],
            filterWidth=size[1],
        )

    def matrix_product(self, x: int, y: int, *, transposed: bool = False) -> int:
        """[…, a, b] by […, b, c] → […, a, c]; transposed: y is […, c, b]."""
        columns = self.shape(y)[-2 if transposed else -1]
        shape = (*self.shape(x)[:-1], columns)
        return self._add(
            "BATCH_MATMUL", [x, y], shape, "BatchMatMulOptions", adjX=False, adjY=transposed
        )

    # Element by element

    def _unary(self, x: int, kind: str, options: str = "", **fields: Any) -> int:
        return self._add(kind, [x], self.shape(x), options, **fields)

    relu = partialmethod(_unary, kind="RELU")  # max(x, 0)
    sigmoid = partialmethod(_unary, kind="LOGISTIC")  # 1 / (1 + e^−x)
    # e^x / Σ e^x over the last axis
    softmax = partialmethod(_unary, kind="SOFTMAX", options="SoftmaxOptions", beta=1.0)
    # x · relu6(x + 3) / 6
    hard_swish = partialmethod(_unary, kind="HARD_SWISH", options="HardSwishOptions")
    # x Φ(x), with the normal distribution's own Φ
    gelu = partialmethod(_unary, kind="GELU", options="GeluOptions", approximate=False)
    log = partialmethod(_unary, kind="LOG")
    sqrt = partialmethod(_unary, kind="SQRT")
    reciprocal_sqrt = partialmethod(_unary, kind="RSQRT")  # 1 / √x
    # x / |x| over the last axis
    l2_normalize = partialmethod(_unary, kind="L2_NORMALIZATION", options="L2NormOptions")
    # float32 of an int8 tensor
    dequantize = partialmethod(_unary, kind="DEQUANTIZE", options="DequantizeOptions", version=2)

    def _binary(self, x: int, y: int, kind: str, options: str) -> int:
        return self._add(kind, [x, y], np.broadcast_shapes(self.shape(x), self.shape(y)), options)

    # Either side may be broadcast.
    add = partialmethod(_binary, kind="ADD", options="AddOptions")
    subtract = partialmethod(_binary, kind="SUB", options="SubOptions")
    multiply = partialmethod(_binary, kind="MUL", options="MulOptions")
    divide = partialmethod(_binary, kind="DIV", options="DivOptions")
    larger = partialmethod(_binary, kind="MAXIMUM", options="MaximumMinimumOptions")

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
        inputs, dtype = [x, self.constant(target)], DTYPES[self._graph.tensors[x].type]
        return self._add("RESHAPE", inputs, shape, "ReshapeOptions", dtype, newShape=target)

    def transpose(self, x: int, order: tuple[int, ...] = (1, 0)) -> int:
        """The axes in another order: [a, b] → [b, a]."""
        shape = tuple(self.shape(x)[axis] for axis in order)
        axes = self.constant(np.array(order, np.int32))
        return self._add("TRANSPOSE", [x, axes], shape, "TransposeOptions")

    def one_after_another(self, parts: list[int], axis: int) -> int:
        """Parts joined along one axis."""
        shape = list(self.shape(parts[0]))
        shape[axis] = sum(self.shape(x)[axis] for x in parts)
        return self._add("CONCATENATION", parts, tuple(shape), "ConcatenationOptions", axis=axis)

    def cut(self, x: int, start: tuple[int, ...], shape: tuple[int, ...]) -> int:
        """A part of this shape, from here on."""
        edges = [self.constant(np.array(numbers, np.int32)) for numbers in (start, shape)]
        return self._add("SLICE", [x, *edges], shape, "SliceOptions")

    def first_columns(self, x: int, count: int) -> int:
        """[n, k] → [n, count], however many rows there are."""
        edges = [self.constant(np.array(n, np.int32)) for n in ((0, 0), (0, count), (1, 1))]
        shape = (self.shape(x)[0], count)
        return self._add(
            "STRIDED_SLICE", [x, *edges], shape, "StridedSliceOptions", beginMask=1, endMask=1
        )

    def side_to_side(self, rows: list[int]) -> int:
        """[n, a], [n, b], … → [n, a + b + …]."""
        return self.one_after_another(rows, axis=1)

    def part(self, x: int, start: int, length: int) -> int:
        """x[start : start + length] of a vector."""
        return self.cut(x, (start,), (length,))

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
            raise OptionError(
                tr("an FFT has a power of two of samples, not {samples}", samples=samples)
            )
        image = self.reshape(x, (frames, 1, samples))
        length = self.constant(np.array([1, samples], np.int32))
        bins = samples // 2 + 1
        shape = (frames, 1, bins)
        waves = self._add("RFFT2D", [image, length], shape, "Rfft2dOptions", np.complex64)
        waves = self.reshape(waves, (frames, bins))
        return self._add("COMPLEX_ABS", [waves], (frames, bins))

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
        output: int | None = None,
        **fields: Any,
    ) -> int:
        """Add an operator by the schema's names; its output, a new tensor if None.

        fields: of its options.
        """
        entry = schema.OperatorCodeT()
        entry.builtinCode, entry.version = getattr(schema.BuiltinOperator, kind), version
        entry.deprecatedBuiltinCode = min(entry.builtinCode, 127)
        operator = schema.OperatorT()
        operator.opcodeIndex = self._known_code(entry)
        operator.inputs = np.array(inputs, np.int32)
        if output is None:
            output = self._tensor(f"op{len(self._graph.operators)}", shape, dtype)
        operator.outputs = np.array([output], np.int32)
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
            vars(operator.builtinOptions).update(fields)
        self._graph.operators.append(operator)
        return output

    def _add_edges(
        self, kind: str, x: int, edges: tuple[tuple[int, int], ...], options: str, **fields: Any
    ) -> int:
        shape = tuple(n + before + after for n, (before, after) in zip(self.shape(x), edges))
        inputs = [x, self.constant(np.array(edges, np.int32))]
        return self._add(kind, inputs, shape, options, **fields)

    def _known_code(self, entry: Any) -> int:
        """The number of an operator code of this kind and version, added if it is new."""
        for index, known in enumerate(self._model.operatorCodes):
            if (code_kind(known), known.version) == (code_kind(entry), entry.version):
                return index
        self._model.operatorCodes.append(entry)
        return len(self._model.operatorCodes) - 1
