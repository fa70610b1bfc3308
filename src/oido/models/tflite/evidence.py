# SPDX-License-Identifier: Apache-2.0
"""What a new head learns from: a network's embedding, and beside it what other layers say.

An embedding was made for the network's own classes, and the last layers leave out what those did
not need. Means of earlier layers still have it. mn04 gives, beside its embedding, the hidden layer
of its head and what its last three squeeze-and-excitations look at; YAMNet the mean of its eleventh
layer. Each part is brought to a fixed share of the embedding's spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from oido.arrays import F32
from oido.heads import OutputKind
from oido.models.model import AudioModel, LogMelNetwork, MnNetwork
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.packing import operator_kind

_OP = schema.BuiltinOperator

EVIDENCE = "evidence 1"
"""What is added, in a word that changes with it: kept evidence is not mistaken for another."""

HIDDEN_SCALE = 0.42
EXCITATION_SCALES = (1.14, 0.75, 0.68)
_LAYERS, LAYER, LAYER_SCALE = 14, 11, 0.18
_LAYER_IMAGE = (6, 4, 512)
"""Factors at which, over everyday and environmental sounds, the hidden layer spreads as far as the
embedding, the excitations half as far, and YAMNet's layer a third (the square roots, which its
heads take). `benchmarks/heads.py` compares heads with and without them."""


def with_evidence(model: AudioModel) -> AudioModel:
    """The model whose embedding has other layers beside it; scores stay. Others are as they are."""
    network = model.network
    if isinstance(network, LogMelNetwork):
        graph = replace(network.graph, network=_wider(network.graph.network))
        return replace(model, network=replace(network, graph=graph))
    if isinstance(network, MnNetwork) and not network.columns:
        return replace(model, network=replace(network, content=_wider(network.content)))
    return model


def own_size(model: AudioModel) -> int | None:
    """How many numbers the network's own embedding has, of a model that `with_evidence` widens."""
    network = model.network
    if isinstance(network, LogMelNetwork):
        return _last_size(network.graph.network)
    if isinstance(network, MnNetwork) and not network.columns:
        return _last_size(network.content)
    return None


@lru_cache(maxsize=4)
def _last_size(content: bytes) -> int:
    return TfliteGraph(content).output_sizes()[-1]


@lru_cache(maxsize=4)
def _wider(content: bytes) -> bytes:
    """A network whose last output is the embedding, with the evidence in its place."""
    writer = EvidenceGraph.on(content, batch=True)
    *scores, pooled = writer.outputs
    return writer.finish([*scores, writer.evidence(pooled)])


class EvidenceGraph(GraphWriter):
    """Adds to a graph what a new head learns from."""

    @property
    def outputs(self) -> list[int]:
        """The numbers of the output tensors."""
        return [int(t) for t in self._graph.outputs]

    def evidence(self, pooled: int) -> int:
        """f32[1, D + …] of an embedding, the mean over an image; f32[1, D] where nothing is known
        to add to it."""
        parts = [self._row(pooled)]
        for tensor, scale in self._further(pooled):
            factor = self.constant(np.array([scale], np.float32))
            parts.append(self.multiply(self._row(tensor), factor))
        return parts[0] if len(parts) == 1 else self.side_to_side(parts)

    def scores(self, x: int, layers: Sequence[tuple[F32, F32]], output: OutputKind) -> int:
        """Dense [→ relu → dense] → softmax or sigmoid: a head's, by its weights f32[out, in] and
        biases f32[out]."""
        for number, (weights, bias) in enumerate(layers, start=1):
            x = self.dense(x, weights, bias, "none" if number == len(layers) else "relu")
        scores: int = self.softmax(x) if output == "softmax" else self.sigmoid(x)
        return scores

    def _further(self, pooled: int) -> list[tuple[int, float]]:
        """Rows or means of other layers, and the factors to bring them in at."""
        made = [
            (int(op.outputs[0]), operator_kind(self._model, op)) for op in self._graph.operators
        ]
        earlier = made[: [tensor for tensor, _ in made].index(pooled)]
        means = [tensor for tensor, kind in earlier if kind == _OP.MEAN]
        hidden = self._hidden(pooled)
        if hidden is not None and len(means) >= len(EXCITATION_SCALES):
            chosen = means[-len(EXCITATION_SCALES) :]
            return [(hidden, HIDDEN_SCALE), *zip(chosen, EXCITATION_SCALES)]
        layers = [tensor for tensor, kind in earlier if kind == _OP.CONV_2D]
        if len(layers) == _LAYERS and self.shape(layers[LAYER - 1])[1:] == _LAYER_IMAGE:
            return [(self.mean(self._floats(layers[LAYER - 1])), LAYER_SCALE)]
        return []

    def _hidden(self, pooled: int) -> int | None:
        """What a hard swish makes of a dense layer on the embedding: a head's hidden layer."""
        tensor = pooled
        for kind in (_OP.FULLY_CONNECTED, _OP.HARD_SWISH):
            users = [
                op
                for op in self._graph.operators
                if int(op.inputs[0]) == tensor and operator_kind(self._model, op) == kind
            ]
            if not users:
                return None
            tensor = int(users[0].outputs[0])
        return tensor

    def _floats(self, tensor: int) -> int:
        is_float = self._graph.tensors[tensor].type == schema.TensorType.FLOAT32
        return tensor if is_float else self.dequantize(tensor)

    def _row(self, tensor: int) -> int:
        """A tensor of one value for each channel → f32[1, channels]."""
        tensor = self._floats(tensor)
        shape = self.shape(tensor)
        return tensor if len(shape) == 2 else self.reshape(tensor, (1, shape[-1]))
