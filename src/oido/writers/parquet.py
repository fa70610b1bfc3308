# SPDX-License-Identifier: Apache-2.0
"""Parquet: the combined table, typed and compressed (extra ``oido[parquet]``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO, Any

from oido.errors import MissingExtraError
from oido.types import Row
from oido.writers.base import COLUMNS

__all__ = ["ParquetWriter"]

_ROWS_PER_GROUP = 1 << 16


class ParquetWriter:
    """Row groups of 65,536 rows, so that memory stays flat."""

    def __init__(self, stream: IO[bytes]) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise MissingExtraError(
                "Parquet needs pyarrow; install it with: pip install 'oido[parquet]'"
            ) from error
        self._pyarrow: Any = pyarrow
        types = {
            "file": pyarrow.string(),
            "channel": pyarrow.int32(),
            "start_time": pyarrow.float64(),
            "end_time": pyarrow.float64(),
            "label": pyarrow.string(),
            "label_index": pyarrow.int32(),
            "score": pyarrow.float32(),
        }
        self._schema = pyarrow.schema([(column, types[column]) for column in COLUMNS])
        self._writer = pyarrow.parquet.ParquetWriter(stream, self._schema, compression="zstd")
        self._rows: list[Row] = []

    def write(self, rows: Sequence[Row]) -> None:
        self._rows += rows
        if len(self._rows) >= _ROWS_PER_GROUP:
            self._write_group()

    def close(self) -> None:
        if self._rows:
            self._write_group()
        self._writer.close()

    def _write_group(self) -> None:
        columns = {name: [getattr(row, name) for row in self._rows] for name in COLUMNS}
        self._writer.write_table(self._pyarrow.table(columns, schema=self._schema))
        self._rows = []
