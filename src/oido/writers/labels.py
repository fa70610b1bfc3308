# SPDX-License-Identifier: Apache-2.0
"""Label tracks of sound editors: Audacity and Raven. One file per recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from oido.types import Row
from oido.writers.base import score_of

__all__ = ["AudacityWriter", "RavenWriter"]


class AudacityWriter:
    """Audacity's label track: start, end, label, between tabs; no header."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._stream.write(f"{row.start_time:.6f}\t{row.end_time:.6f}\t{row.label}\n")

    def close(self) -> None:
        """Nothing is missing."""


class RavenWriter:
    """Raven's selection table; a selection spans the band that YAMNet hears (125–7500 Hz).

    place_columns: what tells in which file a selection begins; `place` fills them.
    """

    place_columns: tuple[str, ...] = ("Begin File",)

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._selection = 0
        times = ("Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)")
        self._line("Selection", "View", "Channel", *times, *self.place_columns, "Label", "Score")

    def place(self, row: Row) -> tuple[float, tuple[str, ...]]:
        """Seconds of the table's time axis before the row's recording, and its place columns."""
        return 0.0, (row.file.replace("\t", " "),)

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._selection += 1
            offset, place = self.place(row)
            self._line(
                self._selection,
                "Spectrogram 1",
                1 if row.channel is None else row.channel + 1,  # Raven counts from 1
                f"{offset + row.start_time:.6f}",
                f"{offset + row.end_time:.6f}",
                "125.0",
                "7500.0",
                *place,
                row.label,
                score_of(row.score),
            )

    def close(self) -> None:
        """Nothing is missing."""

    def _line(self, *cells: object) -> None:
        self._stream.write("\t".join(map(str, cells)) + "\n")
