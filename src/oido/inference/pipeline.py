# SPDX-License-Identifier: Apache-2.0
"""A source's windows, pushed: the twin of `oido.inference.stream` for sources nobody can wait for.

Blocks of samples go in, work for the networks comes out; their outputs go in, finished blocks come
out. Nothing here waits, and no thread belongs to a source: thousands can run side by side.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oido.errors import AudioError
from oido.inference.block import Block, Branch, PatchMemory, ScoreTransform, WorkItem, make_block
from oido.inference.ensemble import EnsembleCombiner
from oido.runtime.base import Outputs
from oido.signal.decode import AudioInfo
from oido.signal.level import window_loudness
from oido.signal.mixing import Channel, Mono
from oido.signal.resample import Resampler

__all__ = ["EnsemblePipeline", "Pipeline", "SinglePipeline"]


class Pipeline(ABC):
    """One source. Used by one thread at a time.

    weighs: whether blocks have the loudness of their windows, which only whole recordings need;
    else it is 0.
    ``push`` and ``flush`` give work; ``take`` is given each work's outputs, those of a part in
    order, and gives what has been heard to its end. ``damage``: an error of the samples themselves;
    nothing is heard behind it.
    """

    def __init__(
        self, info: AudioInfo, channel: Channel, parts: Sequence[Branch], *, weighs: bool
    ) -> None:
        self._info, self._parts, self._weighs = info, tuple(parts), weighs
        self._mono = Mono(info, channel)
        self._memories = [PatchMemory() for _ in parts]
        self._resamplers = [
            Resampler(info.sample_rate_hz, branch.windowing.sample_rate_hz) for branch in parts
        ]
        self.windowing = parts[0].windowing

    @property
    def n_samples(self) -> int:
        """Samples so far, at the model's rate."""
        return self._parts[0].framer.n_samples

    @property
    def damage(self) -> AudioError | None:
        return self._mono.damage

    def push(self, block: NDArray[np.float32]) -> list[WorkItem]:
        """The work that f32[n, channels] completes."""
        mono = self._mono.push(block)
        return [
            WorkItem(number, segment, self._memories[number])
            for number, branch in enumerate(self._parts)
            for segment in branch.framer.push(self._resamplers[number].push(mono))
        ]

    def flush(self, *, damaged: bool = False) -> list[WorkItem]:
        """What is left; of a damaged source, whatever has a whole window. Raises AudioError."""
        if not damaged:
            self._mono.flush()
        works = []
        for number, branch in enumerate(self._parts):
            if damaged and branch.framer.n_samples < branch.windowing.window_samples:
                continue
            segments = branch.framer.push(self._resamplers[number].flush())
            memory = self._memories[number]
            works += [WorkItem(number, s, memory) for s in [*segments, *branch.framer.flush()]]
        return works

    @abstractmethod
    def take(self, work: WorkItem, outputs: Outputs) -> list[Block]:
        """What can be told now."""

    def rest(self) -> list[Block]:
        """What can be told when all work of the flush has been taken."""
        return []

    def missing_frames(self) -> int:
        """Frames of the source that must come, at the least, before there is work again."""
        first = self.windowing.sample_rate_hz
        missing = self._parts[0].framer.missing_samples
        return max(1, math.ceil(missing * self._info.sample_rate_hz / first))

    def _block(self, work: WorkItem, outputs: Outputs, transform: ScoreTransform | None) -> Block:
        branch, segment = self._parts[work.branch], work.segment
        windowing, n_samples = branch.windowing, branch.framer.n_samples
        loudness = np.zeros(segment.n_windows)
        if self._weighs:
            length, hop = windowing.window_samples, segment.hop_samples
            loudness = window_loudness(segment.waveform, length, hop)
        return make_block(segment, outputs, loudness, windowing, n_samples, transform)


class SinglePipeline(Pipeline):
    """Heard by one network."""

    def __init__(
        self,
        info: AudioInfo,
        channel: Channel,
        branch: Branch,
        transform: ScoreTransform | None,
        *,
        weighs: bool,
    ) -> None:
        super().__init__(info, channel, [branch], weighs=weighs)
        self._transform = transform

    def take(self, work: WorkItem, outputs: Outputs) -> list[Block]:
        return [self._block(work, outputs, self._transform)]


class EnsemblePipeline(Pipeline):
    """Heard by two networks (`oido.inference.ensemble`); columns: as of `EnsembleCombiner`."""

    def __init__(
        self,
        info: AudioInfo,
        channel: Channel,
        parts: tuple[Branch, Branch],
        columns: Sequence[int],
        transform: ScoreTransform | None,
        *,
        weighs: bool,
    ) -> None:
        super().__init__(info, channel, parts, weighs=weighs)
        self._transform = transform
        self._around = EnsembleCombiner(columns, parts[0].windowing, parts[1].windowing)
        self._waiting: deque[tuple[Block, NDArray[np.float64]]] = deque()

    def take(self, work: WorkItem, outputs: Outputs) -> list[Block]:
        block = self._block(work, outputs, None)
        if work.branch == 0:
            self._waiting.append((block, self._around.centres(block, self.n_samples)))
        else:
            self._around.push(block)
        return self._told(at_end=False)

    def rest(self) -> list[Block]:
        return self._told(at_end=True)

    def _told(self, *, at_end: bool) -> list[Block]:
        told = []
        while self._waiting and (at_end or self._around.reaches(self._waiting[0][1])):
            block, centres = self._waiting.popleft()
            told.append(self._around.combined(block, centres, self._transform))
        return told
