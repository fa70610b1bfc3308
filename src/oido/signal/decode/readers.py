# SPDX-License-Identifier: Apache-2.0
"""What every decoder gives, the words for what it reads, and the reader of samples in memory."""

from __future__ import annotations

import array
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32
from oido.errors import EmptyAudioError, InvalidSamplesError
from oido.messages import tr

if TYPE_CHECKING:
    from typing_extensions import Self


AudioSource = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | NDArray[Any]
    | Iterable[NDArray[Any]]
)
"""A path ("-" is standard input) or an address of the web, encoded bytes, a binary file object, an
array of samples, or a list, generator or iterator of arrays that follow one another."""

_RATES_HZ = (1_000, 768_000)
_BLOCK_SAMPLES = 1 << 17


class AudioInfo(NamedTuple):
    """What is known of a source before it is decoded.

    frames: samples per channel that the header promises; None where it does not say, and a
    promise only: damaged files hold less.
    format: container and codec in the decoder's words; decoder: "soundfile", "pyav" or "array".
    """

    name: str
    sample_rate_hz: int
    channels: int
    frames: int | None
    format: str
    decoder: str

    @property
    def duration_seconds(self) -> float | None:
        """Length by the header, or None where the header does not say."""
        return None if self.frames is None else self.frames / self.sample_rate_hz


class AudioReader(ABC):
    """An opened source. ``blocks`` may be called once; leave through ``close`` or ``with``.

    ``damaged_packets`` counts the pieces that could not be decoded and were left out so far;
    ``gaps_seconds`` is the silence that stands in the blocks where the source has no sound but its
    clock goes on, ``overlap_seconds`` the sound that was left out because its clock went back.
    ``has_guessed_length``: the file does not say how long it is, and ``info.frames`` is a guess.
    """

    info: AudioInfo
    damaged_packets: int
    gaps_seconds: float = 0.0
    overlap_seconds: float = 0.0
    has_guessed_length: bool = False
    notes: tuple[str, ...] = ()
    """What a user should know of how the source was read, in a few words each."""

    @property
    def fullness(self) -> float:
        """Share of the buffer that is in use, 0..1, of sources that cannot wait, such as a
        microphone; 0 for others."""
        return 0.0

    @abstractmethod
    def blocks(self) -> Iterator[F32]:
        """Blocks f32[n, channels] in [-1, 1], n > 0, in order."""

    def seek(self, frame: int) -> bool:
        """Let ``blocks``, not called yet, begin at this frame; False if that cannot be exact.

        True promises the samples that reading all of it gives from there on.
        """
        return False

    def tags(self) -> dict[str, str]:
        """What the container says of itself by lower-case name: creation_time, comment, title..."""
        return {}

    @abstractmethod
    def close(self) -> None:
        """Release the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def source_name(source: AudioSource) -> str:
    """How messages and rows call a source: its path, "<bytes>", "<array>", "<stdin>"..."""
    if isinstance(source, str | os.PathLike):
        return "<stdin>" if source == "-" else os.fspath(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return "<bytes>"
    if is_array(source):
        return "<array>"
    if is_chunks(source):
        return "<chunks>"
    return str(getattr(source, "name", "<file>"))


def is_array(source: object) -> bool:
    """Whether NumPy makes one array of samples of it; a list that holds arrays is one of chunks."""
    if isinstance(source, list | tuple):
        return all(
            isinstance(part, (int, float, complex, list, tuple))
            or (hasattr(part, "__array__") and not np.ndim(part))
            for part in source[:1]
        )
    return hasattr(source, "__array__") or isinstance(source, array.array)


def is_chunks(source: object) -> bool:
    """Whether it gives one chunk of samples after the other."""
    return (
        isinstance(source, Iterable)
        and not isinstance(source, (str, bytes, bytearray, memoryview, Mapping, Set))
        and not is_array(source)
        and not hasattr(source, "read")
    )


def check_shape(name: str, sample_rate_hz: int, channels: int) -> None:
    """Refuse rates and channel counts that no recording has, whatever a header says."""
    low, high = _RATES_HZ
    if not low <= sample_rate_hz <= high:
        raise InvalidSamplesError(
            tr(
                "{name}: a sample rate of {sample_rate_hz} Hz is outside {low}–{high} Hz",
                name=name,
                sample_rate_hz=sample_rate_hz,
                low=low,
                high=high,
            )
        )
    if channels < 1:
        raise InvalidSamplesError(
            tr("{name}: it says it has {channels} channels", name=name, channels=channels)
        )


def block_frames(channels: int) -> int:
    """Frames per block: about half a megabyte of samples whatever the channel count."""
    return max(256, _BLOCK_SAMPLES // channels)


def silent_blocks(frames: int, channels: int, most: int) -> Iterator[F32]:
    """Zeros f32[n, channels], ``frames`` in all, in blocks of ``most`` frames at most."""
    while frames > 0:
        yield np.zeros((min(frames, most), channels), np.float32)
        frames -= most


def as_float32(samples: NDArray[Any]) -> F32:
    """A copy as float32: signed integers divided by their full scale, floats as they are."""
    block = samples.astype(np.float32)
    if samples.dtype.kind == "i":
        block *= np.float32(-1.0 / np.iinfo(samples.dtype).min)
    return block


_MOST_CHANNELS = 1024
_MOST_CHANNELS_OF_FEW = 32
"""A first chunk that has more channels than this, and than samples, has them the other way."""


_DTYPES = tr("int16, int32 or float")


def _not_sound(samples: NDArray[Any]) -> str:
    whole = samples.dtype.kind in "iu"
    how = (
        tr("samples.astype('int16') if they are 16-bit")
        if whole
        else tr("samples.astype('float32')")
    )
    return tr(
        "samples must be {dtypes}, not {dtype}; convert them, e.g. {how}",
        dtypes=_DTYPES,
        dtype=samples.dtype,
        how=how,
    )


def as_block(name: str, samples: Any, channels: int | None = None) -> F32:
    """One chunk of samples, [n] or [n, channels] of int16, int32 or float, as f32[n, channels].

    A copy, because a microphone's buffer will soon hold the next samples. channels: how many there
    must be; None: any number. Raises InvalidSamplesError, which says what it is instead.
    """
    if isinstance(samples, bytes | bytearray | memoryview):
        raise InvalidSamplesError(
            tr(
                "{name}: samples must be an array, not bytes; of 16-bit PCM: "
                "numpy.frombuffer(chunk, numpy.int16)",
                name=name,
            )
        )
    if isinstance(samples, str | os.PathLike):
        raise InvalidSamplesError(
            tr(
                "{name}: samples must be an array, not a name ({fspath}); recordings "
                "are classified one by one: classifier.classify(path)",
                name=name,
                fspath=os.fspath(samples),
            )
        )
    if not is_array(samples):
        kind = tr("of type {name}", name=type(samples).__name__)
        kind = tr("several of them: push one after the other") if is_chunks(samples) else kind
        raise InvalidSamplesError(
            tr("{name}: samples must be one array, not {kind}", name=name, kind=kind)
        )
    chunk = as_array(samples)
    block = chunk[:, None] if chunk.ndim == 1 else chunk
    if block.ndim != 2 or (channels is not None and block.shape[1] != channels):
        wanted = tr("[n] or [n, channels]")
        if channels is not None:
            wanted = tr(
                "{more}[n, {channels}], as the stream has",
                more=tr("[n] or ") if channels == 1 else "",
                channels=channels,
            )
        is_turned = block.ndim == 2 and block.shape[0] == channels
        turned = tr(": transpose it") if is_turned else ""
        raise InvalidSamplesError(
            tr(
                "{name}: samples must be {wanted}, not {shape}{turned}",
                name=name,
                wanted=wanted,
                shape=chunk.shape,
                turned=turned,
            )
        )
    if not _has_sound_dtype(chunk):
        raise InvalidSamplesError(tr("{name}: {not_sound}", name=name, not_sound=_not_sound(chunk)))
    with np.errstate(over="ignore"):  # beyond float32: refused as infinite, later
        return as_float32(block)


def as_array(source: object) -> NDArray[Any]:
    """What NumPy makes of an array, or of numbers in lists. Raises InvalidSamplesError."""
    try:
        return np.asarray(source)
    except Exception as error:  # whatever a library's array raises that cannot be read here
        raise InvalidSamplesError(
            tr("an array must be [samples] or [samples, channels] ({error})", error=error)
        ) from error


def stream_info(name: str, sample_rate: Any, channels: int = 1) -> AudioInfo:
    """Of samples that are pushed, or come in chunks. Raises InvalidSamplesError."""
    if sample_rate is None:
        raise InvalidSamplesError(tr("{name}: say sample_rate, in Hz", name=name))
    _check_rate(sample_rate)
    if not _is_whole(channels) or channels < 1:
        raise InvalidSamplesError(
            tr("channels must be a whole number from 1, not {channels!r}", channels=channels)
        )
    if channels > _MOST_CHANNELS:
        raise _turned(name, channels)
    check_shape(name, int(sample_rate), int(channels))
    return AudioInfo(name, int(sample_rate), int(channels), None, "samples", "array")


class ArrayReader(AudioReader):
    """An array [n] or [n, channels] of int16, int32 or float, with its rate.

    Integers are divided by 2^15 or 2^31; floats stay as they are, in [-1, 1].
    """

    def __init__(self, samples: NDArray[Any], sample_rate: int | None) -> None:
        self._samples = samples if samples.ndim != 1 else samples[:, None]
        self.damaged_packets = 0
        if sample_rate is None:
            raise InvalidSamplesError(tr("an array needs its rate: pass sample_rate= in Hz"))
        _check_rate(sample_rate)
        if self._samples.ndim != 2:
            raise InvalidSamplesError(
                tr(
                    "an array must be [samples] or [samples, channels], not {shape}",
                    shape=samples.shape,
                )
            )
        if not _has_sound_dtype(samples):
            raise InvalidSamplesError(_not_sound(samples))
        frames, channels = self._samples.shape
        if frames == 0 or channels == 0:
            raise EmptyAudioError(tr("the array holds no samples"))
        if channels > _MOST_CHANNELS:
            raise InvalidSamplesError(
                tr(
                    "an array must be [samples, channels]; {shape} has {channels} "
                    "channels: transpose it",
                    shape=samples.shape,
                    channels=channels,
                )
            )
        check_shape("<array>", int(sample_rate), channels)
        self.info = AudioInfo(
            "<array>", int(sample_rate), channels, frames, str(samples.dtype), "array"
        )

    def blocks(self) -> Iterator[F32]:
        """Blocks f32[n, channels]."""
        step = block_frames(self.info.channels)
        for start in range(0, len(self._samples), step):
            with np.errstate(over="ignore"):  # beyond float32: refused as infinite, later
                block = as_float32(self._samples[start : start + step])
            yield block

    def close(self) -> None:
        """Nothing to release."""


class ChunkReader(AudioReader):
    """Arrays that follow one another, from a list, a generator or an iterator, with their rate.

    Each is as `as_block` takes it; the first says how many channels there are.
    """

    def __init__(self, chunks: Iterable[Any], sample_rate: int | None) -> None:
        self.damaged_packets = 0
        self._chunks = iter(chunks)
        self._first: F32 | None = None
        for number, chunk in enumerate(self._chunks):
            if isinstance(chunk, bytes | bytearray | memoryview):
                raise InvalidSamplesError(
                    tr(
                        "<chunks>: they are bytes: of a file, join them, "
                        "b''.join(chunks); of 16-bit PCM, make arrays of them, "
                        "numpy.frombuffer(chunk, numpy.int16)"
                    )
                )
            block = as_block(_chunk_name(number), chunk)
            self._number = number
            if block.size:
                self._first = block
                break
        channels = 1 if self._first is None else self._first.shape[1]
        self.info = stream_info("<chunks>", sample_rate, channels)
        if self._first is None:
            raise EmptyAudioError(tr("<chunks>: no samples came; an iterator gives them only once"))
        if channels > max(_MOST_CHANNELS_OF_FEW, len(self._first)):
            raise _turned(tr("<chunks>"), channels)

    def blocks(self) -> Iterator[F32]:
        """Blocks f32[n, channels]."""
        first, self._first = self._first, None
        if first is not None:
            yield first
        for number, chunk in enumerate(self._chunks, start=self._number + 1):
            block = as_block(_chunk_name(number), chunk, self.info.channels)
            if len(block):
                yield block

    def close(self) -> None:
        """End a generator, so that what it has opened is closed."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()


def _turned(name: str, channels: int) -> InvalidSamplesError:
    return InvalidSamplesError(
        tr(
            "{name}: a chunk must be [samples, channels], and {channels} channels "
            "are too many: transpose it",
            name=name,
            channels=channels,
        )
    )


def _chunk_name(number: int) -> str:
    return f"<chunks>, number {number}"


def _has_sound_dtype(samples: NDArray[Any]) -> bool:
    return samples.dtype in (np.int16, np.int32) or samples.dtype.kind == "f"


def _check_rate(sample_rate: object) -> None:
    if not _is_whole(sample_rate):
        raise InvalidSamplesError(
            tr("sample_rate must be a whole number, not {sample_rate!r}", sample_rate=sample_rate)
        )


def _is_whole(number: object) -> bool:
    """Whether this is a whole number, of whatever numeric type, but no bool."""
    try:
        return not isinstance(number, bool) and bool(int(number) == number)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return False
