# SPDX-License-Identifier: Apache-2.0
"""A model as one .tflite: one window of waveform in; scores, and the embedding if wanted, out."""

from __future__ import annotations

from oido.errors import OptionError
from oido.models.front_end_graph import log_mel, mn_log_mel
from oido.models.graph import TfliteGraph
from oido.models.graph_writer import GraphWriter
from oido.models.model import AudioModel, EnsembleNetwork, LogMelNetwork, MnNetwork

__all__ = ["WholeGraph", "whole_graph"]


class WholeGraph:
    """A graph under construction that takes the waveform.

    writer: to add operators. scores: the tensor [1, C] of each head, and behind them that of
    `AudioModel.novelty`, if there is one; embedding: the tensor [1, D],
    float32.
    """

    def __init__(self, writer: GraphWriter, scores: list[int], embedding: int) -> None:
        self.writer, self.scores, self.embedding = writer, scores, embedding


def whole_graph(model: AudioModel, content: bytes) -> WholeGraph:
    """The model's whole graph, to which operators may be added.

    content: the model's file; where the network was cut out of it, the file's own operators stay
    as they are, and so do its scores to the last bit. Raises OptionError for a model that is
    known as a whole only and has no embedding to build on.
    """
    network = model.network
    if isinstance(network, LogMelNetwork) and network.is_cut:
        graph = TfliteGraph(content)
        writer = GraphWriter.on(content)
        embedding = graph.embedding()
        if model.precision == "int8":
            embedding = writer.dequantized(embedding)
        if len(writer.shape(embedding)) != 2:
            embedding = writer.reshape(embedding, (1, writer.shape(embedding)[-1]))
        heads = [graph.outputs()[number] for number in network.graph.heads]
        return WholeGraph(writer, heads, embedding)
    if isinstance(network, EnsembleNetwork):
        raise OptionError(f"{model.name} is two networks; export one of them")
    if not isinstance(network, LogMelNetwork | MnNetwork):
        raise OptionError(f"{model.name} is known as a whole only: there is nothing to add to it")
    writer = GraphWriter(f"{model.name}, {model.precision}", batch=False)
    waveform = writer.input("audio_clip", (model.windows.window_samples,))
    if isinstance(network, LogMelNetwork):
        patch = log_mel(writer, waveform, network.front_end, network.graph)
        scores, embedding = writer.graft(network.graph.network, patch)
    else:
        patch = mn_log_mel(writer, waveform, network.front_end)
        scores, embedding = writer.graft(network.content, patch)
    return WholeGraph(writer, [scores], embedding)
