# SPDX-License-Identifier: Apache-2.0
"""A model made ready to hear: for each kind of network, what makes its patches and what runs it."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oido.errors import ModelFormatError, OptionError
from oido.models.model import AudioModel, EnsembleNetwork, LogMelNetwork, MnNetwork, WholeNetwork
from oido.runtime.base import Outputs, Runtime
from oido.runtime.litert import LiteRtRuntime, WholeRuntime
from oido.signal.framing import cut_windows
from oido.signal.frontend import FrontEnd
from oido.signal.mn_frontend import MnFrontEnd

__all__ = ["Ear", "Ears", "PatchMaker", "tried_out", "whole_runtime"]

_SHORTCUT_TOLERANCE = 1 / 256
"""A step of quantised scores; a float head may differ by roundings, another front end does more."""


class PatchMaker(Protocol):
    """What stands between waveform and network; one worker's own."""

    def patches(self, waveform: NDArray[np.float32], hop_samples: int) -> NDArray[np.float32]:
        """f32[(N − 1) · hop + window] → one patch for each window, f32[N, …]."""
        ...


FrameMaker = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Waveform f32[n] → log-mel frames f32[t, bands]."""


class Ear:
    """Patches and network of one model; not shared between threads."""

    def __init__(
        self, patch_maker: PatchMaker, runtime: Runtime, frames: FrameMaker | None = None
    ) -> None:
        self._patch_maker, self._runtime, self._frames = patch_maker, runtime, frames

    @classmethod
    def of(cls, model: AudioModel) -> Ear:
        """The ear for this model's kind of network. Raises ModelFormatError."""
        network = model.network
        if isinstance(network, LogMelNetwork):
            graph = network.graph
            runtime = LiteRtRuntime(graph.projection, graph.network)
            bins = (graph.first_bin, graph.last_bin)
            front_end = FrontEnd(network.front_end, graph.window, bins, runtime.project)
            return cls(front_end, runtime, front_end.frames)
        if isinstance(network, MnNetwork):
            return cls(MnFrontEnd(network.front_end), LiteRtRuntime(None, network.content))
        if isinstance(network, EnsembleNetwork):
            raise OptionError(f"{model.name} is two networks; choose one of them for this")
        return cls(_Windows(model.windows.window_samples), whole_runtime(network))

    def patches(self, waveform: NDArray[np.float32], hop_samples: int) -> NDArray[np.float32]:
        """What the network is given: a patch for every window, f32[N, …]."""
        return self._patch_maker.patches(waveform, hop_samples)

    def hear(self, waveform: NDArray[np.float32], hop_samples: int) -> Outputs:
        """Outputs of every window in f32[(N − 1) · hop + window]."""
        return self.run(self.patches(waveform, hop_samples))

    def run(self, patches: NDArray[np.float32]) -> Outputs:
        """Outputs of patches f32[N, …], N ≥ 1."""
        return self._runtime.run(patches)

    def frames(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """The log-mel frames of f32[n]: f32[t, bands]. Raises OptionError where there are none."""
        if self._frames is None:
            raise OptionError("this model has no log-mel frames that windows share")
        return self._frames(waveform)


def whole_runtime(network: WholeNetwork) -> WholeRuntime:
    """What runs a network as it is."""
    return WholeRuntime(network.content, network.heads, network.embedding)


def tried_out(model: AudioModel) -> AudioModel:
    """A model that nobody has tried, made to hear a window of noise.

    If its graph, cut behind the front end, says something else than the whole file, the front end
    is not one that oido knows, and the model is run as a whole from then on. Raises
    ModelFormatError if it does not give one finite score for each label.
    """
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, model.windows.window_samples)
    window = noise.astype(np.float32)
    scores = Ear.of(model).hear(window, model.windows.hop_samples).scores
    classes = sum(len(head.labels) for head in model.heads) + (model.novelty is not None)
    if isinstance(model.network, LogMelNetwork) and model.network.is_cut:
        whole = WholeNetwork(model.path.read_bytes(), model.network.graph.heads)
        reference = whole_runtime(whole).run(window[None]).scores
        if scores.shape != reference.shape or not _equal(scores, reference):
            model, scores = replace(model, network=whole), reference
    if scores.shape != (1, classes) or not np.isfinite(scores).all():
        raise ModelFormatError("it does not give one score for each of its labels")
    return model


def _equal(scores: NDArray[np.float32], reference: NDArray[np.float32]) -> bool:
    return bool(np.abs(scores - reference).max() <= _SHORTCUT_TOLERANCE)


class Ears:
    """As many ears as there are threads that hear at once; ``make_ear`` makes each."""

    def __init__(self, make_ear: Callable[[], Ear]) -> None:
        self._make_ear = make_ear
        self._idle: queue.SimpleQueue[Ear] = queue.SimpleQueue()
        # The first one now, so that a model that cannot be run is told at once.
        self._idle.put(make_ear())

    def hear(self, waveform: NDArray[np.float32], hop_samples: int) -> Outputs:
        """As `Ear.hear`; may be called by many threads."""
        try:
            ear = self._idle.get_nowait()
        except queue.Empty:
            ear = self._make_ear()
        try:
            return ear.hear(waveform, hop_samples)
        finally:
            self._idle.put(ear)


class _Windows:
    """For networks that take the waveform itself: a patch is the window as it is."""

    def __init__(self, window_samples: int) -> None:
        self._window_samples = window_samples

    def patches(self, waveform: NDArray[np.float32], hop_samples: int) -> NDArray[np.float32]:
        return cut_windows(waveform, self._window_samples, hop_samples)
