# SPDX-License-Identifier: Apache-2.0
"""A container that is decoded as it comes, each packet's samples at once (PyAV)."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, NamedTuple

import av

from oido.arrays import F32
from oido.errors import AudioError, CorruptAudioError, EmptyAudioError, UnknownFormatError
from oido.messages import tr
from oido.signal.decode.chained import OggLinks
from oido.signal.decode.clock import Timed, clock_zero, decoder_delay, timed, track_end
from oido.signal.decode.frame_blocks import decoded_frames
from oido.signal.decode.lost_bytes import CLOCKLESS, LostBytes
from oido.signal.decode.one_shape import OneShape
from oido.signal.decode.pipe_parts import SizedLinks, links_on
from oido.signal.decode.pyav_reader import UNBROKEN, reason_of
from oido.signal.decode.readers import check_shape

_LIVE_STEP_SECONDS = 0.1
"""Of a live source, whose clock is set right as it goes, only a plain step is a loss, and nothing
is there twice."""


_SLACK_SECONDS = 0.1

_WITHOUT_LIST = {"flv", "mpeg"}
"""Containers that do not list their tracks: one that begins late is not known before it does."""

_LATE_TRACK = {"probesize": str(64 << 20), "analyzeduration": str(60_000_000)}
"""Bytes, and microseconds, to look for one."""


class Decoded(NamedTuple):
    """samples f32[n, channels] in [-1, 1]; missing: seconds that were lost just before them."""

    samples: F32
    missing: float


class Demuxer:
    """The first audio track of an address or of a file that need not be seekable.

    timeout: seconds that opening, and then each wait for data, may take; None: for ever.
    first_timeout: the same, until the first samples are there, if it is shorter.
    like: another demuxer, whose rate and channels are kept (a source that was opened again).
    container: its name, if it is known: then nothing need be read to find out.
    open_part: opens the parts that a playlist (HLS) names, instead of FFmpeg.

    is_station: its server says that it is a radio station (Icecast's headers).
    rate_hz, channels; seconds: the length that the header promises, None for a stream without end;
    damaged_packets: that could not be decoded and were left out.
    Raises an AudioError if there is no audio that can be decoded.
    """

    def __init__(
        self,
        source: str | IO[bytes] | OggLinks | SizedLinks,
        name: str,
        *,
        options: Mapping[str, str],
        timeout: float | None = None,
        first_timeout: float | None = None,
        like: Demuxer | None = None,
        container: str | None = None,
        open_part: Callable[..., Any] | None = None,
    ) -> None:
        self.name, self.damaged_packets = name, 0
        self._options = dict(options)
        self._links = source if isinstance(source, OggLinks | SizedLinks) else None
        is_pipe = not isinstance(source, str) and not hasattr(source, "seek")
        if is_pipe and timeout is None and self._links is None:
            source = self._links = links_on(source)
        self._first_pts: int | None = None
        self._timeout = timeout

        def opened_with(file: Any, **more: str) -> Any:
            return av.open(
                file,
                format=container,
                container_options={**options, **more},  # `options` crash, as in `PyAvReader`
                timeout=timeout if first_timeout is None else first_timeout,
                io_open=open_part,
                metadata_errors="replace",  # stations name themselves in any encoding
            )

        try:
            opened = _opened_pipe(source, opened_with) if is_pipe else opened_with(source)
        except (av.FFmpegError, OSError, ValueError, IndexError) as error:
            raise UnknownFormatError(
                tr("{name}: cannot be opened ({reason_of})", name=name, reason_of=reason_of(error))
            ) from error
        self._container = opened
        try:
            if not self._container.streams.audio:
                raise EmptyAudioError(tr("{name}: has no audio track", name=name))
            self._stream: Any = self._container.streams.audio[0]
            if self._stream.codec_context is None:
                raise UnknownFormatError(
                    tr("{name}: its sound has an encoding that nobody here knows", name=name)
                )
            self._frames = self._decode()
            self._first: Any = next(self._frames, None)
            if self._first is None:
                raise EmptyAudioError(tr("{name}: holds no audio that can be decoded", name=name))
            if like is None:
                self.rate_hz: int = self._first.sample_rate
                self._layout: Any = self._first.layout.name
                self.channels = len(self._first.layout.channels)
            else:
                self.rate_hz, self._layout = like.rate_hz, like._layout
                self.channels = like.channels
            check_shape(name, self.rate_hz, self.channels)
        except AudioError:
            self.close()
            raise
        except (av.FFmpegError, OSError, ValueError) as error:
            self.close()
            raise CorruptAudioError(
                tr("{name}: cannot be decoded ({reason_of})", name=name, reason_of=reason_of(error))
            ) from error
        length = self._container.duration
        self.seconds = length / av.time_base if length and length > 0 else None
        self.is_station = any(key.lower().startswith("icy-") for key in self._container.metadata)
        self._is_live = timeout is not None and self.seconds is None
        self.container: str = self._container.format.name
        self.format = f"{self.container} {self._stream.codec_context.name}"

    @property
    def size_bytes(self) -> int | None:
        """What its server said, None if nothing."""
        size: int = self._container.size
        return size if size >= 0 else None

    def blocks(self) -> Iterator[Decoded]:
        """What is decoded, in order, once; it ends where the source ends.

        Raises CorruptAudioError where it breaks off or nothing comes in time.
        """
        yield from self._blocks()
        while self._links is not None and self._links.advance():
            # On a pipe, another recording of a joined stream: FFmpeg knows one shape only.
            try:
                following = Demuxer(self._links, self.name, options=self._options, like=self)
            except AudioError:
                self.damaged_packets += 1
                continue
            self._container.close()
            self._container, before = following._container, self.damaged_packets
            for block in following._blocks():
                self.damaged_packets = before + following.damaged_packets
                yield block

    def _blocks(self) -> Iterator[Decoded]:
        converter = OneShape("flt", self._layout, self.rate_hz)
        missing, cut = 0.0, 0
        try:
            for number, (frame, step, surplus) in enumerate(self._timed()):
                is_no_loss = self._is_live and (step < _LIVE_STEP_SECONDS or not number)
                before = 0.0 if is_no_loss else step
                ahead = before - cut / self.rate_hz
                missing, cut = missing + max(0.0, ahead), round(max(0.0, -ahead) * self.rate_hz)
                for converted in converter.convert(frame):
                    samples = converted.to_ndarray().reshape(-1, self.channels)
                    stop = len(samples) - round(surplus * self.rate_hz)
                    samples, cut = samples[cut:stop], max(0, cut - len(samples))
                    if len(samples):
                        yield Decoded(samples, missing)
                        missing = 0.0
        except (av.FFmpegError, OSError, ValueError) as error:
            raise CorruptAudioError(
                tr("{name}: broke off ({reason_of})", name=self.name, reason_of=reason_of(error))
            ) from error

    def close(self) -> None:
        """Release the source; never while another thread reads it."""
        self._container.close()

    def _timed(self) -> Iterator[Timed]:
        zero, first_pts = clock_zero(self._container), self._first_pts
        if zero is not None:
            damaged = self.damaged_packets
            zero += decoder_delay(self._stream, first_pts, self._first, damaged, zero)
        return timed(
            self._with_first(),
            zero,
            end=track_end(self._container, self._stream, first_pts),
            may_overlap=self.container not in UNBROKEN,
            damaged=lambda: self.damaged_packets,
        )

    def _with_first(self) -> Iterator[Any]:
        yield self._first
        self._first = None
        yield from self._frames

    def _decode(self) -> Iterator[Any]:
        container, codec = self._container.format.name, self._stream.codec_context.name
        lost = LostBytes(codec) if container in CLOCKLESS else None
        source = _Impatient(self._container, self._timeout)
        yield from decoded_frames(source, self._stream, self._count_damage, lost, self._note_first)

    def _count_damage(self) -> None:
        self.damaged_packets += 1

    def _note_first(self, packet: Any) -> None:
        if self._first_pts is None:
            self._first_pts = packet.pts


def _opened_pipe(pipe: Any, opened_with: Callable[..., Any]) -> Any:
    """A container that may have to be looked into for longer."""
    remembered = _Remembered(pipe)
    opened = opened_with(remembered)
    if not opened.streams.audio and opened.format.name in _WITHOUT_LIST:
        opened.close()
        remembered.rewind()
        opened = opened_with(remembered, **_LATE_TRACK)
    remembered.forget()
    return opened


class _Remembered:
    """A pipe of which what was read first can be read again."""

    def __init__(self, pipe: Any) -> None:
        self._read: Callable[[int], bytes] = pipe.read
        self._kept: list[bytes] | None = []
        self._again: list[bytes] = []

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes."""
        content = self._again.pop() if self._again else self._read(size)
        if len(content) > size:
            self._again.append(content[size:])
            content = content[:size]
        if self._kept is not None:
            self._kept.append(content)
        return content

    def rewind(self) -> None:
        """To its beginning, or to where it was told to forget."""
        self._again, self._kept = [*self._again, *reversed(self._kept or ())], []

    def forget(self) -> None:
        """What was read need not be kept any more, nor what will be."""
        self._kept = None


class _Impatient(NamedTuple):
    """A container whose other tracks do not count as data: a picture goes on without its sound."""

    container: Any
    timeout: float | None

    def demux(self, stream: Any) -> Iterator[Any]:
        if self.timeout is None:
            yield from self.container.demux(stream)
            return
        came: float | None = None
        while True:
            try:
                for packet in self.container.demux():
                    if packet.stream_index == stream.index:
                        yield packet
                        came = time.monotonic()
                    elif came is not None and time.monotonic() - came > self.timeout:
                        raise TimeoutError(errno.ETIMEDOUT, tr("nothing came in time"))
            except av.ExitError:  # PyAV's own timeout, which may be the shorter one of the start
                if came is None or time.monotonic() - came > self.timeout - _SLACK_SECONDS:
                    raise
            else:
                return
