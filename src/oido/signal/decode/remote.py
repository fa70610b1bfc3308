# SPDX-License-Identifier: Apache-2.0
"""Recordings that lie at an address: fetched whole, or read in place, a piece ahead (fsspec)."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any, NamedTuple, cast

from oido.errors import AudioNotFoundError, OidoError
from oido.messages import tr
from oido.urls import filesystem_of, refused_certificate, trouble_with

_FETCHED_BYTES = 1 << 20
_MOST_UNANNOUNCED_BYTES = 4 << 30
"""Of a recording whose server does not say how long it is, and perhaps never ends."""

_NOT_THERE = (404, 410)

_FIRST_PIECE_BYTES, _LARGEST_PIECE_BYTES = 1 << 18, 1 << 23
_PIECES_KEPT = 3
_READ_SHARE = 4
"""The next piece is asked for when one part in so many of a piece has been read."""


def fetch(url: str, path: str, name: str, size: int | None = None) -> None:
    """Copy what is at a URL to a file. Raises AudioNotFoundError, which calls it ``name``.

    size: in bytes, 0 where nobody knows, or None: to be asked for.
    """
    files = filesystem_of(url)
    with store_errors(name, url):
        if size is None:
            size = files.info(url).get("size")
        if size:
            files.get_file(url, path)
            return
        with files.open(url, "rb") as remote, open(path, "wb") as local:
            # fsspec's stream of a web server keeps its answer as ``r``.
            headers = getattr(getattr(remote, "r", None), "headers", {})
            if any(header.lower().startswith("icy-") for header in headers):
                raise AudioNotFoundError(
                    tr(
                        "{name}: is a radio station, which has no end; listen to it: oido listen",
                        name=name,
                    )
                )
            while piece := remote.read(_FETCHED_BYTES):
                local.write(piece)
                if local.tell() > _MOST_UNANNOUNCED_BYTES:
                    most = tr(
                        "{most_unannounced_bytes} GiB",
                        most_unannounced_bytes=_MOST_UNANNOUNCED_BYTES >> 30,
                    )
                    raise AudioNotFoundError(
                        tr(
                            "{name}: has no announced length, and more than {most}; "
                            "save it to a file first",
                            name=name,
                            most=most,
                        )
                    )


@contextlib.contextmanager
def store_errors(name: str, url: str) -> Iterator[None]:
    """Any error of a store becomes one of the recording, which it calls ``name``."""
    try:
        yield
    except OidoError:
        raise
    except Exception as error:
        # fsspec calls whatever a web server says that a file is not found.
        cause = error
        if isinstance(error, FileNotFoundError) and isinstance(error.__cause__, Exception):
            cause = error.__cause__
        status = getattr(cause, "status", None)
        is_missing = isinstance(cause, FileNotFoundError) and refused_certificate(error) is None
        if is_missing or status in _NOT_THERE:
            raise AudioNotFoundError(tr("{name}: no such file", name=name)) from error
        reason = trouble_with(url, cause)
        if status is not None:
            reason = f"{status} {getattr(cause, 'message', '')}".strip()
        raise AudioNotFoundError(
            tr("{name}: cannot be fetched ({reason})", name=name, reason=reason)
        ) from error


class FetchedFile(io.FileIO):
    """A recording from an address, on disk until it is closed. Raises AudioNotFoundError."""

    def __init__(self, url: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="oido-")
        path = os.path.join(self._folder.name, "recording")
        try:
            fetch(url, path, url)
            super().__init__(path)
        except BaseException:
            self._folder.cleanup()
            raise

    def close(self) -> None:
        """Remove it, too."""
        super().close()
        self._folder.cleanup()


def open_in_place(url: str, name: str) -> IO[bytes]:
    """A file at a URL, of which only what is read comes. Raises AudioNotFoundError."""
    files = filesystem_of(url)
    with store_errors(name, url):
        try:
            file = files.open(url, "rb", cache_type="none")  # it is cached here
        except TypeError:  # of a store without caches
            file = files.open(url, "rb")
    size = getattr(file, "size", 0)
    if size is None:  # a web server that sends without a length
        file.close()
        raise AudioNotFoundError(tr("{name}: cannot be read in parts, only as a whole", name=name))
    if not isinstance(size, int) or not size:
        return cast("IO[bytes]", file)
    return cast("IO[bytes]", io.BufferedReader(AheadFile(file, size)))


class _Piece(NamedTuple):
    """Bytes from ``begin`` on, so many that were asked for; they are there, or on their way."""

    begin: int
    n_bytes: int
    content: Future[bytes]

    def has(self, at: int) -> bool:
        return self.begin <= at < self.begin + self.n_bytes


class AheadFile(io.RawIOBase):
    """A file whose next piece comes while this one is read.

    A piece is small after a jump, as headers are, and twice the one before while reading goes on.
    file: is read by one thread alone, and closed with this one; size: its bytes.
    """

    def __init__(self, file: Any, size: int) -> None:
        self._file, self._size, self._at = file, size, 0
        self._thread = ThreadPoolExecutor(1, "oido-ahead")
        self._pieces: deque[_Piece] = deque(maxlen=_PIECES_KEPT)

    def readinto(self, buffer: Any) -> int:
        """The next bytes, no more than one piece has. Raises what the store raises."""
        if self._at >= self._size:
            return 0
        piece = next((p for p in self._pieces if p.has(self._at)), None)
        piece = piece or self._ask(self._at, _FIRST_PIECE_BYTES)
        try:
            content = memoryview(piece.content.result())
        except BaseException:
            self._pieces.remove(piece)  # whoever reads on asks again
            raise
        part = content[self._at - piece.begin :][: len(buffer)]
        buffer[: len(part)] = part
        self._at += len(part)
        behind = piece.begin + piece.n_bytes
        is_asked = behind >= self._size or any(p.has(behind) for p in self._pieces)
        if not is_asked and _READ_SHARE * (self._at - piece.begin) >= piece.n_bytes:
            self._ask(behind, min(2 * piece.n_bytes, _LARGEST_PIECE_BYTES))
        return len(part)

    def _ask(self, begin: int, n_bytes: int) -> _Piece:
        def read() -> bytes:
            self._file.seek(begin)
            content: bytes = self._file.read(n_bytes)
            return content

        n_bytes = min(n_bytes, self._size - begin)
        self._pieces.append(_Piece(begin, n_bytes, self._thread.submit(read)))
        return self._pieces[-1]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Costs nothing before the next bytes are read."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(tr("a place before the beginning"))
        self._at = start + offset
        return self._at

    def close(self) -> None:
        """Wait for nothing: a store that stands still must not hold its reader."""
        if not self.closed:
            for piece in self._pieces:
                piece.content.cancel()
            self._thread.submit(self._file.close)
            self._thread.shutdown(wait=False)
        super().close()
