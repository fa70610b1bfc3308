# SPDX-License-Identifier: Apache-2.0
"""Segments of different sources, heard in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from oido.aio.frames import SharedFrames
from oido.ears import Ear
from oido.models.model import AudioModel, LogMelNetwork
from oido.params import WindowParams
from oido.pushing import Work
from oido.runtime.base import Outputs
from oido.signal.framing import Segment

__all__ = ["JoinedEar"]

_MOST_WINDOWS = 16
"""Per run of the network: what they need stays in the processor's cache."""


class JoinedEar:
    """An ear for many sources; not shared between threads.

    Single windows are put one behind the other, and their patches made as those of one recording
    whose hop is a window's length made up to whole steps: each window's scores are what they would
    be alone, and what a call costs is paid once. frames: makes patches with less work, where
    neighbouring windows share frames.
    """

    def __init__(self, ear: Ear, windows: WindowParams, frames: SharedFrames | None) -> None:
        self._ear, self._window, self._frames = ear, windows.window_samples, frames
        self._apart = -(-self._window // windows.step_samples) * windows.step_samples

    @classmethod
    def of(cls, model: AudioModel) -> JoinedEar:
        """For a model of one network. Raises ModelFormatError."""
        ear, network, frames = Ear.of(model), model.network, None
        if isinstance(network, LogMelNetwork):
            frames = SharedFrames(ear.frames, network.front_end)
        return cls(ear, model.windows, frames)

    def hear(self, works: Sequence[Work]) -> list[Outputs]:
        """Outputs of each work's segment, in order."""
        segments = [work.segment for work in works]
        patches = np.concatenate(self._patches(works))
        runs = [
            self._ear.run(patches[start : start + _MOST_WINDOWS])
            for start in range(0, len(patches), _MOST_WINDOWS)
        ]
        scores = np.concatenate([run.scores for run in runs])
        embeddings = np.concatenate([run.embeddings for run in runs])
        ends = np.cumsum([segment.n_windows for segment in segments])
        return [
            Outputs(scores[end - s.n_windows : end], embeddings[end - s.n_windows : end])
            for s, end in zip(segments, ends)
        ]

    def _patches(self, works: Sequence[Work]) -> list[NDArray[np.float32]]:
        patches = []
        for is_single, neighbours in groupby(works, lambda work: work.segment.n_windows == 1):
            group = list(neighbours)
            segments = [work.segment for work in group]
            if not is_single:
                patches += [self._ear.patches(s.waveform, s.hop_samples) for s in segments]
            elif self._frames is not None:
                patches.append(self._frames.patches(group))
            else:
                patches.append(self._ear.patches(self._joined(segments), self._apart))
        return patches

    def _joined(self, singles: list[Segment]) -> NDArray[np.float32]:
        """Their windows with zeros between: f32[(N − 1) · apart + window]."""
        waveform = np.zeros((len(singles) - 1) * self._apart + self._window, np.float32)
        for number, segment in enumerate(singles):
            start = number * self._apart
            waveform[start : start + self._window] = segment.waveform
        return waveform
