# SPDX-License-Identifier: Apache-2.0
"""The frames of sound FLAC files, decoded many at a time by dr_flac (miniaudio), which is quicker
than FFmpeg's decoder. It knows nothing of damage: here every frame is looked at first.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32

_PIECE_BYTES = 3 << 15
"""What is decoded at a time: some ten frames of CD sound, which stay in the processor's cache."""

_STREAM_INFO_BYTES = 34
_LONGEST_HEADER = 16
_SHORTEST_FRAME = 9
_LONGEST_FRAME = 1 << 22
_MOST_CHANNELS = 2
"""Of more, miniaudio may have another order than FFmpeg."""


class StreamInfo(NamedTuple):
    """What the header of a FLAC file says (RFC 9639, section 8.2).

    sample_bits: of a sample; n_samples: of a channel, 0: not known; block_samples: of a frame,
    where all but the last are of one length; frames_at: the first frame's byte in the file.
    """

    content: bytes
    channels: int
    sample_bits: int
    n_samples: int
    block_samples: int
    frames_at: int

    @classmethod
    def read(cls, file: IO[bytes]) -> StreamInfo | None:
        """Of an open file; None: it is no plain FLAC file."""
        file.seek(0)
        if file.read(4) != b"fLaC":
            return None
        content, is_last = b"", False
        while not is_last:
            head = file.read(4)
            if len(head) < 4:
                return None
            is_last, kind, size = head[0] >= 0x80, head[0] & 0x7F, int.from_bytes(head[1:], "big")
            if kind == 0 and size == _STREAM_INFO_BYTES:
                content = file.read(size)
            else:
                file.seek(size, 1)
        if len(content) < _STREAM_INFO_BYTES:
            return None
        packed = int.from_bytes(content[10:18], "big")
        channels, bits = (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
        block_samples = int.from_bytes(content[2:4], "big")
        return cls(content, channels, bits, packed & (1 << 36) - 1, block_samples, file.tell())

    def header_for(self, n_samples: int) -> bytes:
        """The header of a file of its own that holds so many samples a channel."""
        packed = int.from_bytes(self.content[10:18], "big") >> 36 << 36 | n_samples
        rest = bytes(16)  # its MD5: not known
        size = _STREAM_INFO_BYTES.to_bytes(3, "big")
        return b"fLaC\x80" + size + self.content[:10] + packed.to_bytes(8, "big") + rest


class _Frame(NamedTuple):
    """A frame's header.

    number: of the frame, or of its first sample where frames are of different lengths
    (is_variable). shape: codes of its rate, of the size of its samples, and of its kind.
    """

    number: int
    n_samples: int
    n_channels: int
    is_variable: bool
    shape: tuple[int, int, int]


def can_decode(info: StreamInfo) -> bool:
    """Whether the quick decoder is there, and knows this sound as FFmpeg does."""
    if info.channels > _MOST_CHANNELS or info.sample_bits > 24:
        return False
    try:
        import fastcrc  # noqa: F401
        import miniaudio  # noqa: F401
    except ImportError:
        return False
    return True


def sound_blocks(
    file: IO[bytes], info: StreamInfo, at: int, n_before: int
) -> Generator[F32, None, bool]:
    """Blocks f32[n, channels] from the frame on which begins at this byte, behind so many samples,
    up to the end or to the first frame that is not exactly as it should be: damaged, missing, of
    another shape, behind or before rubbish, or more than the header promises.

    Returns whether this was the end, with as many samples as the header promises.
    """
    chain, rest = _Chain(info, n_before), b""
    while not chain.is_broken:
        file.seek(at)
        fresh = file.read(_PIECE_BYTES)
        at += len(fresh)
        data, before = rest + fresh, chain.n_samples
        size = chain.follow(data, is_end=not fresh)
        if size:
            block = _decoded(info, memoryview(data)[:size], chain.n_samples - before)
            if block is None:
                return False
            yield block
        rest = data[size:]
        if not fresh:
            return not rest and info.n_samples in (0, chain.n_samples)
    return False


class _Chain:
    """Frames of which each follows exactly upon the one before."""

    def __init__(self, info: StreamInfo, n_before: int) -> None:
        self._info = info
        self._number: int | None = None
        self._shape: tuple[int, int, int] | None = None
        self.n_samples = n_before
        self.is_broken = False

    def follow(self, data: bytes, *, is_end: bool) -> int:
        """How many bytes of these, which begin with a frame, hold whole and sound ones."""
        from fastcrc import crc16

        view, begin = memoryview(data), 0
        frame = _header(data, 0)
        for mark in _marks(data, is_end=is_end):
            if mark <= begin:
                continue
            if frame is None or not self._fits(frame):
                self.is_broken = True
                return begin
            following = frame.number + (frame.n_samples if frame.is_variable else 1)
            next_frame = _header(data, mark)
            is_next = mark == len(data) or (
                next_frame is not None and next_frame.number == following
            )
            # Of two frames, one behind the other, it is 0 as well: none is passed over.
            is_whole = crc16.umts(view[begin:mark]) == 0
            if is_next != is_whole:
                self.is_broken = True
                return begin
            if not is_whole:
                continue
            begin, self._number, self._shape = mark, following, frame.shape
            self.n_samples += frame.n_samples
            frame = next_frame
        self.is_broken = len(data) - begin > _LONGEST_FRAME
        return begin

    def _fits(self, frame: _Frame) -> bool:
        info, number = self._info, self._number
        if number is None:
            n_samples = 1 if frame.is_variable else info.block_samples
            number = self.n_samples // max(1, n_samples)
            if number * n_samples != self.n_samples:
                return False
        return (
            frame.number == number
            and self._shape in (None, frame.shape)
            and frame.n_channels == info.channels
            and not 0 < info.n_samples < self.n_samples + frame.n_samples
        )


def _marks(data: bytes, *, is_end: bool) -> list[int]:
    """Where frames may begin, and where the last one ends."""
    content = np.frombuffer(data, np.uint8)
    margin = _SHORTEST_FRAME if is_end else _LONGEST_HEADER
    places = np.flatnonzero(content[: max(0, len(data) - margin)] == 0xFF)
    marks: list[int] = places[content[places + 1] & 0xFE == 0xF8].tolist()
    return [*marks, len(data)] if is_end else marks


def _header(data: bytes, at: int) -> _Frame | None:
    """The header of a frame that begins here (RFC 9639, section 9.1); None: there is none."""
    if len(data) < at + _SHORTEST_FRAME or data[at] != 0xFF or data[at + 1] & 0xFE != 0xF8:
        return None
    size_code, rate_code = data[at + 2] >> 4, data[at + 2] & 15
    number, length = _coded_number(data, at + 4)
    if length == 0:
        return None
    place = at + 4 + length
    if size_code == 6:
        n_samples = int.from_bytes(data[place : place + 1], "big") + 1
    elif size_code == 7:
        n_samples = int.from_bytes(data[place : place + 2], "big") + 1
    elif size_code >= 8:
        n_samples = 256 << (size_code - 8)
    elif size_code:
        n_samples = 192 if size_code == 1 else 576 << (size_code - 2)
    else:
        return None
    kind = data[at + 3] >> 4
    n_channels = kind + 1 if kind < 8 else 2
    shape = (rate_code, data[at + 3] & 15, data[at + 1])
    return _Frame(number, n_samples, n_channels, bool(data[at + 1] & 1), shape)


def _coded_number(data: bytes, at: int) -> tuple[int, int]:
    """A number as UTF-8 would code it, and its bytes; 0 bytes: it is none."""
    first = data[at]
    if first < 0x80:
        return first, 1
    length = 8 - (first ^ 0xFF).bit_length()
    if not 2 <= length <= 7 or len(data) < at + length:
        return 0, 0
    value = first & ((1 << (7 - length)) - 1)
    for byte in data[at + 1 : at + length]:
        value = value << 6 | byte & 0x3F
    return value, length


def _decoded(info: StreamInfo, frames: memoryview, n_samples: int) -> F32 | None:
    """None: what came is not what the headers of the frames say."""
    import miniaudio

    content: Any = b"".join((info.header_for(n_samples), frames))
    is_short = info.sample_bits == 16
    read = miniaudio.flac_read_s16 if is_short else miniaudio.flac_read_s32
    try:
        sound = read(content)
    except miniaudio.DecodeError:
        return None
    samples: NDArray[Any] = np.frombuffer(sound.samples, np.int16 if is_short else np.int32)
    if len(samples) != n_samples * info.channels or sound.nchannels != info.channels:
        return None
    scale = np.float32(2.0**-15 if is_short else 2.0**-31)
    block: F32 = np.multiply(samples, scale, dtype=np.float32, casting="same_kind")
    return block.reshape(-1, info.channels)
