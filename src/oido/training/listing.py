# SPDX-License-Identifier: Apache-2.0
"""A table that lists clips, or regions of recordings, with their labels."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field, replace

from oido.errors import OptionError
from oido.training.clip import Clip, Found, LeftOut
from oido.training.labels import check_label, meaning_of
from oido.training.probing import probe
from oido.training.regions import gaps, relate, widened
from oido.training.sources import source_of
from oido.training.tables import TableRow, read_rows
from oido.training.text_files import seconds

__all__ = ["listed_clips"]

_Key = tuple[str, float | None, float | None]


@dataclass
class _Entry:
    """All rows of one clip."""

    where: str
    name: str
    said: dict[str, str] = field(default_factory=lambda: {"fold": "", "group": ""})
    labels: list[str] = field(default_factory=list)


def listed_clips(table: str, *, background_from_gaps: bool = False) -> Found:
    """The clips of a CSV or Parquet table: ``file,label`` and, if they are there, more columns.

    fold, group: kept as they are. start_time, end_time: regions, in seconds; the file's own start
    and end where empty. Several rows of one clip are its several labels. Paths are relative to the
    table. Files that are missing and times that cannot be are left out. Raises OptionError for a
    missing column, a bad label, two folds or groups of one clip, and if no clip is left.
    """
    found = Found()
    entries: dict[_Key, _Entry] = {}
    files = _Files(os.path.dirname(table))
    for row in read_rows(table, ("file", "label")):
        check_label(row.cells.get("label", "").removeprefix("-"), row.where)
        key = _clip_key(row, files, found)
        if key is not None:
            _join(entries, key, row)
    found.left_out += files.missing()
    found.clips = [_clip(key, entry) for key, entry in entries.items()]
    if not found.clips:
        raise OptionError(_nothing(table, files, found))
    if any(clip.is_region for clip in found.clips):
        _see_as_regions(found, background_from_gaps)
    return found


class _Files:
    """Finds files from a table's folder, each looked for once."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._paths: dict[str, str | None] = {}
        self._missing: defaultdict[str, list[str]] = defaultdict(list)

    def find(self, name: str, where: str) -> str | None:
        if name not in self._paths:
            # Tables made on Windows have backslashes, which elsewhere are part of a name.
            choices = (os.path.join(self._folder, n) for n in (name, name.replace("\\", "/")))
            path = next((path for path in choices if _is_file(path)), None)
            self._paths[name] = None if path is None else os.path.normpath(path)
        if self._paths[name] is None:
            self._missing[name].append(where)
        return self._paths[name]

    def missing(self) -> list[LeftOut]:
        """The files that are not there, once each, with the first place that names them."""
        return [
            LeftOut(os.path.join(self._folder, name), f"no such file ({where[0]})")
            for name, where in self._missing.items()
        ]


def _is_file(path: str) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:  # a zero byte inside
        return False


def _clip_key(row: TableRow, files: _Files, found: Found) -> _Key | None:
    """Which clip a row speaks of; None, and the reason noted, if there can be no such clip."""
    name = row.cells.get("file", "")
    if not name:
        found.left_out.append(LeftOut(row.where, "names no file"))
        return None
    path = files.find(name, row.where)
    if path is None:
        return None
    times = [row.cells.get(column, "") for column in ("start_time", "end_time")]
    try:
        start, end = (seconds(time) if time.strip() else None for time in times)
    except ValueError:
        reason = f"{' to '.join(times)!r} are not seconds ({row.where})"
        found.left_out.append(LeftOut(path, reason))
        return None
    if end is not None:
        if end < (start or 0.0) or end == 0.0:
            reason = f"ends at {end:g} s, before it starts, {start or 0:g} s ({row.where})"
            found.left_out.append(LeftOut(path, reason))
            return None
        start, end = widened(start or 0.0, end)
    return path, start, end


def _join(entries: dict[_Key, _Entry], key: _Key, row: TableRow) -> None:
    entry = entries.setdefault(key, _Entry(row.where, row.cells["file"]))
    for column, said in entry.said.items():
        now = row.cells.get(column, "").strip()
        if said and now and now != said:
            raise OptionError(
                f"{row.where}: {entry.name} is of {column} {now}, and of {column} {said} in "
                f"{entry.where}; give it one"
            )
        entry.said[column] = said or now
    entry.labels.append(row.cells["label"])


def _clip(key: _Key, entry: _Entry) -> Clip:
    labels, negatives, complete = meaning_of(entry.labels, entry.where)
    fold, group = entry.said["fold"] or None, entry.said["group"] or source_of(entry.name)
    return Clip(key[0], labels, negatives, key[1], key[2], fold, group, complete)


def _see_as_regions(found: Found, background_from_gaps: bool) -> None:
    """Let regions of one recording know of each other, and add what lies between them."""
    of_path: defaultdict[str, list[Clip]] = defaultdict(list)
    for clip in found.clips:
        of_path[clip.path].append(clip)
    found.clips = []
    for path, clips in of_path.items():
        found.clips += relate(clips)
        if background_from_gaps and all(clip.is_region for clip in clips):
            duration = probe(path).duration
            taken = [(c.start_time or 0.0, c.end_time or duration) for c in clips]
            found.clips += [
                replace(clips[0], labels=(), negatives=(), start_time=s, end_time=e, complete=True)
                for s, e in gaps(taken, duration)
            ]


def _nothing(table: str, files: _Files, found: Found) -> str:
    if missing := files.missing():
        return (
            f"{table}: none of the {len(missing)} files that it names is there, the first "
            f"{missing[0].name}; paths are relative to the table"
        )
    if found.left_out:
        return f"{table}: no row can be used; {found.left_out[0].name}: {found.left_out[0].reason}"
    return f"{table}: lists no clip"
