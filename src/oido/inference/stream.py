# SPDX-License-Identifier: Apache-2.0
"""A source that is read: pushed through a `Pipeline` block by block, its windows come in order."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from oido.arrays import F32, F64
from oido.errors import AudioError
from oido.inference.backpressure import AdaptiveHop
from oido.inference.block import Block, WorkItem
from oido.inference.pipeline import Pipeline
from oido.inference.predictor import PredictorPool
from oido.parallel import ordered_map
from oido.params import Windowing
from oido.runtime.base import Outputs
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.findings import SoundSums


class WindowStream:
    """The windows of one opened source, to be iterated once.

    workers: threads that predict. adapts_hop: a live source that is predicted or consumed too
    slowly gets a coarser hop (`AdaptiveHop`), where windows are predicted one by one.

    An AudioError raised midway comes after the blocks of everything before the damage.

    info: of the source. n_samples: samples so far, at the model's rate; all of them when the
    iteration is over. damaged_packets: pieces that could not be decoded and were left out.
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
        self._workers = workers
        self._adaptive_hop = AdaptiveHop() if adapts_hop else None
        self._error: AudioError | None = None

    @property
    def windowing(self) -> Windowing:
        return self._pipeline.windowing

    @property
    def info(self) -> AudioInfo:
        return self._reader.info

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
    def sums(self) -> SoundSums:
        return self._pipeline.sums

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
                yield from pipeline.push(block)
                if pipeline.damage is not None:
                    raise pipeline.damage
            items = pipeline.flush()
        except AudioError as error:
            self._error = error
            items = pipeline.flush(damaged=True)
        yield from items
