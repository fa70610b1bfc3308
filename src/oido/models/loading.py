# SPDX-License-Identifier: Apache-2.0
"""From a name or a path to a model: found, verified, read, made ready to run; or two as one."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from oido.errors import ModelFormatError, OptionError
from oido.heads import Head
from oido.messages import joined, tr
from oido.models import cache, fetch
from oido.models.damage import refuse_damage
from oido.models.graph_network import graph_network, heads_of
from oido.models.labels import label_indices, yamnet_labels
from oido.models.model import AudioModel, EnsembleNetwork, LogMelNetwork, Network, Notes, Precision
from oido.models.networks import yamnet
from oido.models.registry import (
    BIRDNET,
    BIRDNET_RATE_HZ,
    ENSEMBLE,
    ENSEMBLE_MEMBERS,
    ENSEMBLE_THRESHOLD,
    ModelCard,
    is_free_name,
)
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.metadata import ModelMetadata, read_metadata
from oido.models.tflite.metadata_writer import annotate
from oido.models.tflite.packing import unpack
from oido.models.tflite.waveform import takes_any_length, waveform_first
from oido.models.tflite.yamnet_reader import from_float
from oido.params import Windowing, WindowParams

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
        summary=tr("{first} and {second}, heard together", first=first.name, second=second.name),
        licence=joined(tr(" and "), (first.licence, second.licence)),
        attribution=joined("; ", (first.attribution, second.attribution)),
        card=None,
        network=EnsembleNetwork(first, second, columns, pieces),
    )


def giver_of_embeddings(model: AudioModel) -> AudioModel:
    """The model of one network whose embeddings these are."""
    return model.network.first if isinstance(model.network, EnsembleNetwork) else model


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
            heads = heads_of(graph, metadata).values()
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
    found = graph_network(graph, content, metadata, precision, window_seconds)
    return _model(file, metadata, **found._asdict())


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
    sha256 = cache.sha256_of(content)
    return AudioModel(
        name=known.name if known else _own_name(path, metadata, sha256),
        path=path,
        sha256=sha256,
        size_bytes=len(content),
        summary=known.summary if known else metadata.description,
        licence=known.licence if known else metadata.licence,
        attribution=known.attribution if known else metadata.author,
        card=known,
        **rest,
    )


def _own_name(path: Path, metadata: ModelMetadata, sha256: str) -> str:
    """What its metadata say, or its file is called; by a name of the catalogue only that file goes,
    since whoever reads the name elsewhere would get that one."""
    names = (metadata.name, path.stem, path.name)
    return next((n for n in names if n and is_free_name(n, sha256)), f"{path.name}.tflite")


def _float_model(
    file: _File, network: Network, windows: WindowParams, labels: tuple[str, ...]
) -> AudioModel:
    facts = ModelMetadata("", tr("weights of your own"), "", "", (), (), {})
    rest = {"network": network, "windows": windows, "precision": "float32"}
    return _model(file, facts, heads=(Head("scores", labels),), **rest)
