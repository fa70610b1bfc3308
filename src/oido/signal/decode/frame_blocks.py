# SPDX-License-Identifier: Apache-2.0
"""FFmpeg's packets decoded to frames, and these, of some hundred samples, to blocks of float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32
from oido.signal.decode.avi import AviIndex
from oido.signal.decode.lost_bytes import LostBytes, holds_tag

_PIECE_SAMPLES = 1 << 15
"""What is converted at a time: it stays in the processor's cache, and below the size from which an
allocation is fresh memory of the system's."""

_PLANES = 8
"""Planes that PyAV reads of a planar frame; beyond them it reads foreign memory and crashes."""


_PACKED = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}


def decoded_frames(
    container: Any,
    stream: Any,
    on_damage: Callable[[], None],
    lost: LostBytes | AviIndex | None,
    on_packet: Callable[[Any], None],
    goes_on: Callable[[], bool] = lambda: False,
) -> Iterator[Any]:
    """The frames of a track; on_damage: called for each piece that cannot be decoded.

    lost: in a container without a clock; frames get the time that those before them, and those that
    were lost, make together. on_packet: called for each before it is decoded. goes_on: whether to
    read on where the container is damaged; errors of the container itself (FFmpegError) are raised
    if not.
    """
    for packet in _packets(container, stream, on_damage, goes_on):
        on_packet(packet)
        missing = 0.0 if lost is None else lost.frames_before(packet)
        if missing is None:
            continue
        if lost is not None and missing:
            on_damage()
            lost.clock.skip(missing)
        try:
            for frame in packet.decode():
                if lost is not None:
                    lost.clock.count(frame)
                yield frame
        except av.EOFError:
            return
        except av.FFmpegError:
            # Decoders raise many kinds of errors for a damaged packet; the next one may be sound.
            if lost is not None and holds_tag(packet):
                lost.clock.skip(0)  # of joined MP3s, the next one's header
                continue
            on_damage()
            if lost is not None:
                lost.clock.skip(1)


def _packets(
    container: Any, stream: Any, on_damage: Callable[[], None], goes_on: Callable[[], bool]
) -> Iterator[Any]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.EOFError):
            return
        except IndexError:
            # PyAV's, for a packet of a track that began behind the header, as pictures in FLV do.
            packets = container.demux(stream)
            continue
        except av.InvalidDataError:
            if not goes_on():
                raise
            on_damage()
            packets = container.demux(stream)
            continue
        yield packet


class FrameBlocks:
    """Gathers frames of one format, layout and rate, and converts them some thousands at a time.

    block_frames: of a block.
    """

    def __init__(self, channels: int, block_frames: int) -> None:
        self._fifo: Any = av.AudioFifo()
        self._channels, self._size = channels, block_frames
        self._piece = min(block_frames, max(256, _PIECE_SAMPLES // channels))
        self._block: F32 | None = None
        self._filled = 0

    def push(self, frame: Any) -> Iterator[F32]:
        """The blocks f32[n, channels] that a frame completes; it must have no time stamp."""
        if (samples := _packed_samples(frame)) is not None:
            yield from self._append(samples)
            return
        # Of planar ones, each plane of each frame would be a copy: gathered in C first.
        self._fifo.write(frame)
        while self._fifo.samples >= self._piece:
            yield from self._append(_samples(self._fifo.read(self._piece)))

    def flush(self) -> Iterator[F32]:
        """What is left."""
        if self._fifo.samples:
            yield from self._append(_samples(self._fifo.read()))
        if self._block is not None:
            yield self._block[: self._filled]
            self._block, self._filled = None, 0

    def _append(self, samples: NDArray[Any]) -> Iterator[F32]:
        while len(samples):
            if self._block is None:
                # As the samples lie: a planar piece is copied plane by plane.
                order: Literal["C", "F"] = "C" if samples.flags.c_contiguous else "F"
                self._block = np.empty((self._size, self._channels), np.float32, order)
            part = samples[: self._size - self._filled]
            end = self._filled + len(part)
            _convert(part, self._block[self._filled : end])
            samples, self._filled = samples[len(part) :], end
            if end == self._size:
                yield self._block
                self._block, self._filled = None, 0


def as_float(frame: Any) -> F32:
    """An audio frame of any sample format as f32[n, channels] in [-1, 1]."""
    samples = _samples(frame)
    block = np.empty(samples.shape, np.float32)
    _convert(samples, block)
    return block


def _packed_samples(frame: Any) -> NDArray[Any] | None:
    """A packed frame's samples [n, channels] where they lie, no copy; None: it is planar."""
    dtype = _PACKED.get(frame.format.name)
    if dtype is None:
        return None
    channels = frame.layout.nb_channels
    count = frame.samples * channels
    return np.frombuffer(frame.planes[0], dtype, count).reshape(-1, channels)


def _samples(frame: Any) -> NDArray[Any]:
    """A frame's samples of whatever type, [n, channels]."""
    if (packed := _packed_samples(frame)) is not None:
        return packed
    if frame.layout.nb_channels >= _PLANES:
        converter = av.AudioResampler("flt", frame.layout, frame.sample_rate)
        return as_float(converter.resample(frame)[0])
    samples: NDArray[Any] = frame.to_ndarray()  # [channels, n]
    return samples.T


def _convert(samples: NDArray[Any], out: F32) -> None:
    if samples.dtype == np.uint8:
        np.subtract(samples, np.float32(128.0), out=out, dtype=np.float32)
        out *= np.float32(1.0 / 128.0)
    elif samples.dtype.kind == "i":
        scale = np.float32(1.0 / -float(np.iinfo(samples.dtype).min))
        np.multiply(samples, scale, out=out, dtype=np.float32, casting="same_kind")
    else:
        out[...] = samples
