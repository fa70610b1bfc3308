# SPDX-License-Identifier: Apache-2.0
"""Parquet: tables, typed and compressed (extra ``oido[parquet]``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from oido.errors import MissingExtraError
from oido.types import AnyRow
from oido.writers.base import CALIBRATED

__all__ = ["ParquetWriter", "parquet_of_embeddings", "parquet_of_labels"]

_PLACE = {"file": "string", "channel": "int32", "start_time": "float64", "end_time": "float64"}


def parquet_of_labels(stream: IO[bytes], calibrated: bool = False) -> ParquetWriter:
    """The table of events, windows or clips: the columns of every machine-readable table."""
    columns = {**_PLACE, "label": "string", "label_index": "int32", "score": "float32"}
    if calibrated:
        columns[CALIBRATED] = "float32"
    return ParquetWriter(stream, columns, rows_per_group=1 << 16)


def parquet_of_embeddings(stream: IO[bytes]) -> ParquetWriter:
    """Columns ``file, channel, start_time, end_time, embedding`` (a list of float32)."""
    return ParquetWriter(stream, {**_PLACE, "embedding": "list of float32"}, rows_per_group=4096)


class ParquetWriter:
    """Rows to columns, a row group at a time, so that memory stays flat.

    columns: the Arrow type of each field of the rows that is written, by its name.
    """

    def __init__(self, stream: IO[bytes], columns: Mapping[str, str], rows_per_group: int) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise MissingExtraError(
                "Parquet needs pyarrow; install it with: pip install 'oido[parquet]'"
            ) from error
        types: dict[str, Callable[[], Any]] = {
            "string": pyarrow.string,
            "int32": pyarrow.int32,
            "float32": pyarrow.float32,
            "float64": pyarrow.float64,
            "list of float32": lambda: pyarrow.list_(pyarrow.float32()),
        }
        self._pyarrow: Any = pyarrow
        self._schema = pyarrow.schema([(name, types[kind]()) for name, kind in columns.items()])
        self._writer = pyarrow.parquet.ParquetWriter(stream, self._schema, compression="zstd")
        self._rows_per_group = rows_per_group
        self._rows: list[AnyRow] = []

    def write(self, rows: Sequence[AnyRow]) -> None:
        self._rows += rows
        if len(self._rows) >= self._rows_per_group:
            self._write_group()

    def close(self) -> None:
        if self._rows:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        names = self._schema.names
        columns = {name: [getattr(row, name) for row in self._rows] for name in names}
        self._writer.write_table(self._pyarrow.table(columns, schema=self._schema))
        self._rows = []
