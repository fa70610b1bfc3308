# SPDX-License-Identifier: Apache-2.0
"""Tables as people have them, CSV of many dialects or Parquet, as rows of text."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator
from typing import NamedTuple

from oido.errors import MissingExtraError, OptionError
from oido.training.text_files import read_text

__all__ = ["TABLE_SUFFIXES", "TableRow", "is_parquet", "read_rows"]

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".parquet", ".pq"})


class TableRow(NamedTuple):
    """A row's cells by column (lower case, no space around), and where it stands."""

    where: str
    cells: dict[str, str]


def is_parquet(path: str) -> bool:
    """Told by the name's ending."""
    return os.path.splitext(path)[1].lower() in (".parquet", ".pq")


def read_rows(path: str, needed: tuple[str, ...]) -> Iterator[TableRow]:
    """The rows of a table with a header; rows without any text are passed over.

    Raises OptionError naming the columns found if one that is needed is not there, and
    MissingExtraError for Parquet without pyarrow.
    """
    return _parquet_rows(path, needed) if is_parquet(path) else _csv_rows(path, needed)


def _csv_rows(path: str, needed: tuple[str, ...]) -> Iterator[TableRow]:
    text = read_text(path)
    first_line = 1
    if text[:4].lower() == "sep=":  # Excel's own way to name the separator
        separator, text = text[4:5], text.partition("\n")[2]
        first_line = 2
    else:
        header = text.lstrip().partition("\n")[0]
        separator = max(",;\t", key=header.count)
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    columns: list[str] | None = None
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = [cell.strip().lower() for cell in cells]
                _require(path, columns, needed)
            else:
                where = f"{path}, line {reader.line_num + first_line - 1}"
                yield TableRow(where, dict(zip(columns, (cell.strip(" ") for cell in cells))))
    except csv.Error as error:
        line = reader.line_num + first_line - 1
        raise OptionError(f"{path}, line {line}: is not CSV ({error})") from error
    if columns is None:
        raise OptionError(f"{path}: is empty; it needs a header with {_listed(needed)}")


def _parquet_rows(path: str, needed: tuple[str, ...]) -> Iterator[TableRow]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError(
            "Parquet needs pyarrow; install it with: pip install 'oido[parquet]'"
        ) from error
    try:
        with open(path, "rb") as stream:
            table = pyarrow.parquet.read_table(stream)
    except (OSError, pyarrow.ArrowException) as error:
        reason = getattr(error, "strerror", None) or "it is not Parquet"
        raise OptionError(f"{path} cannot be read: {reason}") from error
    columns = [str(name).strip().lower() for name in table.column_names]
    _require(path, columns, needed)
    values = [column.to_pylist() for column in table.columns]
    for number, cells in enumerate(zip(*values), start=1):
        yield TableRow(f"{path}, row {number}", dict(zip(columns, map(_as_text, cells))))


def _as_text(value: object) -> str:
    """A value as CSV would hold it; a whole number read as float (pandas does) is one again."""
    if value is None or value != value:  # noqa: PLR0124 - NaN, which pandas writes for nothing
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _require(path: str, columns: list[str], needed: tuple[str, ...]) -> None:
    if missing := [name for name in needed if name not in columns]:
        raise OptionError(
            f"{path}: has no column {_listed(tuple(missing))}; its columns are "
            f"{', '.join(repr(name) for name in columns)}"
        )


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(repr(name) for name in names)
