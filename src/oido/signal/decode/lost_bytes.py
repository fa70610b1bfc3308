# SPDX-License-Identifier: Apache-2.0
"""Streams of frames without a clock (MP3, ADTS, AC-3…): bytes that are no frames are lost time.

Their decoders step over what they do not know, and count on as if nothing had been there. How long
it was follows from its bytes: exactly at a constant bit rate, or where an MP3 tells how many frames
it had; about right at a variable rate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any, NamedTuple

_LARGEST_FRAMES = {"ac3": 3840, "eac3": 4096, "aac_latm": 8194, "dca": 16384}
_MPEG = {"mp3", "mp3float", "mp2", "mp2float", "mp1", "mp1float"}
_MPEG_RATES_HZ = (44_100, 48_000, 32_000)
_MPEG_KBPS = {  # by whether it is MPEG 1, and the two bits of the layer
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): tuple(range(32, 449, 32)),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
}
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS", b"Xing", b"Info", b"VBRI")
"""What other programs write between frames, and what is no loss."""

CLOCKLESS = {"mp3", "aac", "loas", "ac3", "eac3", "dts", "wav"}
"""Containers that have no clock, or count the packets that are there."""

GUESSED = {"mp3", "aac", "loas", "ac3", "eac3", "dts", "mpeg", "mpegts"}
"""Containers without a length in their header: FFmpeg guesses one from the bit rate, or by looking
at the end."""

_LENGTH_TAGS = (b"Xing", b"Info", b"VBRI")
_LENGTH_TAG_BYTES = 4096
_READ_BYTES = 1 << 20
_ADTS_HEADER_BYTES = 7


class Hole(NamedTuple):
    """Bytes of a file that are no frames, from begin to stop; lost: without the tags among them.
    frames: how many stand before."""

    frames: int
    begin: int
    stop: int
    lost: int


class LostBytes:
    """How many frames the bytes that are no frames were, packet by packet of one track.

    codec: in FFmpeg's word. holes: of ADTS (`adts_holes`), which are not read at all. file:
    an MP3, which is searched for its holes once some bytes are lost. clock: what time the frames
    get.
    """

    def __init__(
        self, codec: str, holes: list[Hole] | None = None, file: IO[bytes] | None = None
    ) -> None:
        self.clock = CountedClock()
        self._dropped = {hole.frames: hole.lost for hole in holes or ()}
        self._file = file
        self._holes: list[Hole] | None = None
        self._n_lost: int | None = None  # frames in all that are left of the holes
        self._is_mpeg, self._largest = codec in _MPEG, _LARGEST_FRAMES.get(codec, 1 << 30)
        self._n = self._bytes = self._waiting = 0

    def frames_before(self, packet: Any) -> int | None:
        """Frames that were lost just before the one that this packet holds; None: it holds none."""
        if self._holes is not None:
            return self._by_place(packet, self._holes)
        size, n = packet.size, self._n
        self._n = n + 1
        is_plain = 2 * size * n <= 3 * self._bytes and n not in self._dropped
        if is_plain or n < 2:
            # The first packet may be the encoder's own, and no sound.
            self._bytes = self._bytes + size if n > 1 else 2 * size
            return 0
        lost, mean = self._dropped.pop(n, 0), self._bytes / n
        if self._is_too_large(packet):
            # One of them holds the frame itself.
            lost, size = 0 if holds_tag(packet) else int(size - mean), round(mean)
        self._bytes += size
        if lost and self._file is not None:
            found, self._file = _mp3_holes(self._file), None
            if found is not None:
                self._holes, self._n_lost = found
                # What looked like frames within the first one has passed already.
                self._waiting -= max(0, n - self._holes[0].frames)
                return self._by_place(packet, self._holes)
        return round(lost / mean)

    def _by_place(self, packet: Any, holes: list[Hole]) -> int | None:
        if packet.pos is None or not packet.size:
            return 0  # there are no more
        stop = packet.pos + packet.size
        while holes and stop > holes[0].stop:
            self._waiting += self._frames_of(holes.pop(0), is_last=not holes)
        if holes and stop > holes[0].begin:
            # Its decoder would take rubbish for sound; a frame whose end is gone is lost, too.
            self._waiting += packet.pos < holes[0].begin
            return None
        frames, self._waiting = max(0, self._waiting), 0
        if not frames:
            self._n, self._bytes = self._n + 1, self._bytes + packet.size
        return frames

    def _frames_of(self, hole: Hole, *, is_last: bool) -> int:
        if self._n_lost is not None and is_last:
            return self._n_lost
        frames = round(hole.lost * self._n / self._bytes) if self._bytes else 0
        if self._n_lost is not None:
            frames = min(frames, self._n_lost)
            self._n_lost -= frames
        return frames

    def _is_too_large(self, packet: Any) -> bool:
        if not self._is_mpeg:
            return bool(packet.size > self._largest)
        return bool(packet.size > mpeg_frame_bytes(bytes(memoryview(packet)[:4])) + 1)


class CountedClock:
    """The time of frames in a container without a clock: those before, and those that were lost.

    Demuxers count, too, but know of no loss, and of no change of the rate. counts_all: their count
    is believed for the first frame only.
    """

    def __init__(self, *, counts_all: bool = False) -> None:
        self._counts_all, self._ahead = counts_all, 0.0
        self._tick = 0.0
        self._rate = self._pts = self._samples = self._most = self._step = 0
        self._now: float | None = None  # known since the demuxer has counted wrongly

    def skip(self, frames: float) -> None:
        """So many were lost here."""
        if self._tick:
            self._now = self._end() + frames * self._most / self._rate
        else:
            self._ahead += frames

    def count(self, frame: Any) -> None:
        """The next frame, which gets its right time."""
        rate, pts, samples = frame.sample_rate, frame.pts, frame.samples
        if pts is None:
            return
        is_counted = self._counts_all and self._now is None and samples == self._samples
        if is_counted and pts - self._pts == self._step and rate == self._rate:
            self._pts = pts  # nearly all of them
            return
        if self._counts_all and rate == self._rate and pts - self._pts != self._step:
            self._now = self._end()  # the demuxer's count is no clock
        if rate != self._rate or self._now is not None:
            self._correct(frame)
            pts = frame.pts
        if samples != self._samples and self._counts_all:
            self._step = round(samples / rate / self._tick)
        self._pts, self._samples = pts, samples
        # The first one may be cut, because it begins with an encoder's priming.
        self._most = max(self._most, samples)

    def _correct(self, frame: Any) -> None:
        length = frame.samples / frame.sample_rate
        if self._rate:
            self._now = self._end()
            frame.pts = round(self._now / self._tick)
            self._now += length
        self._rate, self._tick = frame.sample_rate, float(frame.time_base)
        if self._ahead and self._counts_all:
            frame.pts += round(self._ahead * length / self._tick)
            self._ahead = 0.0

    def _end(self) -> float:
        """When the last frame ends."""
        return (
            self._pts * self._tick + self._samples / self._rate if self._now is None else self._now
        )


def mpeg_frame_bytes(header: bytes) -> int:
    """The bytes of a frame of MPEG audio with this header of four bytes; 0 if it is none."""
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    kbps, rate, padding = header[2] >> 4, header[2] >> 2 & 3, header[2] >> 1 & 1
    if version == 1 or not layer or kbps in (0, 15) or rate == 3:
        return 0
    bits = _MPEG_KBPS[version == 3, layer][kbps - 1] * 1000
    hz = _MPEG_RATES_HZ[rate] // {3: 1, 2: 2, 0: 4}[version]
    if layer == 3:
        return (12 * bits // hz + padding) * 4
    return (72 if layer == 1 and version != 3 else 144) * bits // hz + padding


def xing_at(frame: bytes) -> int:
    """Where in a frame of MPEG audio the header of a whole file stands; 0: there is none."""
    if not mpeg_frame_bytes(frame) or len(frame) < 60:
        return 0
    is_first, is_mono = frame[1] >> 3 & 3 == 3, frame[3] >> 6 == 3
    at = 4 + ((17 if is_mono else 32) if is_first else (9 if is_mono else 17))
    return at if frame[at : at + 4] in (b"Xing", b"Info") else 0


def guesses_length(container: str, file: IO[bytes]) -> bool:
    """Whether nothing in a file of these says how long it is; it is left where it was."""
    if container != "mp3":
        return True
    # A header of LAME's or Fraunhofer's is a frame of its own, just before the first one.
    before = file.tell()
    try:
        file.seek(0)
        head = file.read(10)
        start = 0
        if head.startswith(b"ID3") and len(head) == 10:
            a, b, c, d = (byte & 127 for byte in head[6:])
            start = 10 + (a << 21 | b << 14 | c << 7 | d)
        file.seek(start)
        head = file.read(_LENGTH_TAG_BYTES)
    finally:
        file.seek(before)
    return not any(tag in head for tag in _LENGTH_TAGS)


def holds_tag(packet: Any) -> bool:
    """Whether a packet is, or holds, what an encoder or a player wrote between the frames."""
    content = bytes(packet)
    return any(tag in content for tag in _TAGS)


def adts_holes(file: IO[bytes]) -> list[Hole]:
    """Where an ADTS stream is broken; what stands before its first frame is no hole.

    Tags at its beginning, between and behind its frames are none. The file is read from where it
    stands.
    """
    return _holes(file, _adts_length)[0]


def without_holes(holes: list[Hole], size: int) -> list[tuple[int, int]]:
    """What is left of a file's bytes, from-to."""
    begins = [0, *(hole.stop for hole in holes)]
    return list(zip(begins, [*(hole.begin for hole in holes), size]))


def _holes(file: IO[bytes], frame_bytes: Callable[[bytes, int], int]) -> tuple[list[Hole], int]:
    """As `adts_holes`, and the number of frames. frame_bytes: of one that begins there, or 0."""
    holes: list[Hole] = []
    content, at, n_frames, lost, begin = b"", 0, 0, 0, 0
    base = file.tell()
    while True:
        while at + _ADTS_HEADER_BYTES <= len(content):
            length = frame_bytes(content, at)
            if length and not lost:
                at += length
                n_frames += 1
                continue
            if length:
                # Two bytes of rubbish may look like a header: the next one must follow, too.
                following = at + length
                if following + _ADTS_HEADER_BYTES > len(content) and len(content) - at < 1 << 14:
                    break
                if following >= len(content) or frame_bytes(content, following):
                    if n_frames:
                        holes.append(Hole(n_frames, begin, base + at, lost))
                    lost = 0
                    continue
            tag = _tag_length(content, at)
            if tag:
                at += tag
                continue
            found = content.find(b"\xff", at + 1)
            step = (len(content) if found < 0 else found) - at
            begin = begin if lost else base + at
            lost, at = lost + step, at + step
        more = file.read(_READ_BYTES)
        if not more:
            return holes, n_frames
        kept = min(at, len(content))
        base, at = base + kept, at - kept
        content = content[kept:] + more


def _mp3_holes(file: IO[bytes]) -> tuple[list[Hole], int | None] | None:
    """The holes of an MP3, and how many frames are missing in all, if it tells how many there were;
    None: it has none. The file is left where it was."""
    before = file.tell()
    try:
        file.seek(0)
        head = file.read(10)
        start = _tag_length(head, 0) if head.startswith(b"ID3") else 0
        file.seek(start)
        head = file.read(64)
        n_all, tag = None, xing_at(head)
        if tag:
            start += mpeg_frame_bytes(head)
        if tag and head[tag + 7] & 1:
            n_all = int.from_bytes(head[tag + 8 : tag + 12], "big")
        file.seek(start)

        def frame_bytes(content: bytes, at: int) -> int:
            # Of the same version, layer and rate: rubbish looks like others.
            is_alike = content[at + 1] == head[1] and not (content[at + 2] ^ head[2]) & 0x0C
            return mpeg_frame_bytes(content[at : at + 4]) if is_alike else 0

        holes, n_frames = _holes(file, frame_bytes) if mpeg_frame_bytes(head) else ([], 0)
        n_lost = None if n_all is None or n_all < n_frames else n_all - n_frames
        return (holes, n_lost) if holes else None
    finally:
        file.seek(before)


def _adts_length(content: bytes, at: int) -> int:
    """The bytes of the frame that begins here; 0: none does."""
    if at + _ADTS_HEADER_BYTES > len(content) or content[at] != 0xFF:
        return 0
    if content[at + 1] & 0xF6 != 0xF0 or (content[at + 2] >> 2) & 15 > 12:
        return 0
    length = (content[at + 3] & 3) << 11 | content[at + 4] << 3 | content[at + 5] >> 5
    return length if length > _ADTS_HEADER_BYTES else 0


def _tag_length(content: bytes, at: int) -> int:
    if content.startswith(b"ID3", at) and at + 10 <= len(content):
        a, b, c, d = content[at + 6 : at + 10]
        return 10 + ((a & 127) << 21 | (b & 127) << 14 | (c & 127) << 7 | (d & 127))
    return 128 if content.startswith(b"TAG", at) else 0
