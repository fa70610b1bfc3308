# SPDX-License-Identifier: Apache-2.0
"""Captions of what is heard, such as ``[Applause]``: SubRip and WebVTT. One file per recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from oido.types import Row

__all__ = ["SrtWriter", "VttWriter"]


class SrtWriter:
    """SubRip, a cue per row."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._cue = 0

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._cue += 1
            start, end = _clock(row.start_time, ","), _clock(row.end_time, ",")
            self._stream.write(f"{self._cue}\n{start} --> {end}\n[{row.label}]\n\n")

    def close(self) -> None:
        """Nothing is missing."""


class VttWriter:
    """WebVTT, a cue per row; cues may overlap."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._stream.write("WEBVTT\n\n")

    def write(self, rows: Sequence[Row]) -> None:
        for row in rows:
            label = row.label.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            start, end = _clock(row.start_time, "."), _clock(row.end_time, ".")
            self._stream.write(f"{start} --> {end}\n[{label}]\n\n")

    def close(self) -> None:
        """Nothing is missing."""


def _clock(time: float, point: str) -> str:
    milliseconds = round(time * 1000)
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{milliseconds:03d}"
