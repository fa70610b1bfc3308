# SPDX-License-Identifier: Apache-2.0
"""From the scores of windows to those of the whole clip."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.params import AGGREGATIONS

__all__ = ["TOP_K", "Aggregator"]

TOP_K = 3
"""Windows that "top-k-mean" averages, for each class its own."""


class Aggregator:
    """Folds the scores of windows, block by block, into one row per clip; memory stays flat.

    Each window has a weight w in (0, 1], the share of it that is not padding, a loudness l, 0 or
    more, and s is its score:

    - "loudness-mean": Σ l·s / Σ l (padding is silent, so l knows of it); "mean" if all is silent;
    - "mean": Σ w·s / Σ w;
    - "max": the largest w·s;
    - "top-k-mean": the mean of the three largest w·s of the class (of all, if there are fewer).

    A clip of a single, padded window has nothing else to go by: its weight counts as 1.
    """

    def __init__(self, aggregation: str = AGGREGATIONS[0]) -> None:
        if aggregation not in AGGREGATIONS:
            raise OptionError(
                f"there is no aggregation {aggregation!r}; choose from {', '.join(AGGREGATIONS)}"
            )
        self._aggregation = aggregation
        self._state: NDArray[np.float64] | None = None
        self._by_loudness: NDArray[np.float64] | float = 0.0
        self._loudness = 0.0
        self._weight = 0.0
        self._windows = 0
        self._only_weight = 1.0

    def push(
        self,
        scores: NDArray[np.float32],
        weights: NDArray[np.float64],
        loudness: NDArray[np.float64],
    ) -> None:
        """Take f32[N, C] scores, f64[N] weights and loudness, in any number of blocks."""
        if self._windows == 0:
            if not weights[0]:
                weights = np.ones_like(weights)  # not one sample, all padding: it is all there is
            self._only_weight = float(weights[0])
        weighted = scores * weights[:, None]  # f64[N, C]
        self._windows += len(scores)
        self._weight += float(weights.sum())
        if self._aggregation == "loudness-mean":
            self._by_loudness = self._by_loudness + loudness @ scores.astype(np.float64)
            self._loudness += float(loudness.sum())
        if self._aggregation in ("loudness-mean", "mean"):
            block = weighted.sum(axis=0)
            self._state = block if self._state is None else self._state + block
        else:
            kept = 1 if self._aggregation == "max" else TOP_K
            if self._state is not None:
                weighted = np.concatenate([self._state, weighted])
            if len(weighted) > kept:
                weighted = np.partition(weighted, len(weighted) - kept, axis=0)[-kept:]
            self._state = weighted

    def flush(self) -> NDArray[np.float32]:
        """The clip's scores, f32[C]. At least one window must have been pushed."""
        assert self._state is not None, "push a window first"
        if self._aggregation == "loudness-mean" and self._loudness:
            scores = np.asarray(self._by_loudness / self._loudness)
        elif self._aggregation in ("loudness-mean", "mean"):
            scores = self._state / self._weight
        else:
            scores = self._state.mean(axis=0)
            if self._windows == 1:
                scores = scores / self._only_weight
        return scores.astype(np.float32)
