# SPDX-License-Identifier: Apache-2.0
"""How loud each window is, for the weight that it has in the whole recording."""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import NDArray

__all__ = ["window_loudness"]

_EXPONENT = 0.3
"""Loudness is about intensity to the power of 0.3 (S. S. Stevens, "The measurement of loudness",
Journal of the Acoustical Society of America 27, 1955)."""


def window_loudness(
    waveform: NDArray[np.float32], window_samples: int, hop_samples: int
) -> NDArray[np.float64]:
    """(mean of x²)^0.3 of each window of f32[(N − 1) · hop + window]: f64[N], 0 for silence.

    Each is computed from its own window alone, so that it does not depend on what stands beside it.
    """
    piece = gcd(window_samples, hop_samples)
    squares = np.square(waveform.reshape(-1, piece), dtype=np.float64)
    energies = squares.sum(axis=1)  # f64[pieces]
    windows = np.lib.stride_tricks.sliding_window_view(energies, window_samples // piece)
    sums = windows[:: hop_samples // piece].sum(axis=1)
    return np.asarray((sums / window_samples) ** _EXPONENT)
