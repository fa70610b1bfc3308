# SPDX-License-Identifier: Apache-2.0
"""Editing TensorFlow Lite graphs: the front end is found, read, and cut off.

The whole graph takes one window of waveform a call. Cut behind its log-mel, with the batch opened,
it takes many patches a call, frames of overlapping windows are computed once, and it gives the
embedding beside the scores; the numbers stay the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from oido.arrays import F32
from oido.errors import ModelFormatError
from oido.heads import ScoreKind
from oido.messages import tr
from oido.models.tflite.packing import Parsed, copied, operator_kind, pack, pack_pruned, unpack
from oido.models.tflite.waveform import score_kind

_OP = schema.BuiltinOperator
_SIZES = {
    schema.TensorType.FLOAT32: 4,
    schema.TensorType.INT32: 4,
    schema.TensorType.INT8: 1,
    schema.TensorType.UINT8: 1,
}
"""Bytes of a value, of the types that matter."""
_POOLS = (_OP.MEAN, _OP.AVERAGE_POOL_2D)
_METADATA_NAME = b"TFLITE_METADATA"
_SHORTEST_INPUT_SAMPLES, _LONGEST_INPUT_SAMPLES = 160, 1 << 24  # the last is over a minute


@dataclass(frozen=True)
class CutGraph:
    """A classifier's graph in two, and the constants of the front end before them.

    window: f32[window_samples]; mel: f32[bands, all FFT bins]; log_offset: what is added to the
    mel energies before the logarithm. first_bin, last_bin: the bins with a weight; the projection
    takes only those. patch_frames × bands is the patch; input_samples is the whole graph's input;
    heads: its outputs that give scores.
    """

    projection: bytes
    network: bytes
    window: F32
    mel: F32
    log_offset: float
    first_bin: int
    last_bin: int
    patch_frames: int
    input_samples: int
    heads: tuple[int, ...] = (0,)


class TfliteGraph:
    """A parsed .tflite; every method leaves it as it was."""

    def __init__(self, content: bytes, parsed: Parsed | None = None) -> None:
        """parsed: what `unpack` gave for it, if somebody had to ask before."""
        self._content = content
        self._model, self._graph = parsed or unpack(content)

    def metadata(self) -> bytes | None:
        """The raw metadata flatbuffer, or None."""
        for entry in self._model.metadata or []:
            if entry.name == _METADATA_NAME:
                return self._data(entry.buffer).tobytes()
        return None

    def with_metadata(self, metadata: bytes) -> bytes:
        """The same model, its metadata replaced; what was appended to the file is left behind."""
        model, _ = unpack(self._content)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(metadata, np.uint8)
        entry = schema.MetadataT()
        entry.name, entry.buffer = _METADATA_NAME, len(model.buffers)
        model.buffers.append(buffer)
        kept = [m for m in model.metadata or [] if m.name != _METADATA_NAME]
        model.metadata = [*kept, entry]
        return pack(model)

    def outputs(self) -> list[int]:
        """The numbers of the output tensors."""
        return [int(t) for t in self._graph.outputs]

    def embedding(self) -> int:
        """The number of the tensor that is the last mean over an image before the scores."""
        return self._embedding(self._graph)

    def output_sizes(self) -> list[int]:
        """How many scores each output gives."""
        return [int(self._graph.tensors[t].shape[-1]) for t in self._graph.outputs]

    def output_names(self) -> list[str]:
        """What each output is called: by its tensor, and where there are signatures by those."""
        names = {int(t): bytes(self._graph.tensors[t].name or b"") for t in self._graph.outputs}
        for signature in self._model.signatureDefs or []:
            for each in (signature.outputs or []) if not signature.subgraphIndex else []:
                names[each.tensorIndex] = names.get(each.tensorIndex, b"") + b" " + each.name
        return [names[int(t)].decode("utf-8", "replace") for t in self._graph.outputs]

    def has_spectrum(self) -> bool:
        """Whether the graph computes a spectrum, so that there is a front end to cut off."""
        return any(operator_kind(self._model, op) == _OP.RFFT2D for op in self._graph.operators)

    def is_quantised(self) -> bool:
        """Whether it computes in int8 inside."""
        return any(
            self._graph.tensors[t].type == schema.TensorType.INT8
            for op in self._graph.operators
            for t in op.outputs
        )

    def score_kind(self, output: int) -> ScoreKind | None:
        """What an output gives, by the operator that makes it; None: that does not tell."""
        return score_kind(self._model, self._graph, output)

    def takes_floats(self) -> bool:
        """Whether its only input is of float32."""
        inputs = [int(t) for t in self._graph.inputs]
        return len(inputs) == 1 and self._graph.tensors[inputs[0]].type == schema.TensorType.FLOAT32

    def int8_input_shape(self) -> tuple[int, ...] | None:
        """The shape of its only input, if that is of int8."""
        inputs = [int(t) for t in self._graph.inputs]
        if len(inputs) != 1 or self._graph.tensors[inputs[0]].type != schema.TensorType.INT8:
            return None
        return tuple(int(n) for n in self._graph.tensors[inputs[0]].shape)

    def require_order(self) -> None:
        """Raise ModelFormatError unless each operator reads constants and what came before it.

        What runs a graph takes such things for granted; a graph that goes in circles ends it.
        """
        tensors = self._graph.tensors
        known = {int(t) for t in self._graph.inputs}
        for number, tensor in enumerate(tensors):
            data = self._data(tensor.buffer)
            size = _SIZES.get(tensor.type)
            values = int(np.prod(tensor.shape))
            if len(data) and size and len(data) != size * values and tensor.sparsity is None:
                raise ModelFormatError(tr("a constant has another size than its shape"))
            if len(data) or not values or tensor.isVariable:  # of no values, or begun with zeros
                known.add(number)
        for op in self._graph.operators:
            if not {int(t) for t in op.inputs if t >= 0} <= known:
                raise ModelFormatError(tr("an operator reads what no other has made"))
            known |= {int(t) for t in op.outputs}
        if not {int(t) for t in self._graph.outputs} <= known:
            raise ModelFormatError(tr("nothing makes its scores"))

    def waveform_shape(self) -> tuple[int, int]:
        """Samples in, classes out, of a graph that takes one window of float32 waveform."""
        tensor = self._graph.tensors[self._graph.inputs[0]]
        samples = int(np.prod(tensor.shape))
        if (
            len(self._graph.inputs) != 1
            or tensor.type != schema.TensorType.FLOAT32
            or max(tensor.shape, default=0) != samples
            or not _SHORTEST_INPUT_SAMPLES <= samples <= _LONGEST_INPUT_SAMPLES
        ):
            raise ModelFormatError(tr("its input is not one window of float32 waveform"))
        used = {int(t) for op in self._graph.operators for t in op.inputs}
        made = {int(t) for op in self._graph.operators for t in op.outputs}
        if int(self._graph.inputs[0]) not in used or int(self._graph.outputs[0]) not in made:
            raise ModelFormatError(tr("its scores do not come from its input"))
        return samples, int(self._graph.tensors[self._graph.outputs[0]].shape[-1])

    def cut_front_end(self, heads: Sequence[int] = (0,)) -> CutGraph:
        """Cut behind the log-mel; ``heads`` are the outputs that give scores.

        Raises ModelFormatError if this is no such graph.
        """
        front = self._find_front_end()
        mel, weights_tensor = self._constant(front.mel.inputs[1])
        window, _ = self._constant(front.window.inputs[1])
        offset, _ = self._constant(front.mel.inputs[2])
        used = np.flatnonzero((mel != 0).any(axis=0))
        if not len(used) or not offset.size or np.any(offset != offset.flat[0]):
            raise _unknown_front_end(tr("its mel matrix is unusual"))
        first, last = int(used[0]), int(used[-1])
        return CutGraph(
            projection=self._projection(front, weights_tensor, mel[:, first : last + 1]),
            network=self._network(front, heads),
            window=window.reshape(-1).copy(),
            mel=mel.copy(),
            log_offset=float(offset.reshape(-1)[0]),
            first_bin=first,
            last_bin=last,
            patch_frames=int(self._graph.tensors[front.patch].shape[-2]),
            input_samples=int(np.prod(self._graph.tensors[self._graph.inputs[0]].shape)),
            heads=tuple(heads),
        )

    def _find_front_end(self) -> _FrontEndOps:
        ops = self._graph.operators
        names = [operator_kind(self._model, op) for op in ops]
        if _OP.RFFT2D not in names:
            raise _unknown_front_end(tr("it computes no spectrum from a waveform"))
        if names.count(_OP.RFFT2D) > 1:
            raise _unknown_front_end(tr("it computes several spectra"))
        fft = names.index(_OP.RFFT2D)
        try:
            window = max(i for i in range(fft) if names[i] == _OP.MUL)
            magnitude = names.index(_OP.COMPLEX_ABS, fft)
            mel = names.index(_OP.FULLY_CONNECTED, magnitude)
            log = names.index(_OP.LOG, mel)
        except ValueError as error:
            raise _unknown_front_end(tr("its spectrum is not a log-mel one")) from error
        last = log + (names[log + 1 : log + 2] == [_OP.RESHAPE])
        patch = int(ops[last].outputs[0])
        if len(self._graph.tensors[patch].shape) != 3:
            raise _unknown_front_end(tr("its patches are not [1, frames, bands]"))
        return _FrontEndOps(ops[window], ops[mel], ops[log], patch, last + 1)

    def _projection(self, front: _FrontEndOps, weights_tensor: Any, weights: F32) -> bytes:
        """Magnitudes of the used bins → log-mel: the model's own two operators."""
        model, graph = copied(self._model)
        magnitudes = graph.tensors[front.mel.inputs[0]]
        bins = weights.shape[1]
        magnitudes.shape = np.array([1, bins], np.int32)
        magnitudes.shapeSignature = np.array([-1, bins], np.int32)
        trimmed = graph.tensors[front.mel.inputs[1]]
        trimmed.shape = np.array(weights.shape, np.int32)
        data = np.frombuffer(np.ascontiguousarray(weights).tobytes(), np.uint8)
        model.buffers[weights_tensor.buffer].data = data
        graph.operators = [front.mel, front.log]
        graph.inputs = np.array([front.mel.inputs[0]], np.int32)
        graph.outputs = np.array([front.log.outputs[0]], np.int32)
        return pack_pruned(model, graph)

    def _network(self, front: _FrontEndOps, heads: Sequence[int]) -> bytes:
        """Patches → (scores of each head, embedding), any number at a time."""
        model, graph = copied(self._model)
        graph.operators = graph.operators[front.end :]
        patch = graph.tensors[front.patch]
        patch.shapeSignature = np.array([-1, *patch.shape[1:]], np.int32)
        for op in graph.operators:
            if operator_kind(self._model, op) == _OP.RESHAPE:
                _open_batch(model, graph, op)
        graph.inputs = np.array([front.patch], np.int32)
        scores = [int(graph.outputs[head]) for head in heads]
        graph.outputs = np.array([*scores, self._embedding(graph)], np.int32)
        return pack_pruned(model, graph)

    def _embedding(self, graph: Any) -> int:
        """The last mean over an image before the scores: what all heads have in common."""
        producers = {int(t): op for op in graph.operators for t in op.outputs}
        tensor = int(graph.outputs[0])
        for _ in graph.operators:  # a damaged graph may go in circles
            if tensor not in producers:
                break
            op = producers[tensor]
            if operator_kind(self._model, op) in _POOLS:
                return tensor
            tensor = next((int(t) for t in op.inputs if int(t) in producers), -1)
        raise _unknown_front_end(tr("its scores do not come from the mean of an image"))

    def _constant(self, index: int) -> tuple[F32, Any]:
        tensor = self._graph.tensors[index]
        data = self._data(tensor.buffer)
        if tensor.type != schema.TensorType.FLOAT32 or not len(data):
            raise _unknown_front_end(tr("a front-end constant is not float32"))
        return data.view(np.float32).reshape(tensor.shape), tensor

    def _data(self, buffer: int) -> NDArray[np.uint8]:
        data = self._model.buffers[buffer].data
        return np.ascontiguousarray(() if data is None else data, np.uint8)


@dataclass(frozen=True)
class _FrontEndOps:
    """Where the front end is: three of its operators, the tensor it gives, and where it ends."""

    window: Any
    mel: Any
    log: Any
    patch: int
    end: int


def _unknown_front_end(reason: str) -> ModelFormatError:
    return ModelFormatError(
        tr("this model's front end is not one that oido knows: {reason}", reason=reason)
    )


def _open_batch(model: Any, graph: Any, op: Any) -> None:
    """Let a RESHAPE with a fixed batch of 1 keep the batch of its input."""
    target = graph.tensors[op.outputs[0]].shape
    shape = np.array([-1, *target[1:]], np.int32)
    if len(op.inputs) > 1:
        buffer = model.buffers[graph.tensors[op.inputs[1]].buffer]
        buffer.data = np.frombuffer(shape.tobytes(), np.uint8)
    if op.builtinOptions is not None:
        op.builtinOptions.newShape = shape
