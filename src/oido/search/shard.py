# SPDX-License-Identifier: Apache-2.0
"""A shard: the embeddings of one part of an archive, in files that are mapped into memory.

An int8 network has at most 256 different values in its embeddings, all multiples of one step. Such
values are kept as int8 with their step, without loss: half of float16. What is not on such a grid
stays float16. Beside the vectors stand their squared lengths and their sum, and for large indices
a bit for each of their directions (`sketch`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from oido.arrays import F32, F64
from oido.errors import OutputError
from oido.messages import tr
from oido.writers.atomic import write_atomically

_MOST_DIVISOR = 4
"""The smallest value that occurs may be so many steps: not every level occurs everywhere."""

_BLOCK_ROWS = 8_192


class _Sink:
    """No file to NumPy, which writes past Python to those."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.write = stream.write


def save_array(stream: IO[bytes], array: np.typing.NDArray[Any]) -> None:
    """An array as .npy: `numpy.save`, but a disk that is full is the system's error."""
    np.lib.format.write_array(_Sink(stream), np.asanyarray(array), allow_pickle=False)


@dataclass(frozen=True)
class Grid:
    """Values that are multiples of ``step``: (code + offset) * step, with codes of int8."""

    step: float
    offset: int

    @classmethod
    def of(cls, values: Any) -> Grid | None:
        """The grid of float16 values; None if there is none that gives each of them back."""
        bits = values.view(np.uint16)
        levels = np.flatnonzero(np.bincount(bits.ravel(), minlength=1 << 16)).astype(np.uint16)
        exact = levels.view(np.float16).astype(np.float64)
        sizes = np.abs(exact[exact != 0])
        if not len(sizes) or len(exact) > 257 or not np.isfinite(exact).all():
            return None
        for divisor in range(1, _MOST_DIVISOR + 1):
            if (found := _fit(exact, sizes.min() / divisor)) is not None:
                return found
        return None

    def codes(self, values: Any) -> Any:
        """i8[…] of float16 values. Raises ValueError for one that is not on the grid."""
        numbers = np.rint(values.astype(np.float32) / np.float32(self.step)) - self.offset
        codes = np.clip(numbers, -128, 127).astype(np.int8)
        if not np.array_equal(self.values(codes).astype(np.float16), values):
            raise ValueError(tr("not on the grid"))
        return codes

    def values(self, codes: Any) -> F32:
        """f32[…] of codes."""
        return np.asarray((codes.astype(np.float32) + self.offset) * np.float32(self.step))


def _fit(exact: F64, guess: float) -> Grid | None:
    """The grid whose step is about ``guess``, if rounding to float16 explains all differences."""
    numbers = np.rint(exact / guess)
    used = numbers != 0
    half = np.spacing(np.abs(exact[used]).astype(np.float16)).astype(np.float64) / 2
    sizes, counts = np.abs(exact[used]), np.abs(numbers[used])
    low, high = ((sizes - half) / counts).max(), ((sizes + half) / counts).min()
    if low > high or np.ptp(numbers) > 255 or (exact[~used] != 0).any():
        return None
    grid = Grid(float(np.float32((low + high) / 2)), int(numbers.min()) + 128)
    try:
        grid.codes(exact.astype(np.float16))
    except ValueError:
        return None
    return grid


class Shard:
    """The vectors of one part that has some, mapped from ``name``.npy and ``name``.lengths.npy.

    n: how many; size: numbers of each; total: f64[size], their sum.
    """

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.name = str(facts["name"])
        self._stem = folder / self.name
        self.n, self.size = int(facts["rows"]), int(facts["size"])
        step = facts["step"]
        self.grid = None if step is None else Grid(step, int(facts["offset"]))
        self.total: F64 = np.load(f"{self._stem}.sum.npy")
        self._codes = np.load(f"{self._stem}.npy", mmap_mode="r")
        self._lengths = np.load(f"{self._stem}.lengths.npy", mmap_mode="r")

    def vectors(self, start: int, stop: int) -> F32:
        """f32[n, size] of rows; rounded to float16 they are what the archive has."""
        codes = self._codes[start:stop]
        return codes.astype(np.float32) if self.grid is None else self.grid.values(codes)

    def rows(self, numbers: Any) -> F32:
        """f32[n, size] of single rows, by their sorted numbers."""
        codes = self._codes[numbers]
        return codes.astype(np.float32) if self.grid is None else self.grid.values(codes)

    def products(self, start: int, stop: int, directions: F32) -> tuple[F32, F32]:
        """f32[n, k], products with directions f32[size, k], and f32[n], squared lengths.

        The grid is taken out of the product, which spares a pass over the vectors.
        """
        found = self._codes[start:stop].astype(np.float32) @ directions
        if self.grid is not None:
            found += np.float32(self.grid.offset) * directions.sum(axis=0)
            found *= np.float32(self.grid.step)
        return found, np.asarray(self._lengths[start:stop])

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Where blocks of rows begin and end that fit a cache."""
        for start in range(0, self.n, _BLOCK_ROWS):
            yield start, min(start + _BLOCK_ROWS, self.n)

    @property
    def sketch_path(self) -> Path:
        """Where the bits of its vectors are kept."""
        return Path(f"{self._stem}.bits.npy")


def write_shard(folder: Path, name: str, blocks: Iterable[Any], rows: int) -> dict[str, Any]:
    """Write the float16 vectors of a part, block by block; what `Shard` is opened with.

    blocks: f16[n, size]. rows: of all of them. A value off the grid of those before it makes all
    of them float16. Raises OutputError, and ValueError for a part that has not so many rows.
    """
    if not rows:
        return {"name": name, "rows": 0, "size": 0, "step": None, "offset": 0}
    try:
        writer: _Writer | None = None
        for block in blocks:
            writer = writer or _Writer(folder, name, rows, block.shape[1], Grid.of(block))
            writer.add(block)
        if writer is None or writer.position != rows:
            raise ValueError(tr("{name} has not {rows} rows", name=name, rows=rows))
        return writer.finish()
    except OSError as error:
        raise OutputError(
            tr(
                "{folder} cannot be written: {reason}",
                folder=folder,
                reason=error.strerror or error,
            )
        ) from error


class _Writer:
    """A shard under way: in a file without its final name, mapped into memory."""

    def __init__(self, folder: Path, name: str, rows: int, size: int, grid: Grid | None) -> None:
        self._folder, self._name, self._shape = folder, name, (rows, size)
        self._grid, self.position = grid, 0
        kind = np.float16 if grid is None else np.int8
        self._kept = np.empty(self._shape, kind)

    def add(self, block: Any) -> None:
        stop = self.position + len(block)
        if stop > self._shape[0]:
            raise ValueError(
                tr("{name} has more than {shape} rows", name=self._name, shape=self._shape[0])
            )
        kept = block
        if self._grid is not None:
            try:
                kept = self._grid.codes(block)
            except ValueError:
                # Levels that did not occur before may show that there is no grid, or a finer one.
                before = self._grid.values(self._kept[: self.position]).astype(np.float16)
                self._grid, self._kept = None, np.empty(self._shape, np.float16)
                self._kept[: self.position] = before
        self._kept[self.position : stop] = kept
        self.position = stop

    def finish(self) -> dict[str, Any]:
        total, lengths = np.zeros(self._shape[1]), np.empty(self._shape[0], np.float32)
        for start in range(0, len(lengths), _BLOCK_ROWS):
            kept = self._kept[start : start + _BLOCK_ROWS]
            values = kept.astype(np.float32) if self._grid is None else self._grid.values(kept)
            lengths[start : start + len(kept)] = np.einsum("nd,nd->n", values, values)
            total += values.sum(axis=0, dtype=np.float64)
        for end, content in ((".sum.npy", total), (".lengths.npy", lengths), (".npy", self._kept)):
            with write_atomically(self._folder / f"{self._name}{end}", binary=True) as file:
                save_array(file.stream, content)
        step, offset = (None, 0) if self._grid is None else (self._grid.step, self._grid.offset)
        rows, size = self._shape
        return {"name": self._name, "rows": rows, "size": size, "step": step, "offset": offset}
