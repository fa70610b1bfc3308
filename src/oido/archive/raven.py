# SPDX-License-Identifier: Apache-2.0
"""One selection table for a list of recordings, as Raven shows several files in one window.

In Raven, a window over several files has one time axis on which they follow one another: "Begin
Time (s)" counts from the start of the first. "Begin Path" and "Begin File" tell in which file a
selection begins, and "File Offset (s)" how far into it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import IO, NamedTuple

from oido.types import Row
from oido.writers.labels import RavenWriter

__all__ = ["Place", "RavenListWriter"]


class Place(NamedTuple):
    """Where a recording stands in the list: its path, and the seconds of all before it."""

    path: str
    offset: float


class RavenListWriter(RavenWriter):
    """Rows of all recordings in the list's order; times are cumulative.

    places: of each recording, by the name that rows call it.
    """

    place_columns = ("Begin Path", "File Offset (s)", "Begin File")

    def __init__(self, stream: IO[str], places: Mapping[str, Place]) -> None:
        self._places = places
        super().__init__(stream)

    def place(self, row: Row) -> tuple[float, tuple[str, ...]]:
        """As `RavenWriter.place`."""
        place = self._places[row.file]
        path = place.path.replace("\t", " ")
        name = posixpath.basename(path.replace("\\", "/"))
        return place.offset, (path, f"{row.start_time:.6f}", name)
