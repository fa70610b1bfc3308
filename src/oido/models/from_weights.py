# SPDX-License-Identifier: Apache-2.0
"""Models from files that hold weights alone: their graphs are written here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from oido.errors import ModelFormatError, OptionError
from oido.heads import Head
from oido.models import fetch
from oido.models.fetch import derived_graph
from oido.models.labels import audioset_labels, yamnet_labels
from oido.models.model import AudioModel, LogMelNetwork, MnNetwork, Network
from oido.models.networks.yamnet import YAMNET_FRONT_END, cut_graph
from oido.models.networks.yamnet_weights import YamNetWeights
from oido.models.registry import ModelCard
from oido.params import MnFrontEndParams, WindowParams

__all__ = ["from_weights", "original"]

_MN_WINDOWS = WindowParams(32_000, 320_000, 320, 160_000, 320_000, repeat_pause_samples=64_000)
"""EfficientAT's networks take any length; they were trained on 10 s. Shorter clips are repeated
with 2 s of silence between: the best of the ways that benchmarks/mn04_windowing.py compares."""


def from_weights(
    path: Path, content: bytes, known: ModelCard | None, window_seconds: float | None
) -> AudioModel:
    """Weights without a graph: the graph is written here."""
    if path.suffix == ".h5":
        from oido.models.networks.yamnet_h5 import from_h5

        return original(path, content, known, from_h5(content))
    from oido.models.networks import mn04
    from oido.models.networks.torch_file import read_state_dict

    windows = _MN_WINDOWS if window_seconds is None else _mn_windows(window_seconds)
    mn = MnFrontEndParams(window_samples=windows.window_samples)
    frames = mn.patch_frames

    def write() -> bytes:
        state = read_state_dict(content)
        graph = mn04.network(state, frames)
        if (classes := len(state["classifier.5.bias"])) != mn04.LABEL_COUNT:
            raise ModelFormatError(f"it has {classes} scores, and mn04 {mn04.LABEL_COUNT}")
        return graph

    graph = derived_graph(fetch.sha256_of(content), f"mn04-{frames}", write)
    network = MnNetwork(mn, graph)
    return _float_model(path, content, known, network, windows, audioset_labels())


def original(
    path: Path, content: bytes, known: ModelCard | None, weights: YamNetWeights
) -> AudioModel:
    """The float YAMNet, whatever file its weights are from."""
    labels = yamnet_labels()
    if weights.classes != len(labels):
        raise ModelFormatError(f"it has {weights.classes} scores, and YAMNet {len(labels)}")
    network = LogMelNetwork(YAMNET_FRONT_END, cut_graph(weights), is_cut=False)
    return _float_model(path, content, known, network, YAMNET_FRONT_END.windows, labels)


def _float_model(
    path: Path,
    content: bytes,
    known: ModelCard | None,
    network: Network,
    windows: WindowParams,
    labels: tuple[str, ...],
) -> AudioModel:
    return AudioModel(
        name=known.name if known else path.stem,
        path=path,
        sha256=fetch.sha256_of(content),
        size_bytes=len(content),
        heads=(Head("scores", labels),),
        windows=windows,
        summary=known.summary if known else "weights of your own",
        licence=known.licence if known else "",
        attribution=known.attribution if known else "",
        card=known,
        network=network,
        precision="float32",
    )


def _mn_windows(seconds: float) -> WindowParams:
    """Windows of another length than the one it was trained on, half of it apart."""
    longest = _MN_WINDOWS.window_samples / _MN_WINDOWS.sample_rate_hz
    if not 0.5 <= seconds <= longest:
        raise OptionError(f"a window of this model is 0.5 s to {longest:g} s, not {seconds:g}")
    step = _MN_WINDOWS.step_samples
    samples = round(seconds * _MN_WINDOWS.sample_rate_hz / step) * step
    hop = max(1, samples // 2 // step) * step
    return replace(
        _MN_WINDOWS, window_samples=samples, hop_samples=hop, longest_hop_samples=samples
    )
