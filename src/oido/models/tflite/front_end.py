# SPDX-License-Identifier: Apache-2.0
"""Front ends as operators of a graph, so that one .tflite takes the waveform itself.

They are the formulas of `oido.signal.frontend`, computed by TensorFlow Lite in float32 (its FFT in
float64). A whole graph takes one window of waveform and gives scores, and the embedding if wanted.
"""

from __future__ import annotations

from math import gcd
from typing import NamedTuple

import numpy as np

from oido.errors import OptionError
from oido.mel import kaldi_mel_matrix, symmetric_hann
from oido.messages import tr
from oido.models.model import (
    AudioModel,
    EnsembleNetwork,
    FixedPointNetwork,
    LogMelNetwork,
    MnNetwork,
    WholeNetwork,
)
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.editor import CutGraph, TfliteGraph
from oido.models.tflite.framewise import FramewiseWriter
from oido.params import FrontEndParams, MnFrontEndParams


def log_mel(writer: GraphWriter, waveform: int, params: FrontEndParams, cut: CutGraph) -> int:
    """YAMNet's front end: waveform [patch_samples] → patch [1, frames, bands]."""
    frames = cut_frames(
        writer, waveform, params.patch_frames, params.window_samples, params.hop_samples
    )
    windowed = writer.multiply(frames, writer.constant(cut.window))
    padded = writer.pad(windowed, (0, 0), (0, params.fft_samples - params.window_samples))
    magnitudes = writer.spectrum(padded)
    bands = cut.mel.shape[0]
    mel = writer.dense(magnitudes, cut.mel, np.full(bands, cut.log_offset, np.float32))
    return writer.reshape(writer.log(mel), (1, params.patch_frames, bands))


def mn_log_mel(writer: GraphWriter, waveform: int, params: MnFrontEndParams) -> int:
    """EfficientAT's front end: waveform [window_samples] → image [1, bands, frames, 1]."""
    p = params
    later = writer.part(waveform, 1, p.window_samples - 1)
    earlier = writer.part(waveform, 0, p.window_samples - 1)
    coefficient = writer.constant(np.array([p.preemphasis], np.float32))
    sharp = writer.subtract(later, writer.multiply(earlier, coefficient))
    # Frame t covers the samples hop · t − half … hop · t + half − 1.
    half = p.analysis_samples // 2
    needed = (p.patch_frames - 1) * p.hop_samples + p.analysis_samples
    edges = (half, needed - half - (p.window_samples - 1))
    reflected = writer.reflect(sharp, edges)
    frames = cut_frames(writer, reflected, p.patch_frames, p.analysis_samples, p.hop_samples)
    hann = symmetric_hann(p.analysis_samples).astype(np.float32)
    windowed = writer.multiply(frames, writer.constant(hann))
    magnitudes = writer.spectrum(
        writer.pad(windowed, (0, 0), (0, p.fft_samples - p.analysis_samples))
    )
    power = writer.multiply(magnitudes, magnitudes)
    weights = np.ascontiguousarray(kaldi_mel_matrix(p).T, np.float32)  # [bands, bins]
    energies = writer.dense(power, weights, np.full(p.bands, p.log_offset, np.float32))
    if p.log_floor:
        energies = writer.larger(energies, writer.constant(np.array([p.log_floor], np.float32)))
    logs = writer.log(energies)
    shifted = writer.add(logs, writer.constant(np.array([p.normal_shift], np.float32)))
    scaled = writer.multiply(shifted, writer.constant(np.array([1 / p.normal_scale], np.float32)))
    return writer.reshape(writer.transpose(scaled), (1, p.bands, p.patch_frames, 1))


def cut_frames(writer: GraphWriter, waveform: int, count: int, length: int, hop: int) -> int:
    """[(count − 1) · hop + length] → overlapping frames [count, length].

    The waveform is cut into pieces that both length and hop are multiples of; a frame is the
    pieces that it covers. A table of pieces is far smaller than one of samples.
    """
    piece = gcd(length, hop)
    pieces = writer.reshape(waveform, (writer.shape(waveform)[0] // piece, piece))
    numbers = np.arange(count)[:, None] * (hop // piece) + np.arange(length // piece)
    return writer.reshape(writer.rows(pieces, numbers.astype(np.int32)), (count, length))


class WholeGraph(NamedTuple):
    """A graph under construction that takes the waveform.

    writer: to add operators. scores: the tensor [1, C] of each head, and behind them those of
    `AudioModel.novelties`; embedding: the tensor [1, D], float32. pooled: the
    embedding as the network makes it, where it is the mean over an image whose first axis is time.
    parts: the embeddings of equal parts of the window [columns, D], where the graph has them.
    """

    writer: FramewiseWriter
    scores: list[int]
    embedding: int
    pooled: int | None = None
    parts: int | None = None

    def in_parts(self, scores: int) -> int | None:
        """Scores that were made of the embedding, made of each part's: [1, columns · C], one part
        after the other; None where there are no parts."""
        if self.parts is None:
            return None
        rows = self.writer.on_rows(self.embedding, self.parts, scores)
        columns, classes = self.writer.shape(rows)
        return self.writer.reshape(rows, (1, columns * classes))

    def framewise(self) -> list[int] | None:
        """For each tensor of ``scores``, a float32 one [1, columns, C]; None where there are none.

        It is added by the same rule as `oido.models.tflite.framewise.with_framewise`.
        """
        if self.pooled is None:
            return None
        columns = self.writer.framewise(self.pooled, self.scores)
        return None if columns is None else [self.writer.side_by_side(c) for c in columns]


def whole_graph(model: AudioModel, content: bytes) -> WholeGraph:
    """The model's whole graph, to which operators may be added.

    content: the model's file; where the network was cut out of it, the file's own operators stay
    as they are, and so do its scores to the last bit. Raises OptionError for a model that is
    known as a whole only and has no embedding to build on.
    """
    network = model.network
    if isinstance(network, WholeNetwork) and network.embedding is not None:
        writer = FramewiseWriter.on(network.content)
        outputs = TfliteGraph(network.content).outputs()
        embedding = outputs[network.embedding]
        if len(writer.shape(embedding)) != 2:
            embedding = writer.reshape(embedding, (1, writer.shape(embedding)[-1]))
        parts = None if network.parts is None else outputs[network.parts]
        of_heads = [outputs[head] for head in network.heads]
        return WholeGraph(writer, of_heads, embedding, parts=parts)
    if isinstance(network, LogMelNetwork) and network.is_cut:
        graph = TfliteGraph(content)
        writer = FramewiseWriter.on(content)
        pooled = embedding = graph.embedding()
        if model.precision == "int8":
            embedding = writer.dequantize(embedding)
        if len(writer.shape(embedding)) != 2:
            embedding = writer.reshape(embedding, (1, writer.shape(embedding)[-1]))
        heads = [graph.outputs()[number] for number in network.graph.heads]
        return WholeGraph(writer, heads, embedding, pooled)
    if isinstance(network, EnsembleNetwork):
        raise OptionError(tr("{name} is two networks; export one of them", name=model.name))
    if isinstance(network, FixedPointNetwork):
        raise OptionError(
            tr(
                "{name} is a student: its file is what it is, int8 features in and "
                "scores out; copy it instead",
                name=model.name,
            )
        )
    if not isinstance(network, LogMelNetwork | MnNetwork):
        raise OptionError(
            tr("{name} is known as a whole only: there is nothing to add to it", name=model.name)
        )
    writer = FramewiseWriter(f"{model.name}, {model.precision}", batch=False)
    waveform = writer.input("audio_clip", (model.windows.window_samples,))
    if isinstance(network, LogMelNetwork):
        patch = log_mel(writer, waveform, network.front_end, network.graph)
        scores, embedding = writer.graft(network.graph.network, patch)
        return WholeGraph(writer, [scores], embedding, embedding)
    patch = mn_log_mel(writer, waveform, network.front_end)  # bands first, and then time
    scores, embedding, *_ = writer.graft(network.content, patch)
    return WholeGraph(writer, [scores], embedding)
