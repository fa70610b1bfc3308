# SPDX-License-Identifier: Apache-2.0
"""Embeddings to files: Parquet (extra ``oido[parquet]``) and NumPy's .npz."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import IO, Any

from oido.errors import MissingExtraError, OutputError
from oido.types import EmbeddingRow

__all__ = ["NpzEmbeddingWriter", "ParquetEmbeddingWriter"]

_ROWS_PER_GROUP = 4096


class ParquetEmbeddingWriter:
    """Columns ``file, channel, start_time, end_time, embedding`` (a list of float32)."""

    def __init__(self, stream: IO[bytes]) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise MissingExtraError(
                "Parquet needs pyarrow; install it with: pip install 'oido[parquet]'"
            ) from error
        self._pyarrow: Any = pyarrow
        columns = {
            "file": pyarrow.string(),
            "channel": pyarrow.int32(),
            "start_time": pyarrow.float64(),
            "end_time": pyarrow.float64(),
            "embedding": pyarrow.list_(pyarrow.float32()),
        }
        self._schema = pyarrow.schema(list(columns.items()))
        self._writer = pyarrow.parquet.ParquetWriter(stream, self._schema, compression="zstd")
        self._rows: list[EmbeddingRow] = []

    def write(self, rows: Sequence[EmbeddingRow]) -> None:
        self._rows += rows
        if len(self._rows) >= _ROWS_PER_GROUP:
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


class NpzEmbeddingWriter:
    """Arrays ``files`` str[N], ``channels`` i32[N] (-1: mixed), ``times`` f64[N, 2], and
    ``embeddings`` f32[N, D]. All of it is kept in memory until the end."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rows: list[EmbeddingRow] = []

    def write(self, rows: Sequence[EmbeddingRow]) -> None:
        self._rows += rows

    def close(self) -> None:
        import numpy as np

        rows = self._rows
        mixed = [-1 if row.channel is None else row.channel for row in rows]
        columns: dict[str, Any] = {
            "files": np.array([row.file for row in rows], np.str_),
            "channels": np.array(mixed, np.int32),
            "times": np.array([row[2:4] for row in rows], np.float64).reshape(-1, 2),
            "embeddings": np.stack([row.embedding for row in rows])
            if rows
            else np.zeros((0, 0), np.float32),
        }
        with _as_output_error():
            np.savez_compressed(self._stream, **columns)


@contextlib.contextmanager
def _as_output_error() -> Any:
    """zipfile says ValueError, not OSError, when its stream breaks while it is being closed."""
    try:
        yield
    except ValueError as error:
        raise OutputError(f"embeddings cannot be written ({error})") from error
