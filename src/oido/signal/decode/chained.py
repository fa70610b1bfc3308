# SPDX-License-Identifier: Apache-2.0
"""Recordings one behind the other in one file, as radio stations send them and `cat` makes them.

Each is opened anew, so that its rate, its channels and its padding are its own; what comes out has
the rate and the channels of the first.
"""

from __future__ import annotations

import bisect
import io
import os
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import numpy as np

from oido.arrays import F32
from oido.errors import AudioError
from oido.signal.decode.readers import AudioInfo, AudioReader
from oido.signal.resample import Resampler

_TAIL_BYTES = 1 << 16
_PAGE_HEADER_BYTES = 27
_MOST_PAGE_BYTES = _PAGE_HEADER_BYTES + 255
_BEGINS = 2  # the bit of an Ogg page's flags that says that a stream begins with it


class _InFile(io.RawIOBase):
    """What is to be read of a file, as a file of its own; which it closes, if it owns it."""

    _file: IO[bytes]
    _owns: bool

    def close(self) -> None:
        """Also called when nobody holds it any more."""
        if self._owns:
            self._file.close()
        super().close()

    def readinto(self, buffer: object) -> int:
        """As `read`."""
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        content = self.read(len(view))
        view[: len(content)] = content
        return len(content)


class FilePart(_InFile):
    """The bytes from ``start`` to ``stop`` of a seekable file, as a file of their own; owns: closes
    it, too."""

    def __init__(self, file: IO[bytes], start: int, stop: int, *, owns: bool = False) -> None:
        super().__init__()
        self._owns = owns
        self._file, self._start, self._size, self._at = file, start, max(0, stop - start), 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As every file does."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Counted from ``start``."""
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """At most ``size`` bytes; none at the end."""
        left = max(0, self._size - self._at)
        self._file.seek(self._start + self._at)
        content = self._file.read(left if size is None or size < 0 else min(size, left))
        self._at += len(content)
        return content


class FileSpans(_InFile):
    """Some stretches of a seekable file, as a file of their own. head: other bytes before them.
    owns: closes the file, too."""

    def __init__(
        self,
        file: IO[bytes],
        spans: Sequence[tuple[int, int]],
        *,
        head: bytes = b"",
        owns: bool = False,
    ) -> None:
        super().__init__()
        self._head = head
        self._file, self._spans, self._at, self._owns = file, spans, 0, owns
        self._ends: list[int] = []  # of the spans, counted in this file
        for start, stop in spans:
            self._ends.append((self._ends[-1] if self._ends else len(head)) + stop - start)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As every file does."""
        end = self._ends[-1] if self._ends else len(self._head)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: end}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Counted without what is left out."""
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """At most ``size`` bytes; none at the end."""
        left = 1 << 62 if size is None or size < 0 else size
        content = self._head[self._at : self._at + left]
        left, self._at = left - len(content), self._at + len(content)
        number = bisect.bisect_right(self._ends, self._at)
        while left > 0 and number < len(self._spans):
            rest = self._ends[number] - self._at
            self._file.seek(self._spans[number][1] - rest)
            piece = self._file.read(min(rest, left))
            if not piece:
                break
            content, left, self._at = content + piece, left - len(piece), self._at + len(piece)
            number += len(piece) == rest
        return content


class ChainedReader(AudioReader):
    """The first of some recordings, opened, and behind it the others.

    openers: what opens each of the others; one that cannot be opened counts as damaged, and so do
    ``damaged`` before the first. on_close: called at the end.
    """

    def __init__(
        self,
        first: AudioReader,
        openers: Sequence[Callable[[], AudioReader]],
        *,
        on_close: Callable[[], object] = lambda: None,
        damaged: int = 0,
    ) -> None:
        self._current, self._openers, self._on_close = first, openers, on_close
        self.info: AudioInfo = first.info._replace(frames=None)
        self._damaged, self._gaps, self._overlap = damaged, 0.0, 0.0
        self._tags = first.tags()

    @property
    def damaged_packets(self) -> int:  # type: ignore[override]
        return self._damaged + self._current.damaged_packets

    @property
    def gaps_seconds(self) -> float:  # type: ignore[override]
        return self._gaps + self._current.gaps_seconds

    @property
    def overlap_seconds(self) -> float:  # type: ignore[override]
        return self._overlap + self._current.overlap_seconds

    def blocks(self) -> Iterator[F32]:
        """Blocks f32[n, channels]."""
        yield from self._current.blocks()
        for opener in self._openers:
            try:
                following = opener()
            except AudioError:
                self._damaged += 1
                continue
            self._damaged, self._gaps = self.damaged_packets, self.gaps_seconds
            self._overlap = self.overlap_seconds
            self._current.close()
            self._current = following
            try:
                yield from _reshaped(following, self.info)
            except AudioError:
                # One damaged recording does not end those behind it.
                self._damaged += 1

    def tags(self) -> dict[str, str]:
        """Those of the first."""
        return self._tags

    def close(self) -> None:
        """Close the recording that is open, and the file."""
        self._current.close()
        self._on_close()


def _reshaped(reader: AudioReader, like: AudioInfo) -> Iterator[F32]:
    """A reader's blocks with another's rate and channels."""
    rate, channels = reader.info.sample_rate_hz, like.channels
    resamplers = [Resampler(rate, like.sample_rate_hz) for _ in range(channels)]
    for block in reader.blocks():
        mapped = _with_channels(block, channels)
        if rate == like.sample_rate_hz:
            yield mapped
        else:
            columns = [r.push(column) for r, column in zip(resamplers, mapped.T)]
            if len(columns[0]):
                yield np.stack(columns, axis=1)
    if rate != like.sample_rate_hz:
        rest = np.stack([r.flush() for r in resamplers], axis=1)
        if len(rest):
            yield rest


def _with_channels(block: F32, channels: int) -> F32:
    """f32[n, any] as f32[n, channels]: the mean where there is more, and where there is less."""
    if block.shape[1] == channels:
        return block
    mean = block.mean(axis=1, dtype=np.float32, keepdims=True)
    return np.ascontiguousarray(np.repeat(mean, channels, axis=1))


class OggLinks:
    """A pipe that ends where a recording of a chained Ogg stream ends; `advance` goes to the next.

    What is no Ogg passes as it is.
    """

    def __init__(self, pipe: Any) -> None:
        self._read, self._waiting, self._ready = pipe.read, b"", b""
        self._left = 0  # bytes of the page that have not passed
        self._was_beginning, self._is_at_link = True, False
        self._is_ogg: bool | None = None

    def read(self, size: int = -1) -> bytes:
        """What is there, up to ``size`` bytes; none at the end of a recording."""
        while not self._ready and not self._is_at_link:
            content = self._read(size if size > 0 else _TAIL_BYTES)
            self._pass(content)
            if not content:
                break
        found = self._ready if size < 0 else self._ready[:size]
        self._ready = self._ready[len(found) :]
        return found

    def advance(self) -> bool:
        """Whether another recording follows; then what is read is of that one."""
        while self.read(_TAIL_BYTES):
            continue  # what its decoder did not want
        if not self._is_at_link:
            return False
        self._is_at_link, self._was_beginning = False, True
        self._pass(b"", goes_on=True)
        return True

    def _pass(self, content: bytes, *, goes_on: bool = False) -> None:
        """Let through what belongs to this recording."""
        waiting = self._waiting + content
        if self._is_ogg is None and (len(waiting) >= 4 or not content):
            self._is_ogg = waiting.startswith(b"OggS")
        at, is_end = 0, not content and not goes_on
        while at < len(waiting) and self._is_ogg is not None:
            if not self._is_ogg or is_end:
                at = len(waiting)
            elif self._left:
                step = min(self._left, len(waiting) - at)
                at, self._left = at + step, self._left - step
            elif not waiting.startswith(b"OggS"[: len(waiting) - at], at):
                found = waiting.find(b"OggS", at)  # rubbish
                at = found if found >= 0 else max(at, len(waiting) - 3)
                if found < 0:
                    break
            else:
                n_page = _page_bytes(waiting, at)
                if not n_page:
                    break  # its header is not all there
                is_beginning = bool(waiting[at + 5] & _BEGINS)
                if is_beginning and not self._was_beginning:
                    self._is_at_link = True
                    break
                self._was_beginning, self._left = is_beginning, n_page
        self._ready, self._waiting = self._ready + waiting[:at], waiting[at:]


def _page_bytes(content: bytes, at: int) -> int:
    """The bytes of the page that begins here; 0 if its header is not all there."""
    if len(content) - at < _PAGE_HEADER_BYTES:
        return 0
    n_head = _PAGE_HEADER_BYTES + content[at + 26]
    lengths = content[at + _PAGE_HEADER_BYTES : at + n_head]
    return n_head + sum(lengths) if len(content) - at >= n_head else 0


def ogg_links(file: IO[bytes]) -> list[tuple[int, int]]:
    """Where each recording of a chained Ogg file lies, from byte to byte.

    Only a file whose last pages belong to other streams than its first ones is read through.
    """
    size = file.seek(0, os.SEEK_END)
    first = _serials(file, 0, min(size, _TAIL_BYTES), only_first=True)
    if _serials(file, max(0, size - _TAIL_BYTES), size) <= first:
        return [(0, size)]
    starts, at, was_beginning = [0], 0, True
    while at < size:
        file.seek(at)
        head = file.read(_MOST_PAGE_BYTES)
        if len(head) < _PAGE_HEADER_BYTES or not head.startswith(b"OggS"):
            at = _next_page(file, at + 1, size)
            continue
        is_beginning = bool(head[5] & _BEGINS)
        if is_beginning and not was_beginning:
            starts.append(at)
        was_beginning = is_beginning
        n_segments = head[26]
        lengths = head[_PAGE_HEADER_BYTES : _PAGE_HEADER_BYTES + n_segments]
        at += _PAGE_HEADER_BYTES + n_segments + sum(lengths)
    return list(zip(starts, [*starts[1:], size]))


def _serials(file: IO[bytes], start: int, stop: int, *, only_first: bool = False) -> set[bytes]:
    """The streams' numbers on the pages here, only_first: on those that begin streams at once."""
    file.seek(start)
    content = file.read(stop - start)
    found: set[bytes] = set()
    at = content.find(b"OggS")
    while 0 <= at <= len(content) - _PAGE_HEADER_BYTES:
        if only_first and not content[at + 5] & _BEGINS:
            break
        # The version is always 0; bytes of sound that spell OggS have others.
        if content[at + 4] == 0:
            found.add(content[at + 14 : at + 18])
        at = content.find(b"OggS", at + 4)
    return found


def _next_page(file: IO[bytes], at: int, size: int) -> int:
    """Where the next page begins; ``size`` if none does."""
    while at < size:
        file.seek(at)
        content = file.read(_TAIL_BYTES)
        found = content.find(b"OggS")
        if found >= 0:
            return at + found
        if len(content) < 4:
            return size
        at += len(content) - 3
    return size
