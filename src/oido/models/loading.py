# SPDX-License-Identifier: Apache-2.0
"""From a name or a path to a model: found, verified, read, made ready to run; or two as one."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from oido.errors import ModelFormatError, OptionError
from oido.heads import Head, ScoreKind, ScoreTransformation
from oido.messages import tr
from oido.models import cache, fetch
from oido.models.damage import refuse_damage
from oido.models.labels import label_indices, yamnet_labels
from oido.models.model import (
    EMBEDDING,
    EMBEDDING_OUTPUT,
    FIXED_POINT,
    FRAMEWISE_OUTPUT,
    AudioModel,
    EnsembleNetwork,
    FixedPointNetwork,
    LogMelNetwork,
    Network,
    Notes,
    Precision,
    WholeNetwork,
)
from oido.models.networks import yamnet
from oido.models.registry import (
    BIRDNET,
    BIRDNET_RATE_HZ,
    ENSEMBLE,
    ENSEMBLE_MEMBERS,
    ENSEMBLE_THRESHOLD,
    ModelCard,
)
from oido.models.tflite.editor import CutGraph, TfliteGraph
from oido.models.tflite.metadata import MOST_LABELS, ModelMetadata, read_metadata
from oido.models.tflite.metadata_writer import PlainOutput, annotate, rewritten
from oido.models.tflite.packing import unpack
from oido.models.tflite.waveform import must_fix_shapes, prepare, takes_any_length, waveform_first
from oido.models.tflite.yamnet_reader import from_float, from_int8
from oido.params import FixedPointParams, FrontEndParams, Windowing, WindowParams

_PIECE_SECONDS, _PAUSE_SECONDS = 5, 2


def ensemble(first: AudioModel, second: AudioModel) -> AudioModel:
    """Both together: labels, windows and embeddings of the first.

    Raises UnknownLabelError if the second does not know a label of the first.
    """
    rate = second.windows.sample_rate_hz
    pieces = Windowing(
        rate, _PIECE_SECONDS * rate, _PIECE_SECONDS * rate // 2, _PAUSE_SECONDS * rate
    )
    columns = tuple(label_indices(second.labels, first.labels))
    thresholds = tuple((label, ENSEMBLE_THRESHOLD) for label in first.labels)
    return replace(
        first,
        name=ENSEMBLE,
        sha256=cache.sha256_of(f"{first.sha256} {second.sha256}".encode()),
        size_bytes=first.size_bytes + second.size_bytes,
        heads=(Head("scores", first.labels, thresholds=thresholds),),
        summary=f"{first.name} and {second.name}, heard together",
        licence=f"{first.licence} and {second.licence}",
        attribution=f"{first.attribution}; {second.attribution}",
        card=None,
        network=EnsembleNetwork(first, second, columns, pieces),
    )


_OPEN_WINDOW_SECONDS = 1
"""Of a graph that takes any length, where nobody says how long a window is."""

_STEPS_PER_SECOND = 100
"""Hops of a whole network are multiples of 10 ms, as YAMNet's are."""


def load_model(
    name_or_path: str | os.PathLike[str],
    on_message: fetch.OnMessage = lambda _: None,
    precision: Precision | None = None,
    window_seconds: float | None = None,
) -> AudioModel:
    """A model by its name (fetched if it is not here yet) or by the path of its file.

    "ensemble" is `yamnet/classification` and `efficientat/mn04`, their scores combined.

    A file is a .tflite with metadata, YAMNet's own float .tflite or yamnet.h5, or weights of
    EfficientAT, CED or EfficientSED (.pt). precision: None is the file's own; "float32" runs the
    weights of a quantised YAMNet with float activations. window_seconds: of a network that takes
    any length (mn04: 10 s).

    Raises a ModelError: unknown name, no source reachable, wrong hash, or a file that is no audio
    classifier with metadata.
    """
    if os.fspath(name_or_path) == ENSEMBLE:
        if window_seconds is not None:
            raise OptionError(
                tr("the ensemble hears windows of one length, which cannot be chosen")
            )
        first, second = ENSEMBLE_MEMBERS
        return ensemble(load_model(first, on_message, precision), load_model(second, on_message))
    model = fetch.read_model(
        name_or_path, lambda *file: _read(_File(*file), precision, window_seconds), on_message
    )
    if precision not in (None, model.precision):
        raise OptionError(
            tr("{name} holds float32 weights; there is no int8 precision", name=model.path.name)
        )
    return model


def is_calibrated(name_or_path: str | os.PathLike[str], head: str | None = None) -> bool:
    """Whether this head (None: the last) has a score calibration, from the metadata alone.

    False for what cannot be read; `load_model` raises the reason.
    """
    found = licence_and_head(name_or_path, head)[1]
    return found is not None and found.calibration is not None


def licence_and_head(
    name_or_path: str | os.PathLike[str], head: str | None = None
) -> tuple[str, Head | None]:
    """The licence of a .tflite and one of its heads, likewise; "" and None for what has none."""
    path = Path(name_or_path)
    if fetch.kind_of(path) != ".tflite" or not path.is_file():
        return "", None
    try:
        with refuse_damage(tr("damaged")):
            content = waveform_first(path.read_bytes())
            graph = TfliteGraph(content)
            if (raw := graph.metadata()) is None:
                return "", None
            metadata = read_metadata(raw, content)
            heads = _heads(graph, metadata).values()
    except ModelFormatError:
        return "", None
    wanted = [h for h in heads if head in (None, h.name)]
    return metadata.licence, wanted[-1] if wanted else None


class _File(NamedTuple):
    """A model's file; known: its card, if it is one of the catalogue."""

    path: Path
    content: bytes
    known: ModelCard | None


def _read(file: _File, precision: Precision | None, window_seconds: float | None) -> AudioModel:
    path, content, known = file
    kind = fetch.kind_of(path)
    # Once, for all who ask below: it takes a while.
    parsed = None if kind in {".h5", ".pt"} else unpack(content)
    is_open = kind == ".pt" or (parsed is not None and takes_any_length(content, parsed))
    if window_seconds is not None and not is_open:
        raise OptionError(
            tr("{name} hears windows of one length, which cannot be chosen", name=path.name)
        )
    if kind in {".h5", ".pt"}:
        return _from_weights(file, window_seconds)
    labelled = content if known is None else _with_labels(file, known)
    first = waveform_first(labelled, parsed=parsed if labelled is content else None)
    graph = TfliteGraph(first, parsed if first is content else None)
    content = first
    raw = graph.metadata()
    metadata = None if raw is None else read_metadata(raw, content)
    # Converters leave files without their labels.
    if metadata is None or not any(o.label_file in metadata.files for o in metadata.outputs):
        with suppress(ModelFormatError):
            return _original(file, from_float(content))
    if metadata is None:
        raise ModelFormatError(
            tr(
                "it has no metadata: labels and sample rate are not known. If you "
                "know them, add them: oido models annotate {name} --labels "
                "labels.txt --sample-rate 16000",
                name=path.name,
            )
        )
    audio = metadata.inputs[0] if metadata.inputs else None
    if audio is None or audio.sample_rate_hz is None:
        raise ModelFormatError(tr("its metadata give no sample rate, so it is no audio model"))
    if audio.channels != 1:
        raise ModelFormatError(
            tr("it wants {channels} channels, and oido gives one", channels=audio.channels)
        )
    heads = _heads(graph, metadata)
    notes = metadata.notes()
    named = [output.name for output in metadata.outputs]
    novelty = notes.novelty if notes.novelty and notes.novelty.output in named else None
    columns = (*heads, *([named.index(novelty.output)] if novelty else []))
    samples = notes.window_samples or audio.sample_rate_hz * _OPEN_WINDOW_SECONDS
    if window_seconds is not None:
        samples = round(window_seconds * audio.sample_rate_hz)
    whole = _Whole(content, metadata, audio.sample_rate_hz, heads, columns, samples)
    network, windows = _network(graph, whole)
    windows = replace(
        windows,
        hop_samples=notes.hop_samples or windows.hop_samples,
        repeat_pause_samples=notes.repeat_pause_samples,
    )
    own: Precision = "int8" if graph.is_quantised() else "float32"
    if precision is not None and precision != own:
        network = _in_float32(network, content, precision)
    return _model(
        file,
        metadata,
        heads=tuple(heads.values()),
        windows=windows,
        network=network,
        precision=precision or own,
        novelty=novelty,
    )


def _with_labels(file: _File, known: ModelCard) -> bytes:
    """A published file with what it does not say of itself: BirdNET's labels, rate and logits."""
    if known.name != BIRDNET:
        return file.content
    labels = fetch.fetch(known.companions[0]).read_text(encoding="utf-8").splitlines()
    return annotate(
        file.content,
        [Head("scores", tuple(labels))],
        sample_rate_hz=BIRDNET_RATE_HZ,
        name=known.name,
        description=known.summary,
        licence=known.licence,
        author=known.attribution,
        notes=Notes(kinds={"scores": "logits"}),
    )


def _in_float32(network: Network, content: bytes, precision: Precision) -> Network:
    if precision != "float32" or not isinstance(network, LogMelNetwork):
        raise OptionError(
            tr("this model cannot be run with {precision} activations", precision=precision)
        )
    floats = yamnet.network(from_int8(content))
    graph = replace(network.graph, network=floats)
    return replace(network, graph=graph, is_cut=False)


def _heads(graph: TfliteGraph, metadata: ModelMetadata) -> dict[int, Head]:
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


def _network(graph: TfliteGraph, whole: _Whole) -> tuple[Network, WindowParams]:
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


def _from_weights(file: _File, window_seconds: float | None) -> AudioModel:
    """Weights without a graph: the graph is written here."""
    if fetch.kind_of(file.path) == ".h5":
        from oido.models.networks.yamnet_h5 import from_h5

        return _original(file, from_h5(file.content))
    from oido.models.torch_models import from_torch

    found = from_torch(file.content, file.known, window_seconds)
    return _float_model(file, found.network, found.windows, found.labels)


def _original(file: _File, weights: yamnet.YamNetWeights) -> AudioModel:
    """The float YAMNet, whatever file its weights are from."""
    labels = yamnet_labels()
    if weights.classes != len(labels):
        raise ModelFormatError(
            tr(
                "it has {classes} scores, and YAMNet {n_labels}",
                classes=weights.classes,
                n_labels=len(labels),
            )
        )
    network = LogMelNetwork(yamnet.YAMNET_FRONT_END, yamnet.cut_graph(weights), is_cut=False)
    return _float_model(file, network, yamnet.YAMNET_FRONT_END.windows, labels)


def _model(file: _File, metadata: ModelMetadata, **rest: Any) -> AudioModel:
    """The catalogue's facts come before those of the file."""
    path, content, known = file
    return AudioModel(
        name=known.name if known else metadata.name or path.stem,
        path=path,
        sha256=cache.sha256_of(content),
        size_bytes=len(content),
        summary=known.summary if known else metadata.description,
        licence=known.licence if known else metadata.licence,
        attribution=known.attribution if known else metadata.author,
        card=known,
        **rest,
    )


def _float_model(
    file: _File, network: Network, windows: WindowParams, labels: tuple[str, ...]
) -> AudioModel:
    facts = ModelMetadata("", tr("weights of your own"), "", "", (), (), {})
    rest = {"network": network, "windows": windows, "precision": "float32"}
    return _model(file, facts, heads=(Head("scores", labels),), **rest)
