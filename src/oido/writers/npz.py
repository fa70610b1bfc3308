# SPDX-License-Identifier: Apache-2.0
"""Embeddings to NumPy's .npz."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import IO, Any

from oido.errors import OutputError
from oido.types import EmbeddingRow

__all__ = ["NpzEmbeddingWriter"]


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
