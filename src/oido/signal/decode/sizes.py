# SPDX-License-Identifier: Apache-2.0
"""Where the samples of WAV, RF64, W64, AIFF, AU and CAF files end, whatever their headers say.

Recorders that lose power leave a placeholder where the size of the sound belongs, a size beyond
4 GiB does not fit into 32 bits, and files are joined by `cat`. A size is believed if the file ends
there, or if another chunk follows.
"""

from __future__ import annotations

import enum
import io
import os
import struct
from collections.abc import Iterator
from typing import IO, NamedTuple

from oido.messages import tr

_LEAST_REST_BYTES = 16
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")
_KNOWN = {b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"JUNK", b"junk", b"FLLR", b"PAD ", b"cue "}
_KNOWN |= {b"smpl", b"fact", b"axml", b"guan", b"wamd", b"NAME", b"ANNO", b"AUTH", b"MARK", b"INST"}
_KNOWN |= {b"COMM", b"APPL", b"info", b"free", b"uuid", b"strg", b"mark", b"regn", b"peak", b"PEAK"}
_NAMES = {*_KNOWN, b"data", b"fmt ", b"SSND", b"ds64", b"FVER"}
_W64_TAILS = (bytes.fromhex("f3acd3118cd100c04f8edb8a"), bytes.fromhex("2e91cf11a5d628db04c10000"))
_UNKNOWN_SIZES = {0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFFFFFFFFFF}
_FULL = b"\xff" * 4
_CAF_DESCRIBED = 52
_MOST_CHUNKS = 10_000
_LARGEST_FORM_BYTES = 1 << 16
_LARGEST_FILE_BYTES = 1 << 43  # file systems refuse places far beyond


class SoundBytes(NamedTuple):
    """Where one recording of a file lies: its own bytes from ``begin`` to ``end``, its samples from
    ``start`` to ``stop``. declared: the bytes of sound that its header tells. is_little: the order
    of the bytes of a sample. is_believed: whether the header and the file agree. form: where RIFF
    describes its samples (fmt), from-to. pieces: where there are several, or pauses between, all
    of them in order, from-to; a pause of n frames is (-n, 0)."""

    begin: int
    end: int
    start: int
    stop: int
    declared: int
    is_little: bool
    is_believed: bool
    form: tuple[int, int] = (0, 0)
    pieces: tuple[tuple[int, int], ...] = ()

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The bytes of its samples, from-to, without pauses."""
        return [piece for piece in self.pieces if piece[1]] or [(self.start, self.stop)]

    @property
    def size(self) -> int:
        """How many these are."""
        return sum(stop - start for start, stop in self.spans)


def whole_header(file: IO[bytes], part: SoundBytes) -> bytes | None:
    """A header for these samples that tells their size, and nothing else that could be wrong; None:
    where the old one is not understood."""
    head = _read(file, part.begin, part.start - part.begin)
    size = min(part.size, 0xFFFFFFFF)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and part.form[1]:
        form = _read(file, part.form[0], min(part.form[1] - part.form[0], _LARGEST_FORM_BYTES))
        chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + bytes(len(form) % 2)
        data = b"data" + struct.pack("<I", size)
        whole = min(len(chunks) + len(data) + size, 0xFFFFFFFF)
        return b"RIFF" + struct.pack("<I", whole) + chunks + data
    if head[:4] in (b".snd", b"dns."):
        return head[:8] + struct.pack(">I" if head[:1] == b"." else "<I", size) + head[12:]
    if head[:4] == b"FORM" and (at := head.rfind(b"SSND")) >= 0:
        inside = min(size + len(head) - at - 8, 0xFFFFFFFF)
        return head[: at + 4] + struct.pack(">I", inside) + head[at + 8 :]
    return None


def header_of(head: bytes) -> SoundBytes | None:
    """What the header of a recording tells that is read forwards; None: it is not all there."""
    try:
        part = _one(io.BytesIO(head), 0, 1 << 62)
    except (struct.error, IndexError):
        return None
    return part if part is not None and part.start <= len(head) else None


def is_unknown(size: int) -> bool:
    """Whether this says nothing of how many bytes there are."""
    return size < 0 or size in _UNKNOWN_SIZES


def endless_header(head: bytes, part: SoundBytes) -> bytes:
    """The header with the largest size that there is, which decoders take for none."""
    layout, start = layout_of(head), part.start
    if layout is not None and head[8:12] == b"WAVE":
        form = head[part.form[0] : part.form[1]]
        size = struct.pack(layout.head[0] + "I", len(form))
        begin = head[:4] if layout is _RIFX else b"RIFF"
        return begin + _FULL + b"WAVEfmt " + size + form + bytes(len(form) % 2) + b"data" + _FULL
    if layout is _W64:
        return head[: start - 8] + struct.pack("<Q", _LARGEST_FILE_BYTES)
    if layout is _CAF:
        # FFmpeg loses its place in chunks that fill a header up; samples need the first one alone.
        before = head[:_CAF_DESCRIBED] if head[28:32] == b"lpcm" else head[: start - 16]
        return before + b"data" + _FULL + _FULL + head[start - 4 : start]
    if layout is _RIFX:
        at = head.rfind(b"SSND", 0, start) + 4
        return head[:at] + b"\x7f" + _FULL[1:] + head[at + 4 : start] if at > 3 else head[:start]
    return head[:8] + _FULL + head[12:start]


class Follower(enum.Enum):
    """What stands behind samples."""

    RECORDING = tr("another recording")
    SAMPLES = tr("a chunk with more")
    OTHER = tr("a chunk, or a tag, of something else")
    UNKNOWN = tr("no beginning of anything")


def follower(head: bytes, layout: Layout | None) -> tuple[Follower, int, int]:
    """What stands behind the samples of a recording, the bytes before its content, and those of
    it."""
    for skipped in (0, 1) if layout is None or layout.align < 3 else range(layout.align):
        rest = head[skipped:]
        if layout_of(rest) is not None or (layout is None and rest[:4] in (b".snd", b"dns.")):
            return Follower.RECORDING, skipped, 0
        if rest.startswith(_TAGS):
            return Follower.OTHER, skipped, _LARGEST_FILE_BYTES
        n_head = 0 if layout is None else struct.calcsize(layout.head)
        if layout is None or len(rest) < n_head:
            continue
        name, declared = struct.unpack_from(layout.head, rest)
        size = declared - layout.counted
        if name[:4].lower() == b"data" and layout in (_RIFF, _W64):
            return Follower.SAMPLES, skipped + n_head, size
        is_plain = all(32 <= byte < 127 for byte in name) and size <= _LARGEST_FORM_BYTES
        is_chunk = name[4:] in _W64_TAILS if layout is _W64 else name in _KNOWN or is_plain
        if is_chunk and size >= 0:
            return Follower.OTHER, skipped + n_head, size + (-size % layout.align)
    return Follower.UNKNOWN, 0, 0


def sound_bytes(file: IO[bytes]) -> list[SoundBytes]:
    """The recordings of a file of uncompressed sound; none if its header cannot be read."""
    size = file.seek(0, os.SEEK_END)
    found: list[SoundBytes] = []
    at = 0
    while at < size:
        try:
            part = _one(file, at, size)
        except (struct.error, IndexError):
            break
        if part is None:
            break
        found.append(part)
        at = part.end
    return found


class Layout(NamedTuple):
    """How a container writes its chunks: the struct of a head (name, size), the bytes of it that
    the size counts, what chunks are padded to, and where the first one is."""

    head: str
    counted: int
    align: int
    first: int


_RIFF = Layout("<4sI", 0, 2, 12)
_RIFX = Layout(">4sI", 0, 2, 12)
_CAF = Layout(">4sq", 0, 1, 8)
_W64 = Layout("<16sQ", 24, 8, 40)


def layout_of(head: bytes) -> Layout | None:
    """How the recording writes its chunks that begins here; None: none does, or AU, without any."""
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return _RIFF
    if (head[:4] == b"RIFX" and head[8:12] == b"WAVE") or (
        head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC")
    ):
        return _RIFX
    if head[:4] == b"caff":
        return _CAF
    return _W64 if head[:4] == b"riff" and head[4:16] in _W64_TAILS else None


def _one(file: IO[bytes], begin: int, size: int) -> SoundBytes | None:
    """The recording that begins here; None: none does, or it has no samples."""
    head = _read(file, begin, 40)
    if head[:4] in (b".snd", b"dns."):
        order = ">" if head[:4] == b".snd" else "<"
        offset, declared = struct.unpack_from(order + "II", head, 4)
        return _ended(file, begin, begin + offset, declared, size, order == "<", None)
    layout = layout_of(head)
    if layout is None:
        return None
    is_little, long_size, form = layout.head[0] == "<", None, (0, 0)
    pieces: list[tuple[int, int]] = []
    at, step = begin + layout.first, struct.calcsize(layout.head)
    for _ in range(_MOST_CHUNKS):
        name, declared = struct.unpack(layout.head, _read(file, at, step))
        name = name[:4].lower() if layout is _W64 else name
        if name == b"LIST" and _read(file, at + step, 4) == b"wavl":
            at += step + 4  # its samples are within, with pauses between
            continue
        if name == b"slnt":
            pieces.append((-_frames_of_pause(file, at + step, layout), 0))
        if name == b"ds64":
            long_size = struct.unpack_from("<Q", _read(file, at + 16, 8))[0]
        form = (at + step, at + step + declared) if name == b"fmt " else form
        if name in (b"COMM", b"desc"):
            is_little = _is_little(file, at + step, head)
        if name in {b"data", b"SSND"}:
            if declared == 0xFFFFFFFF and long_size is not None:
                declared = long_size
            start = at + step
            if name == b"SSND":
                start += 8 + struct.unpack(">I", _read(file, start, 4))[0]
            elif layout is _CAF:
                start += 4
            declared -= layout.counted + start - at - step
            found = _ended(file, begin, start, declared, size, is_little, layout)
            return _with_pieces(file, found._replace(form=form), pieces, layout)
        before, at = at, _after(at, step, declared, begin, layout)
        # Some writers leave out the byte that makes a chunk's length even.
        is_odd = bool(declared % 2) and layout.align == 2
        at -= is_odd and _read(file, at - 1, 4) in _NAMES and _read(file, at, 4) not in _NAMES
        if at <= before:
            break
    return None


def _is_little(file: IO[bytes], at: int, head: bytes) -> bool:
    """The order of bytes, by the content of COMM (AIFF) or desc (CAF)."""
    if head[:4] == b"caff":
        return bool(struct.unpack(">I", _read(file, at + 12, 4))[0] & 2)
    return head[8:12] == b"AIFC" and _read(file, at + 18, 4) in (b"sowt", b"23ni", b"42ni")


def _with_pieces(
    file: IO[bytes], found: SoundBytes, before: list[tuple[int, int]], layout: Layout
) -> SoundBytes:
    """With the pauses before its samples, and what follows them, if anything does."""
    pieces = [*before, (found.start, found.stop)]
    if found.is_believed and layout in (_RIFF, _W64):
        pieces += _pieces_behind(file, found, layout)
    return found._replace(pieces=tuple(pieces)) if len(pieces) > 1 else found


def _pieces_behind(file: IO[bytes], part: SoundBytes, layout: Layout) -> Iterator[tuple[int, int]]:
    """More samples of the same recording, and pauses, behind the first ones."""
    at, step = part.stop, struct.calcsize(layout.head)
    for _ in range(_MOST_CHUNKS):
        at += (part.begin - at) % layout.align
        head = _read(file, at, step)
        if at >= part.end or len(head) < step:
            return
        name, declared = struct.unpack(layout.head, head)
        stop = _after(at, step, declared, part.begin, layout)
        if name[:4].lower() == b"data":
            size = declared - layout.counted
            is_last = stop > part.end or (size in _UNKNOWN_SIZES and size > 0)
            yield at + step, part.end if is_last else at + step + size
        elif name == b"slnt":
            yield -_frames_of_pause(file, at + step, layout), 0
        if stop <= at:
            return
        at = stop


def _is_piece(file: IO[bytes], at: int, begin: int, layout: Layout) -> bool:
    """Whether more samples, or a pause, follow here."""
    return _read(file, at + (begin - at) % layout.align, 4).lower() in (b"data", b"slnt")


def _frames_of_pause(file: IO[bytes], at: int, layout: Layout) -> int:
    frames: int = struct.unpack(layout.head[0] + "I", _read(file, at, 4))[0]
    return frames


def _after(at: int, step: int, declared: int, begin: int, layout: Layout) -> int:
    """Where the next chunk begins."""
    stop = at + declared if layout.counted else at + step + declared
    return stop + (declared % 2 if layout.align == 2 else (begin - stop) % layout.align)


def _ended(
    file: IO[bytes],
    begin: int,
    start: int,
    declared: int,
    size: int,
    is_little: bool,
    layout: Layout | None,
) -> SoundBytes:
    whole = SoundBytes(begin, size, start, size, declared, is_little, True)
    stop = start + declared
    if start > size:
        return whole._replace(start=size)
    goes_on = declared >= 0 and layout is not None and _is_piece(file, stop, begin, layout)
    if not goes_on and (is_unknown(declared) or size - stop < _LEAST_REST_BYTES):
        return whole
    wrapped = layout is _RIFF and (size - stop) % (1 << 32) == 0
    at, is_believed = stop, False
    for _ in range(_MOST_CHUNKS if not wrapped else 0):
        behind = _next(file, at, size, begin, layout)
        if behind is None:
            break
        at, is_believed = behind, True
        if at < 0:  # another recording
            return whole._replace(end=-at, stop=stop)
        if at >= size:
            break
    if not wrapped and not is_believed and declared >= size - stop:
        is_believed = _is_zero(file, stop, size)
    if is_believed:
        return whole._replace(stop=stop)
    return whole._replace(is_believed=False)


def _next(file: IO[bytes], at: int, size: int, begin: int, layout: Layout | None) -> int | None:
    """Where what follows a chunk ends; negative: where another recording begins; None: nothing that
    could be told from samples follows."""
    for place in dict.fromkeys((at, at + (begin - at) % (layout.align if layout else 2))):
        head = _read(file, place, 40)
        if layout_of(head) is not None or (head[:4] in (b".snd", b"dns.") and layout is None):
            return -place
        if head.startswith(_TAGS):
            return size
        if layout is None or len(head) < struct.calcsize(layout.head):
            continue
        name, declared = struct.unpack_from(layout.head, head)
        stop = _after(place, struct.calcsize(layout.head), declared, begin, layout)
        if layout is _W64:
            is_chunk = name[4:] in _W64_TAILS
        else:
            is_chunk = (
                name in _KNOWN
                or name == b"data"
                or (all(32 <= byte < 127 for byte in name) and declared >= 0 and stop <= size + 1)
            )
        if is_chunk:
            return min(stop, size)
    return None


def _is_zero(file: IO[bytes], start: int, stop: int) -> bool:
    while start < stop:
        content = _read(file, start, min(1 << 20, stop - start))
        if not content or content.count(0) < len(content):
            return False
        start += len(content)
    return True


def _read(file: IO[bytes], at: int, count: int) -> bytes:
    if not 0 <= at < _LARGEST_FILE_BYTES:
        return b""
    file.seek(at)
    return file.read(count)
