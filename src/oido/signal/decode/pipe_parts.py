# SPDX-License-Identifier: Apache-2.0
"""Recordings one behind the other on a pipe, which can only be read forwards.

Of WAV, AIFF, CAF, W64 and AU, the sizes in the headers say where each ends, if what follows shows
that they are true (`oido.signal.decode.sizes`); of chained Ogg, its pages (`OggLinks`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from oido.signal.decode.chained import OggLinks
from oido.signal.decode.sizes import (
    Follower,
    Layout,
    endless_header,
    follower,
    header_of,
    is_unknown,
    layout_of,
)

_READ_BYTES = 1 << 16
_LOOK_BYTES = 48
_MOST_HEADER_BYTES = 1 << 24
_OF_AU = (b".snd", b"dns.")
_BEGINNINGS = (*_OF_AU, b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"caff", b"riff")


def links_on(pipe: Any) -> OggLinks | SizedLinks:
    """The recordings of a pipe, whatever it brings."""
    head = _at_least(pipe.read, b"", 4)
    read = _pushed_back(pipe.read, head)
    if head[:4] in _BEGINNINGS:
        return SizedLinks(read)
    return OggLinks(SimpleNamespace(read=read))


class SizedLinks:
    """A pipe that ends where a recording ends; `advance` goes to the next.

    The decoder gets headers that tell no size, so that it reads on until there is no more.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read, self._waiting, self._ready = read, b"", b""
        self._left: float = 0.0  # bytes of samples that have not passed
        self._is_at_link, self._has_ended = False, False
        self._layout: Layout | None = None
        self._begin()

    def read(self, size: int = -1) -> bytes:
        """What is there, up to ``size`` bytes; none at the end of a recording."""
        while not self._ready and not self._is_at_link and not self._has_ended:
            if self._left <= 0:
                self._go_on()
                continue
            content = self._waiting or self._read(size if size > 0 else _READ_BYTES)
            n_ready = len(content) if len(content) < self._left else int(self._left)
            self._ready, self._waiting = content[:n_ready], content[n_ready:]
            self._left -= n_ready
            self._has_ended = not content
        found = self._ready if size < 0 else self._ready[:size]
        self._ready = self._ready[len(found) :]
        return found

    def advance(self) -> bool:
        """Whether another recording follows; then what is read is of that one."""
        while self.read(_READ_BYTES):
            continue  # what its decoder did not want
        if not self._is_at_link:
            return False
        self._is_at_link = False
        self._begin()
        return True

    def _begin(self) -> None:
        """Read the header, and let another one through."""
        self._waiting = _at_least(self._read, self._waiting, _LOOK_BYTES)
        part = header_of(self._waiting)
        is_known = layout_of(self._waiting) is not None or self._waiting[:4] in _OF_AU
        while part is None and is_known and len(self._waiting) < _MOST_HEADER_BYTES:
            if not (more := self._read(_READ_BYTES)):
                break
            self._waiting += more
            part = header_of(self._waiting)
        head, self._layout = self._waiting, layout_of(self._waiting)
        if part is None:
            self._ready, self._waiting, self._left = head, b"", math.inf
            return
        self._ready, self._waiting = endless_header(head, part), head[part.start :]
        self._left = self._known(part.declared)

    @staticmethod
    def _known(size: int) -> float:
        return math.inf if is_unknown(size) else size

    def _go_on(self) -> None:
        """Find out what stands behind the samples."""
        self._waiting = _at_least(self._read, self._waiting, _LOOK_BYTES)
        what, skipped, size = follower(self._waiting, self._layout)
        if what is Follower.RECORDING:
            self._is_at_link, self._waiting = True, self._waiting[skipped:]
        elif what is Follower.SAMPLES:
            self._left, self._waiting = self._known(size), self._waiting[skipped:]
        elif what is Follower.OTHER:
            self._skip(skipped + size)
        elif len(self._waiting) < _LOOK_BYTES:
            self._waiting = b""  # the rest of nothing
        else:
            self._left = math.inf  # the size was none
        self._has_ended = not self._waiting and not self._is_at_link

    def _skip(self, size: float) -> None:
        while size > len(self._waiting):
            size -= len(self._waiting)
            self._waiting = self._read(_READ_BYTES)
            if not self._waiting:
                return
        self._waiting = self._waiting[int(size) :]


def _at_least(read: Callable[[int], bytes], content: bytes, size: int) -> bytes:
    """So many bytes, or all that there are."""
    while len(content) < size and (more := read(_READ_BYTES)):
        content += more
    return content


def _pushed_back(read: Callable[[int], bytes], head: bytes) -> Callable[[int], bytes]:
    """Reads these bytes first."""
    waiting = [head] if head else []
    return lambda size: waiting.pop() if waiting else read(size)
