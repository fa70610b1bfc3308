# SPDX-License-Identifier: Apache-2.0
"""WAV, FLAC, MP3, AIFF, CAF and the other formats of libsndfile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import soundfile

from oido.arrays import F32
from oido.errors import AudioError, CorruptAudioError, EmptyAudioError, UnknownFormatError
from oido.messages import tr
from oido.signal.decode.readers import AudioInfo, AudioReader, block_frames, check_shape
from oido.signal.decode.wav_chunks import recorder_tags

_EXACT = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
"""Encodings in which each sample stands by itself, so that one can begin at any."""

_UNKNOWN_LENGTH = 1 << 60  # libsndfile says SF_COUNT_MAX where a stream has no length


SAMPLE_ENCODINGS = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"}
SAMPLE_ENCODINGS |= {"ULAW", "ALAW"}
"""Those that libsndfile can read without a header."""


class SoundFileReader(AudioReader):
    """A recording that libsndfile decodes, from a path or a seekable file object.

    like: a reader of the same recording, which knows its encoding; then the source is its samples
    without a header. is_little: the order of their bytes.
    """

    def __init__(
        self,
        source: str | IO[bytes],
        name: str,
        *,
        like: SoundFileReader | None = None,
        is_little: bool = True,
    ) -> None:
        self.damaged_packets = 0
        self._source = source if isinstance(source, str) else _Watched(source)
        header: dict[str, Any] = {}
        if like is not None:
            header = {
                "samplerate": like.info.sample_rate_hz,
                "channels": like.info.channels,
                "subtype": like.encoding,
                "endian": "LITTLE" if is_little else "BIG",
                "format": "RAW",
            }
        self._tags = like.tags() if like is not None else None
        try:
            self._file = soundfile.SoundFile(self._source, **header)
        except soundfile.LibsndfileError as error:
            raise UnknownFormatError(
                tr(
                    "{name}: not a format that oido can decode ({error_string})",
                    name=name,
                    error_string=error.error_string.rstrip("."),
                )
            ) from error
        except (TypeError, ValueError, RuntimeError, OSError) as error:
            raise UnknownFormatError(
                tr("{name}: cannot be opened ({error})", name=name, error=error)
            ) from error
        frames = self._file.frames
        self.info = AudioInfo(
            name,
            self._file.samplerate,
            self._file.channels,
            frames if 0 <= frames < _UNKNOWN_LENGTH else None,
            f"{self._file.format} {self._file.subtype}" if like is None else like.info.format,
            "soundfile",
        )
        try:
            check_shape(name, self.info.sample_rate_hz, self.info.channels)
            # Read now, so that a file whose header alone is sound goes to the other decoder.
            self._block = self._read()
            if not len(self._block):
                raise EmptyAudioError(tr("{name}: holds no audio samples", name=name))
        except AudioError:
            self.close()
            raise

    def blocks(self) -> Iterator[F32]:
        """Blocks f32[n, channels]."""
        while len(self._block):
            yield self._block
            self._block = self._read()

    def seek(self, frame: int) -> bool:
        """Exact where samples are stored one by one (WAV, AIFF, CAF, AU...)."""
        if not self._file.subtype.startswith(_EXACT) or not self._file.seekable():
            return False
        if self._file.format in ("FLAC", "OGG") or self.info.frames is None:
            return False
        if not 0 <= frame < self.info.frames:
            return False
        self._file.seek(frame)
        self._block = self._read()
        return True

    @property
    def encoding(self) -> str:
        """In libsndfile's word: PCM_16, FLOAT…"""
        return str(self._file.subtype)

    def tags(self) -> dict[str, str]:
        """Of the formats' own text fields: title, comment, date...; and of recorders."""
        if self._tags is not None:
            return self._tags
        tags = {name.lower(): text for name, text in self._file.copy_metadata().items()}
        return {**tags, **recorder_tags(self._source)}

    def _read(self) -> F32:
        try:
            block: F32 = self._file.read(
                block_frames(self.info.channels), dtype="float32", always_2d=True
            )
            if isinstance(self._source, _Watched) and self._source.error is not None:
                raise CorruptAudioError(
                    tr(
                        "{name}: reading it failed ({error})",
                        name=self.info.name,
                        error=self._source.error,
                    )
                ) from self._source.error
        except (soundfile.LibsndfileError, RuntimeError) as error:
            reason = str(getattr(error, "error_string", error)).rstrip(".")
            raise CorruptAudioError(
                tr(
                    "{name}: is damaged and cannot be decoded ({reason})",
                    name=self.info.name,
                    reason=reason,
                )
            ) from error
        return block

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class _Watched:
    """A file object whose errors are kept: libsndfile takes a failed read for the file's end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except Exception as error:
            self.error = error
            return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):  # before the beginning: it looks where it is, and gives up
            return self._file.tell()

    def tell(self) -> int:
        return self._file.tell()
