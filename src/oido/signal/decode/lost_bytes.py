# SPDX-License-Identifier: Apache-2.0
"""Streams of frames without a clock (MP3, ADTS, AC-3…): bytes that are no frames are lost time.

Their decoders step over what they do not know, and count on as if nothing had been there. How long
it was follows from its bytes: exactly at a constant bit rate, about right at a variable one.
"""

from __future__ import annotations

from typing import IO, Any

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

_READ_BYTES = 1 << 20
_ADTS_HEADER_BYTES = 7


class LostBytes:
    """How many frames the bytes that are no frames were, packet by packet of one track.

    codec: in FFmpeg's word. holes: of ADTS (`adts_holes`), whose demuxer drops them itself. clock:
    what time the frames get.
    """

    def __init__(self, codec: str, holes: dict[int, int] | None = None) -> None:
        self.clock = CountedClock()
        self._is_mpeg, self._largest = codec in _MPEG, _LARGEST_FRAMES.get(codec, 1 << 30)
        self._holes, self._n, self._bytes = holes or {}, 0, 0

    def frames_before(self, packet: Any) -> int:
        """Frames that were lost just before the one that this packet holds."""
        size, n = packet.size, self._n
        self._n = n + 1
        is_plain = 2 * size * n <= 3 * self._bytes and n not in self._holes
        if is_plain or n < 2:
            # The first packet may be the encoder's own, and no sound.
            self._bytes = self._bytes + size if n > 1 else 2 * size
            return 0
        lost, mean = self._holes.pop(n, 0), self._bytes / n
        if self._is_too_large(packet):
            # One of them holds the frame itself.
            lost, size = 0 if holds_tag(packet) else int(size - mean), round(mean)
        self._bytes += size
        return round(lost / mean)

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
        self._rate = self._pts = self._samples = self._most = 0
        self._now: float | None = None  # known since the demuxer has counted wrongly

    def skip(self, frames: float) -> None:
        """So many were lost here."""
        if self._tick:
            self._now = self._end() + frames * self._most / self._rate
        else:
            self._ahead += frames

    def count(self, frame: Any) -> None:
        """The next frame, which gets its right time."""
        rate = frame.sample_rate
        if rate != self._rate or self._now is not None:
            self._correct(frame)
        if frame.pts is not None:
            self._pts, self._samples = frame.pts, frame.samples
            # The first one may be cut, because it begins with an encoder's priming.
            self._most = max(self._most, self._samples)

    def _correct(self, frame: Any) -> None:
        if frame.pts is None:
            return
        if self._rate:
            self._now = self._end()
            frame.pts = round(self._now / self._tick)
            self._now += frame.samples / frame.sample_rate
        self._rate, self._tick = frame.sample_rate, float(frame.time_base)
        if self._counts_all and self._now is None:
            length = frame.samples / frame.sample_rate
            frame.pts += round(self._ahead * length / self._tick)
            self._now = frame.pts * self._tick + length

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


def holds_tag(packet: Any) -> bool:
    """Whether a packet is, or holds, what an encoder or a player wrote between the frames."""
    content = bytes(packet)
    return any(tag in content for tag in _TAGS)


def adts_holes(file: IO[bytes]) -> dict[int, int]:
    """Where an ADTS stream is broken: frame number → bytes that are no frame before it.

    Tags at its beginning, between and behind its frames are none. The file is read from where it
    stands.
    """
    holes: dict[int, int] = {}
    content, at, n_frames, lost = b"", 0, 0, 0
    while True:
        while at + _ADTS_HEADER_BYTES <= len(content):
            length = _adts_length(content, at)
            if length and not lost:
                at += length
                n_frames += 1
                continue
            if length:
                # Two bytes of rubbish may look like a header: the next one must follow, too.
                following = at + length
                if following + _ADTS_HEADER_BYTES > len(content) and len(content) - at < 1 << 14:
                    break
                if following >= len(content) or _adts_length(content, following):
                    holes[n_frames], lost = lost, 0
                    continue
            tag = _tag_length(content, at)
            if tag:
                at += tag
                continue
            found = content.find(b"\xff", at + 1)
            step = (len(content) if found < 0 else found) - at
            lost, at = lost + step, at + step
        more = file.read(_READ_BYTES)
        if not more:
            return holes
        content, at = content[at:] + more, max(0, at - len(content))


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
