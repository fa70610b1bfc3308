# SPDX-License-Identifier: Apache-2.0
"""Resampling to the model's rate, as a stream (soxr)."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray

__all__ = ["Resampler"]


class Resampler:
    """Turns mono float32 samples of any rate into the model's rate.

    ``push`` and ``flush`` give f32[m], m of any size from 0. What comes out does not depend on how
    the input was cut. soxr's HQ recipe: 20-bit precision, pass band to 0.91 of Nyquist.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._stream = (
            None
            if from_hz == to_hz
            else soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
        )

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The samples at the new rate that are ready: f32[m]."""
        if self._stream is None or not len(samples):
            return samples
        out: NDArray[np.float32] = self._stream.resample_chunk(np.ascontiguousarray(samples))
        return out

    def flush(self) -> NDArray[np.float32]:
        """The rest, f32[m]; the resampler is spent afterwards."""
        empty = np.zeros(0, np.float32)
        if self._stream is None:
            return empty
        out: NDArray[np.float32] = self._stream.resample_chunk(empty, last=True)
        return out
