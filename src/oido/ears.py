# SPDX-License-Identifier: Apache-2.0
"""A model made ready to hear: for each kind of network, what makes its patches and what runs it."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.models.model import AudioModel, LogMelNetwork, MnNetwork
from oido.runtime.base import Outputs, Runtime
from oido.runtime.litert import LiteRtRuntime, WholeRuntime
from oido.signal.framing import cut_windows
from oido.signal.frontend import FrontEnd
from oido.signal.mn_frontend import MnFrontEnd, MnFrontEndParams

__all__ = ["Ear", "Ears", "PatchMaker"]


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
            params = MnFrontEndParams(window_samples=model.windows.window_samples)
            return cls(MnFrontEnd(params), LiteRtRuntime(None, network.content))
        return cls(_Windows(model.windows.window_samples), WholeRuntime(network.content))

    def patches(self, waveform: NDArray[np.float32], hop_samples: int) -> NDArray[np.float32]:
        """What the network is given: a patch for every window, f32[N, …]."""
        return self._patch_maker.patches(waveform, hop_samples)

    def hear(self, waveform: NDArray[np.float32], hop_samples: int) -> Outputs:
        """Outputs of every window in f32[(N − 1) · hop + window]."""
        return self._runtime.run(self.patches(waveform, hop_samples))

    def frames(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """The log-mel frames of f32[n]: f32[t, bands]. Raises OptionError where there are none."""
        if self._frames is None:
            raise OptionError("this model has no log-mel frames that windows share")
        return self._frames(waveform)


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
