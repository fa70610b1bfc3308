# SPDX-License-Identifier: Apache-2.0
"""Damaged Matroska and WebM: what is whole between the damage and the next cluster is found again.

FFmpeg goes on where the next cluster begins, seconds later. Here the damaged bytes are made an
element that says nothing (Void), and, where they hid the head of a cluster, a new head, so that
FFmpeg reads on right behind them. Format: RFC 8794 (EBML) and RFC 9559 (Matroska).
"""

from __future__ import annotations

import bisect
import contextlib
import math
import os
import re
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

import av

_SEGMENT, _CLUSTER, _TRACKS = 0x18538067, 0x1F43B675, 0x1654AE6B
_TRACK_NUMBER = re.compile(rb"\xd7\x81([\1-\x7e])", re.DOTALL)
_BLOCK_GROUP, _SIMPLE_BLOCK, _TIMESTAMP, _VOID = 0xA0, 0xA3, 0xE7, 0xEC
_IN_CLUSTERS = {_BLOCK_GROUP, _SIMPLE_BLOCK, _TIMESTAMP, _VOID, 0xBF, 0xAB, 0xA7, 0xAF, 0x5854}
_IN_SEGMENTS = {_CLUSTER, _VOID, 0xBF, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B}
_IN_SEGMENTS |= {0x1941A469, 0x1043A770, 0x1254C367}
_KNOWN = _IN_CLUSTERS | _IN_SEGMENTS | {_SEGMENT, 0x1A45DFA3}
_HEAD_BYTES = 12
_LEAST_BLOCK_BYTES = 5
_CHAIN = 4
"""So many elements in a row are no accident."""

_LOOK_BYTES = 1 << 16
_CLUSTER_HEAD_BYTES = 11
_SAME_CLUSTER_TICKS = 250
_MOST_ELEMENTS = 20_000_000
_SUSPICIOUS_SECONDS = 0.08
_EARLY_SECONDS = 1.0


class _Element(NamedTuple):
    """number: its ID; start: of its content; stop: None where its size is not told."""

    number: int
    start: int
    stop: int | None


class Overlaid:
    """A file of which some bytes are others. patches: by place, none upon another."""

    def __init__(self, file: IO[bytes], *patches: dict[int, bytes]) -> None:
        self._file = file
        self._patches = {at: content for one in patches for at, content in one.items()}
        self._starts = sorted(self._patches)

    def read(self, size: int = -1) -> bytes:
        """As that of the file."""
        at = self._file.tell()
        content = bytearray(self._file.read(size))
        number = max(0, bisect.bisect_right(self._starts, at) - 1)
        for start in self._starts[number:]:
            if start >= at + len(content):
                break
            patch = self._patches[start][max(0, at - start) :]
            place = max(0, start - at)
            patch = patch[: len(content) - place]
            content[place : place + len(patch)] = patch
        return bytes(content)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As that of the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As that of the file."""
        return self._file.tell()


class MendedPackets:
    """The packets of a track, also those that FFmpeg passes over behind damage.

    reopen: opens the same file with some bytes changed. on_damage: called for each stretch. What is
    damaged is looked for once, where the clock jumps, or the packets end too early.
    """

    def __init__(
        self,
        container: Any,
        file: IO[bytes],
        reopen: Callable[[Any], Any],
        on_damage: Callable[[], None],
    ) -> None:
        self._container, self._file, self._reopen = container, file, reopen
        self._on_damage = on_damage
        self._again: Any = None
        self._place = -1  # of the last packet before the damage

    def demux(self, stream: Any) -> Iterator[Any]:
        """As that of a container."""
        if self._again:
            yield from self._rest(stream)
            return
        tick = float(stream.time_base)
        step, before, last = _SUSPICIOUS_SECONDS / tick, math.inf, None
        promised = (self._container.duration or 0) / av.time_base / tick - _EARLY_SECONDS / tick
        for packet in self._container.demux(stream):
            pts = packet.pts
            if last is not None and (pts is None or pts - before > step):
                end, self._place = before + (last.duration or 0), last.pos or 0
                is_suspicious = end < promised if pts is None else pts - end > step
                if is_suspicious and self._is_mended(stream.index):
                    yield from self._rest(stream)
                    return
            yield packet
            if pts is not None:
                before, last = pts, packet

    def _is_mended(self, number: int) -> bool:
        if self._again is not None:
            return False
        before = self._file.tell()
        stretches = damage_in(self._file)
        self._file.seek(before)
        self._again = False
        if stretches:
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                self._file.seek(0)
                again = self._reopen(Overlaid(self._file, *stretches))
                if number >= len(again.streams) or again.streams[number].type != "audio":
                    again.close()
                    return False
                self._again = again
                for _ in stretches:
                    self._on_damage()
        return bool(self._again)

    def _rest(self, stream: Any) -> Iterator[Any]:
        """The packets behind the last one, for the decoder that has had those before."""
        for packet in self._again.demux(self._again.streams[stream.index]):
            # Several of one block have the same place.
            if packet.pts is None or (packet.pos or 0) > self._place:
                packet.stream = stream
                yield packet

    def close(self) -> None:
        """What was opened again."""
        if self._again:
            self._again.close()


def damage_in(file: IO[bytes]) -> list[dict[int, bytes]]:
    """What to write over each damaged stretch, by place; none where a file is whole, or cut."""
    walk = _Walk(file)
    walk.run()
    return walk.stretches


class _Walk:
    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._size = file, file.seek(0, os.SEEK_END)
        self.stretches: list[dict[int, bytes]] = []
        self._cluster_stop: int | None = None
        self._is_in_cluster, self._time = False, 0
        self._tracks: set[int] = set()  # as blocks have them; none: not known

    def run(self) -> None:
        at = 0
        segment = self._element(at)  # the head of EBML
        at = self._size if segment is None or segment.stop is None else segment.stop
        segment = self._element(at)
        if segment is None or segment.number != _SEGMENT:
            return
        at = segment.start
        for _ in range(_MOST_ELEMENTS):
            if at >= self._size:
                return
            element = self._element(at)
            if element is None or not self._may_be_here(element, at):
                following = self._next_chain(at + 1)
                if following >= self._size:
                    return
                self._mend(at, following)
                at = following
            elif element.number == _CLUSTER:
                self._is_in_cluster, self._cluster_stop = True, element.stop
                self._time = self._time_of(element) or 0
                at = element.start
            else:
                if element.number == _TRACKS and element.stop is not None:
                    self._file.seek(element.start)
                    content = self._file.read(min(element.stop - element.start, _LOOK_BYTES))
                    self._tracks = {0x80 | found[0] for found in _TRACK_NUMBER.findall(content)}
                at = element.stop or self._size

    def _may_be_here(self, element: _Element, at: int) -> bool:
        if self._is_in_cluster and (self._cluster_stop is None or at < self._cluster_stop):
            is_inside = element.number in _IN_CLUSTERS
            stop = self._cluster_stop
            if is_inside:
                return stop is None or (element.stop or 0) <= stop
            return stop is None and element.number in _IN_SEGMENTS
        return element.number in _IN_SEGMENTS

    def _element(self, at: int) -> _Element | None:
        """The one that begins here; None: none that is known, or that ends in the file."""
        self._file.seek(at)
        head = self._file.read(_HEAD_BYTES)
        n_id = 9 - head[0].bit_length() if head else 9
        number = int.from_bytes(head[:n_id], "big")
        if number not in _KNOWN or len(head) <= n_id or not head[n_id]:
            return None
        n_size = 9 - head[n_id].bit_length()
        mask = (1 << 7 * n_size) - 1
        size = int.from_bytes(head[n_id : n_id + n_size], "big") & mask
        start = at + n_id + n_size
        is_open = number in (_SEGMENT, _CLUSTER)
        if size == mask:
            return _Element(number, start, None) if is_open else None
        is_block = number == _SIMPLE_BLOCK
        if is_block and (size < _LEAST_BLOCK_BYTES or not self._is_track(head[n_id + n_size])):
            return None
        return (
            _Element(number, start, start + size) if is_open or start + size <= self._size else None
        )

    def _is_track(self, number: int) -> bool:
        """Whether this is the number of a track, as blocks hold it."""
        return bool(number & 0x80) and (not self._tracks or number in self._tracks)

    def _next_chain(self, at: int) -> int:
        """Where elements follow one another again; the file's end if they do not."""
        while at < self._size:
            self._file.seek(at)
            content = self._file.read(_LOOK_BYTES)
            for place, byte in enumerate(content):
                if byte in (_SIMPLE_BLOCK, _BLOCK_GROUP, 0x1F) and self._is_chain(at + place):
                    return at + place
            at += len(content)
        return self._size

    def _is_chain(self, at: int) -> bool:
        for _ in range(_CHAIN):
            element = self._element(at)
            if element is None:
                return False
            at = element.start if element.number == _CLUSTER else element.stop or self._size
            if at == self._size:
                return True
        return True

    def _mend(self, at: int, stop: int) -> None:
        """Make what is damaged say nothing, and begin a cluster where the head of one is lost."""
        self.stretches.append({})
        first = self._element(stop)
        is_block = first is not None and first.number in _IN_CLUSTERS
        end = self._cluster_stop
        if end is not None and at < end <= stop:
            self._void(at, end)
            at = end
        if is_block and (at == end or self._begins_anew(stop)):
            time = self._time_by_the_next(stop)
            self._is_in_cluster, self._cluster_stop = True, None
            if time is None or time >> 32 or stop - at < _CLUSTER_HEAD_BYTES + 2:
                return  # nobody knows when they are: FFmpeg passes them over
            self.stretches[-1][at] = b"\x1fC\xb6u\xff\xe7\x84" + time.to_bytes(4, "big")
            at, self._time = at + _CLUSTER_HEAD_BYTES, time
        self._void(at, stop)

    def _void(self, at: int, stop: int) -> None:
        size = stop - at
        if size >= 9:
            self.stretches[-1][at] = b"\xec\x01" + (size - 9).to_bytes(7, "big")
        elif size >= 2:
            self.stretches[-1][at] = bytes((_VOID, 0x80 | size - 2))

    def _blocks(self, at: int) -> tuple[list[tuple[int, int]], int | None]:
        """(track, ticks since the cluster's time) of the blocks from here on, and the time of the
        cluster that follows them."""
        found: list[tuple[int, int]] = []
        while at < self._size:
            element = self._element(at)
            if element is None:
                return found, None
            if element.number == _CLUSTER:
                return found, self._time_of(element)
            if element.number in (_SIMPLE_BLOCK, _BLOCK_GROUP):
                self._file.seek(element.start)
                head = self._file.read(16)
                if element.number == _BLOCK_GROUP:  # the block comes first in all that is known
                    head = head[1 + 9 - head[1].bit_length() :] if head[0] == 0xA1 else b""
                if len(head) >= 4:
                    found.append((head[0], int.from_bytes(head[1:3], "big", signed=True)))
            at = element.stop or self._size
        return found, None

    def _time_of(self, cluster: _Element) -> int | None:
        at = cluster.start
        for _ in range(_CHAIN):  # a checksum may come first
            element = self._element(at)
            if element is None or element.stop is None:
                return None
            if element.number == _TIMESTAMP:
                self._file.seek(element.start)
                return int.from_bytes(self._file.read(min(8, element.stop - element.start)), "big")
            at = element.stop
        return None

    def _time_by_the_next(self, at: int) -> int | None:
        """The time of the cluster whose blocks these are: they end where the next one begins."""
        blocks, following = self._blocks(at)
        if following is None or not blocks:
            return None
        track, last = max(blocks, key=lambda block: block[1])
        same = sorted(ticks for number, ticks in blocks if number == track)
        spacing = same[-1] - same[-2] if len(same) > 1 else 0
        return max(0, following - last - spacing)

    def _begins_anew(self, at: int) -> bool:
        """Whether these blocks are none of the cluster's before; its size does not tell."""
        if not self._is_in_cluster:
            return True
        if self._cluster_stop is not None:
            return at >= self._cluster_stop
        time = self._time_by_the_next(at)
        return time is not None and abs(time - self._time) > _SAME_CLUSTER_TICKS
