# SPDX-License-Identifier: Apache-2.0
"""The mel scale, for whoever needs a matrix: a leaf, because signal and models both do."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oido.params import FrontEndParams

__all__ = ["mel_matrix", "periodic_hann"]


def periodic_hann(samples: int) -> NDArray[np.float32]:
    """The periodic Hann window, f32[samples]: 0.5 − 0.5 cos(2πn / samples)."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples)).astype(np.float32)


def mel_matrix(
    params: FrontEndParams, bands: int, low_hz: float, high_hz: float
) -> NDArray[np.float64]:
    """Triangular mel weights, f64[fft_bins, bands], HTK's mel scale, no normalisation.

    Triangles are linear in mel (HTK Book, section 5.6), as in TensorFlow's
    `linear_to_mel_weight_matrix`; the bin at 0 Hz has no weight. A .tflite brings its own matrix;
    this one is for weights that come without, and what a model's matrix is checked against.
    """

    def mel(hz: ArrayLike) -> NDArray[np.float64]:
        return np.asarray(1127.0 * np.log1p(np.asarray(hz) / 700.0))

    bins_mel = mel(np.arange(params.fft_bins) * (params.sample_rate_hz / params.fft_samples))
    edges = np.linspace(mel(low_hz), mel(high_hz), bands + 2)
    rising = (bins_mel[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins_mel[:, None]) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0.0, np.minimum(rising, falling))
    weights[0] = 0.0
    return np.asarray(weights)
