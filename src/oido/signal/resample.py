# SPDX-License-Identifier: Apache-2.0
"""Resampling to the model's rate, as a stream or at once (soxr)."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
import soxr

from oido.arrays import F32

_LONGEST_PERIOD_SECONDS = 60
_MOST_TRIES = 8192


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

    def push(self, samples: F32) -> F32:
        """The samples at the new rate that are ready: f32[m]."""
        if self._stream is None or not len(samples):
            return samples
        out: F32 = self._stream.resample_chunk(np.ascontiguousarray(samples))
        return out

    def flush(self) -> F32:
        """The last samples, f32[m]; the resampler cannot be used afterwards."""
        empty = np.zeros(0, np.float32)
        if self._stream is None:
            return empty
        out: F32 = self._stream.resample_chunk(empty, last=True)
        return out


def resample(waveform: F32, from_hz: int, to_hz: int) -> F32:
    """A whole f32[n] at another rate: what a `Resampler` gives for it, f32[m]."""
    resampler = Resampler(from_hz, to_hz)
    return np.concatenate([resampler.push(waveform), resampler.flush()])


@lru_cache(maxsize=64)
def exact_period(from_hz: int, to_hz: int) -> int | None:
    """Samples p such that resampling may begin at any multiple of p, and give the same bits.

    soxr filters in blocks by FFT, so the rounding of a sample depends on where its block began;
    begun at a multiple of the blocks, after half a second everything is as if it had begun at 0.
    The period is not documented and so is found by trying, on noise; None if there is none. Two
    runs that are not in step agree in every eighth sample only: thousands that agree are no chance.
    """
    if from_hz == to_hz:
        return 1
    step = from_hz // gcd(from_hz, to_hz)
    tries = min(_MOST_TRIES, _LONGEST_PERIOD_SECONDS * from_hz // step)
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.5, 0.5, tries * step + from_hz).astype(np.float32)
    whole = resample(noise, from_hz, to_hz)
    for start in range(step, tries * step + 1, step):
        if _in_step(noise, whole, start, from_hz, to_hz):
            other = rng.uniform(-0.5, 0.5, 5 * start + 2 * from_hz).astype(np.float32)
            expected = resample(other, from_hz, to_hz)
            later = (start, 2 * start, 5 * start)
            agree = all(_in_step(other, expected, s, from_hz, to_hz) for s in later)
            return start if agree else None
    return None


def _in_step(samples: F32, whole: F32, start: int, from_hz: int, to_hz: int) -> bool:
    """Whether a second from here on is, in its later part, as in the whole."""
    part = resample(samples[start : start + from_hz], from_hz, to_hz)
    first, last = to_hz // 2, to_hz * 3 // 4
    at = start * to_hz // from_hz
    return np.array_equal(part[first:last], whole[at + first : at + last])
