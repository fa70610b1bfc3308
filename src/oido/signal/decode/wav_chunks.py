# SPDX-License-Identifier: Apache-2.0
"""When a recorder says that a recording began, in chunks of WAV that decoders do not read.

``bext`` is Broadcast WAV (EBU Tech 3285), which ``iXML`` repeats, ``guan`` GUANO (guano-md.org),
``wamd`` the metadata of Wildlife Acoustics: entries of a number, a length and a text.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from typing import Protocol

_CHUNKS = 256
_LARGEST_BYTES = 1 << 20
_LARGEST_FILE_BYTES = 1 << 43  # file systems refuse places far beyond
_OF_RECORDERS = (b"bext", b"guan", b"wamd", b"iXML")
_NAMES = (*_OF_RECORDERS, b"data", b"fmt ", b"LIST", b"fact", b"JUNK", b"junk", b"ds64")
_IXML = re.compile(
    rb"<BWF_ORIGINATION_DATE>\s*(\d{4}).(\d\d).(\d\d)\s*<.*"
    rb"<BWF_ORIGINATION_TIME>\s*(\d\d).(\d\d).(\d\d)\s*<",
    re.DOTALL,
)
"""What iXML repeats of bext, for programs that lose that."""

_FLAC_APPLICATION = 2
_WAMD_TIMESTAMP = 5


class Seekable(Protocol):
    """What of a binary file object is needed."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to so many bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go there."""

    def tell(self) -> int:
        """Where it is."""


def recorder_tags(source: str | Seekable) -> dict[str, str]:
    """``origination_date`` and ``origination_time``, ``guano_timestamp``, ``wamd_timestamp``.

    Of those that are there; none for what is no WAV, W64 or FLAC. A file object is left where it
    was.
    """
    tags: dict[str, str] = {}
    try:
        if isinstance(source, str):
            with open(source, "rb") as file:
                tags.update(_tags(file))
        else:
            position = source.tell()
            try:
                tags.update(_tags(source))
            finally:
                source.seek(position)
    except (OSError, ValueError, struct.error):
        return tags
    return tags


def _tags(file: Seekable) -> Iterator[tuple[str, str]]:
    of_bext: list[tuple[str, str]] = []
    for name, body in _chunks(file):
        if name == b"bext":
            of_bext = list(_origination(body[320:330], body[330:338]))
            yield from of_bext
        elif name == b"iXML" and not of_bext and (copy := _IXML.search(body)):
            yield from _origination(b"-".join(copy.groups()[:3]), b":".join(copy.groups()[3:]))
        elif name == b"guan":
            text = body.decode("utf-8", "replace")
            if found := re.search(r"^\s*Timestamp\s*:\s*(\S[^\r\n\0]*)", text, re.MULTILINE):
                yield "guano_timestamp", found[1].strip()
        elif name == b"wamd":
            yield from _wamd(body)


def _chunks(file: Seekable) -> Iterator[tuple[bytes, bytes]]:
    """The bodies of chunks that are of use, of RIFF, RIFX, RF64, BW64 and W64, and of those that
    FLAC keeps of the file that it was made of (application blocks of the name riff)."""
    file.seek(0)
    head = file.read(40)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        yield from _riff_chunks(file, ">" if head.startswith(b"RIFX") else "<")
    elif head[:4] == b"riff" and head[24:28] == b"wave":
        yield from _w64_chunks(file)
    elif head[:4] == b"fLaC":
        yield from _flac_chunks(file)


def _riff_chunks(file: Seekable, order: str) -> Iterator[tuple[bytes, bytes]]:
    data_bytes = None
    position = 12
    end = file.seek(0, os.SEEK_END)
    for _ in range(_CHUNKS):
        file.seek(position)
        start = file.read(8)
        if len(start) < 8:
            return
        name, (size,) = start[:4], struct.unpack(f"{order}I", start[4:])
        if name == b"ds64":
            data_bytes = struct.unpack("<Q", file.read(16)[8:])[0]
        elif name == b"data" and size == 0xFFFFFFFF and data_bytes is not None:
            size = data_bytes
        elif name in _OF_RECORDERS:
            yield name, file.read(min(size, _LARGEST_BYTES))
        position += 8 + size
        if position >= end:
            return
        if size % 2:
            # Some writers leave the byte out that makes a chunk's length even.
            file.seek(position)
            position += file.read(4) not in _NAMES


def _w64_chunks(file: Seekable) -> Iterator[tuple[bytes, bytes]]:
    position = 40
    for _ in range(_CHUNKS):
        file.seek(position)
        start = file.read(24)
        if len(start) < 24:
            return
        name, size = start[:4].lower(), struct.unpack("<Q", start[16:])[0]
        if name in _OF_RECORDERS:
            yield name, file.read(min(max(0, size - 24), _LARGEST_BYTES))
        position += max(24, size + -size % 8)
        if position >= _LARGEST_FILE_BYTES:
            return


def _flac_chunks(file: Seekable) -> Iterator[tuple[bytes, bytes]]:
    position = 4
    for _ in range(_CHUNKS):
        file.seek(position)
        start = file.read(16)
        if len(start) < 16:
            return
        size = int.from_bytes(start[1:4], "big")
        if start[0] & 127 == _FLAC_APPLICATION and start[4:8] == b"riff":
            name = start[8:12]
            if name in _OF_RECORDERS:
                yield name, file.read(min(size - 12, _LARGEST_BYTES))
        if start[0] & 128:
            return
        position += 4 + size


def _origination(day: bytes, hour: bytes) -> Iterator[tuple[str, str]]:
    """Ten characters of a date and eight of a time, whatever stands between their digits."""
    date = re.fullmatch(rb"(\d{4}).(\d\d).(\d\d)", day, re.DOTALL)
    time = re.fullmatch(rb"(\d\d).(\d\d).(\d\d)", hour, re.DOTALL)
    if date and time:
        yield "origination_date", b"-".join(date.groups()).decode("ascii")
        yield "origination_time", b":".join(time.groups()).decode("ascii")


def _wamd(body: bytes) -> Iterator[tuple[str, str]]:
    position = 0
    while position + 6 <= len(body):
        number, size = struct.unpack_from("<HI", body, position)
        if number == _WAMD_TIMESTAMP:
            text = body[position + 6 : position + 6 + size]
            yield "wamd_timestamp", text.decode("utf-8", "replace").strip("\0 ")
            return
        position += 6 + size
