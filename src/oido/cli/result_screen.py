# SPDX-License-Identifier: Apache-2.0
"""Tables of results for reading on the screen."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["show_table"]

_WIDEST = 60
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def show_table(table: Any, every_column: bool) -> None:
    """Print a ``pyarrow.Table``, numbers to the right.

    every_column: also those in which nothing stands, and the labels' numbers; else they are left
    out, because they take the room of the others.
    """
    from oido.archive.tables import plain_rows

    rows = [row for batch in table.to_batches() for row in plain_rows(batch)]
    names = list(table.schema.names)
    kept = list(range(len(names)))
    if not every_column:
        empty = [bool(rows) and all(row[n] is None for row in rows) for n in kept]
        kept = [n for n in kept if not empty[n] and names[n] != "label_index"]
    cells = [[_cell(names[n], row[n]) for n in kept] for row in rows]
    heads = [names[n] for n in kept]
    widths = [max(map(len, column)) for column in zip(heads, *cells)]
    numbers = [any(isinstance(row[n], (int, float)) for row in rows) for n in kept]
    for line in (heads, *cells):
        texts = (
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(line, widths, numbers)
        )
        print("  ".join(texts).rstrip())
    if not rows:
        print("(no row)")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}" if name.endswith("_time") else f"{value:.4g}"
    text = str(value).replace("\n", " ").replace("\t", " ")
    if _TIME.fullmatch(text):
        return text[:19].replace("T", " ")  # to the second, as every time here is in UTC
    if len(text) <= _WIDEST:
        return text
    # Of a path the end tells most, of other texts the beginning.
    if name in ("file", "location"):
        return "…" + text[1 - _WIDEST :]
    return text[: _WIDEST - 1] + "…"
