# SPDX-License-Identifier: Apache-2.0
"""A model: a verified file, and everything that is known from the file itself."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from oido.errors import ModelFormatError, ModelNotFoundError
from oido.models import fetch
from oido.models.graph import CutGraph, TfliteGraph
from oido.models.metadata import read_metadata
from oido.models.registry import CATALOG, ModelCard, card
from oido.params import FrontEndParams, WindowParams

__all__ = ["AudioModel", "LogMelNetwork", "Network", "WholeNetwork", "load_model"]


_STEPS_PER_SECOND = 100
"""Hops of a whole network are multiples of 10 ms, as YAMNet's are."""


@dataclass(frozen=True)
class LogMelNetwork:
    """A network cut behind a log-mel front end of YAMNet's kind: quick, and gives embeddings."""

    front_end: FrontEndParams
    graph: CutGraph = field(repr=False)


@dataclass(frozen=True)
class WholeNetwork:
    """A classifier that takes the waveform itself, run as it is, window by window."""

    content: bytes = field(repr=False)


Network = LogMelNetwork | WholeNetwork
"""What computes scores, and how; `oido.ears` knows how to run each kind."""


@dataclass(frozen=True)
class AudioModel:
    """What a classifier needs to know of its network; read from the file, never assumed.

    name: the catalogue's name, or the one in the metadata. path, sha256, size_bytes: of the file.
    windows: what the network hears at once. card: None for a file that is not in the catalogue.
    """

    name: str
    path: Path
    sha256: str
    size_bytes: int
    labels: tuple[str, ...]
    windows: WindowParams
    summary: str
    licence: str
    attribution: str
    card: ModelCard | None
    network: Network


def load_model(name_or_path: str | os.PathLike[str], say: fetch.Say = lambda _: None) -> AudioModel:
    """A model by its name (fetched if it is not here yet) or by the path of a .tflite.

    Raises a ModelError: unknown name, no source reachable, wrong hash, or a file that is no audio
    classifier with metadata.
    """
    path = Path(name_or_path)
    known = next((entry for entry in CATALOG if entry.name == os.fspath(name_or_path)), None)
    if known is not None:
        path = fetch.fetch(known, say)
    elif not os.path.isfile(path):
        if path.suffix == ".tflite" or os.path.isdir(path):
            raise ModelNotFoundError(f"{path}: no such model file")
        card(os.fspath(name_or_path))  # raises, naming the models that exist
    try:
        return _read(path, path.read_bytes(), known)
    except OSError as error:
        raise ModelNotFoundError(f"{path}: cannot be read ({error.strerror})") from error
    except ModelFormatError as error:
        raise ModelFormatError(f"{path}: {error}") from error
    # A damaged graph points anywhere: this is the one boundary where that is told as what it is.
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelFormatError(
            f"{path}: its graph makes no sense ({type(error).__name__}: {error}); "
            "the file is damaged"
        ) from error


def _read(path: Path, content: bytes, known: ModelCard | None) -> AudioModel:
    graph = TfliteGraph(content)
    raw = graph.metadata()
    if raw is None:
        raise ModelFormatError(
            "it has no metadata: labels and sample rate are not known. If you know them, add them: "
            f"oido models annotate {path.name} --labels labels.txt --sample-rate 16000"
        )
    metadata = read_metadata(raw, content)
    audio = metadata.inputs[0] if metadata.inputs else None
    if audio is None or audio.sample_rate_hz is None:
        raise ModelFormatError("its metadata give no sample rate, so it is no audio model")
    if audio.channels != 1:
        raise ModelFormatError(f"it wants {audio.channels} channels, and oido gives one")
    network, windows, classes = _network(graph, content, audio.sample_rate_hz)
    labels = metadata.labels()
    if len(labels) != classes:
        raise ModelFormatError(f"it has {classes} scores but {len(labels)} labels")
    return AudioModel(
        name=known.name if known else metadata.name or path.stem,
        path=path,
        sha256=fetch.sha256_of(content),
        size_bytes=len(content),
        labels=labels,
        windows=windows,
        summary=known.summary if known else metadata.description,
        licence=known.licence if known else metadata.licence,
        attribution=known.attribution if known else metadata.author,
        card=known,
        network=network,
    )


def _network(
    graph: TfliteGraph, content: bytes, sample_rate_hz: int
) -> tuple[Network, WindowParams, int]:
    """The network, its windows, and its number of classes."""
    if graph.has_spectrum():
        cut = graph.cut_front_end()
        front_end = _front_end_params(cut, sample_rate_hz)
        return LogMelNetwork(front_end, cut), front_end.windows, cut.classes
    window_samples, classes = graph.waveform_shape()
    step = max(1, sample_rate_hz // _STEPS_PER_SECOND)
    hop = max(1, window_samples // 2 // step) * step
    longest = max(1, window_samples // step) * step
    windows = WindowParams(sample_rate_hz, window_samples, step, hop, longest)
    return WholeNetwork(content), windows, classes


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
            f"{cut.input_samples} samples do not divide into {cut.patch_frames} frames"
        )
    return params
