# SPDX-License-Identifier: Apache-2.0
"""Sketches: a bit for each direction of a vector, so that millions can be looked at first.

Vectors are centred and turned by a random rotation, which spreads what is in few numbers over all;
a sketch is the signs. How many bits differ tells the angle between two vectors (Charikar 2002,
"Similarity estimation techniques from rounding algorithms").
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from oido.arrays import F32, I64
from oido.parallel import ordered_map
from oido.search.shard import Shard, save_array
from oido.writers.atomic import write_atomically

_SEED = 20_261_126
_BLOCK = 1 << 16


class Sketcher:
    """Makes sketches around a centre, f32[size]; the same centre makes the same sketches."""

    def __init__(self, centre: F32) -> None:
        self.centre = centre

    @cached_property
    def _rotation(self) -> F32:
        """f32[size, bits]: orthonormal directions; bits are a multiple of 64."""
        size = len(self.centre)
        bits = -(-size // 64) * 64
        random = np.random.default_rng(_SEED).standard_normal((bits, bits))
        return np.linalg.qr(random)[0][:size].astype(np.float32)

    def of(self, centred: F32) -> np.typing.NDArray[np.uint64]:
        """u64[n, bits / 64] of vectors that are centred already."""
        signs = np.packbits(centred @ self._rotation > 0, axis=1)
        return signs.view(np.uint64)

    def write(self, shard: Shard) -> None:
        """The sketches of a shard, beside it. Raises OutputError."""
        sketches = [self.of(shard.vectors(*block) - self.centre) for block in shard.blocks()]
        with write_atomically(shard.sketch_path, binary=True) as file:
            save_array(file.stream, np.concatenate(sketches))


def nearest_sketches(
    shards: Sequence[Shard], wanted: np.typing.NDArray[np.uint64], count: int, threads: int
) -> I64:
    """The numbers, over all shards, of at least ``count`` vectors near to one of the sketches."""
    firsts = np.cumsum([0, *(shard.n for shard in shards)])
    maps = [np.load(shard.sketch_path, mmap_mode="r") for shard in shards]
    jobs = [(n, start) for n, m in enumerate(maps) for start in range(0, len(m), _BLOCK)]

    def distances(job: tuple[int, int]) -> np.typing.NDArray[np.uint16]:
        number, start = job
        block = np.asarray(maps[number][start : start + _BLOCK])
        each = [np.bitwise_count(block ^ sketch).sum(axis=1, dtype=np.uint16) for sketch in wanted]
        return np.asarray(np.minimum.reduce(each))

    found = np.empty(int(firsts[-1]), np.uint16)
    for (number, start), values in zip(jobs, ordered_map(distances, jobs, threads)):
        first = int(firsts[number]) + start
        found[first : first + len(values)] = values
    if count >= len(found):
        return np.arange(len(found))
    # All that are as near as the last one: who comes first in the archive makes no difference.
    limit = np.searchsorted(np.cumsum(np.bincount(found)), count)
    return np.flatnonzero(found <= limit)
