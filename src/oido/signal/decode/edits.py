# SPDX-License-Identifier: Apache-2.0
"""Edit lists of MP4 and QuickTime files that do more than cut the beginning and the end.

Players show what an edit list names: pieces of a track, and pauses. FFmpeg cuts inner pieces where
packets begin, tens of milliseconds off; here they are cut to the sample.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

from oido.arrays import F32
from oido.messages import tr
from oido.signal.decode.mp4_boxes import boxes, find, read_at
from oido.signal.decode.readers import AudioInfo, AudioReader, block_frames, silent_blocks

_MOST_EDITS = 10_000
_MOST_STEPS_BACK = 50
"""Each decodes the track from its beginning."""

_ROUNDED_SECONDS = 0.002
LONGEST_PAUSES_SECONDS = 86_400.0


class Edit(NamedTuple):
    """start: seconds of the track, None: a pause. seconds: how long, None: to the end."""

    start: float | None
    seconds: float | None


class EditedReader(AudioReader):
    """A reader of a whole track, of which some pieces are heard, in order, and pauses between.

    again: opens it once more, for a piece that lies before the last one.
    """

    def __init__(
        self, whole: AudioReader, edits: list[Edit], again: Callable[[], AudioReader] | None = None
    ) -> None:
        self._whole, self._edits, self._again = whole, edits, again
        rate, lengths = whole.info.sample_rate_hz, [edit.seconds for edit in edits]
        seconds = sum(length for length in lengths if length is not None)
        frames = None if None in lengths else round(seconds * rate)
        self.info: AudioInfo = whole.info._replace(frames=frames)
        n_pieces = sum(edit.start is not None for edit in edits)
        what = tr("1 piece") if n_pieces == 1 else tr("{n_pieces} pieces", n_pieces=n_pieces)
        self.notes = (tr("its edit list plays {what} of its sound, as is done here", what=what),)
        self._gaps = 0.0

    @property
    def damaged_packets(self) -> int:  # type: ignore[override]
        return self._whole.damaged_packets

    @property
    def gaps_seconds(self) -> float:  # type: ignore[override]
        return self._gaps + self._whole.gaps_seconds

    @property
    def overlap_seconds(self) -> float:  # type: ignore[override]
        return self._whole.overlap_seconds

    def blocks(self) -> Iterator[F32]:
        """Blocks f32[n, channels]."""
        rate, channels = self.info.sample_rate_hz, self.info.channels
        blocks, at = self._whole.blocks(), 0  # sample of the track at which what is left begins
        block: F32 | None = next(blocks, None)
        for edit in self._edits:
            if edit.start is None:
                silent = round((edit.seconds or 0.0) * rate)
                self._gaps += silent / rate
                yield from silent_blocks(silent, channels, block_frames(channels))
                continue
            start = round(edit.start * rate)
            stop = None if edit.seconds is None else start + round(edit.seconds * rate)
            if start < at - _ROUNDED_SECONDS * rate and self._again is not None:
                self._whole.close()
                self._whole = self._again()
                blocks, at = self._whole.blocks(), 0
                block = next(blocks, None)
            while block is not None and (stop is None or at < stop):
                piece = block[max(0, start - at) : None if stop is None else stop - at]
                if len(piece):
                    yield piece
                if stop is not None and at + len(block) > stop:
                    break  # the rest is the next edit's
                at, block = at + len(block), next(blocks, None)

    def tags(self) -> dict[str, str]:
        """Those of the file."""
        return self._whole.tags()

    def close(self) -> None:
        """Close the file."""
        self._whole.close()


def inner_edits(file: IO[bytes]) -> list[Edit] | None:
    """The edits of the first track of sound, if its list does what FFmpeg does not do exactly; None
    for all others, and for lists that go back in the track more than some times."""
    try:
        return _inner_edits(file)
    except (struct.error, IndexError, OSError, OverflowError):
        return None


def _inner_edits(file: IO[bytes]) -> list[Edit] | None:
    size = file.seek(0, os.SEEK_END)
    movie = find(file, 0, size, b"moov")
    if movie is None or find(file, *movie, b"mvex") is not None:
        return None  # its pieces (fragments) tell their times themselves
    header = find(file, *movie, b"mvhd")
    tracks = [(start, stop) for name, start, stop in boxes(file, *movie) if name == b"trak"]
    sound = next((track for track in tracks if _kind(file, track) == b"soun"), None)
    box = None if sound is None else find(file, *sound, b"edts", b"elst")
    if header is None or sound is None or box is None:
        return None
    media = find(file, *sound, b"mdia", b"mdhd")
    if media is None:
        return None
    movie_hz, (media_hz, length) = _clock(file, header)[0], _clock(file, media)
    if not movie_hz or not media_hz:
        return None
    edits = list(_edits(file, box, movie_hz, media_hz))
    return (
        edits if _is_inner(edits, len(tracks)) and _is_bounded(edits, length / media_hz) else None
    )


def _edits(file: IO[bytes], box: tuple[int, int], movie_hz: int, media_hz: int) -> Iterator[Edit]:
    version, count = struct.unpack(">B3xI", read_at(file, box[0], 8))
    entry = ">QqI" if version else ">IiI"
    step = struct.calcsize(entry)
    for number in range(min(count, _MOST_EDITS)):
        content = read_at(file, box[0] + 8 + number * step, step)
        ticks, start, _ = struct.unpack(entry, content)
        seconds = ticks / movie_hz if ticks else None
        if start >= 0:
            yield Edit(start / media_hz, seconds)
        elif seconds is not None:
            yield Edit(None, seconds)


def _is_inner(edits: list[Edit], n_tracks: int) -> bool:
    """Whether there is more than one piece, a pause inside or before the only track, or a piece
    without an end."""
    pieces = [edit.start is not None for edit in edits]
    begins = bool(pieces) and not pieces[0]
    pauses = sum(edit.seconds or 0.0 for edit in edits if edit.start is None)
    return (
        any(pieces)
        and pauses <= LONGEST_PAUSES_SECONDS
        and (
            sum(pieces) > 1
            or not all(pieces[1:])
            or (begins and n_tracks == 1)
            or any(edit.start is not None and edit.seconds is None for edit in edits)
        )
    )


def _is_bounded(edits: list[Edit], length: float) -> bool:
    """Whether the list goes back seldom enough; its last piece is made to end with the track."""
    at, back = 0.0, 0
    for number, edit in enumerate(edits):
        if edit.start is None:
            continue
        back += edit.start < at - _ROUNDED_SECONDS
        if edit.seconds is None:
            at = float("inf")
            continue
        at = edit.start + edit.seconds
        if number == len(edits) - 1 and abs(at - length) <= _ROUNDED_SECONDS:
            edits[number] = edit._replace(seconds=length - edit.start)  # lists are rounded
    return back <= _MOST_STEPS_BACK


def _kind(file: IO[bytes], track: tuple[int, int]) -> bytes:
    handler = find(file, *track, b"mdia", b"hdlr")
    return b"" if handler is None else read_at(file, handler[0] + 8, 4)


def _clock(file: IO[bytes], header: tuple[int, int]) -> tuple[int, int]:
    """Ticks per second, and ticks, of a movie or a track."""
    is_long = read_at(file, header[0], 1) == b"\1"
    layout = ">20xIQ" if is_long else ">12xII"
    hz, ticks = struct.unpack(layout, read_at(file, header[0], struct.calcsize(layout)))
    return hz, ticks
