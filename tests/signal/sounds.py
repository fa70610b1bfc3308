# SPDX-License-Identifier: Apache-2.0
"""Known signals, and how to tell them again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.signal.decode import AudioReader

__all__ = ["channel_sines", "dominant_hz", "noise", "read_all", "sine", "stack"]


def sine(hz: float, rate_hz: int, n_samples: int, amplitude: float = 0.5) -> NDArray[np.float64]:
    """f64[n]"""
    return amplitude * np.sin(2.0 * np.pi * hz * np.arange(n_samples) / rate_hz)


def channel_sines(rate_hz: int, n_samples: int, channels: int) -> NDArray[np.float64]:
    """f64[n, channels]: 440 Hz in every channel, each at its own level, 0.5 in the first."""
    levels = 1.0 / (1.0 + np.arange(channels))
    return sine(440.0, rate_hz, n_samples)[:, None] * levels


def noise(n_samples: int, seed: int = 0, level: float = 0.1) -> NDArray[np.float32]:
    """f32[n], white."""
    return (np.random.default_rng(seed).standard_normal(n_samples) * level).astype(np.float32)


def dominant_hz(samples: NDArray[Any], rate_hz: int) -> float:
    """The strongest frequency of f[n], to a fraction of a bin."""
    windowed = samples * np.hanning(len(samples))
    size = 4 * len(samples)
    spectrum = np.abs(np.fft.rfft(windowed, size))
    return float(np.argmax(spectrum)) * rate_hz / size


def read_all(reader: AudioReader) -> NDArray[np.float32]:
    """Everything, f32[n, channels]; the reader is closed."""
    with reader:
        return stack(reader.blocks(), reader.info.channels)


def stack(blocks: Iterable[NDArray[np.float32]], channels: int) -> NDArray[np.float32]:
    return np.concatenate([np.zeros((0, channels), np.float32), *blocks])
