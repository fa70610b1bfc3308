# SPDX-License-Identifier: Apache-2.0
"""Files that list recordings: a line each, or a column of a table, on the disk or in a store.

An entry is relative to where its list is, and a name that exists is that file.
"""

from __future__ import annotations

import csv
import os
import posixpath
from collections.abc import Sequence
from typing import Any

from oido.batch.storage import is_remote
from oido.batch.units import raw_name
from oido.dialects import decode_text, split_lines, table_lines
from oido.errors import OptionError, needs_extra
from oido.messages import tr
from oido.paths import NameFinder, is_recording
from oido.urls import (
    filesystem_of,
    percent_decoded,
    refused_certificate,
    trouble_with,
    without_scheme,
)

_LISTS = (".txt", ".csv", ".tsv", ".parquet", ".m3u", ".m3u8")
_COLUMNS = ("file", "path")


def is_list(path: str) -> bool:
    """By the name's ending; a folder is none."""
    return os.path.splitext(path)[1].lower() in _LISTS and not os.path.isdir(path)


def read_list(path: str, names: NameFinder) -> list[str] | None:
    """What a list names, as paths and URLs; None of an .m3u8 that is a stream, and no list.

    names: finds what stands in it on the disk. Raises OptionError, or MissingExtraError for Parquet
    without pyarrow.
    """
    ending = os.path.splitext(path)[1].lower()
    try:
        with filesystem_of(path).open(path, "rb") if is_remote(path) else open(path, "rb") as file:
            if ending == ".parquet":
                entries = _parquet_entries(path, file)
                return [_resolve(path, entry, names) for entry in entries]
            text = decode_text(file.read())
    except OSError as error:
        if isinstance(error, FileNotFoundError) and refused_certificate(error) is None:
            raise OptionError(tr("{path}: no such list", path=path)) from error
        reason = trouble_with(path, error)
        raise OptionError(
            tr("{path}: this list cannot be read ({reason})", path=path, reason=reason)
        ) from error
    if ending == ".m3u8" and "#EXT-X-" in text:
        return None
    if ending in (".csv", ".tsv"):
        return [_resolve(path, entry, names) for entry in _table_entries(path, text)]
    return _line_entries(path, text, names)


def _resolve(path: str, entry: str, names: NameFinder) -> str:
    """An entry of a list as a path or URL."""
    if entry.startswith("file://"):
        return without_scheme(entry, names.is_there)
    if is_remote(entry):
        return entry
    if is_remote(path) and not os.path.isabs(entry):
        return f"{posixpath.dirname(path)}/{entry.replace(chr(92), '/')}"
    joined = os.path.join(os.path.dirname(path), entry)  # which is an absolute entry itself
    if not os.path.isabs(entry) and "%" in entry and names.find(joined) is None:
        return percent_decoded(joined, names.is_there)
    return joined if os.path.lexists(joined) else _as_named(joined)


def _as_named(path: str) -> str:
    """The path that a table of oido's calls so, if there is one: names may be any bytes."""
    raw = raw_name(path)
    return raw if raw != path and os.path.lexists(raw) else path


def _table_entries(path: str, text: str) -> list[str]:
    try:
        lines = [line.cells for line in table_lines(text)]
    except csv.Error as error:
        raise OptionError(
            tr("{path}: this list cannot be read ({error})", path=path, error=error)
        ) from error
    header = [name.lower() for name in lines[0]] if lines else []
    recordings = [count for count, cell in enumerate(header) if is_recording(cell)]
    if recordings and not {*header} & {*_COLUMNS}:  # no header, but a recording right away
        column = recordings[0]
    else:
        column, lines = header.index(_column(path, header)), lines[1:]
    return [row[column] for row in lines if len(row) > column and row[column]]


def _line_entries(path: str, text: str, names: NameFinder) -> list[str]:
    """The lines that are no comments; a line that is a file as it stands is always that file."""
    lines = split_lines(text)
    first = next((line for line in lines if line.strip()), "")
    if "\t" in first and {cell.strip(' "').lower() for cell in first.split("\t")} & {*_COLUMNS}:
        return [_resolve(path, entry, names) for entry in _table_entries(path, text)]
    entries = []
    for line in lines:
        plain = line.strip()
        choices = dict.fromkeys((line, plain, plain.strip('"').strip()))
        there = None
        if plain and not is_remote(path):
            joined = (os.path.join(os.path.dirname(path), choice) for choice in choices)
            there = next(filter(names.is_there, joined), None)
        if there is not None:
            entries.append(there)
        elif plain and not plain.startswith("#"):
            is_quoted = len(plain) > 2 and plain[0] == plain[-1] == '"'
            entries.append(_resolve(path, plain[1:-1] if is_quoted else plain, names))
    return entries


def _parquet_entries(path: str, file: Any) -> list[str]:
    with needs_extra(tr("Parquet needs pyarrow; install it with: pip install 'oido[archive]'")):
        import pyarrow as pa
        import pyarrow.parquet as pq
    try:
        names = pq.read_schema(file).names
        lower = [str(name).strip().lower() for name in names]
        column = names[lower.index(_column(path, lower))]
        file.seek(0)
        entries = pq.read_table(file, columns=[column]).column(column).to_pylist()
    except pa.ArrowInvalid as error:
        raise OptionError(
            tr("{path}: this list cannot be read ({error})", path=path, error=error)
        ) from error
    return [str(entry) for entry in entries if entry]


def _column(path: str, names: Sequence[str]) -> str:
    for name in _COLUMNS:
        if name in names:
            return name
    raise OptionError(tr("{path}: has no column named file or path", path=path))
