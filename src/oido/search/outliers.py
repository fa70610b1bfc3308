# SPDX-License-Identifier: Apache-2.0
"""What an archive has little else of: the vectors that are farthest from all others.

To compare all vectors with all is quadratic. A random sample of them stands for the rest (it holds
what is frequent), and of those that are farthest from it as many are chosen as differ from each
other, each the farthest from what was chosen before (farthest-first traversal, Gonzalez 1985).
"""

from __future__ import annotations

import numpy as np

from oido.arrays import F32, I64
from oido.search.index import EmbeddingIndex, Match
from oido.search.shard import Shard

_REFERENCES = 512
_CANDIDATES = 10
"""So many vectors are compared with each other for each that is wanted."""

_NEIGHBOURS = 2
"""Rows before and behind one that overlap it in time, and so are no comparison."""


def outlying(index: EmbeddingIndex, count: int, *, seed: int = 0) -> list[Match]:
    """The vectors that are least like the others, the least first; all different from each other.

    ``similarity`` is the centred cosine to the nearest of the sample and of those before, −1..1.
    """
    parts = index.shards_of_parts()
    if not parts or count <= 0:
        return []
    names, shards = [name for name, _ in parts], [shard for _, shard in parts]
    mean = index.mean()
    ends = np.cumsum([shard.n for shard in shards])
    chosen = np.random.default_rng(seed).choice(
        int(ends[-1]), min(int(ends[-1]), _REFERENCES), replace=False
    )
    sample = np.sort(chosen)
    references = _unit(_vectors(shards, ends, sample) - mean)
    pool = max(1_000, count * _CANDIDATES)
    numbers, nearest = np.empty(0, np.int64), np.empty(0, np.float32)
    for shard, end in zip(shards, ends):
        for start, stop in shard.blocks():
            found = _unit(shard.vectors(start, stop) - mean) @ references.T
            first = int(end) - shard.n + start
            _leave_out_neighbours(found, sample - first)
            numbers = np.concatenate([numbers, np.arange(first, first + stop - start)])
            nearest = np.concatenate([nearest, found.max(axis=1)])
            if len(numbers) > 2 * pool:
                numbers, nearest = _least(numbers, nearest, pool)
    numbers, nearest = _least(numbers, nearest, pool)
    order = np.argsort(numbers)
    numbers, nearest = numbers[order], nearest[order]
    vectors = _unit(_vectors(shards, ends, numbers) - mean)
    matches = []
    for _ in range(min(count, len(numbers))):
        best = int(np.argmin(nearest))
        shard_number = int(np.searchsorted(ends, numbers[best], side="right"))
        row = int(numbers[best] - ends[shard_number] + shards[shard_number].n)
        matches.append(Match(names[shard_number], row, float(nearest[best])))
        nearest = np.maximum(nearest, vectors @ vectors[best])
        nearest[best] = np.inf
    return matches


def _unit(vectors: F32) -> F32:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def _vectors(shards: list[Shard], ends: I64, numbers: I64) -> F32:
    """f32[n, size] of vectors by their sorted numbers over all shards."""
    groups = []
    for shard, end in zip(shards, ends):
        first = int(end) - shard.n
        rows = numbers[np.searchsorted(numbers, first) : np.searchsorted(numbers, end)] - first
        if len(rows):
            groups.append(shard.rows(rows))
    return np.concatenate(groups)


def _leave_out_neighbours(found: F32, places: I64) -> None:
    """Vectors are not compared with themselves, nor with what overlaps them.

    found: f32[n, k], similarities to a sample; places: i64[k], the sample's rows in this block.
    """
    for column, place in enumerate(places.tolist()):
        low, high = place - _NEIGHBOURS, place + _NEIGHBOURS + 1
        if high > 0 and low < len(found):
            found[max(0, low) : high, column] = -1


def _least(numbers: I64, nearest: F32, count: int) -> tuple[I64, F32]:
    if len(numbers) <= count:
        return numbers, nearest
    kept = np.argpartition(nearest, count)[:count]
    return numbers[kept], nearest[kept]
