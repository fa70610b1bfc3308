# SPDX-License-Identifier: Apache-2.0
"""The formats by name, which one a file name asks for, and a file of one of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from oido.errors import OptionError
from oido.messages import tr
from oido.types import AnyRow
from oido.writers.annotations import AudacityWriter, RavenWriter, SrtWriter, VttWriter
from oido.writers.atomic import AtomicFile
from oido.writers.base import RowWriter
from oido.writers.tables import (
    CsvWriter,
    JsonLinesWriter,
    JsonWriter,
    NpzEmbeddingWriter,
    NpzFrameWriter,
    parquet_of_embeddings,
    parquet_of_labels,
)
from oido.writers.written import WrittenFiles


class Format(NamedTuple):
    """One output format.

    combined: all recordings go into one file; else each recording has its own. suffix: what the
    file name ends in. writer: makes the writer for an open stream.
    """

    name: str
    suffix: str
    combined: bool
    binary: bool
    writer: Callable[..., Any]


FORMATS = (
    Format("csv", ".csv", combined=True, binary=False, writer=CsvWriter),
    Format("jsonl", ".jsonl", combined=True, binary=False, writer=JsonLinesWriter),
    Format("json", ".json", combined=True, binary=False, writer=JsonWriter),
    Format("parquet", ".parquet", combined=True, binary=True, writer=parquet_of_labels),
    Format("audacity", ".txt", combined=False, binary=False, writer=AudacityWriter),
    Format("raven", ".selections.txt", combined=False, binary=False, writer=RavenWriter),
    Format("srt", ".srt", combined=False, binary=False, writer=SrtWriter),
    Format("vtt", ".vtt", combined=False, binary=False, writer=VttWriter),
)

CALIBRATED_FORMATS = tuple(
    entry._replace(writer=partial(entry.writer, calibrated=True)) if entry.combined else entry
    for entry in FORMATS
)
"""The same, tables with a column of probabilities."""


def for_spreadsheets(known: Sequence[Format]) -> tuple[Format, ...]:
    """The same, but no cell of CSV is run by a spreadsheet (`oido.writers.base.quote_cell`)."""
    return tuple(
        entry._replace(writer=partial(entry.writer, quoted=True)) if entry.name == "csv" else entry
        for entry in known
    )


def with_times(entry: Format) -> Format:
    """The same with a last column ``start_at``, where a format has columns."""
    has_columns = entry.combined or entry.name == "raven"
    return entry._replace(writer=partial(entry.writer, timed=True)) if has_columns else entry


EMBEDDING_FORMATS = (
    Format("parquet", ".parquet", combined=True, binary=True, writer=parquet_of_embeddings),
    Format("npz", ".npz", combined=True, binary=True, writer=NpzEmbeddingWriter),
)
"""The formats of `oido embed`; the first is the default, as in FORMATS."""


FRAME_FORMAT = Format("npz", ".npz", combined=True, binary=True, writer=NpzFrameWriter)
"""All scores of frames; its writer wants the labels, too."""


def format_named(name: str, known: Sequence[Format] = FORMATS) -> Format:
    """The format of this name. Raises OptionError naming all."""
    for entry in known:
        if entry.name == name.strip().lower():
            return entry
    names = ", ".join(entry.name for entry in known)
    raise OptionError(
        tr("there is no format {name!r}; choose from {names}", name=name, names=names)
    )


def format_of_path(path: Path, known: Sequence[Format] = FORMATS) -> Format | None:
    """The format that a file name asks for by its end, or None."""
    fitting = [entry for entry in known if path.name.lower().endswith(entry.suffix)]
    return max(fitting, key=lambda entry: len(entry.suffix), default=None)


class TableFile:
    """One output file and its writer; it has its name when it is committed.

    record: of the folder that it is in, if its name there is oido's choice. Raises OutputError.
    """

    def __init__(self, path: Path, entry: Format, record: WrittenFiles | None = None) -> None:
        self.path, self.format, self._record = path, entry, record
        self._file = AtomicFile(path, entry.binary)
        try:
            with self._file.guard():
                self._writer: RowWriter = entry.writer(self._file.stream)
        except BaseException:
            self._file.discard()
            raise

    def partial_name(self, number: str) -> Path:
        """events.csv → events.partial.csv, events.partial2.csv, …"""
        stem, suffix, ending = self.path.name.partition(self.format.suffix)
        return self.path.with_name(f"{stem}.partial{number}{suffix}{ending}")

    def write(self, rows: Sequence[AnyRow]) -> None:
        """Append rows."""
        if rows:
            with self._file.guard():
                self._writer.write(rows)

    def commit(self, path: Path | None = None) -> Path:
        """Give it its name, or another."""
        with self._file.guard():
            self._writer.close()
        self._file.commit(path, record=self._record)
        return path or self.path

    def discard(self) -> None:
        """Forget it."""
        self._file.discard()
