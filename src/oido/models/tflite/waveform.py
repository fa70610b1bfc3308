# SPDX-License-Identifier: Apache-2.0
"""Any graph that takes sound, made one that takes a float32 window and gives scores of 0..1.

Published classifiers differ: in the subgraph that is meant, in integers or further inputs, in
lengths that are left open, in logits for scores. What a graph lacks is added to it once, as
operators, so that all that runs or exports a graph meets one kind. Shapes that a graph computes
from its input's are computed here and written into it: LiteRT's quick kernels need fixed ones.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from oido.errors import ModelFormatError
from oido.heads import ScoreKind
from oido.messages import tr
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.packing import DTYPES, Parsed, operator_kind, pack, pack_pruned, unpack

_OP, _TYPE = schema.BuiltinOperator, schema.TensorType
_SHORTEST_SAMPLES, _LONGEST_SAMPLES = 160, 1 << 24  # the last is over a minute
_WAVEFORM_TYPES = (_TYPE.FLOAT32, _TYPE.INT16, _TYPE.INT8, _TYPE.UINT8, _TYPE.FLOAT16)
_INTEGERS = (_TYPE.INT32, _TYPE.INT64, _TYPE.BOOL)
_MOST_FOLDED = 1 << 16
_PCM_STEP = 1 / 32_768

_LAYERS = (_OP.FULLY_CONNECTED, _OP.CONV_2D, _OP.BATCH_MATMUL)
_POOLS = (_OP.MEAN, _OP.AVERAGE_POOL_2D, _OP.MAX_POOL_2D, _OP.REDUCE_MAX, _OP.SUM)
_KEEPING = (
    *(_OP.RESHAPE, _OP.SQUEEZE, _OP.EXPAND_DIMS, _OP.TRANSPOSE, _OP.CONCATENATION, _OP.PACK),
    *(_OP.DEQUANTIZE, _OP.QUANTIZE, _OP.CAST, _OP.SLICE, _OP.STRIDED_SLICE, _OP.GATHER),
    *(_OP.MEAN, _OP.REDUCE_MAX, _OP.AVERAGE_POOL_2D, _OP.MAX_POOL_2D, _OP.ADD),
)
"""Operators that make logits of logits, and of scores of 0..1 the same: ADD is a layer's bias."""


class Waveform(NamedTuple):
    """An input that takes sound: its tensor, and its shape for one window; open: in any length."""

    tensor: int
    shape: tuple[int, ...]
    is_open: bool


class RunnableGraph(NamedTuple):
    """content: a graph whose outputs are those of the file, in their order, and behind them the
    embedding, if it has one. is_file: the input and the file's own outputs are as they were."""

    content: bytes
    has_embedding: bool
    is_file: bool


def waveform_first(
    content: bytes, sizes: Collection[int] = (), parsed: Parsed | None = None
) -> bytes:
    """The same model, the subgraph that takes a waveform first: that of a signature, if the first
    is none. What LiteRT runs by itself is the first one.

    sizes: its outputs have so many values; () is any. parsed: what `unpack` gave for it.
    """
    model, _ = parsed or unpack(content)
    graphs = model.subgraphs

    def is_right(number: int) -> bool:
        graph = graphs[number]
        found = {
            int(graph.tensors[t].shape[-1]) for t in graph.outputs if len(graph.tensors[t].shape)
        }
        return _waveform(model, graph) is not None and {*sizes} <= found

    if len(graphs) < 2 or is_right(0):
        return content
    signatures = sorted(
        model.signatureDefs or [], key=lambda each: each.signatureKey != b"serving_default"
    )
    numbers = [s.subgraphIndex for s in signatures if s.subgraphIndex < len(graphs)]
    wanted = next(filter(is_right, numbers), 0)
    if not wanted:
        return content
    places = {0: wanted, wanted: 0}
    graphs[0], graphs[wanted] = graphs[wanted], graphs[0]
    for each in signatures:
        each.subgraphIndex = places.get(each.subgraphIndex, each.subgraphIndex)
    for graph in graphs:
        for op in graph.operators or []:
            for options in (op.builtinOptions, op.builtinOptions2):
                for name, value in list(vars(options).items()) if options is not None else ():
                    if name.lower().endswith("subgraphindex") or name == "subgraph":
                        setattr(options, name, places.get(value, value))
    return pack(model)


def score_kind(model: Any, graph: Any, output: int) -> ScoreKind | None:
    """What an output gives, by the operator that makes it; None: that does not tell."""
    makers = _makers(graph)
    tensor = int(graph.outputs[output])
    for _ in graph.operators:  # a damaged graph may go in circles
        op = makers.get(tensor)
        kind = None if op is None else operator_kind(model, op)
        if kind == _OP.LOGISTIC:
            return "sigmoid"
        if kind == _OP.SOFTMAX:
            return "softmax"
        fused = getattr(op and op.builtinOptions, "fusedActivationFunction", 0)
        if fused != schema.ActivationFunctionType.NONE:
            return None
        if kind in _LAYERS:
            return "logits"
        if op is None or kind not in _KEEPING:
            return None
        tensor = next((int(t) for t in op.inputs if int(t) in makers), -1)
    return None


def must_fix_shapes(content: bytes) -> bool:
    """Whether shapes are left open: those of the input, or such as a graph computes from it."""
    model, graph = unpack(content)
    found = _waveform(model, graph)
    is_open = found is not None and found.is_open
    return is_open or any(operator_kind(model, op) == _OP.SHAPE for op in graph.operators)


def takes_any_length(content: bytes, parsed: Parsed | None = None) -> bool:
    """Whether its input leaves open how long a window is. parsed: what `unpack` gave for it."""
    found = _waveform(*(parsed or unpack(content)))
    return found is not None and found.is_open


def prepare(
    content: bytes,
    *,
    sample_rate_hz: int,
    heads: Collection[int],
    logits: Collection[int],
    inputs: Mapping[str, Sequence[float]],
    window_samples: int,
    finds_embedding: bool,
) -> RunnableGraph:
    """A graph that takes one float32 window and gives scores of 0..1; content: as `waveform_first`.

    heads: the outputs that give scores; logits: those of them that a sigmoid is put behind. inputs:
    values of further inputs, by name. window_samples: of an input that takes any length.
    finds_embedding: add the pool before the first head as an output, if there is one.

    Raises ModelFormatError for a graph that takes no waveform, or an input without a value.
    """
    writer = WaveformWriter.on(content, batch=False)
    found, is_file = writer.take_floats(sample_rate_hz, inputs, window_samples)
    if must_fix_shapes(content):
        writer.fix_shapes(found.is_open)
        is_file = False
    is_file = not writer.finish_scores(heads, logits) and is_file
    has_embedding = finds_embedding and writer.add_pool(min(heads))
    if has_embedding or not is_file:
        content = writer.packed()
    return RunnableGraph(content, has_embedding, is_file)


class WaveformWriter(GraphWriter):
    """Changes a graph in place, one lack after the other."""

    def take_floats(
        self, sample_rate_hz: int, inputs: Mapping[str, Sequence[float]], window_samples: int
    ) -> tuple[Waveform, bool]:
        """Leave one input, of float32 and of fixed length; its shape, and whether it was so."""
        model, graph = self._model, self._graph
        found = _waveform(model, graph)
        if found is None:
            raise ModelFormatError(tr("its input is not one window of waveform"))
        shape = tuple(window_samples if n < 0 else n for n in found.shape)
        if not _SHORTEST_SAMPLES <= max(shape) <= _LONGEST_SAMPLES:
            raise ModelFormatError(
                tr("a window of {shape} samples is too short, or too long", shape=max(shape))
            )
        found, tensor = found._replace(shape=shape), graph.tensors[found.tensor]
        for number in (int(t) for t in graph.inputs):
            if number != found.tensor and not _has_data(model, graph.tensors[number]):
                self._fill(number, sample_rate_hz, inputs)
        is_same = len(graph.inputs) == 1 and tensor.type == _TYPE.FLOAT32 and not found.is_open
        tensor.shape = np.array(shape, np.int32)
        if found.is_open:
            tensor.shapeSignature = None
        graph.inputs = [found.tensor]
        if tensor.type != _TYPE.FLOAT32:
            graph.inputs = []
            entry = self.input("audio_clip", shape)
            self._convert(entry, found.tensor)
        return found, is_same

    def _fill(
        self, number: int, sample_rate_hz: int, inputs: Mapping[str, Sequence[float]]
    ) -> None:
        """Make a constant of an input that is no sound."""
        tensor = self._graph.tensors[number]
        shape = tuple(max(1, int(n)) for n in (() if tensor.shape is None else tensor.shape))
        name = _plain_name(tensor)
        size = int(np.prod(shape))
        if name in inputs:
            values = list(inputs[name])
        elif size == 1 and "rate" in name.lower() and tensor.type != _TYPE.BOOL:
            values = [sample_rate_hz]
        elif tensor.type == _TYPE.BOOL or "training" in name.lower():
            values = [0]
        else:
            raise ModelFormatError(
                tr(
                    "it has a further input, {name!r} of {size} value(s), and "
                    "nothing says which: add --input '{name}={value}' to oido models "
                    "annotate",
                    name=name,
                    size=size,
                    value=",".join(["0"] * min(size, 6)),
                )
            )
        if len(values) not in {1, size} or tensor.type not in DTYPES:
            raise ModelFormatError(
                tr(
                    "its input {name!r} has {size} values, and {n_values} are known",
                    name=name,
                    size=size,
                    n_values=len(values),
                )
            )
        data = np.broadcast_to(np.array(values, DTYPES[tensor.type]).reshape(-1), (size,))
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        tensor.buffer, tensor.shape = len(self._model.buffers) - 1, np.array(shape, np.int32)
        tensor.shapeSignature = None

    def _convert(self, entry: int, target: int) -> None:
        """The operator that makes integers, or float16, of float32, before all others."""
        tensor, shape = self._graph.tensors[target], self.shape(target)
        if tensor.type == _TYPE.FLOAT16:
            self._add("CAST", [entry], shape, "CastOptions", output=target)
        else:
            steps = tensor.quantization
            if steps is None or steps.scale is None or not len(steps.scale):
                if tensor.type != _TYPE.INT16:
                    raise ModelFormatError(
                        tr("its input is of integers, and nothing says of what steps")
                    )
                tensor.quantization = steps = schema.QuantizationParametersT()
                steps.scale = np.array([_PCM_STEP], np.float32)  # samples as WAV has them
                steps.zeroPoint = np.array([0], np.int64)
            self._add("QUANTIZE", [entry], shape, "QuantizeOptions", output=target)
        operators = self._graph.operators
        operators.insert(0, operators.pop())

    def fix_shapes(self, is_open: bool) -> None:
        """Run it once, and write into it the shapes of its tensors and what follows from them."""
        model, graph = self._model, self._graph
        try:
            interpreter = Interpreter(
                model_content=self.packed(),
                num_threads=1,
                experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )
            interpreter.allocate_tensors()
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            how = (
                tr("; --window of oido models annotate says how long a window is")
                if is_open
                else ""
            )
            raise ModelFormatError(
                tr("LiteRT cannot run this model ({error}){how}", error=error, how=how)
            ) from error
        shapes = {d["index"]: d["shape"] for d in interpreter.get_tensor_details()}
        made = _makers(graph)
        known = {t for t in range(len(graph.tensors)) if t not in made} - {*graph.inputs}
        kept = []
        for op in graph.operators:
            outputs = [int(t) for t in op.outputs]
            is_shape = operator_kind(model, op) in (_OP.SHAPE, _OP.RANK)
            if (
                is_shape or (len(op.inputs) and {int(t) for t in op.inputs if t >= 0} <= known)
            ) and all(
                graph.tensors[t].type in _INTEGERS and np.prod(shapes[t]) <= _MOST_FOLDED
                for t in outputs
            ):
                for t in outputs:
                    buffer = schema.BufferT()
                    values = interpreter.get_tensor(t) if np.prod(shapes[t]) else np.zeros(0)
                    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
                    model.buffers.append(buffer)
                    graph.tensors[t].buffer = len(model.buffers) - 1
                known |= {*outputs}
            else:
                kept.append(op)
            for t in outputs:
                graph.tensors[t].shape = np.array(shapes[t], np.int32)
                graph.tensors[t].shapeSignature = None
        for t in graph.inputs:
            graph.tensors[t].shapeSignature = None
        graph.operators = kept

    def finish_scores(self, heads: Collection[int], logits: Collection[int]) -> bool:
        """A sigmoid behind each of the logits, and the mean of scores of many frames."""
        outputs, before = [int(t) for t in self._graph.outputs], list(self._graph.outputs)
        for number in heads:
            x = outputs[number]
            if number in logits:
                if self._graph.tensors[x].type != _TYPE.FLOAT32:
                    x = self.dequantize(x)
                x = self.sigmoid(x)
            shape = self.shape(x)
            if np.prod(shape[:-1]) > 1:
                axes = self.constant(np.arange(len(shape) - 1, dtype=np.int32))
                x = self._add("MEAN", [x, axes], shape[-1:], "ReducerOptions", keepDims=False)
                x = self.reshape(x, (1, shape[-1]))
            outputs[number] = x
        self._graph.outputs = outputs
        return outputs != before

    def add_pool(self, head: int) -> bool:
        """Add the pool before a head, float32 [1, D], as a further output, if there is one."""
        graph, makers = self._graph, _makers(self._graph)
        alive = _descendants(graph)
        tensor, behind_layer = int(graph.outputs[head]), False
        for _ in graph.operators:
            op = makers.get(tensor)
            if op is None:
                return False
            kind, shape = operator_kind(self._model, op), self.shape(tensor)
            if behind_layer and kind in _POOLS and shape and np.prod(shape) == shape[-1] > 1:
                break
            behind_layer = behind_layer or kind in _LAYERS
            tensor = next((int(t) for t in op.inputs if int(t) in alive), -1)
        else:
            return False
        if graph.tensors[tensor].type != _TYPE.FLOAT32:
            tensor = self.dequantize(tensor)
        if len(self.shape(tensor)) != 2:
            tensor = self.reshape(tensor, (1, self.shape(tensor)[-1]))
        graph.outputs = [*graph.outputs, tensor]
        return True

    def packed(self) -> bytes:
        """The graph as it is now."""
        model = self._model
        model.subgraphs[0] = self._graph
        return pack_pruned(model, self._graph) if len(model.subgraphs) == 1 else pack(model)


def _waveform(model: Any, graph: Any) -> Waveform | None:
    """The input that takes sound: the longest, or else the first that takes any length."""
    found = []
    for number in (int(t) for t in (() if graph.inputs is None else graph.inputs)):
        tensor = graph.tensors[number]
        if tensor.type not in _WAVEFORM_TYPES or _has_data(model, tensor):
            continue
        shape = [int(n) for n in (() if tensor.shape is None else tensor.shape)]
        signature = tensor.shapeSignature
        is_open = [int(n) < 0 for n in (shape if signature is None else signature)]
        if len(is_open) != len(shape):
            continue
        long = [n for n, free in zip(shape, is_open) if n > 1 and not free]
        if len(long) == 1 and _SHORTEST_SAMPLES <= long[0] <= _LONGEST_SAMPLES:
            length = long[0]
            sides = (1 if free else n for n, free in zip(shape, is_open))
            found.append((length, Waveform(number, tuple(sides), False)))
        elif not long and any(is_open):
            axis = max(k for k, free in enumerate(is_open) if free)
            sides = (-1 if k == axis else 1 for k in range(len(shape)))
            found.append((0, Waveform(number, tuple(sides), True)))
    return max(found, key=lambda each: each[0])[1] if found else None


def _has_data(model: Any, tensor: Any) -> bool:
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def _plain_name(tensor: Any) -> str:
    """An input's name without what converters put around it."""
    name = bytes(tensor.name or b"").decode("utf-8", "replace")
    return name.removeprefix("serving_default_").removesuffix(":0")


def _makers(graph: Any) -> dict[int, Any]:
    return {int(t): op for op in graph.operators for t in op.outputs}


def _descendants(graph: Any) -> set[int]:
    """The tensors that follow from the input."""
    alive = {int(t) for t in graph.inputs}
    for op in graph.operators:
        if alive & {int(t) for t in op.inputs}:
            alive |= {int(t) for t in op.outputs}
    return alive
