# SPDX-License-Identifier: Apache-2.0
"""The text of a label track: Audacity's lines, or a table such as Raven's selections."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from oido.dialects import Line, interval, read_text, seconds, split_lines, table_lines, unquoted
from oido.errors import OptionError
from oido.messages import tr

_BEGINS = ("begin time (s)", "start_time", "start (s)", "start time (s)", "start", "onset")
_ENDS = ("end time (s)", "end_time", "end (s)", "end time (s)", "end", "offset")
_DURATIONS = ("delta time (s)", "duration (s)", "duration", "length")
_START_BEFORE_DURATION = "offset"
"""Kaleidoscope's word for when a sound begins; where there is no duration, it is an end."""

_FILE_OFFSET = "file offset (s)"
"""Where Raven shows several recordings in a row: the time in the one that a selection begins in."""

_KALEIDOSCOPES_FILE = "in file"
_FILES = ("begin path", "begin file", "file", "filename", _KALEIDOSCOPES_FILE)

_LABELS = (
    "annotation",
    "label",
    "species",
    "common name",
    "species code",
    "class",
    "call type",
    "name",
    "type",
    "tags",
    "code",
    "event_label",
    "scientific name",
    "manual id",
)
"""Raven leaves the naming to its users; these names are looked for in this order."""


_HEAD_BYTES = 1 << 16
_QUOTED = re.compile(r'\s*"[^"]*"\s*')
_NEGATIVES = re.compile(r"\s*-\d[\d.,:]*[\s;,]+-\d")


class TrackError(ValueError):
    """The text is no label track; the message is the reason."""


class Mark(NamedTuple):
    """One label of a track: seconds, its text (empty if it has none), where it stands.

    file: the recording that it names itself, or "".
    """

    start: float
    end: float
    text: str
    where: str
    file: str = ""


class Track(NamedTuple):
    """The marks of a track in its order, and of the lines that make no sense, where and why."""

    marks: list[Mark]
    problems: list[tuple[str, str]]


def parse_track(path: str) -> Track:
    """Read a label track; its first line shows which program wrote it.

    A line that is no label, or ends before it starts, is a problem of its own. Raises TrackError
    for a text that is no track, OptionError if it cannot be read.
    """
    text = read_text(path)
    try:
        rows = list(_rows(text))
    except csv.Error:
        rows = []
    columns = [cell.lower() for cell in rows[0].cells] if rows else []
    if _timed(columns):
        return _read_table(rows[1:], columns, path)
    return _read_lines(text, path)


def _rows(text: str) -> Iterator[Line]:
    """The rows of a table. Between tabs, quotes are the writer's own, if no spreadsheet's, and if
    not all names of columns have them (R's)."""
    lines = split_lines(text)
    first = next((line for line in lines if line.strip()), "")
    if "\t" not in first or all(map(_QUOTED.fullmatch, first.split("\t"))):
        yield from table_lines(text)
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield Line(number, [unquoted(cell.strip()) for cell in line.split("\t")])


def _timed(columns: Iterable[str]) -> tuple[str, str] | None:
    """The columns of when a label begins, and ends or how long it is, if there are both."""
    names: tuple[tuple[str, ...], ...] = (_BEGINS, (*_ENDS, *_DURATIONS))
    if _START_BEFORE_DURATION in columns and not any(n in columns for n in _BEGINS):
        names = ((_START_BEFORE_DURATION,), _DURATIONS)
    begin, end = (next((n for n in choices if n in columns), "") for choices in names)
    return (begin, end) if begin and end else None


def _read_lines(text: str, path: str) -> Track:
    """``start<TAB>end<TAB>label``; a line from a backslash on holds frequencies, no label.

    Format: https://manual.audacityteam.org/man/importing_and_exporting_labels.html
    """
    track = Track([], [])
    readable, odd = 0, list[str]()
    for number, line in enumerate(split_lines(text), start=1):
        if not line.strip() or line.lstrip().startswith("\\"):
            continue
        where = tr("{path}, line {number}", path=path, number=number)
        try:
            start, end, label = _interval(line)
        except ValueError:
            reason = tr("is not start, end and label between tabs: {line!r}", line=line[:60])
            if _NEGATIVES.match(line):
                reason = tr("lies before the recording: {line!r}", line=line[:60])
            track.problems.append((where, reason))
            odd.append(tr("line {number} {reason}", number=number, reason=reason))
            if not readable and _is_header(line):  # else its columns would be taken for others
                raise TrackError(odd[0]) from None
            continue
        readable += 1
        _add(track, Mark(start, end, label, where))
    if len(odd) > readable:
        raise TrackError(odd[0])
    return track


def _is_header(line: str) -> bool:
    """Whether a line has three cells or more, and no number: that of a table nobody knows."""
    cells = [cell for cells in _divided(line) if len(cells) > 2 for cell in cells]
    separated = any(line.count(sign) > 1 for sign in "\t;,")
    return separated and not any(character.isdigit() for cell in cells for character in cell)


def _interval(line: str) -> tuple[float, float, str]:
    """Start, end and label of a line. Raises ValueError if no separator makes one of it."""
    for cells in _divided(line):
        try:
            start, end = interval(cells[0], cells[1])
        except (ValueError, IndexError):
            continue
        return start, end, cells[2] if len(cells) > 2 else ""
    raise ValueError(line)


def _divided(line: str) -> Iterator[list[str]]:
    """The cells of a line by each separator that there is: tabs are meant, others are met."""
    if "\t" in line:
        yield [unquoted(cell.strip()) for cell in line.split("\t")]
    for separator in "\t;,":  # tabs again, with each cell in quotes
        try:
            yield next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
        except csv.Error:
            continue
    yield line.split(maxsplit=2)


def _read_table(rows: Iterable[Line], columns: list[str], path: str) -> Track:
    """A table with a header, as Raven's selections."""
    column = next((name for name in _LABELS if name in columns), None)
    times = _timed(columns)
    if column is None or times is None:
        raise TrackError(
            tr(
                "no column is called Annotation, Label or Species; its columns are {name}",
                name=", ".join(repr(name) for name in columns),
            )
        )
    track = Track([], [])
    selections = _Selections(column)
    for number, cells in rows:
        selections.add(
            tr("{path}, line {number}", path=path, number=number), dict(zip(columns, cells)), times
        )
    for where, row in selections.rows:
        named = next(filter(None, (row.get(name, "") for name in _FILES)), "")
        begin_file = row.get("begin file", "")
        if begin_file and not named.lower().endswith(begin_file.lower()):
            named = f"{named}/{begin_file}"  # a path of the folder alone
        try:
            if times[1] in _DURATIONS:
                start = seconds(row[times[0]])
                end = start + seconds(row[times[1]])
            else:
                start, end = interval(row[times[0]], row[times[1]])
            if offset := row.get(_FILE_OFFSET, ""):
                # Six digits: what such tables have, and what the subtraction leaves exact.
                start, end = seconds(offset), round(seconds(offset) + end - start, 6)
        except (ValueError, KeyError):
            track.problems.append((where, tr("has no times")))
            continue
        _add(track, Mark(start, end, row.get(column, ""), where, named))
    return track


class _Selections:
    """The rows of a table, one for each selection: it stands there once for each view of it.

    Perhaps it has its label in one view only. Numbers may begin anew where tables were joined, so
    a selection is known by its times, too, and a view that comes again is another selection's.
    """

    def __init__(self, label: str) -> None:
        self._label = label
        self._numbers: dict[tuple[str, ...], int] = {}
        self._views: dict[tuple[str, ...], set[tuple[str, str]]] = {}
        self.rows: list[tuple[str, dict[str, str]]] = []

    def add(self, where: str, row: dict[str, str], times: tuple[str, str]) -> None:
        names = ("selection", *times, tr("begin path"), tr("begin file"), _FILE_OFFSET)
        key = tuple(row.get(name, "") for name in names)
        view = (row.get("view", ""), row.get("channel", ""))
        number = self._numbers.get(key)
        if not key[0] or number is None or view in self._views[key]:
            self._numbers[key], self._views[key] = len(self.rows), {view}
            self.rows.append((where, row))
            return
        self._views[key].add(view)
        if not self.rows[number][1].get(self._label):
            self.rows[number] = (where, row)


def _add(track: Track, mark: Mark) -> None:
    if mark.end < mark.start:
        reason = tr(
            "ends at {end:g} s, before it starts, {start:g} s", end=mark.end, start=mark.start
        )
        track.problems.append((mark.where, reason))
    else:
        track.marks.append(mark._replace(text=mark.text.strip()))


def table_header(path: str) -> list[str]:
    """The names of a table's columns, in lower case; none if it has no times."""
    try:
        columns = [
            cell.lower() for cell in next(_rows(read_text(path, _HEAD_BYTES)), Line(0, [])).cells
        ]
    except (OptionError, csv.Error):
        return []
    return columns if _timed(columns) else []


def names_recordings(path: str) -> bool:
    """Whether it is a table of Raven's or Kaleidoscope's whose rows say which recording they are
    of."""
    columns = table_header(path)
    is_ravens = _BEGINS[0] in columns and any(name in columns for name in _FILES)
    return is_ravens or _KALEIDOSCOPES_FILE in columns
