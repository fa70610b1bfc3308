# SPDX-License-Identifier: Apache-2.0
"""Sound on a pipe: raw samples, or any container, read as it comes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from oido.errors import EmptyAudioError, InvalidSamplesError, OptionError, UnknownFormatError
from oido.live.source import OnGap, SourceGap, ignore, in_background, iterate_in_background, silence
from oido.messages import joined, text_of, tr
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.decode.pyav_stream import Demuxer
from oido.signal.decode.readers import as_float32, check_shape

ENCODINGS: dict[str, np.dtype[Any]] = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}
"""Of raw samples: 16-bit integers, or floats in [-1, 1]; little-endian both."""

_READ_BYTES = 1 << 16
_WAITING_BLOCKS = 16

_OPTIONS = {
    "protocol_whitelist": "none",  # a playlist may not make the decoder open other files
    "probesize": "65536",  # bytes that are probed before the first sample
    "analyzeduration": "500000",  # µs
}


class PcmReader(AudioReader):
    """Raw samples, channels interleaved, each block as soon as it can be read.

    file: binary, at its first sample; not closed. encoding: one of ``ENCODINGS``. Bytes that do not
    make a whole frame at the end count as one damaged packet. Raises OptionError.
    """

    def __init__(
        self,
        file: IO[bytes],
        sample_rate_hz: int,
        encoding: str = "s16le",
        channels: int = 1,
        name: str = "<stdin>",
    ) -> None:
        if encoding not in ENCODINGS:
            raise OptionError(
                tr(
                    "encoding must be {encodings}, not {encoding!r}",
                    encodings=joined(tr(" or "), ENCODINGS),
                    encoding=encoding,
                )
            )
        try:
            check_shape(name, sample_rate_hz, channels)
        except InvalidSamplesError as error:
            raise OptionError(text_of(error)) from error
        self.info = AudioInfo(name, sample_rate_hz, channels, None, encoding, "pcm")
        self.damaged_packets = 0
        self._read, self._type = _reader_of(file), ENCODINGS[encoding]

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Blocks f32[n, channels]."""
        frame_bytes = self._type.itemsize * self.info.channels
        rest = b""
        while data := self._read(_READ_BYTES):
            data = rest + data
            whole = len(data) // frame_bytes * frame_bytes
            rest = data[whole:]
            if whole:
                samples = np.frombuffer(data[:whole], self._type).reshape(-1, self.info.channels)
                yield as_float32(samples)
        self.damaged_packets += bool(rest)

    def close(self) -> None:
        """Standard input stays open."""


class ContainerReader(AudioReader):
    """A container on a pipe (Ogg, Matroska, MP3, WAV, MPEG-TS…), each packet as it comes.

    Where the container's own clock jumps, silence of that length comes, and ``on_gap`` is called.
    Raises an AudioError.
    """

    def __init__(self, file: IO[bytes], name: str = "<stdin>", *, on_gap: OnGap = ignore) -> None:
        read, is_empty = _reader_of(file), True

        def watched(size: int) -> bytes:
            nonlocal is_empty
            data: bytes = read(size)
            is_empty = is_empty and not data
            return data

        # PyAV would seek in what has a seek; a pipe can only be read.
        pipe: Any = SimpleNamespace(read=watched)
        # PyAV loses an interrupt that comes while it reads from Python: another thread decodes.
        try:
            self._demuxer = in_background(lambda: Demuxer(pipe, name, options=_OPTIONS))
        except UnknownFormatError as error:
            if not is_empty:
                raise
            raise EmptyAudioError(tr("{name}: is empty (0 bytes)", name=name)) from error
        self._on_gap, self._is_read = on_gap, False
        d = self._demuxer
        self.info = AudioInfo(name, d.rate_hz, d.channels, None, d.format, "pyav")

    @property
    def damaged_packets(self) -> int:  # type: ignore[override]
        return self._demuxer.damaged_packets

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Blocks f32[n, channels]."""
        rate, n_frames = self.info.sample_rate_hz, 0
        self._is_read = True
        for samples, missing in iterate_in_background(self._demuxer.blocks(), _WAITING_BLOCKS):
            if frames := round(missing * rate):
                yield from silence(frames, self.info.channels, rate)
                self._on_gap(SourceGap(n_frames / rate, missing, tr("the container left it out")))
                n_frames += frames
                self.gaps_seconds += frames / rate
            n_frames += len(samples)
            yield samples

    def close(self) -> None:
        """Standard input stays open; a thread that still waits for it is left alone."""
        if not self._is_read:
            self._demuxer.close()


def _reader_of(file: IO[bytes]) -> Any:
    """A read that gives what is there, as a pipe brings it, where the file can do so."""
    if isinstance(file, io.BufferedReader | io.BytesIO):
        return file.read1
    return file.read
