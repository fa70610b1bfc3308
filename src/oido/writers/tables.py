# SPDX-License-Identifier: Apache-2.0
"""Tables of all recordings in one file: CSV, JSON lines, JSON and Parquet; arrays to .npz.

Parquet is typed and compressed (extra ``oido[parquet]``).
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections.abc import Mapping, Sequence
from typing import IO, Any

from oido.errors import OutputError, needs_extra
from oido.messages import tr
from oido.types import AnyRow, EmbeddingRow, FrameRow, Row
from oido.writers.base import (
    ALSO,
    CALIBRATED,
    COLUMNS,
    START_AT,
    CsvLines,
    TextWriter,
    clock_text,
    quote_cell,
    score_of,
    seconds_of,
)


def record_of(row: Row, calibrated: bool = False, timed: bool = False) -> dict[str, Any]:
    """A row as the values that JSON has, by column name."""
    values = row._replace(
        start_time=seconds_of(row.start_time),
        end_time=seconds_of(row.end_time),
        score=score_of(row.score),
        probability=None if row.probability is None else score_of(row.probability),
    )._asdict()
    values |= {ALSO: list(row.also), START_AT: clock_text(row.start_at)}
    return {column: values[column] for column in _columns(calibrated, timed)}


def _columns(calibrated: bool, timed: bool) -> tuple[str, ...]:
    return (*COLUMNS, *[CALIBRATED] * calibrated, ALSO, *[START_AT] * timed)


def also_text(row: Row) -> str:
    r"""The labels that a row stands for, as tables have them: with ``\|`` for a bar in a label."""
    return "|".join(re.sub(r"[\\|]", r"\\\g<0>", label) for label in row.also)


def also_labels(text: str) -> tuple[str, ...]:
    """The labels of `also_text`."""
    labels = re.findall(r"(?:\\[\\|]|[^|])+", text)
    return tuple(re.sub(r"\\([\\|])", r"\1", label) for label in labels)


class CsvWriter:
    """Comma-separated, with a header; an empty channel means that channels were mixed.

    quoted: texts that a spreadsheet would run are quoted. timed, here and below: with ``start_at``.
    """

    def __init__(
        self, stream: IO[str], calibrated: bool = False, quoted: bool = False, timed: bool = False
    ) -> None:
        self._shape, self._quoted = (calibrated, timed), quoted
        self._writer = csv.DictWriter(CsvLines(stream), _columns(calibrated, timed))
        self._writer.writeheader()

    def write(self, rows: Sequence[Row]) -> None:
        records = (record_of(row, *self._shape) | {ALSO: also_text(row)} for row in rows)
        if self._quoted:
            records = ({name: quote_cell(v) for name, v in r.items()} for r in records)
        self._writer.writerows(records)

    def close(self) -> None:
        """Nothing is missing."""


class JsonLinesWriter(TextWriter):
    """One JSON object per row and line."""

    def __init__(self, stream: IO[str], calibrated: bool = False, timed: bool = False) -> None:
        super().__init__(stream)
        self._shape = calibrated, timed

    def text(self, row: Row) -> str:
        return json.dumps(self.record(row), ensure_ascii=False) + "\n"

    def record(self, row: Row) -> dict[str, Any]:
        """A row as the values that JSON has."""
        return record_of(row, *self._shape)


class JsonWriter(JsonLinesWriter):
    """One JSON array of row objects, a row per line."""

    _before = "[\n"

    def text(self, row: Row) -> str:
        text, self._before = self._before + super().text(row).removesuffix("\n"), ",\n"
        return text

    def close(self) -> None:
        self._stream.write("[]\n" if self._before == "[\n" else "\n]\n")


PLACE_TYPES = {"file": "string", "channel": "int32", "start_time": "float64", "end_time": "float64"}
"""The Arrow types of the columns that begin every table of an archive, or of a run."""

_VECTORS, _MOMENT = "list of float32", "moment in UTC"


def label_types(calibrated: bool) -> dict[str, str]:
    """The Arrow types of a table of events, windows or clips, by column."""
    types = {**PLACE_TYPES, "label": "string", "label_index": "int32", "score": "float32"}
    return {**types, **({CALIBRATED: "float32"} if calibrated else {}), ALSO: "string"}


def parquet_of_labels(
    stream: IO[bytes], calibrated: bool = False, timed: bool = False
) -> ParquetWriter:
    """The table of events, windows or clips: the columns of every machine-readable table."""
    types = label_types(calibrated) | ({START_AT: _MOMENT} if timed else {})
    return ParquetWriter(stream, types, rows_per_group=1 << 16)


def parquet_of_embeddings(stream: IO[bytes], timed: bool = False) -> ParquetWriter:
    """Columns ``file, channel, start_time, end_time, embedding`` (a list of float32)."""
    types = {**PLACE_TYPES, "embedding": _VECTORS} | ({START_AT: _MOMENT} if timed else {})
    return ParquetWriter(stream, types, rows_per_group=4096)


def value_of(row: AnyRow, name: str) -> Any:
    """A row's value in a column of Arrow."""
    return also_text(row) if name == ALSO and isinstance(row, Row) else getattr(row, name)


class ParquetWriter:
    """Rows to columns, a row group at a time, so that memory stays flat.

    columns: the Arrow type of each field of the rows that is written, by its name.
    """

    def __init__(self, stream: IO[bytes], columns: Mapping[str, str], rows_per_group: int) -> None:
        with needs_extra(tr("Parquet needs pyarrow; install it with: pip install 'oido[parquet]'")):
            import pyarrow
            import pyarrow.parquet
        others = {
            _VECTORS: pyarrow.list_(pyarrow.float32()),
            _MOMENT: pyarrow.timestamp("us", "UTC"),
        }
        types = [
            (name, others.get(kind) or pyarrow.type_for_alias(kind))
            for name, kind in columns.items()
        ]
        self._pyarrow: Any = pyarrow
        self._schema = pyarrow.schema(types)
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

    def __del__(self) -> None:
        # One that is let go of without an end is of a file that is given up, and closed already:
        # pyarrow would write the end of it, and print that it cannot.
        with contextlib.suppress(AttributeError):
            self._writer.is_open = False

    def _write_group(self) -> None:
        names = self._schema.names
        columns = {name: [value_of(row, name) for row in self._rows] for name in names}
        self._writer.write_table(self._pyarrow.table(columns, schema=self._schema))
        self._rows = []


class _NpzWriter:
    """Arrays ``files`` str[N], ``channels`` i32[N] (-1: mixed), ``times`` f64[N, 2], and what the
    kind of rows has. All of it is kept in memory until the end."""

    def __init__(self, stream: IO[bytes], labels: Sequence[str] = ()) -> None:
        self._stream, self._labels = stream, labels
        self._rows: list[Any] = []

    def write(self, rows: Sequence[Any]) -> None:
        self._rows += rows


class NpzEmbeddingWriter(_NpzWriter):
    """``embeddings`` f32[N, D]; timed: ``start_at`` datetime64[N] in UTC, too (NaT: not known)."""

    def __init__(self, stream: IO[bytes], timed: bool = False) -> None:
        super().__init__(stream)
        self._timed = timed

    def close(self) -> None:
        import numpy as np

        vectors = [row.embedding for row in self._rows]
        embeddings = np.stack(vectors) if vectors else np.zeros((0, 0), np.float32)
        arrays = {"embeddings": embeddings}
        if self._timed:
            moments = [r.start_at and r.start_at.replace(tzinfo=None) for r in self._rows]
            arrays[START_AT] = np.array(moments, "datetime64[us]")
        _save_arrays(self._stream, "embeddings", self._rows, **arrays)


class NpzFrameWriter(_NpzWriter):
    """``labels`` str[C], and ``scores`` f32[N, C]."""

    def close(self) -> None:
        import numpy as np

        labels = np.array(self._labels, np.str_)
        scores = np.zeros((len(self._rows), len(labels)), np.float32)
        for number, row in enumerate(self._rows):
            scores[number] = row.scores
        _save_arrays(self._stream, "scores", self._rows, labels=labels, scores=scores)


def _save_arrays(
    stream: IO[bytes], what: str, rows: Sequence[EmbeddingRow] | Sequence[FrameRow], **arrays: Any
) -> None:
    """Where the rows are from, and these arrays, as .npz. Raises OutputError naming ``what``."""
    import numpy as np

    mixed = [-1 if row.channel is None else row.channel for row in rows]
    places: dict[str, Any] = {
        "files": np.array([row.file for row in rows], np.str_),
        "channels": np.array(mixed, np.int32),
        "times": np.array([row[2:4] for row in rows], np.float64).reshape(-1, 2),
    }
    try:
        np.savez_compressed(stream, **places, **arrays)
    except ValueError as error:  # zipfile's, when its stream breaks while it is being closed
        raise OutputError(
            tr("{what} cannot be written ({error})", what=what, error=error)
        ) from error
