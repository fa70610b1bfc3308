# SPDX-License-Identifier: Apache-2.0
"""Finding the decoder for a source, by what it holds and not by its name."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from collections.abc import Callable
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from oido.errors import (
    AudioError,
    AudioNotFoundError,
    EmptyAudioError,
    InvalidSamplesError,
    UnknownFormatError,
)
from oido.signal.decode.pyav_reader import PyAvReader
from oido.signal.decode.readers import ArrayReader, AudioReader, AudioSource, source_name
from oido.signal.decode.soundfile_reader import SoundFileReader

_Opener = Callable[[str | IO[bytes], str], AudioReader]

_SPOOL_BYTES = 64 << 20
_HEAD_BYTES = 16


def open_audio(source: AudioSource, sample_rate: int | None = None) -> AudioReader:
    """Open any source of audio.

    ``sample_rate`` (Hz) is required for an array and refused for everything else, which knows its
    own rate. Raises an ``AudioError`` that names the source and the reason.
    """
    name = source_name(source)
    if isinstance(source, np.ndarray) or _is_array_like(source):
        return ArrayReader(_as_array(source), sample_rate)
    if sample_rate is not None:
        raise InvalidSamplesError(
            f"{name}: sample_rate is only for arrays; a file knows its own rate"
        )
    if isinstance(source, str | os.PathLike):
        if source == "-":
            return _open_stream(sys.stdin.buffer, name)
        return _open_path(os.fspath(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return _open_stream(io.BytesIO(source), name)
    if hasattr(source, "read"):
        return _open_stream(source, name)
    raise InvalidSamplesError(
        f"audio must be a path, bytes, a binary file object or an array, "
        f"not {type(source).__name__}"
    )


def _as_array(source: object) -> NDArray[Any]:
    try:
        return np.asarray(source)
    except (ValueError, TypeError) as error:
        raise InvalidSamplesError(
            f"an array must be [samples] or [samples, channels] ({error})"
        ) from error


def _is_array_like(source: object) -> bool:
    return isinstance(source, list | tuple) or hasattr(source, "__array__")


def _open_path(path: str) -> AudioReader:
    try:
        if os.path.isdir(path):
            raise AudioNotFoundError(f"{path}: is a folder, not a recording")
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except FileNotFoundError as error:
        raise AudioNotFoundError(f"{path}: no such file") from error
    except OSError as error:
        raise AudioNotFoundError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # a zero byte inside
        raise AudioNotFoundError(f"{path!r}: is not a file name") from error
    return _try_decoders(head, path, lambda: path)


def _open_stream(file: IO[bytes], name: str) -> AudioReader:
    if isinstance(file, io.TextIOBase):
        raise InvalidSamplesError(f"{name}: open the file in binary mode ('rb')")
    if getattr(file, "closed", False):
        raise InvalidSamplesError(f"{name}: the file is closed")
    # Decoders count from byte 0: what stands before the recording must go, too.
    if not (hasattr(file, "seekable") and file.seekable() and file.tell() == 0):
        file = _spool(file)
    head = file.read(_HEAD_BYTES)

    def rewound() -> IO[bytes]:
        file.seek(0)
        return file

    return _try_decoders(head, name, rewound)


def _spool(pipe: IO[bytes]) -> IO[bytes]:
    """A seekable copy of what is left to read, in memory up to 64 MB and on disk beyond."""
    spool = tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES)  # noqa: SIM115
    while chunk := pipe.read(1 << 20):
        spool.write(chunk)
    spool.seek(0)
    return cast("IO[bytes]", spool)


def _decoders(head: bytes) -> tuple[_Opener, ...]:
    """The decoders for this content, the better one first.

    libsndfile is quicker on uncompressed audio. PyAV is quicker on FLAC and Ogg (Opus by three
    times), goes on behind a damaged stretch where libsndfile stops, and alone knows the containers
    of video. For MP3 there is no second try: libsndfile's library for it writes to the terminal.
    """
    own = (b"RIFF", b"RIFX", b"RF64", b"FORM", b"caff", b".snd", b"riff")
    if head.startswith(own):
        return SoundFileReader, PyAvReader
    if head.startswith(b"ID3") or (head[0] == 0xFF and len(head) > 1 and head[1] >= 0xE0):
        return (PyAvReader,)
    return PyAvReader, SoundFileReader


def _try_decoders(head: bytes, name: str, source: Callable[[], str | IO[bytes]]) -> AudioReader:
    if not head:
        raise EmptyAudioError(f"{name}: is empty (0 bytes)")
    reasons: list[AudioError] = []
    for decoder in _decoders(head):
        try:
            return decoder(source(), name)
        except AudioError as error:
            reasons.append(error)
    # The second decoder is the fallback: when both fail, the more telling reason is the one that
    # is not "unknown format".
    telling = [e for e in reasons if not isinstance(e, UnknownFormatError)]
    raise (telling or reasons)[0]
