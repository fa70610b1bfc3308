# SPDX-License-Identifier: Apache-2.0
"""A trained head behind its network in one .tflite, run and compared with what was judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oido.arrays import F32
from oido.datasets.clip import Clip
from oido.datasets.waveforms import clip_waveforms
from oido.errors import AudioError, ModelFormatError, OptionError
from oido.heads import Head, ScoreCalibration, ScoreTransformation, Sigmoid
from oido.inference.export import FRAMEWISE, SIMILARITY
from oido.inference.predictor import Predictor, whole_runtime
from oido.messages import tr
from oido.models.model import (
    EMBEDDING,
    EMBEDDING_OUTPUT,
    FRAMEWISE_OUTPUT,
    AudioModel,
    LogMelNetwork,
    Notes,
    Novelty,
    WholeNetwork,
)
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.evidence import with_evidence
from oido.models.tflite.front_end import WholeGraph, whole_graph
from oido.models.tflite.metadata import read_metadata
from oido.models.tflite.metadata_writer import PlainOutput, annotate
from oido.params import Windowing
from oido.runtime.litert import WholeRuntime
from oido.signal.framing import Segment, WindowFramer, cut_windows
from oido.training.head import EmbeddingHead
from oido.training.novelty import NoveltyDetector

BASE_HEAD, TAUGHT_HEAD, SIMILARITY_OUTPUT = "base", "scores", "similarity"
BASE_SIMILARITY_OUTPUT = "base_similarity"

_SAME = Sigmoid(1.0, 1.0, 0.0)
"""1 / (1 + exp(−(ln x − ln(1 − x)))) = x: a head's scores are calibrated already, and this says
so to whoever reads the metadata."""


def require_addable(model: AudioModel, *, keep_base: bool = False) -> None:
    """Raise OptionError for a model that no head can be written behind, before one is taught.

    keep_base: or whose own scores cannot stand beside it.
    """
    model.require_embeddings()
    if keep_base and isinstance(model.network, WholeNetwork) and model.network.parts is not None:
        raise OptionError(
            tr(
                "{name} has no scores of its own in one file: leave the base's out (--keep-base)",
                name=model.name,
            )
        )
    whole_graph(model, model.whole_file())


def taught_file(
    model: AudioModel,
    head: EmbeddingHead,
    *,
    name: str,
    thresholds: Mapping[str, float],
    novelty: NoveltyDetector | None,
    keep_base: bool,
    calibrated: bool,
    training: dict[str, Any],
    aggregation: str | None = None,
) -> bytes:
    """The annotated .tflite: waveform in; [the base model's scores,] scores, [the base model's
    similarity,] [similarity] out.

    aggregation: how windows become a clip; None: as heads of its kind do.

    The embedding is the last output, where the file would otherwise be run without (`oido` finds
    YAMNet's by itself). Raises OptionError for a model that nothing can be added to.
    """
    require_addable(model, keep_base=keep_base)
    graph = whole_graph(model, model.whole_file())
    writer = graph.writer
    shared = graph.embedding
    if head.inputs != writer.shape(shared)[-1]:
        shared = writer.evidence(shared if graph.pooled is None else graph.pooled)
    shared = writer.sqrt(writer.relu(shared)) if head.square_root else shared
    tensors: dict[str, int] = {}
    outputs: list[Head | PlainOutput] = []
    pooling = aggregation or ("confident-mean" if head.output == "softmax" else "power-mean")
    aggregations = {TAUGHT_HEAD: pooling}
    if keep_base:
        tensors[BASE_HEAD] = graph.scores[len(model.heads) - 1]  # of the default head, the last
        outputs.append(replace(model.head, name=BASE_HEAD, description=f"{model.name}, as it is"))
        if model.head.aggregation is not None:
            aggregations[BASE_HEAD] = model.head.aggregation
    layers = [(layer.weights, layer.bias) for layer in head.layers_and_quiet]
    scores = writer.scores(shared, layers, head.output)
    if head.quiet is not None:
        scores = writer.first_columns(scores, len(head.classes))
    tensors[TAUGHT_HEAD] = scores
    same = ScoreCalibration((_SAME,) * len(head.classes), ScoreTransformation.INVERSE_LOGISTIC)
    outputs.append(
        Head(
            TAUGHT_HEAD,
            head.classes,
            calibration=same if calibrated else None,
            thresholds=tuple(thresholds.items()),
            description="what was taught",
        )
    )
    if (in_parts := graph.in_parts(tensors[TAUGHT_HEAD])) is not None:
        tensors[FRAMEWISE_OUTPUT] = in_parts
        outputs.append(PlainOutput(FRAMEWISE_OUTPUT, FRAMEWISE))
    base_novelty = None
    if keep_base and model.novelty is not None:  # its head knows of its own classes only
        tensors[BASE_SIMILARITY_OUTPUT] = graph.scores[-1]
        outputs.append(PlainOutput(BASE_SIMILARITY_OUTPUT, SIMILARITY))
        base_novelty = replace(model.novelty, output=BASE_SIMILARITY_OUTPUT)
    if novelty is not None:
        tensors[SIMILARITY_OUTPUT] = _similarity(graph, shared, novelty)
        outputs.append(PlainOutput(SIMILARITY_OUTPUT, SIMILARITY))
    cut = isinstance(model.network, LogMelNetwork)
    if not cut:
        tensors[EMBEDDING_OUTPUT] = graph.embedding
        outputs.append(PlainOutput(EMBEDDING_OUTPUT, EMBEDDING))
    notes = Notes(
        aggregations=aggregations,
        hop_samples=None if cut else model.windows.hop_samples,
        repeat_pause_samples=model.windows.repeat_pause_samples,
        novelty=None if novelty is None else Novelty(SIMILARITY_OUTPUT, novelty.threshold),
        base_novelty=base_novelty,
        training=training,
    )
    return annotate(
        writer.finish(tensors),
        outputs,
        sample_rate_hz=model.windows.sample_rate_hz,
        name=name,
        description=tr(
            "{classes}; taught on {name}", classes=", ".join(head.classes), name=model.name
        ),
        licence=model.licence,
        author=model.attribution,
        notes=notes,
    )


def _similarity(graph: WholeGraph, x: int, novelty: NoveltyDetector) -> int:
    """[1, 1]: that of the window, or of its nearest part, whichever is more."""
    writer = graph.writer
    centred = writer.subtract(x, writer.constant(novelty.centre.reshape(1, -1)))
    directions = np.ascontiguousarray(novelty.directions, np.float32)
    cosines = writer.dense(
        writer.l2_normalize(centred), directions, np.zeros(len(directions), np.float32)
    )
    nearest = writer.maximum(cosines)
    parts = graph.in_parts(nearest)
    if parts is None:
        return nearest
    scale = writer.constant(np.array([novelty.of_parts], np.float32))
    return writer.maximum(writer.side_to_side([nearest, writer.multiply(parts, scale)]))


_CLIPS = 40
_TOLERANCE = 1e-3


class Parity(NamedTuple):
    """What was written, and by how much a score of it differs at most, over so many windows."""

    path: Path
    size_bytes: int
    windows: int
    largest_difference: float


def check_parity(
    model: AudioModel, head: EmbeddingHead, content: bytes, clips: Sequence[Clip], path: Path
) -> Parity:
    """Run the file by LiteRT, as a whole, on windows of up to 40 clips spread over the data.

    Raises ModelFormatError if a score differs by more than 0.001 from the head that was judged.
    """
    raw = TfliteGraph(content).metadata()
    assert raw is not None
    names = [output.name for output in read_metadata(raw, content).outputs]
    runtime = whole_runtime(WholeNetwork(content, (names.index(TAUGHT_HEAD),)))
    predictor = Predictor.of(with_evidence(model))
    count, worst = 0, 0.0
    for segment, cut in _first_windows(model, clips):
        evidence = predictor.predict(segment.waveform, segment.hop_samples).embeddings
        expected = head.scores(evidence[:, : head.inputs])  # the embedding is its beginning
        scores = runtime.run(np.ascontiguousarray(cut)).scores
        worst = max(worst, float(np.abs(scores - expected).max()))
        count += len(cut)
    if not worst <= _TOLERANCE:
        raise ModelFormatError(
            tr(
                "{name} gives other scores than the head that was judged (by up to "
                "{worst:.3f}), so it was not written",
                name=path.name,
                worst=worst,
            )
        )
    return Parity(path, len(content), count, worst)


def with_scale_of_parts(
    novelty: NoveltyDetector, model: AudioModel, clips: Sequence[Clip]
) -> NoveltyDetector:
    """As similar as the nearest part of a clip's window, so is the window: the median of clips."""
    network = model.network
    if not isinstance(network, WholeNetwork) or network.parts is None:
        return novelty
    runtime = WholeRuntime(network.content, (network.parts,), network.embedding)
    ratios = []
    for _, cut in _first_windows(model, clips):
        outputs = runtime.run(np.ascontiguousarray(cut[:1]))
        parts = outputs.scores.reshape(-1, outputs.embeddings.shape[1])
        nearest = float(novelty.similarities(parts).max())
        ratios.append(float(novelty.similarities(outputs.embeddings)[0]) / max(nearest, 1e-3))
    return replace(novelty, of_parts=float(np.median(ratios))) if ratios else novelty


def _first_windows(model: AudioModel, clips: Sequence[Clip]) -> Iterator[tuple[Segment, F32]]:
    """The first windows of up to 40 clips, as one waveform and f32[N, window]."""
    windows = model.windows
    windowing = Windowing.from_seconds(windows, None)
    step = max(1, len(clips) // _CLIPS)
    for _, waveform in clip_waveforms(clips[::step], windows.sample_rate_hz):
        if isinstance(waveform, AudioError):
            continue
        framer = WindowFramer(windowing, 4)
        for segment in (framer.push(waveform[0]) or framer.flush())[:1]:
            yield (
                segment,
                cut_windows(segment.waveform, windows.window_samples, segment.hop_samples),
            )
