# SPDX-License-Identifier: Apache-2.0
"""The tables of a results folder as DuckDB's views over their parts, in SQL.

Parts of one version have the same columns. Where all are known to have them, DuckDB opens a part
when it reads it; else it opens all of them before the first row, and keeps what it knows of each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from oido.results.query_text import quoted
from oido.writers.base import ALSO

_PLACE = {"file": "VARCHAR", "channel": "INTEGER", "start_time": "DOUBLE", "end_time": "DOUBLE"}
_LABELS = {**_PLACE, "label": "VARCHAR", "label_index": "INTEGER", "score": "FLOAT"}
TABLES: dict[str, dict[str, str]] = {
    "events": _LABELS,
    "windows": _LABELS,
    "clips": _LABELS,
    "embeddings": {**_PLACE, "embedding": "FLOAT[]"},
    "recordings": {
        **dict.fromkeys(("file", "location", "modified", "key"), "VARCHAR"),
        **dict.fromkeys(("size", "windows", "rows", "damaged_packets"), "BIGINT"),
        **dict.fromkeys(("duration", "padded_share", "hearing_seconds"), "DOUBLE"),
        **dict.fromkeys(("channels", "sample_rate"), "INTEGER"),
        **dict.fromkeys(("failure_kind", "failure_reason", "tags", "heard_at"), "VARCHAR"),
        "gaps_seconds": "DOUBLE",
        "findings": "VARCHAR",
        "unknown_stretches": "BIGINT",
        "unknown": "BOOLEAN",
    },
}
"""The tables, and the columns of one that has no part yet, with DuckDB's types."""

_MOST_GROUPS = 16
"""Of parts with the same columns: where there are more, DuckDB sorts them out by itself."""


def list_of(texts: Sequence[str]) -> str:
    """A list of texts in SQL."""
    return "[" + ", ".join(map(quoted, texts)) + "]"


ReadColumns = Callable[[str], Any]
"""The path of a part → its columns, which has ``equals``."""


def alike(paths: Sequence[str], read_columns: ReadColumns) -> list[list[str]] | None:
    """Parts in their order, grouped by their columns; None: too many groups.

    One that cannot be read is a group of its own, and DuckDB says what is wrong with it.
    """
    groups: list[list[str]] = []
    known: Any = None
    for path in paths:
        try:
            columns = read_columns(path)
        except Exception:  # whatever damage makes of it
            columns = None
        if columns is None or known is None or not columns.equals(known):
            groups.append([])
        if len(groups) > _MOST_GROUPS:
            return None
        groups[-1].append(path)
        known = columns
    return groups


def rows_of(
    table: str, paths: Sequence[str], calibrated: bool, read_columns: ReadColumns | None
) -> str:
    """The rows of a table as they lie in its parts; typed and empty where there are none.

    read_columns: None where that costs too much, as in a store.
    """
    if paths:
        groups = None if read_columns is None else alike(paths, read_columns)
        rows = (
            " UNION ALL BY NAME ".join(f"SELECT * FROM {_parquet(group)}" for group in groups or ())
            or f"SELECT * FROM {_parquet(paths, ', union_by_name = true')}"
        )
        # Archives of versions before lack some columns.
        if table == "recordings":
            newer = (
                "NULL::DOUBLE AS gaps_seconds, NULL::VARCHAR AS findings, "
                "NULL::BIGINT AS unknown_stretches, NULL::BOOLEAN AS unknown"
            )
            return f"{rows} UNION ALL BY NAME SELECT {newer} WHERE false"
        if "score" not in TABLES[table]:
            return rows
        rows = f"{rows} UNION ALL BY NAME SELECT '' AS {ALSO} WHERE false"
        return f"SELECT * REPLACE (coalesce({ALSO}, '') AS {ALSO}) FROM ({rows})"
    columns = dict(TABLES[table])
    if "score" in columns:
        columns |= {"probability": "FLOAT"} if calibrated else {}
        columns[ALSO] = "VARCHAR"
    typed = ", ".join(f"NULL::{kind} AS {name}" for name, kind in columns.items())
    return f"SELECT {typed} WHERE false"


def _parquet(paths: Sequence[str], more: str = "") -> str:
    # Else a folder above that is called label=Dog would overwrite the column of that name.
    return f"read_parquet({list_of(paths)}, hive_partitioning = false{more})"


def with_times(table: str, source: str, timed: bool) -> str:
    """These rows with when each began, from the table ``clock``, at their end."""
    if not timed:
        return source
    join = f"FROM ({source}) AS rows LEFT JOIN clock ON rows.file = clock.file"
    if table == "recordings":
        return f"SELECT rows.*, clock.recorded_at, clock.time_from {join}"
    start = "clock.recorded_at + to_microseconds(CAST(round(rows.start_time * 1e6) AS BIGINT))"
    return f"SELECT rows.*, {start} AS start_at {join}"
