# SPDX-License-Identifier: Apache-2.0
"""The sound blocks of a WavPack file, without what stands between them: damage, tags, other files.

FFmpeg stops at the first thing that is no block. Each block tells its own place, so that those
behind a damaged stretch keep their time.
"""

from __future__ import annotations

import os
import struct
from typing import IO

_HEAD_BYTES = 32
_BLOCK_BYTES = (24, 1 << 22)
_VERSIONS = (0x402, 0x410)
_LOOK_BYTES = 1 << 16


def sound_blocks(file: IO[bytes]) -> list[tuple[int, int]]:
    """Where the blocks lie, from-to, those without a break as one."""
    size = file.seek(0, os.SEEK_END)
    spans: list[tuple[int, int]] = []
    at = 0
    while at < size:
        length = _block_bytes(file, at)
        stop = at + length
        if not length or not (stop == size or _block_bytes(file, stop)):
            following = _next_block(file, at + 4, size)
            # Its size is wrong if another one begins within it.
            stop = min(stop, size) if length and following >= stop else at
        else:
            following = stop
        if stop > at:
            if spans and spans[-1][1] == at:
                spans[-1] = (spans[-1][0], stop)
            else:
                spans.append((at, stop))
        at = following
    return spans


def _block_bytes(file: IO[bytes], at: int) -> int:
    """The bytes of the block that begins here; 0: none does."""
    file.seek(at)
    head = file.read(_HEAD_BYTES)
    if len(head) < _HEAD_BYTES or not head.startswith(b"wvpk"):
        return 0
    length, version = struct.unpack_from("<IH", head, 4)
    is_block = _BLOCK_BYTES[0] <= length <= _BLOCK_BYTES[1]
    return 8 + length if is_block and _VERSIONS[0] <= version <= _VERSIONS[1] else 0


def _next_block(file: IO[bytes], at: int, size: int) -> int:
    """Where the next block begins; ``size`` if none does."""
    while at < size:
        file.seek(at)
        found = file.read(_LOOK_BYTES).find(b"wvpk")
        if found < 0:
            at += _LOOK_BYTES - 3
        elif _block_bytes(file, at + found):
            return at + found
        else:
            at += found + 4
    return size
