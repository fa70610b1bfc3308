# SPDX-License-Identifier: Apache-2.0
"""An index over the embeddings of an archive: made from it, brought up to date, and searched.

A shard stands for each part of the archive, and ``index.json`` says which. The archive stays the
one truth: an index can be deleted, and is made again. Up to some millions of vectors every one is
compared; of more, those whose sketches are nearest (`oido.search.sketch`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oido.arrays import F32, F64, I64
from oido.errors import OptionError, OutputError
from oido.messages import tr
from oido.parallel import ordered_map
from oido.search.shard import Shard, write_shard
from oido.search.sketch import Sketcher, nearest_sketches
from oido.writers.atomic import write_json

INDEX_NAME = "index.json"
_VERSION = 1
SKETCHED_FROM = 3_000_000
"""Vectors from which on sketches are compared first."""

_CANDIDATES = 100
"""So many vectors are compared exactly for each that is wanted, where sketches are used."""

_LEAST_CANDIDATES = 20_000
_HELD = 8
"""So many times what is wanted is held before the rest is forgotten."""

_THREADS = max(1, min(8, os.cpu_count() or 1))

OnProgress = Callable[[int, int], None]
"""Called with the parts that are done, and all."""


class Match(NamedTuple):
    """A vector that was found. part: its path in the archive; row: there; similarity: −1..1."""

    part: str
    row: int
    similarity: float


class EmbeddingIndex:
    """The index in a folder, which need not exist yet.

    index = EmbeddingIndex(folder)
    index.update(rows_of_parts, read_vectors)
    index.search(like, 10)
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._facts: dict[str, dict[str, Any]] = {}
        self._sketcher: Sketcher | None = None
        self._read()

    @property
    def n(self) -> int:
        """How many vectors there are."""
        return sum(int(facts["rows"]) for facts in self._facts.values())

    def shards_of_parts(self) -> list[tuple[str, Shard]]:
        """The parts of the archive that have vectors, each with its shard."""
        return [(p, Shard(self.folder, each)) for p, each in self._facts.items() if each["rows"]]

    def update(
        self,
        parts: Mapping[str, int],
        read: Callable[[str], Iterable[Any]],
        on_progress: OnProgress = lambda done, of: None,
        *,
        sketched_from: int = SKETCHED_FROM,
    ) -> None:
        """Bring it up to date with the parts of an archive: path to number of rows.

        read: the vectors of a part, f16[n, size] block by block. What is done counts, also if it
        is interrupted: each shard is whole or not there. Raises OutputError.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                tr(
                    "{folder} cannot be written ({reason}); name a folder for the "
                    "index with --index",
                    folder=self.folder,
                    reason=error.strerror or error,
                )
            ) from error
        others = [name for name in os.listdir(self.folder) if not name.startswith(".")]
        if others and INDEX_NAME not in others:
            named = ", ".join(sorted(others)[:3])
            raise OptionError(
                tr(
                    "{folder} holds other things than an index ({named}): name a new "
                    "or an empty folder with --index",
                    folder=self.folder,
                    named=named,
                )
            )
        missing = [path for path in parts if path not in self._facts]
        gone = [self._facts.pop(path) for path in self._facts.keys() - parts.keys()]
        if not missing and not gone:
            self._sketch(sketched_from)
            return
        self._write()  # from here on the folder is an index, also if this is cut off
        try:
            for done, path in enumerate(missing):
                on_progress(done, len(missing))
                name = path.replace("/", "-").removesuffix(".parquet")
                self._facts[path] = write_shard(self.folder, name, read(path), parts[path])
        finally:
            self._write()
        on_progress(len(missing), len(missing))
        self._delete(gone)
        self._sketch(sketched_from)

    def search(
        self, like: F32, count: int, unlike: F32 | None = None, *, exact: bool = False
    ) -> list[Match]:
        """The nearest vectors, best first: centred cosine, the largest over several examples.

        like, unlike: f32[k, size]; what is as near to ``unlike`` as to ``like`` gets 0. exact:
        every vector is compared, however many there are.
        """
        shards = self._shards()
        if not shards or count <= 0:
            return []
        directions = _Directions(like, unlike, self._mean(shards))
        sketcher = None if exact else self._sketcher
        if sketcher is None or any(not s.sketch_path.exists() for s in shards):
            found = self._every_vector(shards, directions, count)
        else:
            wanted = max(_LEAST_CANDIDATES, count * _CANDIDATES)
            near = nearest_sketches(shards, sketcher.of(directions.examples), wanted, _THREADS)
            found = self._of_candidates(shards, near, directions, count)
        paths = {facts["name"]: path for path, facts in self._facts.items()}
        return [Match(paths[shards[s].name], row, value) for value, s, row in found]

    def mean(self) -> F32:
        """f32[size]: of all vectors, of which there must be one."""
        return self._mean(self._shards())

    def _every_vector(
        self, shards: Sequence[Shard], directions: _Directions, count: int
    ) -> list[tuple[float, int, int]]:
        """(similarity, shard, row) of the best, over all."""

        def best_of(job: tuple[int, int, int]) -> list[tuple[float, int, int]]:
            number, start, stop = job
            values = directions.similarities(*shards[number].products(start, stop, directions.all))
            return [(v, number, start + row) for v, row in _largest(values, count)]

        jobs = [(n, *block) for n, shard in enumerate(shards) for block in shard.blocks()]
        best: list[tuple[float, int, int]] = []
        for group in ordered_map(best_of, jobs, _THREADS):
            best += group
            if len(best) > _HELD * count:  # sorted seldom: an archive may have thousands of parts
                best = sorted(best, key=_best_first)[:count]
        return sorted(best, key=_best_first)[:count]

    def _of_candidates(
        self, shards: Sequence[Shard], near: I64, directions: _Directions, count: int
    ) -> list[tuple[float, int, int]]:
        """The best of vectors by their numbers over all shards."""
        ends = list(accumulate(shard.n for shard in shards))
        best: list[tuple[float, int, int]] = []
        near = np.sort(near)
        for number, (shard, end) in enumerate(zip(shards, ends)):
            first = end - shard.n
            rows = near[np.searchsorted(near, first) : np.searchsorted(near, end)] - first
            if len(rows):
                vectors = shard.rows(rows)
                lengths = np.einsum("nd,nd->n", vectors, vectors)
                values = directions.similarities(vectors @ directions.all, lengths)
                best += [(v, number, int(rows[row])) for v, row in _largest(values, count)]
        return sorted(best, key=_best_first)[:count]

    def _shards(self) -> list[Shard]:
        return [shard for _, shard in self.shards_of_parts()]

    def _mean(self, shards: Sequence[Shard]) -> F32:
        """f32[size]: of all vectors, which is what they are centred by."""
        total: F64 = np.sum([shard.total for shard in shards], axis=0)
        return (total / sum(shard.n for shard in shards)).astype(np.float32)

    def _sketch(self, sketched_from: int) -> None:
        """Sketches of the shards that have none, if there are so many vectors."""
        if self.n < sketched_from:
            return
        shards = self._shards()
        if self._sketcher is None:
            self._sketcher = Sketcher(self._mean(shards))
            self._write()
        for shard in shards:
            if not shard.sketch_path.exists():
                self._sketcher.write(shard)

    def _delete(self, gone: Iterable[Mapping[str, Any]]) -> None:
        """Shards of parts that the archive has no more, by what the index says of them."""
        for facts in gone:
            for end in _ENDS:
                (self.folder / f"{facts['name']}{end}").unlink(missing_ok=True)

    def _read(self) -> None:
        try:
            found = json.loads((self.folder / INDEX_NAME).read_text(encoding="utf-8"))
            if found["version"] != _VERSION:
                return
            facts = {path: dict(each) for path, each in found["parts"].items()}
            centre = found["centre"]
        except (OSError, ValueError, KeyError, TypeError):
            return  # none yet, or one that is made anew
        missing = {p for p, each in facts.items() if each["rows"] and not self._is_there(each)}
        self._facts = {path: each for path, each in facts.items() if path not in missing}
        self._sketcher = None if centre is None else Sketcher(np.array(centre, np.float32))

    def _is_there(self, facts: Mapping[str, Any]) -> bool:
        return all((self.folder / f"{facts['name']}{end}").exists() for end in _ENDS[:3])

    def _write(self) -> None:
        centre = None if self._sketcher is None else self._sketcher.centre.tolist()
        content = {"version": _VERSION, "centre": centre, "parts": self._facts}
        write_json(self.folder / INDEX_NAME, content)


_ENDS = (".npy", ".lengths.npy", ".sum.npy", ".bits.npy")


class _Directions:
    """What vectors are compared with: the examples, centred, and the mean itself."""

    def __init__(self, like: F32, unlike: F32 | None, mean: F32) -> None:
        groups = [like] if unlike is None else [like, unlike]
        centred = np.concatenate([np.atleast_2d(group) for group in groups]) - mean
        lengths = np.linalg.norm(centred, axis=1, keepdims=True)
        self.examples = centred / np.maximum(lengths, 1e-12)
        self.n_like = len(np.atleast_2d(like))
        self.all = np.ascontiguousarray(np.vstack([self.examples, mean]).T, np.float32)
        self._shift = self.examples @ mean
        self._mean_squared = float(mean @ mean)

    def similarities(self, products: F32, squares: F32) -> F32:
        """f32[n] of products with ``all`` and squared lengths."""
        centred = np.maximum(squares - 2 * products[:, -1] + self._mean_squared, 1e-12)
        cosines = (products[:, :-1] - self._shift) / np.sqrt(centred)[:, None]
        values = cosines[:, : self.n_like].max(axis=1)
        if cosines.shape[1] > self.n_like:
            values = values - np.maximum(cosines[:, self.n_like :].max(axis=1), 0)
        return np.asarray(values, np.float32)


def _largest(values: F32, count: int) -> list[tuple[float, int]]:
    """(value, row) of so many of the largest, in no order."""
    rows = np.arange(len(values))
    if count < len(values):
        rows = np.argpartition(values, -count)[-count:]
    return list(zip(values[rows].tolist(), rows.tolist()))


def _best_first(found: tuple[float, int, int]) -> tuple[float, int, int]:
    return -found[0], found[1], found[2]
