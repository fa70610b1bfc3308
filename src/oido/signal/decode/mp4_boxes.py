# SPDX-License-Identifier: Apache-2.0
"""The boxes of MP4 and QuickTime files: a length, a name, and what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

_MOST = 1 << 20
"""Boxes side by side that are looked at: a live stream of days has so many; a file that is made to
be slow has more."""


def find(file: IO[bytes], start: int, stop: int, *path: bytes) -> tuple[int, int] | None:
    """The content of a box within boxes, from-to."""
    found: tuple[int, int] | None = (start, stop)
    for name in path:
        if found is None:
            return None
        inside = ((a, b) for kind, a, b in boxes(file, *found) if kind == name)
        found = next(inside, None)
    return found


def boxes(file: IO[bytes], start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """The name of each box, and its content, from-to."""
    for _ in range(_MOST):
        head = read_at(file, start, 16)
        if start + 8 > stop or len(head) < 8:
            return
        length, begin = int.from_bytes(head[:4], "big"), start + 8
        if length == 1:
            length, begin = int.from_bytes(head[8:16], "big"), start + 16
        elif length == 0:
            length = stop - start
        if length < begin - start:
            return
        yield head[4:8], begin, min(start + length, stop)
        start += length


def read_at(file: IO[bytes], at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
