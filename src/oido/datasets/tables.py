# SPDX-License-Identifier: Apache-2.0
"""Tables that list clips, or regions of recordings, with their labels: CSV or Parquet.

CSV has many dialects; `oido.dialects` reads them.
"""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from oido.datasets.clip import Clip, Found, LeftOut, check_label, meaning_of, source_of
from oido.datasets.families import join_families
from oido.datasets.regions import background_clips, region_around, relate, separate_stretches
from oido.datasets.waveforms import probe
from oido.dialects import read_text, seconds, table_lines, verdict_of
from oido.errors import OptionError, needs_extra
from oido.messages import joined, text_of, tr
from oido.paths import NameFinder

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".parquet", ".pq"})


class TableRow(NamedTuple):
    """A row's cells by column (lower case, no space around), and where it stands."""

    where: str
    cells: dict[str, str]


def is_parquet(path: str) -> bool:
    """By the name's ending."""
    return os.path.splitext(path)[1].lower() in (".parquet", ".pq")


def read_rows(path: str, needed: tuple[str, ...]) -> Iterator[TableRow]:
    """The rows of a table with a header; rows without any text are passed over.

    Raises OptionError naming the columns found if one that is needed is not there, and
    MissingExtraError for Parquet without pyarrow.
    """
    return _parquet_rows(path, needed) if is_parquet(path) else _csv_rows(path, needed)


def _csv_rows(path: str, needed: tuple[str, ...]) -> Iterator[TableRow]:
    columns: list[str] | None = None
    try:
        for number, cells in table_lines(read_text(path)):
            if columns is None:
                columns = _named(path, cells, needed)
            else:
                yield TableRow(
                    tr("{path}, line {number}", path=path, number=number), dict(zip(columns, cells))
                )
    except csv.Error as error:
        raise OptionError(tr("{path}, {error}", path=path, error=error)) from error
    if columns is None:
        raise OptionError(
            tr(
                "{path}: is empty; it needs a header with {column_list}",
                path=path,
                column_list=_column_list(needed),
            )
        )


def _parquet_rows(path: str, needed: tuple[str, ...]) -> Iterator[TableRow]:
    with needs_extra(tr("Parquet needs pyarrow; install it with: pip install 'oido[parquet]'")):
        import pyarrow
        import pyarrow.parquet
    try:
        with open(path, "rb") as stream:
            table = pyarrow.parquet.read_table(stream)
    except (OSError, pyarrow.ArrowException) as error:
        reason = getattr(error, "strerror", None) or tr("it is not Parquet")
        raise OptionError(
            tr("{path} cannot be read: {reason}", path=path, reason=reason)
        ) from error
    columns = _named(path, [str(name) for name in table.column_names], needed)
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


def _named(path: str, header: list[str], needed: tuple[str, ...]) -> list[str]:
    """The columns by name; ``path`` is ``file``, as in lists of recordings."""
    columns = [name.strip().lower() for name in header]
    if "file" not in columns:
        columns = ["file" if name == "path" else name for name in columns]
    if missing := [name for name in needed if name not in columns]:
        raise OptionError(
            tr(
                "{path}: has no column {column_list}; its columns are {name}",
                path=path,
                column_list=_column_list(tuple(missing)),
                name=", ".join(repr(name) for name in columns),
            )
        )
    return columns


def _column_list(names: tuple[str, ...]) -> str:
    return joined(tr(" and "), map(repr, names))


def read_label_map(path: str | os.PathLike[str]) -> dict[str, str]:
    """Other names of labels, from a table of two columns: a label, and what to call it.

    A header is a name that no clip has, and does no harm. Raises OptionError, naming the line.
    """
    names: dict[str, str] = {}
    try:
        for number, cells in table_lines(read_text(path)):
            where = tr("{path}, line {number}", path=path, number=number)
            if len(cells) != 2 or not all(cells):
                raise OptionError(
                    tr("{where}: write a label of the data, a comma, and the model's", where=where)
                )
            label, name = (check_label(cell, where) for cell in cells)
            if names.setdefault(label, name) != name:
                raise OptionError(
                    tr(
                        "{where}: {label!r} cannot be both {names!r} and {name!r}",
                        where=where,
                        label=label,
                        names=names[label],
                        name=name,
                    )
                )
    except csv.Error as error:
        raise OptionError(tr("{path}, {error}", path=path, error=error)) from error
    return names


_Key = tuple[str, float | None, float | None]


@dataclass
class _Entry:
    """All rows of one clip."""

    where: str
    name: str
    cells: dict[str, str] = field(default_factory=lambda: {"fold": "", "group": ""})
    labels: list[str] = field(default_factory=list)


def listed_clips(
    table: str, *, background_from_gaps: bool = False, each_is_a_source: bool = False
) -> Found:
    """The clips of a table, as for `Dataset.from_table`.

    Files that are missing, times that cannot be and bad labels are left out, and what the column
    ``verdict`` says to be unsure. Raises OptionError for a missing column, two folds or groups of
    one clip, and if no clip is left.
    """
    found = Found()
    entries: dict[_Key, _Entry] = {}
    files = _Files(os.path.dirname(table))
    lost: set[str | None] = set()
    for row in read_rows(table, ("file", "label")):
        before = len(found.left_out)
        key = _clip_key(row, files, found)
        try:
            row.cells["label"] = _judged_label(row)
        except OptionError as error:
            reason = text_of(error).removeprefix(row.where + ": ")
            found.left_out.append(LeftOut(row.where, reason))
        if len(found.left_out) > before:
            lost.add(files.known(row.cells.get("file", "")))
        elif key is not None:
            _join(entries, key, row)
    found.left_out += files.missing()
    found.respelled.update(files.respelled)
    found.clips = [_clip(key, entry) for key, entry in entries.items()]
    if not found.clips:
        raise OptionError(_no_clip_message(table, files, found))
    has_groups = any(entry.cells["group"] for entry in entries.values())
    if any(clip.is_region for clip in found.clips):
        _relate_regions(found, background_from_gaps, lost)
        if each_is_a_source and not has_groups:
            separate_stretches(found)
    elif not each_is_a_source and not has_groups:
        join_families(found, [entry.name for entry in entries.values()])
    return found


def _judged_label(row: TableRow) -> str:
    """A row's label, or its absence where somebody listened and said no, as in the tables of
    `oido clips`. Raises OptionError for a bad label, and where nobody knows."""
    label, word = row.cells.get("label", ""), row.cells.get("verdict", "").strip()
    is_absent = label.startswith("-")
    check_label(label.removeprefix("-"), row.where)
    verdict = verdict_of(word) if word else "yes"
    if verdict is None:
        raise OptionError(
            tr("{where}: a verdict is yes, no or unsure, not {word}", where=row.where, word=word)
        )
    if verdict == "unsure":
        raise OptionError(tr("{where}: nobody is sure of its label", where=row.where))
    if verdict == "yes":
        return label
    return label.removeprefix("-") if is_absent else f"-{label}"


class _Files:
    """Finds files from a table's folder, each looked for once."""

    def __init__(self, folder: str) -> None:
        self._folder, self._names = folder, NameFinder(os.path.isfile)
        self._paths: dict[str, str | None] = {}
        self._missing: defaultdict[str, list[str]] = defaultdict(list)

    def find(self, name: str, where: str) -> str | None:
        if name not in self._paths:
            path = self._names.find(os.path.join(self._folder, name))
            self._paths[name] = None if path is None else os.path.normpath(path)
        if self._paths[name] is None:
            self._missing[name].append(where)
        return self._paths[name]

    def known(self, name: str) -> str | None:
        """Where a file is that was found before."""
        return self._paths.get(name)

    @property
    def respelled(self) -> dict[str, str]:
        return self._names.respelled

    def missing(self) -> list[LeftOut]:
        """The files that are not there, once each, with the first place that names them."""
        return [
            LeftOut(os.path.join(self._folder, name), tr("no such file ({where})", where=where[0]))
            for name, where in self._missing.items()
        ]


def _clip_key(row: TableRow, files: _Files, found: Found) -> _Key | None:
    """Which clip a row speaks of; None, and the reason noted, if there can be no such clip."""
    name = row.cells.get("file", "")
    if not name:
        found.left_out.append(LeftOut(row.where, tr("names no file")))
        return None
    path = files.find(name, row.where)
    if path is None:
        return None
    times = [row.cells.get(column, "") for column in ("start_time", "end_time")]
    try:
        start, end = (seconds(time) if time.strip() else None for time in times)
    except ValueError:
        reason = tr("{times!r} are not seconds ({where})", times=", ".join(times), where=row.where)
        found.left_out.append(LeftOut(path, reason))
        return None
    if end is not None:
        if end < (start or 0.0) or end == 0.0:
            reason = tr(
                "ends at {end:g} s, before it starts, {start:g} s ({where})",
                end=end,
                start=start or 0,
                where=row.where,
            )
            found.left_out.append(LeftOut(path, reason))
            return None
        start, end = region_around(start or 0.0, end)
    return path, start, end


def _join(entries: dict[_Key, _Entry], key: _Key, row: TableRow) -> None:
    entry = entries.setdefault(key, _Entry(row.where, row.cells["file"]))
    for column, before in entry.cells.items():
        now = row.cells.get(column, "").strip()
        if before and now and now != before:
            raise OptionError(
                tr(
                    "{where}: {name} is of {column} {now}, and of {column} {before} "
                    "in {entry_where}; give it one",
                    where=row.where,
                    name=entry.name,
                    column=column,
                    now=now,
                    before=before,
                    entry_where=entry.where,
                )
            )
        entry.cells[column] = before or now
    entry.labels.append(row.cells["label"])


def _clip(key: _Key, entry: _Entry) -> Clip:
    labels, negatives, complete = meaning_of(entry.labels, entry.where)
    fold, group = entry.cells["fold"] or None, entry.cells["group"] or source_of(entry.name)
    return Clip(key[0], labels, negatives, key[1], key[2], fold, group, complete)


def _relate_regions(found: Found, background_from_gaps: bool, lost: set[str | None]) -> None:
    """Let regions of one recording know of each other, and add what lies between them.

    lost: recordings of which a row was left out, so that a gap may be none.
    """
    of_path: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in found.clips:
        of_path[clip.path].append(clip)
    found.clips = []
    for path, clips in of_path.items():
        found.clips += relate(clips)
        if background_from_gaps and path not in lost and all(clip.is_region for clip in clips):
            duration = probe(path).duration
            regions = [(c.start_time or 0.0, c.end_time or duration) for c in clips]
            found.clips += background_clips(clips[0], regions, duration)


def _no_clip_message(table: str, files: _Files, found: Found) -> str:
    missing = files.missing()
    if len(missing) == 1:
        return tr(
            "{table}: the only file that it names, {name}, is not there; paths are relative to the "
            "table",
            table=table,
            name=missing[0].name,
        )
    if missing:
        return tr(
            "{table}: none of the {n_missing} files that it names is there, the "
            "first {name}; paths are relative to the table",
            table=table,
            n_missing=len(missing),
            name=missing[0].name,
        )
    if found.left_out:
        return tr(
            "{table}: no row can be used; {name}: {reason}",
            table=table,
            name=found.left_out[0].name,
            reason=found.left_out[0].reason,
        )
    return tr("{table}: lists no clip", table=table)
