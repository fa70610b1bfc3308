# SPDX-License-Identifier: Apache-2.0
"""The windows of an archive: where each is, its stored embedding, and what a head makes of it.

Windows are numbered from 0 over all parts. What is in memory is some 40 bytes a window, for times
and recordings; embeddings stay on disk, mapped, and are scored block by block.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import numpy as np

from oido.arrays import F32, I64
from oido.parallel import ordered_map
from oido.params import available_cores
from oido.results.find import Finder
from oido.search.shard import Shard
from oido.training.head import EmbeddingHead

_MIX = -1


class WindowPlace(NamedTuple):
    """Where a window is; channel: None of a mix."""

    file: str
    channel: int | None
    start_time: float
    end_time: float


class ArchiveWindows:
    """All windows of an archive that has embeddings; n of them."""

    def __init__(self, finder: Finder) -> None:
        found = finder.all_windows()
        self._shards: list[Shard] = [shard for shard, _ in found]
        self._firsts = np.array([0, *accumulate(shard.n for shard in self._shards)], np.int64)
        self.n = int(self._firsts[-1])
        self.size = self._shards[0].size if self._shards else 0
        """Numbers of an embedding."""
        codes: dict[str, int] = {}
        files = []
        for _, places in found:
            own = [codes.setdefault(name, len(codes)) for name in places.files]
            files.append(np.array(own, np.int32)[places.file_index])
        self._codes, self._names = codes, list(codes)
        self.files = np.concatenate([*files, np.zeros(0, np.int32)])
        """i32[n]: the number of the recording of each."""
        joined = [np.concatenate([*part, np.zeros(0)]) for part in zip(*(p[2:] for _, p in found))]
        self._channels, self._starts, self._ends = joined or [np.zeros(0)] * 3
        self._channels = self._channels.astype(np.int16)
        self._order = np.argsort(self.files, kind="stable")
        self._bounds = np.searchsorted(self.files[self._order], np.arange(len(codes) + 1))

    def place(self, number: int) -> WindowPlace:
        """Where one is."""
        channel = int(self._channels[number])
        times = float(self._starts[number]), float(self._ends[number])
        file = self._names[self.files[number]]
        return WindowPlace(file, None if channel == _MIX else channel, *times)

    def touching(self, place: WindowPlace) -> I64:
        """The numbers of all windows that overlap or touch a span; of every channel for None."""
        own = self._of_recording(place)
        meets = (self._starts[own] <= place.end_time) & (self._ends[own] >= place.start_time)
        return np.asarray(own[meets], np.int64)

    def inside(self, place: WindowPlace) -> I64:
        """Those that lie in a span, or else those that share most with it; none if none does."""
        own = self.touching(place)
        starts, ends = self._starts[own], self._ends[own]
        # Times in tables and stores are rounded to a millisecond.
        within = (starts >= place.start_time - 2e-3) & (ends <= place.end_time + 2e-3)
        if within.any():
            return np.asarray(own[within], np.int64)
        shared = np.minimum(ends, place.end_time) - np.maximum(starts, place.start_time)
        most = (shared > 0) & (shared >= shared.max(initial=0) - 2e-3)
        return np.asarray(own[most], np.int64)

    def vectors(self, numbers: I64) -> F32:
        """f32[k, D] by their numbers, in any order."""
        order = np.argsort(numbers, kind="stable")
        ranked = numbers[order]
        cuts = np.searchsorted(ranked, self._firsts)
        parts = [
            shard.rows(ranked[low:high] - first)
            for shard, first, low, high in zip(self._shards, self._firsts, cuts, cuts[1:])
            if high > low
        ]
        found = np.zeros((len(numbers), self.size), np.float32)
        if parts:
            found[order] = np.concatenate(parts)
        return found

    def logits(self, head: EmbeddingHead) -> F32:
        """f32[n]: what a head of one class makes of every window."""
        found = np.empty(self.n, np.float32)
        blocks = [
            (shard, int(first), *block)
            for shard, first in zip(self._shards, self._firsts)
            for block in shard.blocks()
        ]

        def score(job: tuple[Shard, int, int, int]) -> None:
            shard, first, start, stop = job
            found[first + start : first + stop] = head.logits(shard.vectors(start, stop))[:, 0]

        for _ in ordered_map(score, blocks, available_cores()):
            pass
        return found

    def _of_recording(self, place: WindowPlace) -> I64:
        code = self._codes.get(place.file)
        if code is None:
            return np.zeros(0, np.int64)
        own = self._order[self._bounds[code] : self._bounds[code + 1]]
        if place.channel is not None:
            own = own[np.isin(self._channels[own], (place.channel, _MIX))]
        return np.asarray(own, np.int64)
