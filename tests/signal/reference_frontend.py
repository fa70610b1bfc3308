# SPDX-License-Identifier: Apache-2.0
"""YAMNet's front end a second time, from the published facts alone, in float64.

Sources: tensorflow/models, research/audioset/yamnet (params.py, features.py); the HTK Book, 5.4.
Nothing here is shared with the package.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["log_mel", "mel_weights"]

RATE_HZ, WINDOW, HOP, FFT, BANDS = 16_000, 400, 160, 512, 64
LOW_HZ, HIGH_HZ, LOG_OFFSET = 125.0, 7_500.0, 0.001


def mel(hz: float) -> float:
    return 2595.0 * math.log10(1.0 + hz / 700.0)


def mel_weights() -> NDArray[np.float64]:
    """f64[257, 64]: one triangle a band, its corners equally far apart in mel."""
    low, high = mel(LOW_HZ), mel(HIGH_HZ)
    corners = [low + (high - low) * i / (BANDS + 1) for i in range(BANDS + 2)]
    weights = np.zeros((FFT // 2 + 1, BANDS))
    for k in range(1, FFT // 2 + 1):
        position = mel(k * RATE_HZ / FFT)
        for band in range(BANDS):
            left, centre, right = corners[band : band + 3]
            if left < position <= centre:
                weights[k, band] = (position - left) / (centre - left)
            elif centre < position < right:
                weights[k, band] = (right - position) / (right - centre)
    return weights


def log_mel(waveform: NDArray[np.float32]) -> NDArray[np.float64]:
    """f64[t, 64] of f32[n]: no centring, no padding."""
    window = np.array([0.5 - 0.5 * math.cos(2.0 * math.pi * i / WINDOW) for i in range(WINDOW)])
    count = 1 + (len(waveform) - WINDOW) // HOP
    frames = np.stack([waveform[t * HOP : t * HOP + WINDOW] for t in range(count)])
    magnitude = np.abs(np.fft.rfft(frames.astype(np.float64) * window, FFT))  # f64[t, 257]
    return np.log(magnitude @ mel_weights() + LOG_OFFSET)
