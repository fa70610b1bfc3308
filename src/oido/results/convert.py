# SPDX-License-Identifier: Apache-2.0
"""A results folder in the formats of `oido classify`: combined, or a file for each recording."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from oido._version import __version__
from oido.batch.output_files import ResultFiles
from oido.batch.plan import Failure, FileSummary, Task
from oido.batch.units import escaped_name, raw_name
from oido.errors import OptionError
from oido.heads import SCORES_ARE
from oido.messages import tr
from oido.paths import paths_below_shared
from oido.results.results import Results
from oido.types import AnyRow, EmbeddingRow, Row
from oido.urls import local_name
from oido.writers.annotations import Place, RavenListWriter
from oido.writers.atomic import write_json
from oido.writers.base import ALSO, START_AT
from oido.writers.formats import (
    CALIBRATED_FORMATS,
    EMBEDDING_FORMATS,
    FORMATS,
    Format,
    for_spreadsheets,
    format_named,
    format_of_path,
    with_times,
)
from oido.writers.tables import also_labels

_TABLES = ("events", "windows", "clips", "embeddings")


@dataclass(frozen=True)
class Converted:
    """What a conversion wrote. recordings: those that were heard, if only in part. replaced: how
    many of the files had been there before.

    failures: a sentence for each recording whose own file could not be written.
    """

    files: tuple[Path, ...]
    rows: int
    recordings: int
    replaced: int
    failures: tuple[str, ...] = ()


def convert(
    results: Results,
    output: str,
    formats: Sequence[str],
    *,
    table: str = "events",
    where: str | None = None,
    combined: bool | None = None,
    quoted: bool = True,
) -> Converted:
    """Write a table of a results folder in other formats, in bounded memory.

    output: a file, or a folder (it exists as one, or its name ends in a slash). formats: names of
    those of `oido classify`; () takes what the output's name tells, or CSV. where: a condition in
    SQL; recordings of which no row is left get a valid file without rows. combined: one file for
    all (tables by default, and Raven), or one for each recording (labels and captions by default);
    these mirror the recordings' folders. Tables end in ``start_at``, when a row began by the clock,
    if the results have one. quoted: of CSV, texts that a spreadsheet would run are
    quoted. A manifest stands beside the output.

    Files appear under their names only when they are whole, and replace those of that name, as in
    `oido classify`. Raises OptionError for a format that cannot be combined, and for an output
    inside the results folder; OutputError if the disk says no.
    """
    if table not in _TABLES:
        raise OptionError(
            tr(
                "{table} cannot be converted; choose from {tables}",
                table=table,
                tables=", ".join(_TABLES),
            )
        )
    output = local_name(output)
    inside = f"{os.path.realpath(output)}{os.sep}".startswith(
        f"{os.path.realpath(results.url)}{os.sep}"
    )
    if inside and "://" not in results.url:
        raise OptionError(
            tr("{output} lies in the results folder; choose another output", output=output)
        )
    known: Sequence[Format] = CALIBRATED_FORMATS if results.calibrated else FORMATS
    known = for_spreadsheets(known) if quoted else known
    if table == "embeddings":
        known = EMBEDDING_FORMATS
    recordings: Iterable[tuple[Task, FileSummary]] = _Recordings(results, table)
    chosen = [format_named(name, known) for name in formats]
    chosen = [_arranged(entry, combined, recordings) for entry in chosen]
    guessed = format_of_path(Path(output), known) or known[0]
    if not all(entry.combined for entry in chosen or [guessed]):
        recordings = _with_places(recordings)  # each has a file, and so a name, of its own
    if START_AT in results.columns(table):
        known, chosen = ([with_times(entry) for entry in entries] for entries in (known, chosen))
    folder = Path(output)
    there = folder.rglob("*") if folder.is_dir() else folder.parent.glob("*")
    before = {os.path.abspath(file) for file in there if file.is_file()}
    rows, n_recordings, failures = 0, 0, []
    tasks = _Tasks(recordings)
    with ResultFiles(output, chosen, table, tasks, known=known) as files:
        batches = _by_recording(results, table, where)
        name, group = next(batches, ("", []))
        for task, summary in recordings:
            n_recordings += summary.failure is None or summary.windows > 0
            while group and name == task.name:
                files.write(task, group)
                rows += len(group)
                name, group = next(batches, ("", []))
            ended = files.end(task, summary)
            if ended.failure is not None and summary.failure is None:
                failures.append(ended.failure.reason)
        files.commit()
    written = tuple(files.written)
    manifest = {
        "manifest_version": 1,
        "oido_version": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "results": results.url,
        "table": table,
        "where": where,
        "model": results.header.get("model"),
        "scores": results.header.get("scores") or SCORES_ARE["sigmoid"],
        "parameters": results.header.get("parameters"),
        "outputs": [escaped_name(path.name) for path in written],
        "counts": {"recordings": n_recordings, "rows": rows},
    }
    if files.manifest_path is not None:
        write_json(files.manifest_path, manifest)
    replaced = sum(os.path.abspath(path) in before for path in written)
    return Converted(written, rows, n_recordings, replaced, tuple(failures))


def _arranged(
    entry: Format, combined: bool | None, recordings: Iterable[tuple[Task, FileSummary]]
) -> Format:
    """The format for one file of all recordings, or for one each."""
    if combined is None or combined == entry.combined:
        return entry
    if not combined:
        return entry._replace(combined=False)
    if entry.name != "raven":
        raise OptionError(
            tr(
                "{name} is one file per recording; --combined is for tables and raven",
                name=entry.name,
            )
        )
    places, offset = {}, 0.0
    for task, summary in recordings:
        places[task.name] = Place(task.path, offset)
        offset += summary.duration
    return entry._replace(combined=True, writer=partial(RavenListWriter, places=places))


class _Recordings:
    """Every recording by name, and what came of it, as the files of a run want it; asked for anew
    each time, so that little memory is used, however many there are."""

    def __init__(self, results: Results, table: str) -> None:
        self._results, self._table = results, table

    def __iter__(self) -> Iterator[tuple[Task, FileSummary]]:
        # Sorted, and put together here: DuckDB sorts in a folder what it has no memory for, but
        # holds all groups at once.
        query = f"""
            SELECT file, location, duration, windows, failure_kind, failure_reason FROM recordings
            UNION ALL BY NAME SELECT DISTINCT file FROM {self._table} ORDER BY file"""
        batches = self._results.sql_batches(query)
        rows = (row for b in batches for row in zip(*(c.to_pylist() for c in b.columns)))
        for number, (name, same) in enumerate(groupby(rows, key=itemgetter(0))):
            _, locations, durations, windows, kinds, reasons = zip(*same)
            kind = _first(kinds)
            failure = Failure(kind, _first(reasons) or kind) if kind else None
            summary = FileSummary(
                name,
                duration=max(filter(None, durations), default=0.0),
                windows=max(filter(None, windows), default=0),
                failure=failure,
            )
            yield Task(number, _first(locations) or name, name, name), summary


def _first(values: Iterable[Any]) -> Any:
    """The first that is one; None if none is."""
    return next((value for value in values if value is not None), None)


class _Tasks(Collection[Task]):
    """The recordings alone, each time that they are iterated, and their number."""

    def __init__(self, recordings: Iterable[tuple[Task, FileSummary]]) -> None:
        self._recordings = recordings

    def __iter__(self) -> Iterator[Task]:
        return (task for task, _ in self._recordings)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, task: object) -> bool:
        return any(task == other for other in self)


def _with_places(recordings: Iterable[tuple[Task, FileSummary]]) -> list[tuple[Task, FileSummary]]:
    """With their paths below the folder that all share, for files of their own."""
    found = list(recordings)
    places = paths_below_shared([raw_name(task.name) for task, _ in found])
    return [(replace(task, relative=p), summary) for (task, summary), p in zip(found, places)]


def _by_recording(
    results: Results, table: str, where: str | None
) -> Iterator[tuple[str, list[AnyRow]]]:
    """Rows of one recording after the other, those of a long one in several lists."""
    kind: Any = EmbeddingRow if table == "embeddings" else Row
    names = [name for name in kind._fields if name in results.columns(table)]
    for batch in results.batches(table, where, columns=names):
        columns = [column.to_pylist() for column in batch.columns]
        position = names.index("embedding" if table == "embeddings" else ALSO)
        read = partial(np.asarray, dtype=np.float32) if table == "embeddings" else also_labels
        columns[position] = [read(value) for value in columns[position]]
        rows: list[AnyRow] = [kind(**dict(zip(names, values))) for values in zip(*columns)]
        start = 0
        for end in range(1, len(rows) + 1):
            if end == len(rows) or rows[end].file != rows[start].file:
                yield rows[start].file, rows[start:end]
                start = end
