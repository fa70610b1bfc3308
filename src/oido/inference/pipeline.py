# SPDX-License-Identifier: Apache-2.0
"""The one path from samples to scores, whatever brings the samples.

    block → mono → resample → segments → WorkItem … (a predictor runs it) … → collect → Block

A file, an array, a microphone, a pipe, a WebSocket, a worker and the ensemble all push blocks of
samples in and flush at the end; a one-shot is push-everything-then-flush. What comes out is work
for the model's networks; their outputs go to ``collect``, which gives finished blocks. Nothing here
waits, and no thread belongs to a source: thousands can run side by side.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence

import numpy as np

from oido.arrays import F32, F64
from oido.errors import AudioError
from oido.inference.block import (
    Block,
    Branch,
    PatchMemory,
    ScoreTransform,
    WorkItem,
    make_block,
)
from oido.inference.ensemble import EnsembleCombiner
from oido.models.model import AudioModel, EnsembleNetwork
from oido.params import Windowing
from oido.runtime.base import Outputs
from oido.signal.decode import AudioInfo
from oido.signal.framing import PieceFramer, WindowFramer
from oido.signal.level import window_loudness
from oido.signal.mixing import Channel, Mono
from oido.signal.resample import Resampler

__all__ = ["Pipeline", "make_pipeline"]

_PIECES_PER_BATCH = 4


class Pipeline(ABC):
    """One source. Used by one thread at a time.

    ``push`` and ``flush`` give work; ``collect`` gets each item's outputs, those of a branch in
    order, and gives the blocks that are complete; ``finish`` gives the rest. ``damage``: an error
    of the samples themselves; nothing behind it is used. measures_loudness: blocks have the
    loudness of their windows, which only whole recordings need; else it is 0.
    """

    def __init__(
        self,
        info: AudioInfo,
        channel: Channel,
        branches: Sequence[Branch],
        *,
        measures_loudness: bool,
    ) -> None:
        self.info, self._branches = info, tuple(branches)
        self._measures_loudness = measures_loudness
        self._mono = Mono(info, channel)
        self._n_frames = 0
        self._memories = [PatchMemory() for _ in branches]
        self._resamplers = [
            Resampler(info.sample_rate_hz, branch.windowing.sample_rate_hz) for branch in branches
        ]
        self.windowing = branches[0].windowing

    @property
    def n_samples(self) -> int:
        """Samples so far, at the model's rate."""
        return self._branches[0].framer.n_samples

    @property
    def damage(self) -> AudioError | None:
        return self._mono.damage

    def push(self, block: F32) -> list[WorkItem]:
        """The work that f32[n, channels] completes."""
        mono = self._mono.push(block)
        self._n_frames += len(mono)
        return [
            WorkItem(number, segment, self._memories[number])
            for number, branch in enumerate(self._branches)
            for segment in branch.framer.push(self._resamplers[number].push(mono))
        ]

    def flush(self, *, damaged: bool = False) -> list[WorkItem]:
        """What is left; of a damaged source, whatever has a whole window. Raises AudioError."""
        if not damaged:
            self._mono.flush()
        items = []
        for number, branch in enumerate(self._branches):
            if damaged and branch.framer.n_samples < branch.windowing.window_samples:
                continue
            segments = branch.framer.push(self._resamplers[number].flush())
            memory = self._memories[number]
            items += [WorkItem(number, s, memory) for s in [*segments, *branch.framer.flush()]]
        return items

    def loudness(self, item: WorkItem) -> F64:
        """Of each window of an item, f64[N]; may be called by any thread."""
        segment = item.segment
        if not self._measures_loudness:
            return np.zeros(segment.n_windows)
        length = self._branches[item.branch].windowing.window_samples
        return window_loudness(segment.waveform, length, segment.hop_samples)

    @abstractmethod
    def collect(self, item: WorkItem, outputs: Outputs, loudness: F64) -> list[Block]:
        """The blocks that these outputs complete."""

    def finish(self) -> list[Block]:
        """The blocks that are left when all work of the flush has been collected."""
        return []

    def missing_frames(self) -> int:
        """Frames of the source that must come, at the least, before there is work again."""
        framer, rate = self._branches[0].framer, self.windowing.sample_rate_hz
        needed = framer.n_samples + framer.missing_samples
        # Counted from the source's start: a resampler holds some of what it got, and gives it later
        # all at once.
        return max(1, math.ceil(needed * self.info.sample_rate_hz / rate) - self._n_frames)

    def _block(
        self,
        item: WorkItem,
        outputs: Outputs,
        loudness: F64,
        transform: ScoreTransform | None,
    ) -> Block:
        windowing, framer = self._branches[item.branch]
        return make_block(item.segment, outputs, loudness, windowing, framer.n_samples, transform)


class _SinglePipeline(Pipeline):
    """For one network."""

    def __init__(
        self,
        info: AudioInfo,
        channel: Channel,
        branch: Branch,
        transform: ScoreTransform | None,
        *,
        measures_loudness: bool,
    ) -> None:
        super().__init__(info, channel, [branch], measures_loudness=measures_loudness)
        self._transform = transform

    def collect(self, item: WorkItem, outputs: Outputs, loudness: F64) -> list[Block]:
        return [self._block(item, outputs, loudness, self._transform)]


class _EnsemblePipeline(Pipeline):
    """For two networks (`oido.inference.ensemble`); columns: as of `EnsembleCombiner`."""

    def __init__(
        self,
        info: AudioInfo,
        channel: Channel,
        branches: tuple[Branch, Branch],
        columns: Sequence[int],
        transform: ScoreTransform | None,
        *,
        measures_loudness: bool,
    ) -> None:
        super().__init__(info, channel, branches, measures_loudness=measures_loudness)
        self._transform = transform
        self._combiner = EnsembleCombiner(columns, branches[0].windowing, branches[1].windowing)
        self._pending: deque[tuple[Block, F64]] = deque()

    def collect(self, item: WorkItem, outputs: Outputs, loudness: F64) -> list[Block]:
        block = self._block(item, outputs, loudness, None)
        if item.branch == 0:
            self._pending.append((block, self._combiner.centres(block, self.n_samples)))
        else:
            self._combiner.push(block)
        return self._combined(at_end=False)

    def finish(self) -> list[Block]:
        return self._combined(at_end=True)

    def _combined(self, *, at_end: bool) -> list[Block]:
        blocks = []
        while self._pending and (at_end or self._combiner.reaches(self._pending[0][1])):
            block, centres = self._pending.popleft()
            blocks.append(self._combiner.combined(block, centres, self._transform))
        return blocks


def make_pipeline(
    model: AudioModel,
    info: AudioInfo,
    windowing: Windowing,
    *,
    channel: Channel = "mix",
    transform: ScoreTransform | None = None,
    batch_windows: int = 1,
    measures_loudness: bool = True,
) -> Pipeline:
    """The pipeline of a source for a model of one network or two.

    batch_windows: that are predicted together; 1 gives each as soon as its last sample is there.
    Raises OptionError for a channel that is none.
    """
    branch = Branch(windowing, WindowFramer(windowing, batch_windows))
    network = model.network
    if not isinstance(network, EnsembleNetwork):
        return _SinglePipeline(
            info, channel, branch, transform, measures_loudness=measures_loudness
        )
    pieces = PieceFramer(
        network.pieces,
        network.second.windows.window_samples,
        min(batch_windows, _PIECES_PER_BATCH),
    )
    return _EnsemblePipeline(
        info,
        channel,
        (branch, Branch(network.pieces, pieces)),
        network.columns,
        transform,
        measures_loudness=measures_loudness,
    )
