# SPDX-License-Identifier: Apache-2.0
"""From a name or a path to a model: found, verified, read, and made ready to run."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from oido.errors import ModelFormatError, ModelNotFoundError, OptionError
from oido.models import fetch
from oido.models.display import audioset_labels, yamnet_labels
from oido.models.graph import CutGraph, TfliteGraph
from oido.models.metadata import read_metadata
from oido.models.model import (
    AudioModel,
    LogMelNetwork,
    MnNetwork,
    Network,
    Precision,
    WholeNetwork,
)
from oido.models.registry import CATALOG, ModelCard, card
from oido.models.yamnet_network import YAMNET_FRONT_END, cut_graph
from oido.params import FrontEndParams, WindowParams

__all__ = ["load_model"]

_MN_WINDOWS = WindowParams(32_000, 320_000, 320, 160_000, 320_000, repeat_pause_samples=64_000)
"""EfficientAT's networks take any length; they were trained on 10 s. Shorter clips are repeated
with 2 s of silence between: the best of the ways that benchmarks/mn04_windowing.py compares."""

_STEPS_PER_SECOND = 100
"""Hops of a whole network are multiples of 10 ms, as YAMNet's are."""


def load_model(
    name_or_path: str | os.PathLike[str],
    say: fetch.Say = lambda _: None,
    precision: Precision | None = None,
) -> AudioModel:
    """A model by its name (fetched if it is not here yet) or by the path of its file.

    A file is a .tflite with metadata, yamnet.h5, or EfficientAT's mn04 (.pt). precision: None is
    the file's own; "float32" runs the weights of a quantised YAMNet with float activations.

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
        return _read(path, path.read_bytes(), known, precision)
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


def _read(
    path: Path, content: bytes, known: ModelCard | None, precision: Precision | None
) -> AudioModel:
    if path.suffix in {".h5", ".pt"}:
        if precision == "int8":
            raise OptionError(f"{path.name} holds float32 weights; there is no int8 precision")
        return _from_weights(path, content, known)
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
    own: Precision = "int8" if graph.is_quantised() else "float32"
    if precision is not None and precision != own:
        network = _in_float32(network, content, precision)
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
        precision=precision or own,
    )


def _from_weights(path: Path, content: bytes, known: ModelCard | None) -> AudioModel:
    """Weights without a graph: the graph is written here."""
    if path.suffix == ".h5":
        from oido.models.yamnet_h5 import from_h5

        log_mel = cut_graph(from_h5(content))
        network: Network = LogMelNetwork(YAMNET_FRONT_END, log_mel, is_cut=False)
        windows, labels = YAMNET_FRONT_END.windows, yamnet_labels()
        classes = log_mel.classes
    else:
        from oido.models import mn04
        from oido.models.torch_file import read_state_dict

        windows = _MN_WINDOWS
        frames = 1 + (windows.window_samples - 1) // windows.step_samples
        network = MnNetwork(mn04.network(read_state_dict(content), frames))
        labels, classes = audioset_labels(), mn04.LABEL_COUNT
    if len(labels) != classes:
        raise ModelFormatError(f"it has {classes} scores, and its classes are {len(labels)}")
    return AudioModel(
        name=known.name if known else path.stem,
        path=path,
        sha256=fetch.sha256_of(content),
        size_bytes=len(content),
        labels=labels,
        windows=windows,
        summary=known.summary if known else "weights of your own",
        licence=known.licence if known else "",
        attribution=known.attribution if known else "",
        card=known,
        network=network,
        precision="float32",
    )


def _in_float32(network: Network, content: bytes, precision: Precision) -> Network:
    if precision != "float32" or not isinstance(network, LogMelNetwork):
        raise OptionError(f"this model cannot be run with {precision} activations")
    from oido.models import yamnet_network
    from oido.models.yamnet_weights import from_int8

    floats = yamnet_network.network(from_int8(content))
    graph = replace(network.graph, network=floats)
    return replace(network, graph=graph, is_cut=False)


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
