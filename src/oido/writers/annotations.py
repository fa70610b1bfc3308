# SPDX-License-Identifier: Apache-2.0
"""Annotations for other programs: label tracks (Audacity, Raven) and captions (SubRip, WebVTT).

One file per recording; captions read such as ``[Applause]``. Raven also shows several files in one
window, with one time axis on which they follow one another: "Begin Time (s)" of a list counts from
the start of the first file, "Begin Path" and "Begin File" tell in which file a selection begins,
and "File Offset (s)" how far into it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import IO, NamedTuple

from oido.types import Row
from oido.writers.base import START_AT, TextWriter, clock_text, score_of
from oido.writers.tables import also_text


class AudacityWriter(TextWriter):
    """Audacity's label track: start, end, label, between tabs; no header."""

    def text(self, row: Row) -> str:
        return _cells(f"{row.start_time:.6f}", f"{row.end_time:.6f}", _cell(row.label))


class RavenWriter(TextWriter):
    """Raven's selection table; a selection spans the band that YAMNet hears (125–7500 Hz).

    place_columns: what tells in which file a selection begins; `place` fills them. timed: with
    ``start_at``.
    """

    place_columns: tuple[str, ...] = ("Begin File",)

    def __init__(self, stream: IO[str], timed: bool = False) -> None:
        super().__init__(stream)
        self._selection, self._timed = 0, timed
        times = ("Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)")
        columns = (
            "Selection",
            "View",
            "Channel",
            *times,
            *self.place_columns,
            "Label",
            "Score",
            "Also",
            *[START_AT] * timed,
        )
        stream.write(_cells(*columns))

    def place(self, row: Row) -> tuple[float, tuple[str, ...]]:
        """Seconds of the table's time axis before the row's recording, and its place columns."""
        return 0.0, (_cell(row.file),)

    def text(self, row: Row) -> str:
        self._selection += 1
        offset, place = self.place(row)
        return _cells(
            self._selection,
            "Spectrogram 1",
            1 if row.channel is None else row.channel + 1,  # Raven counts from 1
            f"{offset + row.start_time:.6f}",
            f"{offset + row.end_time:.6f}",
            "125.0",
            "7500.0",
            *place,
            _cell(row.label),
            score_of(row.score),
            _cell(also_text(row)),
            *[clock_text(row.start_at) or ""] * self._timed,
        )


class SrtWriter(TextWriter):
    """SubRip, a cue per row."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self._cue = 0

    def text(self, row: Row) -> str:
        self._cue += 1
        return f"{self._cue}\n{_cue_times(row, ',')}\n[{_cell(row.label)}]\n\n"


class VttWriter(TextWriter):
    """WebVTT, a cue per row; cues may overlap."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        stream.write("WEBVTT\n\n")

    def text(self, row: Row) -> str:
        label = _cell(row.label).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return f"{_cue_times(row, '.')}\n[{label}]\n\n"


def _cells(*values: object) -> str:
    return "\t".join(map(str, values)) + "\n"


def _cue_times(row: Row, point: str) -> str:
    return f"{_clock(row.start_time, point)} --> {_clock(row.end_time, point)}"


_CELL_ENDS = re.compile("[\t\n\v\f\r\x85\u2028\u2029]")
"""What would end a cell, a line or a cue."""


def _cell(text: str) -> str:
    return _CELL_ENDS.sub(" ", text)


def _clock(time: float, point: str) -> str:
    milliseconds = round(time * 1000)
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{milliseconds:03d}"


class Place(NamedTuple):
    """Where a recording stands in the list: its path, and the seconds of all before it."""

    path: str
    offset: float


class RavenListWriter(RavenWriter):
    """Rows of all recordings in the list's order; times are cumulative.

    places: of each recording, by the name that rows call it.
    """

    place_columns = ("Begin Path", "File Offset (s)", "Begin File")

    def __init__(self, stream: IO[str], places: Mapping[str, Place], timed: bool = False) -> None:
        self._places = places
        super().__init__(stream, timed)

    def place(self, row: Row) -> tuple[float, tuple[str, ...]]:
        """As `RavenWriter.place`."""
        place = self._places[row.file]
        path = _cell(place.path)
        name = posixpath.basename(path.replace("\\", "/"))
        return place.offset, (path, f"{row.start_time:.6f}", name)
