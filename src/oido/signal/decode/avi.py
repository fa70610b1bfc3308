# SPDX-License-Identifier: Apache-2.0
"""AVI, whose clock is a count of what was read: its index tells what was lost, and what is empty.

FFmpeg steps over a damaged stretch, and over chunks of no bytes that stand for a pause, and counts
on as if nothing had been there.
"""

from __future__ import annotations

import os
import struct
from typing import IO, Any

import numpy as np

from oido.messages import tr
from oido.signal.decode.lost_bytes import CountedClock

_MOST_LISTS = 10_000
_INDEX = np.dtype([("name", "S4"), ("flags", "<u4"), ("at", "<u4"), ("size", "<u4")])
_LARGEST_INDEX_BYTES = 1 << 28
_LOST_BYTES = 1.5
"""Of the mean packet: parts of frames that end in the next chunk are no loss."""


class AviIndex:
    """What the chunks of one track are that its packets do not come from.

    number: of the track. clock: what time the frames get; the container's own begins it.
    """

    def __init__(self, file: IO[bytes], number: int) -> None:
        self.clock = CountedClock(counts_all=True)
        before = file.tell()
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._bytes_before: list[int] = []
        self._is_counted_in_bytes = False
        try:
            self._read(file, number)
        except (struct.error, ValueError, IndexError):
            pass  # it is heard as it comes
        finally:
            file.seek(before)
        self._seen = self._packets = self._chunk = 0
        self._is_under_way = False

    def frames_before(self, packet: Any) -> float:
        """Frames that were lost just before the one that this packet holds; a pause is given to
        the clock at once."""
        place, chunk, ends = packet.pos, self._chunk, self._ends
        if place is None or place < 0:
            return 0.0
        following = chunk + self._is_under_way
        if following < len(ends) and place == self._starts[following]:
            # Nearly all of them: one packet is one chunk, and the next one the next.
            size = packet.size
            if place + size == ends[following] and self._seen == self._bytes_before[following]:
                self._chunk, self._is_under_way = following, True
                self._seen, self._packets = self._seen + size, self._packets + 1
                return 0.0
        empty = full = 0
        while chunk < len(ends) and ends[chunk] <= place:
            # Packets tell where their bytes are, chunks where they end.
            is_empty = ends[chunk] == self._starts[chunk]
            empty, full, chunk = empty + is_empty, full + (not is_empty), chunk + 1
        if chunk == len(ends):
            return 0.0
        self._chunk, self._is_under_way = chunk, True
        if empty and not self._is_counted_in_bytes:
            self.clock.skip(empty)
        begins = self._bytes_before[chunk] + max(0, place - self._starts[chunk])
        mean = self._seen / self._packets if self._packets else packet.size
        lost, self._packets = begins - self._seen, self._packets + 1
        self._seen = max(self._seen, begins) + packet.size
        if lost <= _LOST_BYTES * mean:
            return 0.0
        # The chunk that was read last is among those that were passed.
        return lost / mean if self._is_counted_in_bytes else float(max(0, full - 1))

    def _read(self, file: IO[bytes], number: int) -> None:
        """The index of a file's first part (idx1), as far as it goes."""
        size, at, movi, entries, strh = file.seek(0, os.SEEK_END), 12, 0, b"", b""
        for _ in range(_MOST_LISTS):
            file.seek(at)
            head = file.read(12)
            if len(head) < 8:
                break
            length = struct.unpack_from("<I", head, 4)[0]
            if head.startswith(b"LIST") and head[8:] == b"hdrl":
                strh = _stream_header(file.read(min(length - 4, 1 << 20)), number)
            if head.startswith(b"LIST") and head[8:] == b"movi":
                movi = at + 8
            if head.startswith(b"idx1"):
                file.seek(at + 8)
                entries = file.read(min(length, _LARGEST_INDEX_BYTES))
                break
            at += 8 + length + length % 2
        index = np.frombuffer(entries[: len(entries) // 16 * 16], _INDEX)
        name = f"{number:02d}wb".encode()
        own = index[index["name"] == name]
        if not len(own) or not movi:
            raise ValueError(tr("it has no index of this track"))
        # Their places are counted from the list's name, or from the file's beginning.
        file.seek(movi + int(own["at"][0]))
        offset = movi if file.read(4) == name else 0
        starts = own["at"].astype(np.int64) + offset + 8
        sizes = own["size"].astype(np.int64)
        if np.any(np.diff(starts) < 0) or starts[-1] + sizes[-1] > size:
            raise ValueError(tr("its index is damaged"))
        self._starts, self._ends = starts.tolist(), (starts + sizes).tolist()
        self._bytes_before = (np.cumsum(sizes) - sizes).tolist()
        self._is_counted_in_bytes = struct.unpack_from("<I", strh, 44)[0] > 0


def _stream_header(lists: bytes, number: int) -> bytes:
    """The content of a track's strh."""
    at = -1
    for _ in range(number + 1):
        at = lists.index(b"strh", at + 1)
    return lists[at + 8 : at + 8 + 56]
