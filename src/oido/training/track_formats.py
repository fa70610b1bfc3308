# SPDX-License-Identifier: Apache-2.0
"""What label tracks say: those of Audacity, and the selection tables of Raven."""

from __future__ import annotations

import csv
import io
import os
from typing import NamedTuple

from oido.training.text_files import read_text, seconds

__all__ = ["Mark", "Track", "TrackError", "parse_track"]

_BEGIN, _END = "begin time (s)", "end time (s)"

_RAVEN_LABELS = (
    "annotation",
    "label",
    "species",
    "common name",
    "species code",
    "class",
    "call type",
    "type",
    "tags",
    "code",
)
"""Raven leaves the naming to its users; these names are looked for in this order."""


class TrackError(ValueError):
    """The text is no label track; says why."""


class Mark(NamedTuple):
    """One label of a track: seconds, its text (empty if it has none), where it stands."""

    start: float
    end: float
    text: str
    where: str


class Track(NamedTuple):
    """The marks of a track in its order, and of the lines that make no sense, where and why."""

    marks: list[Mark]
    problems: list[tuple[str, str]]


def parse_track(path: str, recording: str) -> Track:
    """Read the label track of a recording; its first line tells which program wrote it.

    A line that ends before it starts, or belongs to another recording, is a problem of its own.
    Raises TrackError for a text that is no track, OptionError if it cannot be read.
    """
    text = read_text(path)
    header = text.lstrip().partition("\n")[0].lower()
    if _BEGIN in header and _END in header:
        return _raven(text, path, recording)
    return _audacity(text, path)


def _audacity(text: str, path: str) -> Track:
    """``start<TAB>end<TAB>label``; a line from a backslash on holds frequencies, no label.

    Format: https://manual.audacityteam.org/man/importing_and_exporting_labels.html
    """
    track = Track([], [])
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("\\"):
            continue
        cells = line.split("\t")
        try:
            start, end = seconds(cells[0]), seconds(cells[1])
        except (ValueError, IndexError):
            raise TrackError(
                f"line {number} is not start, end and label between tabs: {line[:60]!r}"
            ) from None
        _add(track, start, end, cells[2] if len(cells) > 2 else "", f"{path}, line {number}")
    return track


def _raven(text: str, path: str, recording: str) -> Track:
    """A table between tabs, with a header."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    lines = ([c.strip() for c in cells] for cells in reader if any(c.strip() for c in cells))
    columns = [name.lower() for name in next(lines)]
    column = next((name for name in _RAVEN_LABELS if name in columns), None)
    if column is None:
        raise TrackError(
            f"no column is called Annotation, Label or Species; its columns are "
            f"{', '.join(repr(name) for name in columns)}"
        )
    # A selection stands there once for each view of it, and perhaps with its label in one only.
    rows: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}
    for cells in lines:
        row = dict(zip(columns, cells))
        where = f"{path}, line {reader.line_num}"
        key = (row.get("selection") or where, row.get("begin file", ""))
        if key not in rows or not rows[key][1].get(column):
            rows[key] = (where, row)
    track = Track([], [])
    for where, row in rows.values():
        if _is_of_another(row.get("begin file", ""), recording):
            track.problems.append((where, f"is of {row['begin file']}"))
            continue
        try:
            start, end = seconds(row[_BEGIN]), seconds(row[_END])
        except (ValueError, KeyError):
            track.problems.append((where, "has no times"))
            continue
        _add(track, start, end, row.get(column, ""), where)
    return track


def _add(track: Track, start: float, end: float, text: str, where: str) -> None:
    if end < start:
        track.problems.append((where, f"ends at {end:g} s, before it starts, {start:g} s"))
    else:
        track.marks.append(Mark(start, end, text.strip(), where))


def _is_of_another(begin_file: str, recording: str) -> bool:
    """Raven names the file in which a selection begins, since it can show several in a row."""
    named, own = (
        os.path.splitext(p.replace("\\", "/").rsplit("/", 1)[-1])[0].lower()
        for p in (begin_file, recording)
    )
    return bool(named) and named != own
