# SPDX-License-Identifier: Apache-2.0
"""The one path from samples to scores, whatever brings the samples.

    block → mono → resample → segments → WorkItem … (a predictor runs it) … → collect → Block

A file, an array, a microphone, a pipe, a WebSocket, a worker and the ensemble all push blocks of
samples in and flush at the end; a one-shot is push-everything-then-flush. What comes out is work
for the model's networks; their outputs go to ``collect``, which gives finished blocks. A `Pipeline`
never waits, and no thread belongs to a source: thousands can run side by side. A source that is
read, not pushed, goes through it by a `WindowStream`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TypedDict

import numpy as np

from oido.arrays import F32, F64
from oido.errors import AudioError
from oido.inference.backpressure import AdaptiveHop
from oido.inference.block import (
    Block,
    PatchMemory,
    ScoreTransform,
    WorkItem,
    make_block,
    transformed,
)
from oido.inference.ensemble import EnsembleCombiner
from oido.inference.predictor import PredictorPool
from oido.models.model import AudioModel, EnsembleNetwork
from oido.parallel import ordered_map
from oido.params import Windowing
from oido.runtime.base import Outputs
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.framing import PieceFramer, Segment, WindowFramer
from oido.signal.level import LevelMeter, SoundSums, window_loudness
from oido.signal.mixing import Channel, Mono
from oido.signal.resample import Resampler

_PIECES_PER_BATCH = 4


class PipelineOptions(TypedDict, total=False):
    """The options of a `Pipeline`, for those who only hand them on."""

    channel: Channel
    transform: ScoreTransform | None
    batch_windows: int
    measures_loudness: bool
    measures_levels: bool


class _Branch:
    """One network's view of a source: its windows, and the stages that lead to them."""

    def __init__(
        self,
        number: int,
        windowing: Windowing,
        framer: WindowFramer | PieceFramer,
        from_hz: int,
        meter: LevelMeter | None = None,
    ) -> None:
        self.windowing, self.framer = windowing, framer
        self._number, self._memory = number, PatchMemory()
        self._resampler = Resampler(from_hz, windowing.sample_rate_hz)
        self._meter = meter
        self._levels: list[F32] = []

    def push(self, mono: F32) -> list[WorkItem]:
        return self._frame(self._resampler.push(mono))

    def flush(self) -> list[WorkItem]:
        rest = self._frame(self._resampler.flush())
        return rest + self._items(self.framer.flush())

    def pop_levels(self) -> F32 | None:
        """Those of the samples that came since the last call; None: they are not measured."""
        if self._meter is None:
            return None
        levels, self._levels = self._levels, []
        return np.concatenate([np.zeros(0, np.float32), *levels])

    def _frame(self, waveform: F32) -> list[WorkItem]:
        if self._meter is not None:
            self._levels.append(self._meter.push(waveform))
        return self._items(self.framer.push(waveform))

    def _items(self, segments: list[Segment]) -> list[WorkItem]:
        return [WorkItem(self._number, segment, self._memory) for segment in segments]


class Pipeline:
    """One source, for a model of one network or two. Used by one thread at a time.

    ``push`` and ``flush`` give work; ``collect`` gets each item's outputs, those of a branch in
    order, and gives the blocks that are complete; ``finish`` gives the rest. ``damage``: an error
    of the samples themselves; nothing behind it is used.

    transform: of the scores of all heads to those wanted; None: all of them. batch_windows: that
    are predicted together; 1 gives each as soon as its last sample is there. measures_loudness:
    blocks have the loudness of their windows, and ``sums`` are kept, which only whole recordings
    need; else they are 0.
    measures_levels: blocks have the levels that events are made of; else none.
    Raises OptionError for a channel that is none.
    """

    def __init__(
        self,
        model: AudioModel,
        info: AudioInfo,
        windowing: Windowing,
        *,
        channel: Channel = "mix",
        transform: ScoreTransform | None = None,
        batch_windows: int = 1,
        measures_loudness: bool = False,
        measures_levels: bool = True,
    ) -> None:
        self.info, self.windowing = info, windowing
        self._transform, self._measures_loudness = transform, measures_loudness
        self._mono = Mono(info, channel, keeps_sums=measures_loudness)
        self._n_frames = 0
        network, rate = model.network, info.sample_rate_hz
        # The first network's windows and levels are those of the source.
        meter = LevelMeter(windowing.sample_rate_hz) if measures_levels else None
        self._branches = [
            _Branch(0, windowing, WindowFramer(windowing, batch_windows), rate, meter)
        ]
        self._combiner: EnsembleCombiner | None = None
        if isinstance(network, EnsembleNetwork):
            pieces, filled = network.pieces, network.second.windows.window_samples
            framer = PieceFramer(pieces, filled, min(batch_windows, _PIECES_PER_BATCH))
            self._branches.append(_Branch(1, pieces, framer, rate))
            self._combiner = EnsembleCombiner(network.columns, windowing, pieces)

    @property
    def n_samples(self) -> int:
        """Samples so far, at the model's rate."""
        return self._branches[0].framer.n_samples

    @property
    def sums(self) -> SoundSums:
        """Of the sound so far."""
        return self._mono.sums

    @property
    def damage(self) -> AudioError | None:
        return self._mono.damage

    def push(self, block: F32) -> list[WorkItem]:
        """The work that f32[n, channels] completes."""
        mono = self._mono.push(block)
        self._n_frames += len(mono)
        return [item for branch in self._branches for item in branch.push(mono)]

    def flush(self, *, damaged: bool = False) -> list[WorkItem]:
        """What is left; of a damaged source, whatever has a whole window. Raises AudioError."""
        if not damaged:
            self._mono.flush()
        return [
            item
            for branch in self._branches
            if not damaged or branch.framer.n_samples >= branch.windowing.window_samples
            for item in branch.flush()
        ]

    def loudness(self, item: WorkItem) -> F64:
        """Of each window of an item, f64[N]; may be called by any thread."""
        segment = item.segment
        if not self._measures_loudness:
            return np.zeros(segment.n_windows)
        length = self._branches[item.branch].windowing.window_samples
        return window_loudness(segment.waveform, length, segment.hop_samples)

    def collect(self, item: WorkItem, outputs: Outputs, loudness: F64) -> list[Block]:
        """The blocks that these outputs complete."""
        branch = self._branches[item.branch]
        n_samples = branch.framer.n_samples
        blocks = [make_block(item.segment, outputs, loudness, branch.windowing, n_samples)]
        if self._combiner is not None:
            blocks = self._combiner.push(item.branch, blocks[0], n_samples)
        return self._finished(blocks)

    def finish(self) -> list[Block]:
        """The blocks that are left when all work of the flush has been collected."""
        return self._finished([] if self._combiner is None else self._combiner.flush())

    def _finished(self, blocks: list[Block]) -> list[Block]:
        return [
            transformed(block._replace(levels=self._branches[0].pop_levels()), self._transform)
            for block in blocks
        ]

    def missing_frames(self) -> int:
        """Frames of the source that must come, at the least, before there is work again."""
        framer, rate = self._branches[0].framer, self.windowing.sample_rate_hz
        needed = framer.n_samples + framer.missing_samples
        # Counted from the source's start: a resampler holds some of what it got, and gives it later
        # all at once.
        return max(1, math.ceil(needed * self.info.sample_rate_hz / rate) - self._n_frames)


class WindowStream:
    """The windows of one opened source, to be iterated once.

    workers: threads that predict. adapts_hop: a live source that is predicted or consumed too
    slowly gets a coarser hop (`AdaptiveHop`), where windows are predicted one by one.

    An AudioError raised midway comes after the blocks of everything before the damage.

    on_block: gets each block f32[n, channels] of the source just before it is used.
    info: of the source. n_samples: samples so far, at the model's rate; all of them when the
    iteration is over. damaged_packets: pieces that could not be decoded and were left out.
    is_damaged: whether it ended before its end.
    gaps_seconds, overlap_seconds, notes: as of the `AudioReader`. sums: of the sound so far.
    """

    def __init__(
        self,
        reader: AudioReader,
        pipeline: Pipeline,
        predictors: PredictorPool,
        *,
        workers: int = 1,
        adapts_hop: bool = False,
    ) -> None:
        self._reader, self._pipeline, self._predictors = reader, pipeline, predictors
        self.info, self.windowing = reader.info, pipeline.windowing
        self._workers = workers
        self._adaptive_hop = AdaptiveHop() if adapts_hop else None
        self._error: AudioError | None = None
        self.on_block: Callable[[F32], object] = lambda block: None

    @property
    def n_samples(self) -> int:
        return self._pipeline.n_samples

    @property
    def damaged_packets(self) -> int:
        return self._reader.damaged_packets

    @property
    def gaps_seconds(self) -> float:
        return self._reader.gaps_seconds

    @property
    def overlap_seconds(self) -> float:
        return self._reader.overlap_seconds

    @property
    def notes(self) -> tuple[str, ...]:
        return self._reader.notes

    @property
    def is_damaged(self) -> bool:
        return self._error is not None

    @property
    def sums(self) -> SoundSums:
        return self._pipeline.sums

    def __repr__(self) -> str:
        hop = self.windowing.hop_seconds
        return f"<stream of {self.info.name}, hop {hop:g} s: iterate over its blocks>"

    def close(self) -> None:
        """Release the source of a stream that is not iterated to its end."""
        self._reader.close()

    def __iter__(self) -> Iterator[Block]:
        next_window = 0
        with self._reader:
            for block in self._blocks():
                skipped = block.first_window - next_window
                next_window = block.first_window + len(block.scores)
                yield block._replace(skipped=skipped)
        if self._error is not None:
            raise self._error

    def waveform(self) -> F32:
        """The whole recording instead, f32[n] at the model's rate, padded to whole windows."""
        with self._reader:
            segments = [item.segment for item in self._items() if item.branch == 0]
        if self._error is not None:
            raise self._error
        hop = self.windowing.hop_samples
        pieces = [s.waveform[: s.n_windows * hop] for s in segments[:-1]]
        return np.concatenate([*pieces, segments[-1].waveform])

    def _blocks(self) -> Iterator[Block]:
        def predict(item: WorkItem) -> tuple[WorkItem, Outputs, F64]:
            return item, self._predictors.predict(item), self._pipeline.loudness(item)

        for result in ordered_map(predict, self._selected(), self._workers):
            yield from self._pipeline.collect(*result)
        yield from self._pipeline.finish()

    def _selected(self) -> Iterator[WorkItem]:
        """All work, or what a live source leaves time for."""
        hop, reader = self._adaptive_hop, self._reader
        for item in self._items():
            is_window = hop is not None and item.branch == 0
            if not is_window or hop.selects(item.segment.first_window, reader.fullness):  # type: ignore[union-attr]
                yield item

    def _items(self) -> Iterator[WorkItem]:
        """The source's work to its end, or to its damage, which is then in ``_error``."""
        pipeline = self._pipeline
        try:
            for block in self._reader.blocks():
                self.on_block(block)
                yield from pipeline.push(block)
                if pipeline.damage is not None:
                    raise pipeline.damage
            items = pipeline.flush()
        except AudioError as error:
            self._error = error
            items = pipeline.flush(damaged=True)
        yield from items
