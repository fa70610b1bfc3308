# SPDX-License-Identifier: Apache-2.0
"""One selection table for a list of recordings, as Raven shows several files in one window.

In Raven, a window over several files has one time axis on which they follow one another: "Begin
Time (s)" counts from the start of the first. "Begin Path" and "Begin File" tell in which file a
selection begins, and "File Offset (s)" how far into it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from typing import IO, NamedTuple

from oido.types import Row
from oido.writers.base import score_of

__all__ = ["Place", "RavenListWriter"]

_HEADER = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Begin Path",
    "File Offset (s)",
    "Begin File",
    "Label",
    "Score",
)


class Place(NamedTuple):
    """Where a recording stands in the list: its path, and the seconds of all before it."""

    path: str
    offset: float


class RavenListWriter:
    """Rows of all recordings in the list's order; times are cumulative.

    places: of each recording, by the name that rows call it.
    """

    def __init__(self, stream: IO[str], places: Mapping[str, Place]) -> None:
        self._stream, self._places = stream, places
        self._selection = 0
        self._line(*_HEADER)

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            place = self._places[row.file]
            path = place.path.replace("\t", " ")
            self._selection += 1
            self._line(
                self._selection,
                "Spectrogram 1",
                1 if row.channel is None else row.channel + 1,  # Raven counts from 1
                f"{place.offset + row.start_time:.6f}",
                f"{place.offset + row.end_time:.6f}",
                "125.0",
                "7500.0",
                path,
                f"{row.start_time:.6f}",
                posixpath.basename(path.replace("\\", "/")),
                row.label,
                score_of(row.score),
            )

    def close(self) -> None:
        """Nothing is missing."""

    def _line(self, *cells: object) -> None:
        self._stream.write("\t".join(map(str, cells)) + "\n")
