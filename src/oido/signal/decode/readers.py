# SPDX-License-Identifier: Apache-2.0
"""What every decoder gives, the words for what it reads, and the reader of samples in memory."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32
from oido.errors import EmptyAudioError, InvalidSamplesError

if TYPE_CHECKING:
    from typing_extensions import Self


AudioSource = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | NDArray[Any]
"""A path ("-" is standard input), encoded bytes, a binary file object, or an array of samples."""

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
    if isinstance(source, np.ndarray):
        return "<array>"
    return str(getattr(source, "name", "<file>"))


def check_shape(name: str, sample_rate_hz: int, channels: int) -> None:
    """Refuse rates and channel counts that no recording has, whatever a header says."""
    low, high = _RATES_HZ
    if not low <= sample_rate_hz <= high:
        raise InvalidSamplesError(
            f"{name}: a sample rate of {sample_rate_hz} Hz is outside {low}–{high} Hz"
        )
    if channels < 1:
        raise InvalidSamplesError(f"{name}: it says it has {channels} channels")


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


class ArrayReader(AudioReader):
    """An array [n] or [n, channels] of int16, int32 or float, with its rate.

    Integers are divided by 2^15 or 2^31; floats stay as they are, in [-1, 1].
    """

    def __init__(self, samples: NDArray[Any], sample_rate: int | None) -> None:
        self._samples = samples if samples.ndim != 1 else samples[:, None]
        self.damaged_packets = 0
        if sample_rate is None:
            raise InvalidSamplesError("an array needs its rate: pass sample_rate= in Hz")
        if not _is_whole(sample_rate):
            raise InvalidSamplesError(f"sample_rate must be a whole number, not {sample_rate}")
        if self._samples.ndim != 2:
            raise InvalidSamplesError(
                f"an array must be [samples] or [samples, channels], not {samples.shape}"
            )
        if samples.dtype not in (np.int16, np.int32) and samples.dtype.kind != "f":
            raise InvalidSamplesError(
                f"samples must be int16, int32 or float, not {samples.dtype}; "
                "convert them, e.g. samples.astype('float32')"
            )
        frames, channels = self._samples.shape
        if frames == 0 or channels == 0:
            raise EmptyAudioError("the array holds no samples")
        if channels > _MOST_CHANNELS:
            raise InvalidSamplesError(
                f"an array must be [samples, channels]; {samples.shape} has {channels} channels: "
                "transpose it"
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


def _is_whole(number: object) -> bool:
    """Whether this is a whole number, of whatever numeric type, but no bool."""
    try:
        return not isinstance(number, bool) and bool(int(number) == number)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return False
