# SPDX-License-Identifier: Apache-2.0
"""Everything that FFmpeg's libraries decode: AAC, Opus, Vorbis, the sound of a video... (PyAV)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import IO, Any

import av
import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32
from oido.errors import AudioError, CorruptAudioError, EmptyAudioError, UnknownFormatError
from oido.signal.decode.readers import AudioInfo, AudioReader, block_frames, check_shape

# A recording may not make the decoder open other files or addresses (playlists do). So FFmpeg may
# open nothing by itself, and gets every recording as an open file.
_OPEN_OPTIONS = {"protocol_whitelist": "none"}

_PLANES = 8
"""Planes that PyAV reads of a planar frame; beyond them it reads foreign memory and crashes."""


_SEEK_MARGIN = 1 << 16


class PyAvReader(AudioReader):
    """The first audio stream of a file, from a path or a seekable file object.

    Packets that cannot be decoded are left out and counted, as players do.
    """

    def __init__(self, source: str | IO[bytes], name: str) -> None:
        self.damaged_packets = 0
        self._skip = 0
        self._own_file = open(source, "rb") if isinstance(source, str) else None  # noqa: SIM115
        try:
            self._container = av.open(self._own_file or source, mode="r", options=_OPEN_OPTIONS)
        except (av.FFmpegError, OSError, ValueError, IndexError) as error:
            self._close_own_file()
            raise UnknownFormatError(
                f"{name}: not a format that oido can decode ({reason_of(error)})"
            ) from error
        try:
            streams = self._container.streams.audio
            if not streams:
                raise EmptyAudioError(f"{name}: has no audio track")
            self._stream = streams[0]
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
            raise CorruptAudioError(f"{name}: cannot be decoded ({reason_of(error)})") from error

    def _read_info(self, name: str) -> AudioInfo:
        if self._first is None:
            if self.damaged_packets:
                raise CorruptAudioError(f"{name}: is damaged: none of its audio can be decoded")
            raise EmptyAudioError(f"{name}: holds no audio samples")
        rate, channels = self._first.sample_rate, len(self._first.layout.channels)
        check_shape(name, rate, channels)
        frames = None
        if self._stream.duration and self._stream.time_base:
            frames = int(self._stream.duration * self._stream.time_base * rate)
        elif self._container.duration:
            frames = int(self._container.duration * rate / av.time_base)
        codec = self._stream.codec_context.name
        return AudioInfo(
            name, rate, channels, frames, f"{self._container.format.name} {codec}", "pyav"
        )

    def blocks(self) -> Iterator[F32]:
        """Blocks f32[n, channels]."""
        for block in self._all_blocks():
            rest = block[self._skip :]
            self._skip -= len(block) - len(rest)
            if len(rest):
                yield rest

    def _all_blocks(self) -> Iterator[F32]:
        step = block_frames(self.info.channels)
        # A codec's frames are about a thousand samples: collected first, so that they are turned
        # into arrays some hundred at a time.
        fifo = av.AudioFifo()
        try:
            for frame in self._frames():
                # The queue wants no gaps in time and no other clock; here samples are the clock.
                frame.pts, frame.time_base = None, self._first.time_base
                fifo.write(frame)
                if fifo.samples >= step:
                    yield _as_float(fifo.read(step))
            if fifo.samples:
                yield _as_float(fifo.read())
        except (av.FFmpegError, OSError, ValueError) as error:
            raise CorruptAudioError(
                f"{self.info.name}: is damaged and cannot be decoded ({reason_of(error)})"
            ) from error

    def seek(self, frame: int) -> bool:
        """Exact for FLAC, whose frames know their own place and need none before them."""
        if self._stream.codec_context.name != "flac" or self._container.format.name != "flac":
            return False
        if self._skipped_samples(self._first) != 0 or frame < 0:
            return False
        try:
            # Some frames before it: FFmpeg cannot seek into the last ones.
            self._container.seek(max(0, frame - _SEEK_MARGIN), stream=self._stream)
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
        """Of the stream, and of the container, which comes first."""
        tags = {**self._stream.metadata, **self._container.metadata}
        return {name.lower(): text for name, text in tags.items()}

    def _frames(self) -> Iterator[Any]:
        """Frames in the first one's format, layout and rate, however the stream changes midway."""
        yield (first := self._first)
        shape = (first.format.name, first.layout.name, first.sample_rate)
        converter: Any = None
        for frame in self._decoded:
            if (frame.format.name, frame.layout.name, frame.sample_rate) == shape:
                yield frame
            else:
                converter = converter or av.AudioResampler(*shape)
                yield from converter.resample(frame)
        if converter is not None:
            yield from converter.resample(None)

    def _decode(self) -> Iterator[Any]:
        try:
            yield from decoded_frames(self._container, self._stream, self._count_damage)
        except (av.InvalidDataError, IndexError):
            # The container breaks off here; what came before was sound. (PyAV's IndexError: a
            # damaged container declares another stream midway.)
            self.damaged_packets += 1

    def _count_damage(self) -> None:
        self.damaged_packets += 1

    def close(self) -> None:
        """Close the container."""
        self._container.close()
        self._close_own_file()

    def _close_own_file(self) -> None:
        if self._own_file is not None:
            self._own_file.close()


def decoded_frames(container: Any, stream: Any, on_damage: Callable[[], None]) -> Iterator[Any]:
    """The frames of a track; on_damage: called for each packet that cannot be decoded.

    Errors of the container itself (FFmpegError, and IndexError, PyAV's for one that declares
    another stream midway) are raised.
    """
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.EOFError):
            return
        try:
            yield from packet.decode()
        except av.EOFError:
            return
        except av.FFmpegError:
            # Decoders raise many kinds of errors for a damaged packet; the next one may be sound.
            on_damage()


def reason_of(error: BaseException) -> str:
    """In words, and without the address, which may hold a password."""
    if isinstance(error, av.ExitError):
        return "nothing came in time"
    return str(getattr(error, "strerror", None) or error)


def _as_float(frame: Any) -> F32:
    """An audio frame of any sample format as f32[n, channels] in [-1, 1]."""
    if not frame.format.is_packed and len(frame.layout.channels) >= _PLANES:
        packed = av.AudioResampler("flt", frame.layout, frame.sample_rate)
        (frame,) = packed.resample(frame)
    samples: NDArray[Any] = frame.to_ndarray()  # [channels, n] planar, [1, n · channels] packed
    if frame.format.is_packed:
        samples = samples.reshape(-1, len(frame.layout.channels))
    else:
        samples = samples.T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128.0) / 128.0
    if samples.dtype.kind == "i":
        return samples.astype(np.float32) * np.float32(1.0 / -float(np.iinfo(samples.dtype).min))
    return samples.astype(np.float32, copy=False)
