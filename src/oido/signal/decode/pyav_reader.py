# SPDX-License-Identifier: Apache-2.0
"""Everything that FFmpeg's libraries decode: AAC, Opus, Vorbis, the sound of a video... (PyAV)."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from fractions import Fraction
from typing import IO, Any, cast

import av

from oido.arrays import F32
from oido.errors import AudioError, CorruptAudioError, EmptyAudioError, UnknownFormatError
from oido.messages import tr
from oido.signal.decode.avi import AviIndex
from oido.signal.decode.chained import FileSpans
from oido.signal.decode.clock import (
    EARLIEST_SECONDS,
    Timed,
    clock_zero,
    decoder_delay,
    timed,
    track_end,
)
from oido.signal.decode.flac_frames import StreamInfo, can_decode, sound_blocks
from oido.signal.decode.frame_blocks import FrameBlocks, as_float, decoded_frames
from oido.signal.decode.lost_bytes import (
    CLOCKLESS,
    GUESSED,
    Hole,
    LostBytes,
    adts_holes,
    guesses_length,
    without_holes,
)
from oido.signal.decode.matroska import MendedPackets
from oido.signal.decode.one_shape import OneShape
from oido.signal.decode.readers import (
    AudioInfo,
    AudioReader,
    block_frames,
    check_shape,
    silent_blocks,
)
from oido.signal.decode.wav_chunks import recorder_tags

# A recording may not make the decoder open other files or addresses (playlists do). So FFmpeg may
# open nothing by itself, and gets every recording as an open file.
_OPEN_OPTIONS = {"protocol_whitelist": "none"}

_SEEK_MARGIN = 1 << 16

UNBROKEN = {"flac", "ogg", "wv"}
"""Containers whose clock is a count of samples: a step in it is damage, and no pause."""

_WITH_CHECKSUMS = {"flac", "wavpack", "tta"}

_CHUNKS_BYTES = 1 << 16


class PyAvReader(AudioReader):
    """The first audio stream of a file, from a path or a seekable file object.

    Packets that cannot be decoded are left out and counted; the container's clock says how much
    silence stands for them (`timed`). believes_sizes: whether the length that a WAV's header tells
    is where it ends. believes_edits: whether an MP4's edit list is followed; else all of its track
    is given, from its own beginning.
    """

    def __init__(
        self,
        source: str | IO[bytes],
        name: str,
        *,
        believes_sizes: bool = True,
        believes_edits: bool = True,
    ) -> None:
        self.damaged_packets = 0
        self._skip = 0
        self._known_zero: tuple[float | None] | None = None
        self._first_pts: int | None = None
        self._first_at: int | None = None
        self._mended: MendedPackets | None = None
        self._own_file = open(source, "rb") if isinstance(source, str) else None  # noqa: SIM115
        self._file: Any = self._own_file or source
        self._believes_edits = believes_edits
        options = _OPEN_OPTIONS if believes_sizes else {**_OPEN_OPTIONS, "ignore_length": "1"}
        if not believes_edits:
            options = {**options, "ignore_editlist": "1"}
        try:
            self._container = _opened(self._file, options)
            self._holes = self._cut_holes_out(options)
        except (av.FFmpegError, OSError, ValueError, IndexError) as error:
            self._close_own_file()
            raise UnknownFormatError(
                tr(
                    "{name}: not a format that oido can decode ({reason_of})",
                    name=name,
                    reason_of=reason_of(error),
                )
            ) from error
        try:
            streams = self._container.streams.audio
            if not streams:
                raise EmptyAudioError(tr("{name}: has no audio track", name=name))
            self._stream = streams[0]
            if self._stream.codec_context is None:
                raise UnknownFormatError(
                    tr("{name}: its sound has an encoding that nobody here knows", name=name)
                )
            if self._stream.codec_context.name in _WITH_CHECKSUMS:
                # Without this, damaged frames are decoded to noise.
                self._stream.codec_context.options = {"err_detect": "crccheck+explode"}
            container = self._container.format.name
            self.has_guessed_length = container in GUESSED and guesses_length(
                container, cast("IO[bytes]", self._file)
            )
            self._counts_samples = container in UNBROKEN
            # Decoded now: a file whose header alone is sound goes to the other decoder, and what
            # the decoder gives is the truth where the header differs (HE-AAC's rate does).
            self._decoded = self._decode()
            self._first: Any = next(self._decoded, None)
            self.info = self._read_info(name)
        except AudioError:
            self.close()
            raise
        except (av.FFmpegError, OSError, ValueError) as error:
            self.close()
            raise CorruptAudioError(
                tr("{name}: cannot be decoded ({reason_of})", name=name, reason_of=reason_of(error))
            ) from error

    def _cut_holes_out(self, options: dict[str, str]) -> list[Hole]:
        """Where an ADTS stream is broken; it is opened anew without that, because FFmpeg takes
        rubbish for frames that have the sign of one by chance."""
        if self._container.format.name != "aac":
            return []
        before = self._file.tell()
        self._file.seek(0)
        holes = adts_holes(self._file)
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(before)
        if holes:
            self._container.close()
            self._file.seek(0)
            self._file = FileSpans(self._file, without_holes(holes, size))
            self._container = _opened(self._file, options)
        return holes

    def _read_info(self, name: str) -> AudioInfo:
        if self._first is None:
            if self.damaged_packets:
                raise CorruptAudioError(
                    tr("{name}: is damaged: none of its audio can be decoded", name=name)
                )
            raise EmptyAudioError(tr("{name}: holds no audio samples", name=name))
        rate, channels = self._first.sample_rate, len(self._first.layout.channels)
        check_shape(name, rate, channels)
        frames, stream = None, self._stream
        if stream.duration and stream.time_base:
            length = Fraction(stream.duration * stream.time_base)
            if not self._counts_samples and self._zero is not None and stream.start_time:
                late = float(stream.start_time * stream.time_base) - self._zero
                # Microseconds in one of them, ticks of the stream in the other.
                length += Fraction(round(late * 1e4), 10_000) if late > EARLIEST_SECONDS else 0
            frames = int(length * rate)
        elif self._container.duration:
            frames = int(self._container.duration * rate / av.time_base)
        what = f"{self._container.format.name} {stream.codec_context.name}"
        return AudioInfo(name, rate, channels, frames, what, "pyav")

    @property
    def _zero(self) -> float | None:
        """Where the container's clock begins; None: it has none, or is not to be followed."""
        if self._known_zero is None:
            self._known_zero = (clock_zero(self._container) if self._believes_edits else 0.0,)
        return self._known_zero[0]

    def blocks(self) -> Iterator[F32]:
        """Blocks f32[n, channels]."""
        for block in self._all_blocks():
            rest = block[self._skip :]
            self._skip -= len(block) - len(rest)
            if len(rest):
                yield rest

    def _all_blocks(self) -> Iterator[F32]:
        is_whole = yield from self._quick_blocks()
        if not is_whole:
            yield from self._frame_blocks()

    def _quick_blocks(self) -> Generator[F32, None, bool]:
        """FLAC by a quicker decoder, as far as it is sound; returns whether that was all of it.
        FFmpeg, which knows what to make of damage, decodes the rest."""
        if self._container.format.name != "flac" or self.damaged_packets:
            return False
        n_before, at = self._skipped_samples(self._first), self._first_at
        if n_before is None or (n_before and self._zero is not None):  # what is before is missing
            return False
        position, n_samples, is_whole = self._file.tell(), 0, False
        info = StreamInfo.read(self._file)
        if info is not None and at is not None and can_decode(info):
            blocks = sound_blocks(self._file, info, at, n_before)
            try:
                while True:
                    block = next(blocks)
                    n_samples += len(block)
                    yield block
            except StopIteration as end:
                is_whole = end.value
        self._file.seek(position)
        self._skip += n_samples
        return is_whole

    def _frame_blocks(self) -> Iterator[F32]:
        rate, channels = self.info.sample_rate_hz, self.info.channels
        step, cut = block_frames(channels), 0
        gathered = FrameBlocks(channels, step)
        broken: Exception | None = None
        try:
            for frame, missing, surplus in self._frames():
                if missing or surplus or cut:
                    yield from gathered.flush()
                    # A clock that went back, and then on, has been there only as far as it went.
                    silent, cut = max(0, ahead := round(missing * rate) - cut), max(0, -ahead)
                    self.gaps_seconds += silent / rate
                    yield from silent_blocks(silent, channels, step)
                    stop = max(0, frame.samples - round(surplus * rate))
                    overlap = min(cut, stop)
                    self.overlap_seconds += overlap / rate
                    block = as_float(frame)[overlap:stop]
                    cut = max(0, cut - frame.samples)
                    if len(block):
                        yield block
                    continue
                # The queue wants no gaps in time; here samples are the clock.
                frame.pts = None
                yield from gathered.push(frame)
        except (av.FFmpegError, OSError, ValueError) as error:
            broken = error
        yield from gathered.flush()
        if broken is not None:
            raise CorruptAudioError(
                tr(
                    "{name}: is damaged and cannot be decoded ({reason_of})",
                    name=self.info.name,
                    reason_of=reason_of(broken),
                )
            ) from broken

    def seek(self, frame: int) -> bool:
        """Exact for FLAC, whose frames know their own place and need none before them."""
        if self._stream.codec_context.name != "flac" or self._container.format.name != "flac":
            return False
        if self._skipped_samples(self._first) != 0 or frame < 0:
            return False
        try:
            # Some frames before it: FFmpeg cannot seek into the last ones.
            self._container.seek(max(0, frame - _SEEK_MARGIN), stream=self._stream)
            self._known_zero = (None,)
            self._decoded = self._unbroken(self._decode())
            self._first = next(self._decoded, None)
        except (av.FFmpegError, OSError, ValueError):
            return False
        before = None if self._first is None else self._skipped_samples(self._first)
        if before is None or before > frame:
            return False
        self._skip = frame - before
        return True

    def _unbroken(self, frames: Iterator[Any]) -> Iterator[Any]:
        """Count as damage what FFmpeg leaves out in silence: behind it, nothing is in its place."""
        expected: int | None = None
        for frame in frames:
            at = self._skipped_samples(frame)
            if at is None or expected not in (None, at):
                self.damaged_packets += 1
            expected = None if at is None else at + frame.samples
            yield frame

    def _skipped_samples(self, frame: Any) -> int | None:
        """How many samples stand before this frame, by its own time stamp."""
        if frame.pts is None or frame.time_base is None:
            return None
        seconds: Any = frame.pts * frame.time_base
        samples: int = round(seconds * self.info.sample_rate_hz)
        return samples

    def tags(self) -> dict[str, str]:
        """Of the stream; of the container, which comes first; and of recorders."""
        tags = {**self._stream.metadata, **self._container.metadata}
        own = {name.lower(): text for name, text in tags.items()}
        return {**own, **recorder_tags(self._file)} if self._may_have_chunks() else own

    def _may_have_chunks(self) -> bool:
        """Whether this is a WAV, or a FLAC that was made of one and keeps its chunks."""
        if self._container.format.name != "flac":
            return self._container.format.name in ("wav", "w64")
        before = self._file.tell()
        self._file.seek(0)
        head = self._file.read(_CHUNKS_BYTES)
        self._file.seek(before)
        return b"riff" in head

    def _frames(self) -> Iterator[tuple[Any, float, float]]:
        """Frames in the first one's format, layout and rate, however the stream changes midway,
        and what the clock says of them (`Timed`)."""
        first = self._first
        shape = (first.format.name, first.layout.name, first.sample_rate)
        converter: OneShape | None = None
        waiting, damaged, is_first = 0.0, 0, True
        for frame, missing, surplus in self._timed():
            if missing > 0 and not is_first and self._counts_samples:
                self.damaged_packets += self.damaged_packets == damaged
                damaged = self.damaged_packets
            is_first = False
            if (frame.format.name, frame.layout.name, frame.sample_rate) == shape:
                if converter is not None and converter.holds:
                    for converted in converter.flush():
                        converted.time_base = first.time_base
                        yield converted, 0.0, 0.0
                yield frame, waiting + missing, surplus
                waiting = 0.0
            else:
                waiting += missing
                converter = converter or OneShape(*shape)
                for converted in converter.convert(frame):
                    converted.time_base = first.time_base
                    yield converted, waiting, 0.0
                    waiting = 0.0
        for converted in () if converter is None else converter.flush():
            converted.time_base = first.time_base
            yield converted, 0.0, 0.0

    def _timed(self) -> Iterator[Timed]:
        length, zero, first_pts = self._container.duration, self._zero, self._first_pts
        end = None
        if zero is not None and self._believes_edits:
            damaged = self.damaged_packets
            zero += decoder_delay(self._stream, first_pts, self._first, damaged, zero)
            end = track_end(self._container, self._stream, first_pts)
        return timed(
            itertools.chain([self._first], self._decoded),
            zero,
            end=end,
            length=None if self.has_guessed_length or not length else length / av.time_base,
            may_overlap=not self._counts_samples,
            damaged=lambda: self.damaged_packets,
        )

    def _decode(self) -> Iterator[Any]:
        container = self._container.format.name
        self._first_pts = None
        lost: LostBytes | AviIndex | None = None
        if container in CLOCKLESS:
            file = self._file if container == "mp3" else None
            lost = LostBytes(self._stream.codec_context.name, self._holes, file)
        elif container == "avi":
            lost = AviIndex(self._file, self._stream.index)
        on_damage, on_packet = self._count_damage, self._note_first
        source: Any = self._container
        if container == "matroska,webm":
            source = self._mended = MendedPackets(source, self._file, _opened, on_damage)
        try:
            yield from decoded_frames(
                source, self._stream, on_damage, lost, on_packet, self._goes_on()
            )
        except av.InvalidDataError:
            # The container breaks off here; what came before was sound.
            self.damaged_packets += 1

    def _goes_on(self) -> Callable[[], bool]:
        """Whether reading on behind damage is worth it: only while the file goes on, too."""
        at = -1

        def goes_on() -> bool:
            nonlocal at
            before, at = at, self._file.tell()
            return bool(at > before)

        return goes_on

    def _count_damage(self) -> None:
        self.damaged_packets += 1

    def _note_first(self, packet: Any) -> None:
        if self._first_pts is None:
            self._first_pts, self._first_at = packet.pts, packet.pos

    def close(self) -> None:
        """Close the container."""
        if self._mended is not None:
            self._mended.close()
        self._container.close()
        self._close_own_file()

    def _close_own_file(self) -> None:
        if self._own_file is not None:
            self._own_file.close()


def _opened(file: Any, options: Mapping[str, str] = _OPEN_OPTIONS) -> Any:
    # Not `options`: PyAV before 18 copies them for each track, and crashes where FLV begins with
    # fewer tracks than it has.
    return av.open(file, mode="r", container_options=dict(options))


def reason_of(error: BaseException) -> str:
    """In words, and without the address, which may hold a password."""
    if isinstance(error, av.ExitError):
        return tr("nothing came in time")
    return str(getattr(error, "strerror", None) or error)
