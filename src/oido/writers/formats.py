# SPDX-License-Identifier: Apache-2.0
"""The formats by name, and which one a file name asks for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

from oido.errors import OptionError
from oido.writers.base import RowWriter
from oido.writers.captions import SrtWriter, VttWriter
from oido.writers.labels import AudacityWriter, RavenWriter
from oido.writers.parquet import ParquetWriter
from oido.writers.tables import CsvWriter, JsonLinesWriter, JsonWriter

__all__ = ["FORMATS", "Format", "format_named", "format_of_path"]


class Format(NamedTuple):
    """One output format.

    combined: all recordings go into one file; else each recording has its own. suffix: what the
    file name ends in.
    """

    name: str
    suffix: str
    combined: bool
    binary: bool
    writer: Callable[[IO[Any]], RowWriter]


FORMATS = (
    Format("csv", ".csv", combined=True, binary=False, writer=CsvWriter),
    Format("jsonl", ".jsonl", combined=True, binary=False, writer=JsonLinesWriter),
    Format("json", ".json", combined=True, binary=False, writer=JsonWriter),
    Format("parquet", ".parquet", combined=True, binary=True, writer=ParquetWriter),
    Format("audacity", ".txt", combined=False, binary=False, writer=AudacityWriter),
    Format("raven", ".selections.txt", combined=False, binary=False, writer=RavenWriter),
    Format("srt", ".srt", combined=False, binary=False, writer=SrtWriter),
    Format("vtt", ".vtt", combined=False, binary=False, writer=VttWriter),
)


def format_named(name: str) -> Format:
    """The format of this name. Raises OptionError naming all."""
    for entry in FORMATS:
        if entry.name == name.strip().lower():
            return entry
    names = ", ".join(entry.name for entry in FORMATS)
    raise OptionError(f"there is no format {name!r}; choose from {names}")


def format_of_path(path: Path) -> Format | None:
    """The format that a file name asks for by its end, or None."""
    fitting = [entry for entry in FORMATS if path.name.lower().endswith(entry.suffix)]
    return max(fitting, key=lambda entry: len(entry.suffix), default=None)
