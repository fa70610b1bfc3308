# SPDX-License-Identifier: Apache-2.0
"""The mel scale, and matrices on it: a leaf, because signal and models both do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oido.arrays import F32, F64
from oido.params import FixedPointParams, FrontEndParams, MnFrontEndParams


def periodic_hann(samples: int) -> F32:
    """The periodic Hann window, f32[samples]: 0.5 − 0.5 cos(2πn / samples)."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(samples) / samples)).astype(np.float32)


def symmetric_hann(samples: int) -> F64:
    """The symmetric Hann window, f64[samples]: 0.5 − 0.5 cos(2πn / (samples − 1))."""
    return np.asarray(0.5 - 0.5 * np.cos(np.arange(samples) * (2.0 * np.pi / (samples - 1))))


def mel_matrix(params: FrontEndParams, bands: int, low_hz: float, high_hz: float) -> F64:
    """Triangular mel weights, f64[fft_bins, bands], HTK's mel scale, no normalisation.

    Triangles are linear in mel (HTK Book, section 5.6), as in TensorFlow's
    `linear_to_mel_weight_matrix`; the bin at 0 Hz has no weight. A .tflite brings its own matrix;
    this one is for weights that come without, and what a model's matrix is checked against.
    """

    bins_hz = np.arange(params.fft_bins) * (params.sample_rate_hz / params.fft_samples)
    weights = _triangles(bins_hz, bands, low_hz, high_hz)
    weights[0] = 0.0
    return weights


def student_mel_matrix(params: FixedPointParams) -> F64:
    """The same triangles for the front end of students, f64[fft / 2 + 1, bands]."""
    bins = np.arange(params.fft_samples // 2 + 1)
    bins_hz = bins * (params.sample_rate_hz / params.fft_samples)
    return _triangles(bins_hz, params.bands, params.low_hz, params.high_hz)


def kaldi_mel_matrix(params: MnFrontEndParams) -> F64:
    """Triangular mel weights f64[bins, bands], as torchaudio's `get_mel_banks` without warping.

    The bin at half the rate has no weight.
    """
    bins_hz = np.arange(params.fft_samples // 2) * (params.sample_rate_hz / params.fft_samples)
    weights = _triangles(bins_hz, params.bands, params.low_hz, params.high_hz)
    return np.concatenate([weights, np.zeros((1, params.bands))])


def hertz_mel_matrix(bins_hz: F64, bands: int, low_hz: float, high_hz: float) -> F64:
    """Triangular mel weights f64[bins, bands] whose sides are linear in Hz, not in mel.

    Edges are evenly spaced on HTK's mel scale; as torchaudio's `melscale_fbanks` without
    normalisation makes them.
    """
    edges = 700.0 * np.expm1(np.linspace(_mel(low_hz), _mel(high_hz), bands + 2) / 1127.0)
    rising = (bins_hz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins_hz[:, None]) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)))


def _triangles(
    bins_hz: NDArray[np.floating[Any]], bands: int, low_hz: float, high_hz: float
) -> F64:
    """f64[bins, bands]; mel = 1127 ln(1 + f / 700), edges evenly spaced, sides linear in mel."""
    bins_mel = _mel(bins_hz)
    edges = np.linspace(_mel(low_hz), _mel(high_hz), bands + 2)
    rising = (bins_mel[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins_mel[:, None]) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(rising, falling)))


def _mel(hz: ArrayLike) -> F64:
    return np.asarray(1127.0 * np.log1p(np.asarray(hz) / 700.0))
