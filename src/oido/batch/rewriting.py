# SPDX-License-Identifier: Apache-2.0
"""Parts without the rows of recordings that have changed since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oido.batch.shelf import write_part
from oido.batch.storage import Storage
from oido.batch.units import Part, utf8

__all__ = ["rewritten"]


def rewritten(
    storage: Storage, live: Mapping[str, Part], leaving: Mapping[str, set[str]]
) -> Iterator[tuple[str, Part | None]]:
    """For each part that had rows of recordings to leave: its path, and what stands for it.

    leaving: for each path the locations of those recordings. The parts of a commit are small, and
    are read one at a time. None: no row is left of it.
    """
    locations = {utf8(location) for group in leaving.values() for location in group}
    names: set[str] = set()
    for path in leaving:
        if live[path].table == "recordings":
            table = _read(storage, path)
            names |= set(table.filter(_is_in(table, "location", locations))["file"].to_pylist())
    for path in leaving:
        table = _read(storage, path)
        rest = table.filter(pc.invert(_is_in(table, "file", names)))
        if rest.num_rows == 0:
            yield path, None
        elif rest.num_rows < table.num_rows:
            batches = rest.to_batches()
            yield path, write_part(storage, live[path].table, table.schema, batches)


def _read(storage: Storage, path: str) -> Any:
    with storage.open(path) as file:
        return pq.read_table(file)


def _is_in(table: Any, column: str, values: set[str]) -> Any:
    return pc.is_in(table[column], value_set=pa.array(sorted(values), pa.string()))
