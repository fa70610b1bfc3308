# SPDX-License-Identifier: Apache-2.0
"""Published PyTorch weights (.pt) to a network that runs; the tensors show which one it is.

EfficientAT's mn (any width) and dymn, CED-tiny and CED-mini, EfficientSED's frame-wise mn. Their
graphs are written here once and kept in the cache. Those that take the waveform themselves are
whole files with metadata.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from numpy.typing import NDArray

from oido.errors import ModelFormatError, OptionError
from oido.heads import Head
from oido.messages import tr
from oido.models import cache
from oido.models.labels import audioset_labels, audioset_strong_labels
from oido.models.model import EMBEDDING, EMBEDDING_OUTPUT, MnNetwork, Network, WholeNetwork
from oido.models.networks import ced, dymn, frame_mn, mn04
from oido.models.networks.torch_file import read_state_dict
from oido.models.registry import ModelCard
from oido.models.tflite.builder import GraphWriter
from oido.models.tflite.front_end import mn_log_mel
from oido.models.tflite.metadata_writer import PlainOutput, annotate
from oido.params import MnFrontEndParams, WindowParams

_MN_WINDOWS = WindowParams(32_000, 320_000, 320, 160_000, 320_000, repeat_pause_samples=64_000)
"""EfficientAT's networks take any length; they were trained on 10 s. Shorter clips are repeated
with 2 s of silence between: the best of the ways that benchmarks/mn04_windowing.py compares."""

_CLOSE_WINDOWS = WindowParams(16_000, 160_000, 160, 80_000, 160_000, repeat_pause_samples=32_000)
"""Of the networks at 16 kHz, which were trained on 10 s, too; that short clips are best filled in
the same way was not measured for these."""

_SED_FRONT_END = MnFrontEndParams(
    sample_rate_hz=16_000,
    window_samples=160_000,
    hop_samples=160,
    analysis_samples=400,
    fft_samples=512,
    high_hz=7_000.0,
    log_offset=0.0,
    log_floor=1e-7,
)
"""EfficientSED's: as EfficientAT's, at half the rate, and with a floor in place of an offset."""


class TorchModel(NamedTuple):
    """name: as the catalogue calls it, or would."""

    name: str
    network: Network
    windows: WindowParams
    labels: tuple[str, ...]


State = Mapping[str, NDArray[Any]]
Derived = Callable[[str, Callable[[], bytes]], bytes]
"""A kind of graph, and what writes it → the graph, from the cache if it is there."""


def from_torch(content: bytes, known: ModelCard | None, window_seconds: float | None) -> TorchModel:
    """The network of a .pt file. window_seconds: of its windows, where they may be chosen.

    known: the card of a file of the catalogue. Raises ModelFormatError for weights that are of no
    network that is known, or of another one than the card's; OptionError for a window that is not
    possible.
    """
    state, sha256 = read_state_dict(content), cache.sha256_of(content)
    read = _mn
    if "patch_embed.proj.weight" in state:
        read = _ced
    elif frame_mn.is_frame_wise(state):
        read = _frame_wise
    elif "in_c.0.weight" in state:
        read = _dynamic
    found = read(state, partial(cache.derived_graph, sha256), window_seconds)
    if known is not None and found.name != known.name:
        raise ModelFormatError(
            tr(
                "these are the weights of {name}, not of {known_name}",
                name=found.name,
                known_name=known.name,
            )
        )
    return found


def _mn(state: State, derived: Derived, seconds: float | None) -> TorchModel:
    windows = _chosen(_MN_WINDOWS, seconds)
    params = MnFrontEndParams(window_samples=windows.window_samples)
    frames, name = params.patch_frames, mn04.name_of(state)

    def write() -> bytes:
        graph = mn04.network(state, frames)
        _require_audioset(len(state["classifier.5.bias"]), name)
        return graph

    network = MnNetwork(params, derived(f"mn04-{frames}", write))
    return TorchModel(f"efficientat/{name}", network, windows, audioset_labels())


def _dynamic(state: State, derived: Derived, seconds: float | None) -> TorchModel:
    windows = _chosen(_MN_WINDOWS, seconds)
    params = MnFrontEndParams(window_samples=windows.window_samples)
    frames, name = params.patch_frames, dymn.name_of(state)

    def write() -> bytes:
        graph = dymn.network(state, frames)
        _require_audioset(len(state["classifier.5.bias"]), name)
        writer = GraphWriter(name, batch=False)
        waveform = writer.input("audio_clip", (params.window_samples,))
        outputs = writer.graft(graph, mn_log_mel(writer, waveform, params))
        return writer.finish(outputs)

    return _whole(f"efficientat/{name}", derived, f"dymn-{frames}", write, windows)


def _ced(state: State, derived: Derived, seconds: float | None) -> TorchModel:
    windows = _chosen(_CLOSE_WINDOWS, seconds)
    samples, name = windows.window_samples, ced.name_of(state)

    def write() -> bytes:
        graph = ced.network(state, samples)
        _require_audioset(len(state["outputlayer.1.bias"]), name)
        return graph

    return _whole(f"ced/{name}", derived, f"ced-{samples}", write, windows)


def _frame_wise(state: State, derived: Derived, seconds: float | None) -> TorchModel:
    if seconds is not None:
        raise OptionError(tr("the windows of this model are 10 s, which cannot be chosen"))
    graph = derived("fmn", lambda: frame_mn.network(state))
    network = MnNetwork(_SED_FRONT_END, graph, frame_mn.COLUMNS)
    name = f"efficientsed/{frame_mn.name_of(state)}"
    return TorchModel(name, network, _CLOSE_WINDOWS, audioset_strong_labels())


def _whole(
    name: str, derived: Derived, kind: str, write: Callable[[], bytes], windows: WindowParams
) -> TorchModel:
    """A network that takes the waveform and gives scores and embedding, as a file with metadata."""
    labels = audioset_labels()

    def annotated() -> bytes:
        outputs = (Head("scores", labels), PlainOutput(EMBEDDING_OUTPUT, EMBEDDING))
        return annotate(write(), outputs, sample_rate_hz=windows.sample_rate_hz, name=name)

    network = WholeNetwork(derived(kind, annotated), embedding=1, is_file=False)
    return TorchModel(name, network, windows, labels)


def _require_audioset(classes: int, name: str) -> None:
    if classes != mn04.LABEL_COUNT:
        raise ModelFormatError(
            tr(
                "it has {classes} scores, and {name} {label_count}",
                classes=classes,
                name=name,
                label_count=mn04.LABEL_COUNT,
            )
        )


def _chosen(windows: WindowParams, seconds: float | None) -> WindowParams:
    """Windows of another length than the one it was trained on, half of it apart; None: that."""
    if seconds is None:
        return windows
    longest = windows.window_samples / windows.sample_rate_hz
    if not 0.5 <= seconds <= longest:
        raise OptionError(
            tr(
                "a window of this model is 0.5 s to {longest:g} s, not {seconds:g}",
                longest=longest,
                seconds=seconds,
            )
        )
    step = windows.step_samples
    samples = round(seconds * windows.sample_rate_hz / step) * step
    hop = max(1, samples // 2 // step) * step
    return replace(windows, window_samples=samples, hop_samples=hop, longest_hop_samples=samples)
