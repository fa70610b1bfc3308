# SPDX-License-Identifier: Apache-2.0
"""Samples that are already in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.errors import EmptyAudioError, InvalidSamplesError
from oido.signal.decode.base import AudioInfo, AudioReader, block_frames, check_shape

__all__ = ["ArrayReader"]

_MOST_CHANNELS = 1024


class ArrayReader(AudioReader):
    """An array [n] or [n, channels] of int16, int32 or float, with its rate.

    Integers are divided by 2^15 or 2^31; floats are taken as they are, in [-1, 1].
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

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Blocks f32[n, channels]."""
        step = block_frames(self.info.channels)
        kind = self._samples.dtype
        scale = np.float32(-1.0 / np.iinfo(kind).min) if kind.kind == "i" else None
        for start in range(0, len(self._samples), step):
            with np.errstate(over="ignore"):  # beyond float32: refused as infinite, later
                block = self._samples[start : start + step].astype(np.float32)
            yield block if scale is None else block * scale

    def close(self) -> None:
        """Nothing to release."""


def _is_whole(number: object) -> bool:
    """Whether this is a whole number, of whatever numeric type, but no bool."""
    try:
        return not isinstance(number, bool) and bool(int(number) == number)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return False
