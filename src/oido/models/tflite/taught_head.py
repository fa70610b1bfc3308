# SPDX-License-Identifier: Apache-2.0
"""The head of a taught .tflite, read back: it gives scores of embeddings that are kept somewhere.

What `oido train` writes ends in [relu, square root], one or two dense layers and a softmax or
sigmoid on the network's embedding. An archive keeps that embedding, so its scores by such a head
cost a matrix product. The last layer can be changed in the file; all else in it stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from oido.arrays import F32
from oido.errors import OptionError
from oido.heads import OutputKind
from oido.messages import tr
from oido.models.model import AudioModel
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.metadata import read_metadata
from oido.models.tflite.metadata_writer import with_more_outputs
from oido.models.tflite.packing import constant_values, operator_kind, pack, unpack

_OP = schema.BuiltinOperator
_RELU = schema.ActivationFunctionType.RELU
_SIGMOID: OutputKind = "sigmoid"
_SOFTMAX: OutputKind = "softmax"


class HeadLayer(NamedTuple):
    """A fully connected layer: f32[out, in] weights, f32[out] bias."""

    weights: F32
    bias: F32


@dataclass(frozen=True, eq=False, repr=False)
class TaughtHead:
    """[square root] → dense → [relu → dense] → softmax or sigmoid, of a model's last head.

    The last row of a softmax's last layer may be that of the quiet, which is no label.
    training: what the file says of how it was taught; ``base_sha256`` of it is the network's.
    """

    name: str
    sha256: str
    labels: tuple[str, ...]
    layers: tuple[HeadLayer, ...]
    output: OutputKind
    square_root: bool
    training: dict[str, Any]

    @property
    def inputs(self) -> int:
        """How many numbers of a window it takes."""
        return int(self.layers[0].weights.shape[1])

    def features(self, embeddings: F32) -> F32:
        """f32[N, D] → f32[N, h], what the last layer takes."""
        x = np.asarray(embeddings, np.float32)
        x = np.sqrt(np.maximum(x, 0)) if self.square_root else x
        for layer in self.layers[:-1]:
            x = np.maximum(x @ layer.weights.T + layer.bias, 0)
        return x

    def scores_of_features(self, features: F32) -> F32:
        """f32[N, h] → f32[N, C], 0..1, without the quiet."""
        last = self.layers[-1]
        logits = features @ last.weights.T + last.bias
        if self.output == "sigmoid":
            return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), np.float32)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores = powers / powers.sum(axis=1, keepdims=True)
        return np.asarray(scores[:, : len(self.labels)], np.float32)

    def scores(self, embeddings: F32) -> F32:
        """f32[N, D] → f32[N, C], 0..1."""
        return self.scores_of_features(self.features(embeddings))

    def with_last_layer(self, layer: HeadLayer) -> TaughtHead:
        """The same head with another last layer of the same shape."""
        return replace(self, layers=(*self.layers[:-1], layer))


def read_taught_head(model: AudioModel) -> TaughtHead:
    """The last head of a taught model. Raises OptionError for a file that holds no such head."""
    content = model.path.read_bytes() if model.path.suffix.lower() == ".tflite" else b""
    unknown = OptionError(
        tr("{name} is no model that `oido train` wrote: its head cannot be read", name=model.name)
    )
    raw = TfliteGraph(content).metadata() if content else None
    if raw is None:
        raise unknown
    metadata = read_metadata(raw, content)
    names = [output.name for output in metadata.outputs]
    if model.head.name not in names:
        raise unknown
    found = _walk(content, names.index(model.head.name))
    if found is None or len(found.layers[-1].bias) != len(model.labels) + found.has_quiet:
        raise unknown
    return TaughtHead(
        model.name,
        model.sha256,
        model.labels,
        found.layers,
        found.output,
        found.square_root,
        dict(metadata.notes().training),
    )


def write_last_layer(model: AudioModel, layer: HeadLayer) -> bytes:
    """The file of a taught model whose last head has another last layer of the same shape."""
    content = model.path.read_bytes()
    raw = TfliteGraph(content).metadata()
    assert raw is not None
    names = [output.name for output in read_metadata(raw, content).outputs]
    found = _walk(content, names.index(model.head.name))
    assert found is not None
    unpacked, graph = unpack(content)
    for number, values in zip(found.last, layer):
        data = np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)
        buffer = unpacked.buffers[graph.tensors[number].buffer]
        assert buffer.data is not None
        assert len(buffer.data) == len(data)
        buffer.data = data
    written = with_more_outputs(model, content, pack(unpacked), ())
    assert written is not None
    return written


class _Walked(NamedTuple):
    """What lies before an output. last: the tensors of the last layer's weights and bias.
    has_quiet: its last row is cut off behind the softmax."""

    layers: tuple[HeadLayer, ...]
    output: OutputKind
    square_root: bool
    last: tuple[int, int]
    has_quiet: bool


def _walk(content: bytes, output: int) -> _Walked | None:
    """Back from an output's scores; None where there is anything else than such a head."""
    model, graph = unpack(content)
    makers = {int(t): op for op in graph.operators for t in op.outputs}

    def made_by(tensor: int, kind: int) -> Any:
        op = makers.get(tensor)
        return op if op is not None and operator_kind(model, op) == kind else None

    tensor = int(graph.outputs[output])
    cut = made_by(tensor, _OP.STRIDED_SLICE)
    tensor = tensor if cut is None else int(cut.inputs[0])
    squash, name = made_by(tensor, _OP.LOGISTIC), _SIGMOID
    if squash is None:
        squash, name = made_by(tensor, _OP.SOFTMAX), _SOFTMAX
    if squash is None:
        return None
    tensor = int(squash.inputs[0])
    layers: list[HeadLayer] = []
    last: tuple[int, int] | None = None
    while (op := made_by(tensor, _OP.FULLY_CONNECTED)) is not None and len(layers) < 2:
        numbers = (int(op.inputs[1]), int(op.inputs[2]))
        if any(graph.tensors[n].type != schema.TensorType.FLOAT32 for n in numbers):
            return None
        if layers and op.builtinOptions.fusedActivationFunction != _RELU:
            return None
        values = (constant_values(model, graph.tensors[n]).copy() for n in numbers)
        layers.insert(0, HeadLayer(*values))
        last, tensor = last or numbers, int(op.inputs[0])
    if last is None or any(layer.weights.ndim != 2 for layer in layers):
        return None
    root = made_by(tensor, _OP.SQRT)
    return _Walked(tuple(layers), name, root is not None, last, cut is not None)
