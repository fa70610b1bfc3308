# SPDX-License-Identifier: Apache-2.0
"""A .tflite translated to ONNX, operator by operator (ONNX operator set 17).

Images stay [batch, height, width, channels]; each convolution is put between two transpositions,
which runtimes optimise away. A complex tensor gets a last axis of 2. A quantised tensor is a float
one that is rounded to the steps and held within the range of its int8. (QuantizeLinear would let
onnxruntime compute in int8, whose sums overflow on processors without VNNI: measured on one, scores
moved by up to 0.48.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partialmethod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from oido.arrays import I64
from oido.errors import OptionError, needs_extra
from oido.messages import tr
from oido.models.tflite.packing import constant_values, operator_kind, unpack

_OPSET, _IR_VERSION = 17, 8
_NAMES = {n: name for name, n in vars(schema.BuiltinOperator).items() if isinstance(n, int)}
_FUSED = schema.ActivationFunctionType
_NODES: dict[str, tuple[str, int, dict[str, Any]]] = {
    "RELU": ("Relu", 1, {}),
    "LOG": ("Log", 1, {}),
    "SQRT": ("Sqrt", 1, {}),
    "LOGISTIC": ("Sigmoid", 1, {}),
    "HARD_SWISH": ("HardSwish", 1, {}),
    "SOFTMAX": ("Softmax", 1, {"axis": -1}),
    "L2_NORMALIZATION": ("LpNormalization", 1, {"axis": -1, "p": 2}),
    "COMPLEX_ABS": ("ReduceL2", 1, {"axes": [-1], "keepdims": 0}),
    "QUANTIZE": ("Identity", 1, {}),
    "DEQUANTIZE": ("Identity", 1, {}),
    "GATHER": ("Gather", 2, {"axis": 0}),
    "ADD": ("Add", 2, {}),
    "SUB": ("Sub", 2, {}),
    "MUL": ("Mul", 2, {}),
    "DIV": ("Div", 2, {}),
}
"""Operators that are one node: its type, its inputs, its attributes."""


def to_onnx(content: bytes, properties: dict[str, str]) -> bytes:
    """The ONNX model of a .tflite with fixed shapes; ``properties`` become its metadata.

    Raises MissingExtraError without the onnx package, and OptionError for an operator that has no
    translation here.
    """
    with needs_extra(tr("ONNX needs the package onnx: install it with pip install 'oido[onnx]'")):
        import onnx
    translation = _Translation(content)
    graph = onnx.helper.make_graph(
        translation.nodes,
        "oido",
        [_value(onnx, translation, t) for t in translation.graph.inputs],
        [_value(onnx, translation, t) for t in translation.graph.outputs],
        [onnx.numpy_helper.from_array(v, name) for name, v in translation.constants.items()],
    )
    opset = onnx.helper.make_opsetid("", _OPSET)
    model = onnx.helper.make_model(
        graph, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="oido"
    )
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _value(onnx: Any, translation: _Translation, tensor: int) -> Any:
    shape = [int(n) for n in translation.graph.tensors[tensor].shape]
    return onnx.helper.make_tensor_value_info(
        translation.name(tensor), onnx.TensorProto.FLOAT, shape
    )


class _Translation:
    """Nodes and constants that grow while the operators are walked through."""

    def __init__(self, content: bytes) -> None:
        import onnx

        self._make_node = onnx.helper.make_node
        self._model, self.graph = unpack(content)
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray[Any]] = {}
        for op in self.graph.operators:
            self._translate(op)

    def name(self, tensor: int) -> str:
        """An output's or input's own name; a number for what is inside."""
        outer = [int(t) for t in (*self.graph.inputs, *self.graph.outputs)]
        if tensor in outer:
            return bytes(self.graph.tensors[tensor].name).decode("utf-8", "replace")
        return f"t{tensor}"

    def _translate(self, op: Any) -> None:
        kind = _NAMES[operator_kind(self._model, op)]
        output = int(op.outputs[0])
        if kind in _NODES:
            node, count, attributes = _NODES[kind]
            result = self._node(node, [self._input(op, n) for n in range(count)], **attributes)
            result = self._activate(op, result)
        else:
            translate: Callable[[Any], str] | None = getattr(self, f"_{kind.lower()}", None)
            if translate is None:
                raise OptionError(
                    tr("the operator {kind} has no translation to ONNX; export .tflite", kind=kind)
                )
            result = translate(op)
        self._add_node(self.name(output), "Identity", [self._requantise(output, result)])

    def _requantise(self, tensor: int, result: str) -> str:
        """Through the steps of an int8 tensor, whose value the rest sees as float32."""
        if self.graph.tensors[tensor].type != schema.TensorType.INT8:
            return result
        quantization = self.graph.tensors[tensor].quantization
        scale = self._constant(np.float32(quantization.scale[0]))
        zero = int(quantization.zeroPoint[0])
        edges = [self._constant(np.float32(edge - zero)) for edge in (-128, 127)]
        steps = self._node("Round", [self._node("Div", [result, scale])])
        return self._node("Mul", [self._node("Clip", [steps, *edges]), scale])

    def _reshape(self, op: Any) -> str:
        is_complex = self.graph.tensors[op.inputs[0]].type == schema.TensorType.COMPLEX64
        complex_part = [2] if is_complex else []
        shape = [int(n) for n in self.graph.tensors[op.outputs[0]].shape] + complex_part
        return self._reshape_to(self._input(op, 0), shape)

    def _transpose(self, op: Any) -> str:
        order = [int(n) for n in self._values(op.inputs[1])]
        return self._node("Transpose", [self._input(op, 0)], perm=order)

    def _concatenation(self, op: Any) -> str:
        inputs = [self._input(op, number) for number in range(len(op.inputs))]
        return self._node("Concat", inputs, axis=int(op.builtinOptions.axis))

    def _slice(self, op: Any) -> str:
        starts = self._values(op.inputs[1]).astype(np.int64)
        lengths = self._values(op.inputs[2]).astype(np.int64)
        return self._slice_between(op, starts, starts + lengths, np.ones_like(starts))

    def _strided_slice(self, op: Any) -> str:
        options = op.builtinOptions
        if options.ellipsisMask or options.newAxisMask or options.shrinkAxisMask:
            raise OptionError(tr("this STRIDED_SLICE has no translation to ONNX; export .tflite"))
        starts, ends, steps = (self._values(t).astype(np.int64) for t in op.inputs[1:4])
        for axis in range(len(starts)):
            if options.beginMask >> axis & 1:
                starts[axis] = 0
            if options.endMask >> axis & 1:
                ends[axis] = np.iinfo(np.int64).max
        return self._slice_between(op, starts, ends, steps)

    def _slice_between(self, op: Any, *edges: I64) -> str:
        starts, ends, steps = (self._constant(e) for e in edges)
        axes = self._constant(np.arange(len(edges[0])))
        return self._node("Slice", [self._input(op, 0), starts, ends, axes, steps])

    def _split(self, op: Any) -> str:
        if op.builtinOptions.numSplits != 1:
            raise OptionError(tr("a SPLIT into parts has no translation to ONNX; export .tflite"))
        return self._node("Identity", [self._input(op, 1)])

    def _pad(self, op: Any, mode: str = "constant") -> str:
        edges = self._values(op.inputs[1]).astype(np.int64)  # [axes, 2]
        pads = self._constant(edges.T.reshape(-1))
        return self._node("Pad", [self._input(op, 0), pads], mode=mode)

    def _mirror_pad(self, op: Any) -> str:
        if op.builtinOptions.mode != schema.MirrorPadMode.REFLECT:
            raise OptionError(tr("this MIRROR_PAD has no translation to ONNX; export .tflite"))
        return self._pad(op, "reflect")

    def _rfft2d(self, op: Any) -> str:
        frames, height, samples = (int(n) for n in self.graph.tensors[op.inputs[0]].shape)
        bins = int(self.graph.tensors[op.outputs[0]].shape[-1])
        if height != 1:
            raise OptionError(
                tr("a two-dimensional FFT has no translation to ONNX; export .tflite")
            )
        rows = self._reshape_to(self._input(op, 0), [frames, samples, 1])
        waves = self._node("DFT", [rows], axis=1, onesided=1)  # [frames, bins, 2]
        return self._reshape_to(waves, [frames, 1, bins, 2])

    def _mean(self, op: Any, kind: str = "ReduceMean") -> str:
        axes = [int(n) for n in np.atleast_1d(self._values(op.inputs[1]))]
        keep = int(op.builtinOptions.keepDims)
        return self._node(kind, [self._input(op, 0)], axes=axes, keepdims=keep)

    _reduce_max = partialmethod(_mean, kind="ReduceMax")

    def _fully_connected(self, op: Any) -> str:
        width = int(self.graph.tensors[op.inputs[1]].shape[1])
        rows = self._reshape_to(self._input(op, 0), [-1, width])
        result = self._node("Gemm", [rows, self._input(op, 1), *self._bias(op)], transB=1)
        shape = [int(n) for n in self.graph.tensors[op.outputs[0]].shape]
        return self._reshape_to(self._activate(op, result), shape)

    def _conv_2d(self, op: Any) -> str:
        return self._convolution(op, (0, 3, 1, 2), group=1)  # [out, h, w, in] → [out, in, h, w]

    def _depthwise_conv_2d(self, op: Any) -> str:
        channels = int(self.graph.tensors[op.inputs[0]].shape[3])
        return self._convolution(op, (3, 0, 1, 2), group=channels)  # [1, h, w, c] → [c, 1, h, w]

    def _convolution(self, op: Any, order: tuple[int, ...], group: int) -> str:
        options = op.builtinOptions
        weights = self.graph.tensors[op.inputs[1]]
        kernel = [int(n) for n in weights.shape[1:3]]
        strides = [int(options.strideH), int(options.strideW)]
        dilations = [int(options.dilationHFactor), int(options.dilationWFactor)]
        pads = [0, 0, 0, 0]
        if options.padding == schema.Padding.SAME:
            sides = self.graph.tensors[op.inputs[0]].shape[1:3]
            covered = [(size - 1) * dilation + 1 for size, dilation in zip(kernel, dilations)]
            for axis, (side, size, stride) in enumerate(zip(sides, covered, strides)):
                total = max(0, (-(-int(side) // stride) - 1) * stride + size - int(side))
                pads[axis], pads[axis + 2] = total // 2, total - total // 2
        image = self._node("Transpose", [self._input(op, 0)], perm=[0, 3, 1, 2])
        inputs = [image, self._constant_input(op.inputs[1], order), *self._bias(op)]
        sides = {"strides": strides, "pads": pads, "kernel_shape": kernel, "dilations": dilations}
        result = self._activate(op, self._node("Conv", inputs, group=group, **sides))
        return self._node("Transpose", [result], perm=[0, 2, 3, 1])

    def _bias(self, op: Any) -> list[str]:
        has_bias = len(op.inputs) > 2 and op.inputs[2] >= 0
        return [self._input(op, 2)] if has_bias else []

    def _activate(self, op: Any, result: str) -> str:
        fused = getattr(op.builtinOptions, "fusedActivationFunction", _FUSED.NONE)
        if fused == _FUSED.NONE:
            return result
        if fused == _FUSED.RELU:
            return self._node("Relu", [result])
        if fused != _FUSED.RELU6:
            raise OptionError(
                tr("fused activation {fused} has no translation to ONNX", fused=fused)
            )
        edges = [self._constant(np.float32(value)) for value in (0.0, 6.0)]
        return self._node("Clip", [result, *edges])

    def _input(self, op: Any, number: int) -> str:
        return self._constant_input(op.inputs[number])

    def _constant_input(self, tensor: int, order: tuple[int, ...] | None = None) -> str:
        """A tensor by name; a constant as float32 or int32, its axes in another order if wanted."""
        details = self.graph.tensors[tensor]
        data = self._model.buffers[details.buffer].data
        if data is None or not len(data):
            return self.name(int(tensor))
        values = self._values(tensor)
        quantization = details.quantization
        if quantization is None or quantization.scale is None or not len(quantization.scale):
            return self._constant(values if order is None else values.transpose(order))
        scale = np.asarray(quantization.scale, np.float32)
        axis = int(quantization.quantizedDimension)
        if order is not None:
            values, axis = values.transpose(order), order.index(axis)
        along = {} if len(scale) == 1 else {"axis": axis}
        inputs = [self._constant(values), self._constant(scale if along else scale[0])]
        return self._node("DequantizeLinear", inputs, **along)

    def _values(self, tensor: int) -> NDArray[Any]:
        return constant_values(self._model, self.graph.tensors[tensor])

    def _reshape_to(self, x: str, shape: list[int]) -> str:
        return self._node("Reshape", [x, self._constant(np.array(shape, np.int64))])

    def _constant(self, values: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.ascontiguousarray(values).reshape(np.shape(values))
        return name

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        return self._add_node(f"n{len(self.nodes)}", kind, inputs, **attributes)

    def _add_node(self, output: str, kind: str, inputs: list[str], **attributes: Any) -> str:
        self.nodes.append(self._make_node(kind, inputs, [output], **attributes))
        return output
