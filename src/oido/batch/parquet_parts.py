# SPDX-License-Identifier: Apache-2.0
"""Parquet parts of an archive: written from record batches, and rewritten when recordings change.

Finished recordings share parts, those still under way have their own. A part that holds rows of a
recording that has changed since is written again without them.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oido.batch.storage import Storage, new_path
from oido.batch.units import EMBEDDINGS, Part, escaped_name, utf8
from oido.errors import DamagedResultsError
from oido.messages import tr

_HELD_BYTES = 8 << 20
"""A recording with more than this is written to parts of its own meanwhile."""

_GROUP_ROWS = 1 << 16
_VECTOR_ROWS = 1 << 14


def write_part(storage: Storage, table: str, schema: Any, batches: Sequence[Any]) -> Part:
    """Write a part, whole or not at all. Raises OutputError."""
    part = _OpenPart(storage, table, schema)
    part.write(batches)
    return part.finish()


class PartBuffer:
    """The rows of one recording while it is classified; call it with a table and a record batch.

    Little is held: beyond some megabytes they go to parts of the recording's own, a row group at a
    time. ``rows``: that went here so far, without those of recordings and embeddings.
    """

    def __init__(self, storage: Storage, schemas: dict[str, Any]) -> None:
        self._storage, self._schemas = storage, schemas
        self._held: dict[str, list[Any]] = {}
        self._held_bytes: dict[str, int] = {}
        self._open: dict[str, _OpenPart] = {}
        self.rows = 0

    def __call__(self, table: str, batch: Any) -> None:
        if table != EMBEDDINGS:
            self.rows += batch.num_rows
        self._held.setdefault(table, []).append(batch)
        self._held_bytes[table] = self._held_bytes.get(table, 0) + batch.nbytes
        if self._held_bytes[table] > _HELD_BYTES:
            self._spill(table)

    @property
    def is_large(self) -> bool:
        """Whether the recording has parts of its own by now."""
        return bool(self._open)

    def release(self) -> dict[str, list[Any]]:
        """The rows that are still held, by table."""
        held, self._held = self._held, {}
        self._held_bytes = {}
        return held

    def write(self) -> list[Part]:
        """All rows in parts of their own."""
        for table in list(self._open):
            self._spill(table)
        parts = [part.finish() for part in self._open.values()]
        self._open = {}
        for table, batches in self.release().items():
            parts.append(write_part(self._storage, table, self._schemas[table], batches))
        return parts

    def discard(self) -> None:
        """Forget everything."""
        for part in self._open.values():
            part.discard()
        self._open = {}
        self.release()

    def _spill(self, table: str) -> None:
        batches = self._held.pop(table, [])
        self._held_bytes[table] = 0
        if table not in self._open:
            self._open[table] = _OpenPart(self._storage, table, self._schemas[table])
        self._open[table].write(batches)


class _HashedFile:
    """Passes on what is written, and knows its size and SHA-256."""

    closed = False

    def __init__(self, file: IO[Any]) -> None:
        self._file, self.size, self.digest = file, 0, hashlib.sha256()

    def write(self, data: Any) -> int:
        self.digest.update(data)
        self.size += len(data)
        self._file.write(data)
        return len(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        """Whoever opened the file closes it."""


class _OpenPart:
    """A part that is being written, a row group at a time."""

    def __init__(self, storage: Storage, table: str, schema: Any) -> None:
        self._table, self._schema, self._rows = table, schema, 0
        self._path = new_path(storage, table, ".parquet")
        # Vectors hardly repeat: a dictionary of them costs time and saves nothing.
        names = ("file", "label") if table != EMBEDDINGS else ()
        dictionary = [name for name in names if name in schema.names]
        with contextlib.ExitStack() as stack:
            self._file = _HashedFile(stack.enter_context(storage.open_new(self._path)))
            self._writer = stack.enter_context(
                pq.ParquetWriter(
                    self._file,
                    schema,
                    compression="zstd",
                    use_dictionary=dictionary or False,
                    write_page_checksum=True,
                )
            )
            self._stack = stack.pop_all()

    def write(self, batches: Iterable[Any]) -> None:
        content = pa.Table.from_batches(batches, self._schema)
        if content.num_rows:
            try:
                self._writer.write_table(content, row_group_size=_GROUP_ROWS)
            except BaseException as error:
                self._stack.__exit__(type(error), error, error.__traceback__)
                raise
        self._rows += content.num_rows

    def finish(self) -> Part:
        self._stack.close()
        digest = self._file.digest.hexdigest()
        return Part(self._table, self._path, self._rows, self._file.size, digest)

    def discard(self) -> None:
        error = RuntimeError(tr("not wanted"))
        # A full disk fails here again; the other parts are to be discarded all the same.
        with contextlib.suppress(Exception):
            self._stack.__exit__(RuntimeError, error, None)


def rewrite_parts(
    storage: Storage,
    live: Mapping[str, Part],
    leaving: Mapping[str, set[str]],
    names: Iterable[str] = (),
) -> Iterator[tuple[str, Part | None]]:
    """For each part that had rows of recordings to leave: its path, and what stands for it.

    leaving: for each path the locations of those recordings; names: what rows call them, where
    the table of recordings does not tell any more. The parts of a commit are small, and are read
    one at a time. None: no row is left of it. Raises DamagedResultsError for a part that is not
    as it was written: its rows must not become those of a part that seems whole.
    """
    of_before = {utf8(location) for group in leaving.values() for location in group}
    locations = of_before | {escaped_name(place) for group in leaving.values() for place in group}
    names = set(names)
    for path in leaving:
        if live[path].table == "recordings":
            table = _read(storage, live[path])
            names |= set(table.filter(_is_in(table, "location", locations))["file"].to_pylist())
    for path in leaving:
        table = _read(storage, live[path])
        kept = table.filter(pc.invert(_is_in(table, "file", names)))
        if kept.num_rows == 0:
            yield path, None
        elif kept.num_rows < table.num_rows:
            batches = kept.to_batches()
            yield path, write_part(storage, live[path].table, table.schema, batches)


def _read(storage: Storage, part: Part) -> Any:
    if trouble := trouble_of(storage, part):
        raise _damaged_error(storage, part, trouble)
    with storage.open(part.path) as file:
        return pq.read_table(file)


def _damaged_error(storage: Storage, part: Part, trouble: str) -> DamagedResultsError:
    return DamagedResultsError(
        tr(
            "{url}: {path} {trouble}; say `oido batch verify {url} --repair`",
            url=storage.url,
            path=part.path,
            trouble=trouble,
        )
    )


def vectors_of(storage: Storage, part: Part) -> Iterator[Any]:
    """The embeddings of a part, f16[n, size] block by block. Raises DamagedResultsError."""
    if trouble := trouble_of(storage, part):
        raise _damaged_error(storage, part, trouble)
    with storage.open(part.path) as file:
        for batch in pq.ParquetFile(file).iter_batches(_VECTOR_ROWS, columns=["embedding"]):
            vectors = batch.column(0)
            values = vectors.flatten().to_numpy(zero_copy_only=False)
            yield values.reshape(len(vectors), -1) if len(vectors) else values.reshape(0, 0)


def places_of(storage: Storage, part: Part, rows: Sequence[int]) -> list[tuple[Any, ...]]:
    """File, channel and start_time of rows of a part of windows."""
    with storage.open(part.path) as file:
        table = pq.read_table(file, columns=["file", "channel", "start_time"]).take(rows)
    return list(zip(*(column.to_pylist() for column in table.columns)))


class WindowPlaces(NamedTuple):
    """Where the n windows of a part are, in their order.

    files: names; file_index: i32[n], which of them; channels: i32[n], -1 for a mix; start_times,
    end_times: f64[n], seconds.
    """

    files: tuple[str, ...]
    file_index: Any
    channels: Any
    start_times: Any
    end_times: Any


def all_places_of(storage: Storage, part: Part) -> WindowPlaces:
    """Where all windows of a part are; some 25 bytes of memory for each."""
    columns = ["file", "channel", "start_time", "end_time"]
    with storage.open(part.path) as file:
        table = pq.read_table(file, columns=columns)
    names = table["file"].cast(pa.string()).combine_chunks().dictionary_encode()
    return WindowPlaces(
        tuple(names.dictionary.to_pylist()),
        names.indices.to_numpy(zero_copy_only=False),
        pc.fill_null(table["channel"], -1).to_numpy(),
        table["start_time"].to_numpy(),
        table["end_time"].to_numpy(),
    )


CHANGED = tr("is not as it was written")


def trouble_of(storage: Storage, part: Part) -> str:
    """What is wrong with a part, "": nothing. Reads all of it; one of a version before without a
    hash is only tried."""
    try:
        with storage.open(part.path) as file:
            if not part.sha256:
                return "" if pq.read_table(file).num_rows == part.rows else tr("has lost rows")
            digest, size = hashlib.sha256(), 0
            while block := file.read(1 << 20):
                digest.update(block)
                size += len(block)
    except FileNotFoundError:
        return tr("is missing")
    except (OSError, pa.ArrowException) as error:
        return tr("cannot be read ({splitlines})", splitlines=str(error).splitlines()[0])
    if size != part.size:
        return tr("has {size} bytes and not {part_size}", size=size, part_size=part.size)
    return "" if digest.hexdigest() == part.sha256 else CHANGED


def _is_in(table: Any, column: str, values: set[str]) -> Any:
    return pc.is_in(table[column], value_set=pa.array(sorted(values), pa.string()))
