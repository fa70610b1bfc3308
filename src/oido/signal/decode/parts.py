# SPDX-License-Identifier: Apache-2.0
"""Where the recordings of a file begin: behind what was put before them, and one behind another.

`cat` and `copy /b` join MP3, MP4, Matroska, TTA, WMA, FLV and AMR files. Most tell in their header
how long they are, and what begins with a header there is a recording of its own, with its own
priming and padding. (WAV and its like: `sizes`; Ogg: `chained`.)
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from typing import IO

from oido.signal.decode.lost_bytes import mpeg_frame_bytes, xing_at
from oido.signal.decode.mp4_boxes import boxes, read_at

_LOOK_BYTES = 1 << 16
_MOST_TAGS = 16
_MOST_PARTS = 10_000

_STRONG = re.compile(
    rb"fLaC[\0\x80]\0\0\x22|OggS\0\x02|RIFF....WAVE|RF64....WAVE|BW64....WAVE|FORM....AIF[FC]"
    rb"|wvpk....[\0-\xff]\x04|TTA1\x01\0|....ftyp[\x20-\x7e]{4}|caff\0\x01\0\0desc"
    rb"|\x1aE\xdf\xa3.{1,48}?B\x82.(?:matroska|webm)",
    re.DOTALL,
)
"""What nothing but a recording begins with."""

_MATROSKA = b"\x1aE\xdf\xa3"
_KNOWN: tuple[bytes, ...] = (
    *(b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM", b"caff", b".snd", b"dns.", b"riff", b"OggS"),
    *(b"fLaC", b"wvpk", b"TTA1", _MATROSKA, b"0&\xb2u", b"FLV\x01", b"G", b"\x0bw", b"#!AMR"),
    *(b"\0\0\x01", b"\x06\x0e+4", b"nut/", b".RMF", b"\xff", b"\x7f\xfe\x80\x01"),
    *(b"PK", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b"),
)
"""How files begin that hold others, and are recordings, or archives, from their first byte on."""

_FLV = re.compile(rb"FLV\x01[\1\4\5]\0\0\0\x09\0\0\0\0")
_FLV_HEADER_BYTES = 13
_SEARCH_BYTES = 1 << 20

_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


def beginning(head: bytes, file: IO[bytes]) -> int:
    """Where the recording begins: 0, but behind an ID3 tag that its format does not know, or lines
    and rubbish that a download or a card reader left there."""
    if head.startswith(b"ID3"):
        at = _behind_tags(file, 0)
        start = read_at(file, at, 64)
        return at if _STRONG.match(start) or start.startswith(b"\x0bw") else 0
    if head.startswith(_KNOWN) or head[4:8] in (b"ftyp", b"mdat", b"moov", b"wide", b"free"):
        return 0
    found = _STRONG.search(read_at(file, 0, _LOOK_BYTES))
    return found.start() if found else 0


def recordings(head: bytes, file: IO[bytes]) -> list[tuple[int, int]]:
    """The bytes of each recording of a joined file, from-to; the whole file if it holds one, or
    does not tell."""
    size = file.seek(0, os.SEEK_END)
    find_next = _finder(head)
    starts = [0]
    while find_next is not None and len(starts) < _MOST_PARTS:
        try:
            following = find_next(file, starts[-1], size)
        except (struct.error, IndexError, OSError):
            break
        if following is None or following <= starts[-1] or following >= size:
            break
        starts.append(following)
    return list(zip(starts, [*starts[1:], size]))


def _finder(head: bytes) -> Callable[[IO[bytes], int, int], int | None] | None:
    if head.startswith(b"ID3") or mpeg_frame_bytes(head):
        return _after_mp3
    if head[4:8] == b"ftyp":
        return _after_mp4
    finders = {
        b"TTA1": _after_tta,
        _ASF: _after_asf,
        _MATROSKA: _after_matroska,
        b"FLV\x01": _after_flv,
        b"#!AMR": _after_amr,
    }
    return next((finder for magic, finder in finders.items() if head.startswith(magic)), None)


def _after_mp3(file: IO[bytes], at: int, size: int) -> int | None:
    """By the number of bytes in the header of LAME or of what writes the same."""
    at = _behind_tags(file, at)
    head, tag = read_at(file, at, 64), xing_at(read_at(file, at, 64))
    if not tag or not head[tag + 7] & 2:
        return None
    n_bytes = struct.unpack_from(">I", head, tag + (12 if head[tag + 7] & 1 else 8))[0]
    # Some count their own frame, some do not.
    for end in (at + n_bytes, at + n_bytes + mpeg_frame_bytes(head)):
        stop = _behind_tags(file, end, only_last=True)
        if stop < size and xing_at(read_at(file, _behind_tags(file, stop), 64)):
            return stop
    return None


def _behind_tags(file: IO[bytes], at: int, *, only_last: bool = False) -> int:
    """Behind tags of ID3 and APE; only_last: those that stand at the end of a file."""
    for _ in range(_MOST_TAGS):
        head = read_at(file, at, 32)
        if head.startswith(b"TAG"):
            at += 128
        elif head.startswith(b"APETAGEX") and len(head) == 32:
            has_header = bool(head[23] & 0x80)
            at += struct.unpack_from("<I", head, 12)[0] + (32 if has_header else 0)
        elif head.startswith(b"ID3") and not only_last and len(head) >= 10:
            a, b, c, d = (byte & 127 for byte in head[6:10])
            at += 10 + (a << 21 | b << 14 | c << 7 | d)
        else:
            break
    return at


def _after_mp4(file: IO[bytes], at: int, size: int) -> int | None:
    """Where the outermost boxes begin anew."""
    starts = (begin - 8 for name, begin, _ in boxes(file, at, size) if name == b"ftyp")
    return next((start for start in starts if start > at), None)


def _after_tta(file: IO[bytes], at: int, size: int) -> int | None:
    """By its table of the sizes of frames, 256 / 245 seconds each."""
    rate, samples = struct.unpack_from("<II", read_at(file, at, 18), 10)
    n_frames = -(-samples // max(1, rate * 256 // 245))
    if not 0 < n_frames < 1 << 20:
        return None
    sizes = struct.unpack(f"<{n_frames}I", read_at(file, at + 22, 4 * n_frames))
    stop = _behind_tags(file, at + 22 + 4 * n_frames + 4 + sum(sizes), only_last=True)
    return stop if read_at(file, stop, 4) == b"TTA1" else None


def _after_asf(file: IO[bytes], at: int, size: int) -> int | None:
    head = read_at(file, at, _LOOK_BYTES)
    found = head.find(_ASF_PROPERTIES)
    if found < 0:
        return None
    stop: int = at + struct.unpack_from("<Q", head, found + 40)[0]
    return stop if stop < size and read_at(file, stop, 16) == _ASF else None


def _after_matroska(file: IO[bytes], at: int, size: int) -> int | None:
    """Behind its header and its one segment, where that tells its size."""
    for _ in range(2):
        head = read_at(file, at, 12)
        n_id, n_size = 9 - head[0].bit_length(), 9 - head[4].bit_length()
        value = int.from_bytes(head[4 : 4 + n_size], "big") & ((1 << 7 * n_size) - 1)
        if n_id != 4 or n_size > 8 or value == (1 << 7 * n_size) - 1:
            return None
        at += 4 + n_size + value
    return at if read_at(file, at, 4) == _MATROSKA else None


def _after_flv(file: IO[bytes], at: int, size: int) -> int | None:
    """Where its header stands again, all of which is fixed."""
    at += _FLV_HEADER_BYTES
    while at < size:
        content = read_at(file, at, _SEARCH_BYTES)
        if found := _FLV.search(content):
            return at + found.start()
        if len(content) < _SEARCH_BYTES:
            return None
        at += len(content) - _FLV_HEADER_BYTES
    return None


def _after_amr(file: IO[bytes], at: int, size: int) -> int | None:
    found = read_at(file, at + 1, size - at).find(b"#!AMR")
    return None if found < 0 else at + 1 + found
