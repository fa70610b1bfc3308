# SPDX-License-Identifier: Apache-2.0
"""A network that is none, for testing everything around one: no file, no LiteRT, NumPy only."""

from __future__ import annotations

import numpy as np

from oido.arrays import F32, F64
from oido.runtime.base import Outputs

_SEED = 521
_LOG_OFFSET = 0.001


class FakeRuntime:
    """A Runtime whose outputs are simple functions of each patch, the same on every machine.

    Four numbers are taken of a patch (its mean, its energy, and its slopes in time and in
    frequency), fixed random weights turn them into ``n_classes`` scores and ``embedding_dim``
    coordinates. Only sums and products are used, a row at a time (no BLAS, whose sums depend on
    the batch), so a patch gives the same bits alone and in any batch, at any place.
    """

    def __init__(self, n_classes: int, embedding_dim: int = 16, bands: int = 64) -> None:
        random = np.random.default_rng(_SEED)
        self._bands = bands
        self._score_weights = random.standard_normal((5, n_classes))
        self._embedding_weights = random.standard_normal((5, embedding_dim))

    def project(self, magnitudes: F32) -> F32:
        """Magnitudes f32[t, bins] → f32[t, bands]: ln of the mean of each band's share of bins."""
        edges = np.linspace(0, magnitudes.shape[1], self._bands + 1)
        low = np.floor(edges[:-1]).astype(int)
        high = np.maximum(low + 1, np.ceil(edges[1:]).astype(int))
        rows = np.ascontiguousarray(magnitudes, np.float64)
        bands = [rows[:, a:b].copy().mean(axis=1) for a, b in zip(low, high)]
        return np.log(np.stack(bands, axis=1) + _LOG_OFFSET).astype(np.float32)

    def run(self, patches: F32) -> Outputs:
        """Patches f32[N, frames, bands] → outputs for each, in order."""
        features = np.stack([_features(patch) for patch in patches])  # f64[N, 4]
        scores = _squashed(_projected(features, self._score_weights))
        embeddings = _projected(features, self._embedding_weights)
        return Outputs(scores.astype(np.float32), embeddings.astype(np.float32))


def _features(patch: F32) -> F64:
    """Mean, mean square, slope along frames and slope along bands of f32[frames, bands]: f64[4]."""
    values = np.ascontiguousarray(patch, np.float64)
    in_time = np.linspace(-1.0, 1.0, values.shape[0])[:, None]
    in_frequency = np.linspace(-1.0, 1.0, values.shape[1])
    return np.array(
        [
            values.mean(),
            np.square(values).mean() / 10.0,
            (values * in_time).mean(),
            (values * in_frequency).mean(),
        ]
    )


def _projected(features: F64, weights: F64) -> F64:
    """f64[N, 4] and f64[5, M], the last row a bias → f64[N, M], added in a fixed order."""
    total = np.broadcast_to(weights[4], (len(features), weights.shape[1])).copy()
    for k in range(4):
        total += features[:, k, None] * weights[k]
    return total


def _squashed(x: F64) -> F64:
    """Any number into 0..1, by a sigmoid without exp: the same bits on every machine."""
    return 0.5 + 0.5 * x / (1.0 + np.abs(x))
