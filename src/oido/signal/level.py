# SPDX-License-Identifier: Apache-2.0
"""What is measured of samples: levels, loudness, and what is wrong with them, as clipping."""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd
from typing import NamedTuple

import numpy as np

from oido.arrays import F32, F64, Bools
from oido.messages import tr
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


def is_silent(loudness: F64) -> Bools:
    """Of each window's loudness, whether the window is no louder than the least level, bool[N].

    A mean of -90 dB is too little for 0.04 s of -65 dB, the faintest sound that stands out of a
    silence (`oido.events.stretches`), even in a window of 10 s.
    """
    return np.asarray(loudness <= 10.0 ** (_QUIETEST_DB / 10.0 * _EXPONENT))


_PIECE_SAMPLES = 1024
_FULL_SCALE = 0.9999
_LEAST_CLIPPED = 0.001
_LEAST_OFFSET = 0.01
_LEAST_SILENT_SECONDS, _LEAST_SILENT_SHARE = 1.0, 0.1
_SHORTEST_SECONDS = 0.5
_OPPOSITE = 0.1


class SoundSums(NamedTuple):
    """What `SoundCheck` has added up, of samples per channel; of parts, the sums can be added."""

    frames: int = 0
    channels: int = 0
    energy: float = 0.0
    channel_energy: float = 0.0
    total: float = 0.0
    clipped: int = 0
    silent: int = 0

    @classmethod
    def added(cls, parts: Iterable[SoundSums]) -> SoundSums:
        """Those of a recording in parts."""
        columns = list(zip(*parts))
        if not columns:
            return cls()
        frames, channels, *sums = columns
        return cls(sum(frames), max(channels), *map(sum, sums))

    def findings(self, rate_hz: int, gaps_seconds: float = 0.0) -> tuple[str, ...]:
        """What is wrong, a few words each. gaps_seconds: of silence that was inserted."""
        found, seconds = [], self.frames / rate_hz
        if seconds < _SHORTEST_SECONDS:
            return ()
        mean_energy = self.channel_energy / max(self.channels, 1)
        if self.channels > 1 and self.energy < _OPPOSITE / self.channels * mean_energy:
            found.append(
                tr(
                    "its channels are in opposite phase and cancel each other in the "
                    "mix: hear one of them, with --channel 0"
                )
            )
        if self.clipped >= _LEAST_CLIPPED * self.frames:
            share = self.clipped / self.frames
            found.append(
                tr("clipping: {share:.1%} of its samples are cut off at full scale", share=share)
            )
        offset = self.total / self.frames
        if abs(offset) >= _LEAST_OFFSET:
            found.append(
                tr(
                    "DC offset: its mean is {offset:+.3f} of full scale, and should be 0",
                    offset=offset,
                )
            )
        silent = max(0.0, self.silent / rate_hz - gaps_seconds)
        if self.channel_energy and not self.energy:
            pass  # they cancel each other everywhere
        elif silent >= max(_LEAST_SILENT_SECONDS, _LEAST_SILENT_SHARE * seconds):
            found.append(
                tr(
                    "digital silence: {silent:.1f} s of {seconds:.1f} s are nothing but zeros",
                    silent=silent,
                    seconds=seconds,
                )
            )
        elif not self.energy and not gaps_seconds:
            found.append(tr("digital silence: it is nothing but zeros"))
        return tuple(found)


class SoundCheck:
    """Adds up what `SoundSums` tells of a stream, block by block."""

    def __init__(self) -> None:
        self.sums = SoundSums()

    def push(self, block: F32, mono: F32, energy: float) -> None:
        """f32[n, channels], n > 0, what is heard of it, f32[n], and the sum of its squares."""
        before, (n, channels) = self.sums, block.shape
        whole = n // _PIECE_SAMPLES * _PIECE_SAMPLES
        if not energy:
            silent = n
        else:
            pieces = mono[:whole].reshape(-1, _PIECE_SAMPLES)
            energies = np.matmul(pieces[:, None, :], pieces[:, :, None])
            silent = _PIECE_SAMPLES * (len(pieces) - int(np.count_nonzero(energies)))
        clipped, channel_energy = 0, energy
        if channels > 1:
            flat = block.ravel(order="K")  # no copy, whichever way they lie
            channel_energy = float(np.dot(flat, flat))
        if block.max() >= _FULL_SCALE or block.min() <= -_FULL_SCALE:
            for column in block.T:
                # Flat tops: one sample at full scale is a peak.
                is_full = np.abs(column) >= _FULL_SCALE
                clipped = max(clipped, int(np.count_nonzero(is_full[1:] & is_full[:-1])))
        self.sums = SoundSums(
            before.frames + n,
            channels,
            before.energy + energy,
            before.channel_energy + channel_energy,
            before.total + float(mono.sum(dtype=np.float32)),
            before.clipped + clipped,
            before.silent + silent,
        )
