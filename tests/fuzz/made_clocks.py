# SPDX-License-Identifier: Apache-2.0
"""Matroska files of plain samples whose blocks have any times, written byte by byte."""

from __future__ import annotations

import struct

import numpy as np

RATE_HZ = 8_000
BLOCK_SAMPLES = 800
_MOST_BLOCKS = 24


def _element(name: str, content: bytes) -> bytes:
    return bytes.fromhex(name) + (1 << 56 | len(content)).to_bytes(8, "big") + content


def _number(name: str, value: int) -> bytes:
    return _element(name, value.to_bytes(8, "big"))


def matroska(milliseconds: list[int]) -> bytes:
    """A file with a block of 0.1 s at each of these times, in this order."""
    header = _element("1a45dfa3", _element("4282", b"matroska") + _number("4287", 4))
    audio = _element("b5", struct.pack(">d", RATE_HZ)) + _number("9f", 1) + _number("6264", 16)
    track = _number("d7", 1) + _number("73c5", 1) + _number("83", 2)
    track += _element("86", b"A_PCM/INT/LIT") + _element("e1", audio)
    info = _element("1549a966", _number("2ad7b1", 1_000_000))
    clusters = b""
    for number, at in enumerate(milliseconds):
        samples = np.full(BLOCK_SAMPLES, 1_000 + number, "<i2").tobytes()
        block = _element("a3", b"\x81\0\0\x80" + samples)
        clusters += _element("1f43b675", _number("e7", at) + block)
    tracks = _element("1654ae6b", _element("ae", track))
    return header + _element("18538067", info + tracks + clusters)


def times(content: bytes) -> list[int]:
    """Milliseconds of blocks: each later than the one before by 0.1 s and what two bytes say, in
    the unit that a third one chooses, forward or back, never before 0."""
    found, at = [], 0
    for place in range(0, min(len(content), 3 * _MOST_BLOCKS) - 2, 3):
        step, unit = struct.unpack_from("<hB", content, place)
        at = max(0, at + step * (0, 1, 10, 1_000, 100_000)[unit % 5])
        found.append(at)
        at += 100
    return found
