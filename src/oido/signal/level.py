# SPDX-License-Identifier: Apache-2.0
"""How loud samples are: root mean squares, levels in dB, and the weight of windows by loudness."""

from __future__ import annotations

from math import gcd

import numpy as np

from oido.arrays import F32, F64
from oido.params import LEVELS_PER_SECOND

_EXPONENT = 0.3
"""Loudness is about intensity to the power of 0.3 (S. S. Stevens, "The measurement of loudness",
Journal of the Acoustical Society of America 27, 1955)."""

_ACTIVE_BLOCK_SAMPLES = 256  # 16 ms at 16 kHz
_QUIETEST_DB = -90.0
_CACHED_SAMPLES = 1 << 14


class LevelMeter:
    """The level of every 20 ms of a stream, in dB of full scale, -90 at the least.

    Each is that of its own samples alone; fewer samples than that, at the end, have none.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._length = sample_rate_hz // LEVELS_PER_SECOND
        self._rest = np.zeros(0, np.float32)

    def push(self, waveform: F32) -> F32:
        """The levels that f32[n] completes, f32[m]."""
        samples = np.concatenate([self._rest, waveform])
        whole = len(samples) // self._length * self._length
        self._rest = samples[whole:]
        return _decibels(rms(samples[:whole].reshape(-1, self._length)))


def _decibels(amplitudes: F64) -> F32:
    least = 10.0 ** (_QUIETEST_DB / 20.0)
    return np.asarray(20.0 * np.log10(np.maximum(amplitudes, least)), np.float32)


def rms(samples: F32) -> F64:
    """Root mean square of f32[..., n], n > 0, along the last axis: f64[...]."""
    rows = samples.reshape(-1, samples.shape[-1])
    return np.sqrt(_energies(rows) / rows.shape[1]).reshape(samples.shape[:-1])


def _energies(rows: F32) -> F64:
    """The sum of squares of each row of f32[m, n], f64[m], by itself."""
    energies = np.empty(len(rows))
    # Some at a time: float64 of all of them would be fresh memory of the system's.
    step = max(1, _CACHED_SAMPLES // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        exact = rows[start : start + step].astype(np.float64)
        np.vecdot(exact, exact, out=energies[start : start + step])
    return energies


def active_rms(waveform: F32) -> float:
    """RMS of f32[n], blocks of nothing but 0 left out; 0 for digital silence.

    So a click in a long file of zeros has the level of the click.
    """
    blocks = np.zeros((-(-len(waveform) // _ACTIVE_BLOCK_SAMPLES), _ACTIVE_BLOCK_SAMPLES))
    blocks.ravel()[: len(waveform)] = waveform
    energies = (blocks**2).sum(axis=1)
    active = energies > 0
    samples = np.full(len(blocks), _ACTIVE_BLOCK_SAMPLES)
    samples[-1:] -= blocks.size - len(waveform)
    return float(np.sqrt(energies[active].sum() / samples[active].sum())) if active.any() else 0.0


def level_db(block: F32) -> tuple[float, float]:
    """RMS and peak of f32[n, channels], n > 0, in dB of full scale; -90 at the least."""
    amplitudes = float(rms(block.reshape(-1))), float(np.max(np.abs(block)))
    least = 10.0 ** (_QUIETEST_DB / 20.0)
    level, peak = (20.0 * float(np.log10(a)) if a > least else _QUIETEST_DB for a in amplitudes)
    return level, peak


def window_loudness(waveform: F32, window_samples: int, hop_samples: int) -> F64:
    """(mean of x²)^0.3 of each window of f32[(N − 1) · hop + window]: f64[N], 0 for silence.

    Each is computed from its own window alone, so that it does not depend on what stands beside it.
    """
    piece = gcd(window_samples, hop_samples)
    energies = _energies(waveform.reshape(-1, piece))  # f64[pieces]
    windows = np.lib.stride_tricks.sliding_window_view(energies, window_samples // piece)
    sums = windows[:: hop_samples // piece].sum(axis=1)
    return np.asarray((sums / window_samples) ** _EXPONENT)
