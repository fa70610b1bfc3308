# SPDX-License-Identifier: Apache-2.0
"""From the graph of a .tflite and its metadata to heads, and to a network that gives their scores.

A student's and YAMNet's own graphs are run behind front ends of oido's; others as a whole, after
what they lack is added: a shape that is fixed, scores of 0..1, and the embedding.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

from oido.errors import ModelFormatError, OptionError
from oido.heads import Head, ScoreKind, ScoreTransformation
from oido.messages import tr
from oido.models import cache
from oido.models.model import (
    EMBEDDING,
    EMBEDDING_OUTPUT,
    FIXED_POINT,
    FRAMEWISE_OUTPUT,
    FixedPointNetwork,
    LogMelNetwork,
    Network,
    Novelty,
    Precision,
    WholeNetwork,
)
from oido.models.networks import yamnet
from oido.models.tflite.editor import CutGraph, TfliteGraph
from oido.models.tflite.metadata import MOST_LABELS, ModelMetadata, read_metadata
from oido.models.tflite.metadata_writer import PlainOutput, rewritten
from oido.models.tflite.waveform import must_fix_shapes, prepare
from oido.models.tflite.yamnet_reader import from_int8
from oido.params import FixedPointParams, FrontEndParams, WindowParams

_OPEN_WINDOW_SECONDS = 1
"""Of a graph that takes any length, where nobody says how long a window is."""

_STEPS_PER_SECOND = 100
"""Hops of a whole network are multiples of 10 ms, as YAMNet's are."""


class GraphNetwork(NamedTuple):
    """What a graph with metadata is, as `AudioModel` has it."""

    heads: tuple[Head, ...]
    network: Network
    windows: WindowParams
    precision: Precision
    novelty: Novelty | None
    base_novelty: Novelty | None


def graph_network(
    graph: TfliteGraph,
    content: bytes,
    metadata: ModelMetadata,
    precision: Precision | None = None,
    window_seconds: float | None = None,
) -> GraphNetwork:
    """A graph that hears a waveform, and its metadata, as a network with heads.

    content: the whole file. precision, window_seconds: as of `oido.models.loading.load_model`.
    Raises ModelFormatError for one that is no audio classifier, OptionError for a precision that it
    has not.
    """
    audio = metadata.inputs[0] if metadata.inputs else None
    if audio is None or audio.sample_rate_hz is None:
        raise ModelFormatError(tr("its metadata give no sample rate, so it is no audio model"))
    if audio.channels != 1:
        raise ModelFormatError(
            tr("it wants {channels} channels, and oido gives one", channels=audio.channels)
        )
    heads = heads_of(graph, metadata)
    notes = metadata.notes()
    named = [output.name for output in metadata.outputs]
    novelties = [
        each if each and each.output in named and len(heads) >= n_heads else None
        for each, n_heads in ((notes.novelty, 1), (notes.base_novelty, 2))
    ]
    novelty, base_novelty = novelties
    columns = (*heads, *(named.index(each.output) for each in (base_novelty, novelty) if each))
    samples = notes.window_samples or audio.sample_rate_hz * _OPEN_WINDOW_SECONDS
    if window_seconds is not None:
        samples = round(window_seconds * audio.sample_rate_hz)
    whole = _Whole(content, metadata, audio.sample_rate_hz, heads, columns, samples)
    network, windows = _network_of(graph, whole)
    windows = replace(
        windows,
        hop_samples=notes.hop_samples or windows.hop_samples,
        repeat_pause_samples=notes.repeat_pause_samples,
    )
    own: Precision = "int8" if graph.is_quantised() else "float32"
    if precision is not None and precision != own:
        network = _in_float32(network, content, precision)
    return GraphNetwork(tuple(heads.values()), network, windows, precision or own, *novelties)


def _in_float32(network: Network, content: bytes, precision: Precision) -> Network:
    refused = OptionError(
        tr("this model cannot be run with {precision} activations", precision=precision)
    )
    if precision != "float32" or not isinstance(network, LogMelNetwork):
        raise refused
    if len(network.graph.heads) > 1:
        raise refused
    try:
        floats = yamnet.network(from_int8(content))
    except ModelFormatError as error:  # another head is behind the network
        raise refused from error
    graph = replace(network.graph, network=floats)
    return replace(network, graph=graph, is_cut=False)


def heads_of(graph: TfliteGraph, metadata: ModelMetadata) -> dict[int, Head]:
    """What is known of each output that gives scores, by its number."""
    sizes = graph.output_sizes()
    outputs = range(min(len(sizes), len(metadata.outputs)))
    heads: dict[int, Head] = {}
    for number in outputs:
        if (found := metadata.head(number)) is not None:
            kinds = metadata.notes().kinds
            heads[number] = _of_kind(found, kinds.get(found.name) or graph.score_kind(number))
        # Many outputs may name one long list.
        if sum(len(head.labels) for head in heads.values()) > MOST_LABELS:
            raise ModelFormatError(
                tr("its outputs have more than {most_labels:,} labels", most_labels=MOST_LABELS)
            )
    if not heads:
        raise ModelFormatError(tr("the model's metadata name no label file for its scores"))
    for number, head in heads.items():
        if len(head.labels) != sizes[number]:
            raise ModelFormatError(
                tr(
                    "it has {sizes} scores but {n_labels} labels",
                    sizes=sizes[number],
                    n_labels=len(head.labels),
                )
                + (tr(" (output {name!r})", name=head.name) if len(heads) > 1 else "")
            )
    names = [head.name or f"output {number}" for number, head in heads.items()]
    if len(set(names)) < len(names):  # heads are chosen by name
        names = [f"output {number}" for number in heads]
    return {n: replace(head, name=name) for (n, head), name in zip(heads.items(), names)}


def _of_kind(head: Head, kind: ScoreKind | None) -> Head:
    """A head of scores of 0..1: what its metadata say of logits is said of their sigmoid."""
    calibration, threshold = head.calibration, head.score_threshold
    if kind is None or kind != "logits":
        return replace(head, kind=kind or "sigmoid")
    if calibration is not None:
        if calibration.transformation is not ScoreTransformation.IDENTITY:
            return head  # which is for scores of 0..1
        inverse = ScoreTransformation.INVERSE_LOGISTIC
        sigmoids = tuple(
            s if s is None or s.min_score is None else replace(s, min_score=_sigmoid(s.min_score))
            for s in calibration.sigmoids
        )
        calibration = replace(calibration, sigmoids=sigmoids, transformation=inverse)
    if threshold is not None:
        threshold = _sigmoid(threshold)
    return replace(head, kind=kind, calibration=calibration, score_threshold=threshold)


def _sigmoid(x: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(x, -80.0), 80.0)))


class _Whole(NamedTuple):
    """A .tflite that was read. heads: by the number of their output; columns: the outputs whose
    scores are read, beside the heads that of the novelty. window_samples: if it takes any length.
    """

    content: bytes
    metadata: ModelMetadata
    sample_rate_hz: int
    heads: dict[int, Head]
    columns: tuple[int, ...]
    window_samples: int

    @property
    def logits(self) -> tuple[int, ...]:
        return tuple(number for number, head in self.heads.items() if head.kind == "logits")


def _network_of(graph: TfliteGraph, whole: _Whole) -> tuple[Network, WindowParams]:
    """The network and its windows."""
    if (front_end_name := whole.metadata.notes().front_end) is not None:
        params = _student_params(graph, front_end_name, whole)
        return FixedPointNetwork(params, whole.content), params.windows
    if graph.has_spectrum() and graph.takes_floats() and not whole.logits:
        try:
            cut = graph.cut_front_end(whole.columns)
            front_end = _front_end_params(cut, whole.sample_rate_hz)
        except ModelFormatError:
            pass  # another front end than those that are known: it is run as a whole
        else:
            return LogMelNetwork(front_end, cut), front_end.windows
    graph.require_order()
    content, is_file = _runnable(whole)
    graph = TfliteGraph(content)
    window_samples, _ = graph.waveform_shape()
    rate = whole.sample_rate_hz
    step = max(1, rate // _STEPS_PER_SECOND)
    hop = max(1, window_samples // 2 // step) * step
    longest = max(1, window_samples // step) * step
    windows = WindowParams(rate, window_samples, step, hop, longest)
    raw = graph.metadata()
    named = [] if raw is None else [o.name for o in read_metadata(raw, content).outputs]
    embedding = named.index(EMBEDDING_OUTPUT) if EMBEDDING_OUTPUT in named else None
    if embedding in whole.columns:
        embedding = None
    framewise = _framewise_output(graph, named, [len(h.labels) for h in whole.heads.values()])
    return WholeNetwork(content, whole.columns, embedding, is_file, framewise), windows


def _framewise_output(
    graph: TfliteGraph, named: list[str], sizes: list[int]
) -> tuple[int, int] | None:
    """The only head's scores of equal parts of a window in a row, and how many parts they are of.

    named: the outputs; sizes: how many labels each head has.
    """
    if FRAMEWISE_OUTPUT not in named or len(sizes) != 1:
        return None
    number = named.index(FRAMEWISE_OUTPUT)
    columns, rest = divmod(graph.output_sizes()[number], sizes[0])
    return None if rest or columns < 2 else (number, columns)


def _student_params(graph: TfliteGraph, name: str, whole: _Whole) -> FixedPointParams:
    """The front end of a student. Raises ModelFormatError for one that this oido does not have."""
    params = FixedPointParams()
    if name != FIXED_POINT:
        raise ModelFormatError(
            tr("its front end, {name!r}, is of a newer oido; update oido", name=name)
        )
    graph.require_order()
    shape = (1, params.patch_frames, params.bands, 1)
    if graph.int8_input_shape() != shape or whole.sample_rate_hz != params.sample_rate_hz:
        raise ModelFormatError(tr("it takes no patches of the front end that it names"))
    return params


def _runnable(whole: _Whole) -> tuple[bytes, bool]:
    """A file that takes one window of float32 and gives scores of 0..1, and if there is one the
    pool before them; whether what the given one had is as it was."""
    metadata, notes = whole.metadata, whole.metadata.notes()

    def prepared() -> tuple[bytes, bool]:
        found = prepare(
            whole.content,
            sample_rate_hz=whole.sample_rate_hz,
            heads=tuple(whole.heads),
            logits=whole.logits,
            inputs=notes.inputs,
            window_samples=whole.window_samples,
            finds_embedding=EMBEDDING_OUTPUT not in [o.name for o in metadata.outputs],
        )
        if found.content is whole.content:
            return whole.content, True
        more = [PlainOutput(EMBEDDING_OUTPUT, EMBEDDING)] if found.has_embedding else []
        kinds: dict[str, ScoreKind] = {n: k for n, k in notes.kinds.items() if k != "logits"}
        own = replace(notes, kinds=kinds, inputs={}, window_samples=None)
        heads = list(whole.heads.values())
        return rewritten(metadata, found.content, heads, more, whole.sample_rate_hz, own), (
            found.is_file
        )

    if not must_fix_shapes(whole.content):
        return prepared()
    chosen = repr((whole.columns, whole.logits, notes.inputs, whole.window_samples))
    kind = f"waveform-{cache.sha256_of(chosen.encode())[:8]}"
    return cache.derived_graph(cache.sha256_of(whole.content), kind, lambda: prepared()[0]), False


def _front_end_params(cut: CutGraph, sample_rate_hz: int) -> FrontEndParams:
    window = len(cut.window)
    hop, rest = divmod(cut.input_samples - window, cut.patch_frames - 1)
    params = FrontEndParams(
        sample_rate_hz=sample_rate_hz,
        window_samples=window,
        hop_samples=hop,
        fft_samples=2 * (cut.mel.shape[1] - 1),
        patch_frames=cut.patch_frames,
    )
    if rest or hop < 1 or params.fft_samples < window:
        raise ModelFormatError(
            tr(
                "{input_samples} samples do not divide into {patch_frames} frames",
                input_samples=cut.input_samples,
                patch_frames=cut.patch_frames,
            )
        )
    return params
