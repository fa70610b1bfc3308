# SPDX-License-Identifier: Apache-2.0
"""From the scores of windows to those of the whole clip."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from oido.arrays import F32, F64, Bools
from oido.errors import OptionError
from oido.messages import tr
from oido.options import AGGREGATIONS

TOP_K = 3
"""Windows that "top-k-mean" averages, for each class its own."""

POWER = 4
"""The exponent of "power-mean": between the mean (1) and the largest (∞)."""

_SMALLEST_SCORE = 1e-30
_LEAST_TELLING = 1e-6


class Aggregator:
    """Folds the scores of windows, block by block, into one row per clip; memory stays flat.

    Each window has a weight w in (0, 1], the share of it that is not padding, a loudness l, 0 or
    more, and s is its score:

    - "loudness-mean": Σ l·s / Σ l (padding is silent, so l knows of it); "mean" if all is silent;
    - "mean": Σ w·s / Σ w;
    - "max": the largest w·s;
    - "top-k-mean": the mean of the three largest w·s of the class (of all, if there are fewer);
    - "confident-mean", for scores that sum to 1, or to less where the rest is quiet:
      exp(Σ w·t·ln s / Σ w·t), made to sum to 1, where t is how much a window tells (`telling`): a
      clip is what it is where one is sure, and background where nothing else is;
    - "power-mean": (Σ w·s⁴ / Σ w)^¼, between the mean and the largest.

    A clip of a single, padded window has nothing else to go by: its weight counts as 1.
    absences: bool[C], the classes that tell of no event; None: no class does.
    """

    def __init__(self, aggregation: str = AGGREGATIONS[0], absences: Bools | None = None) -> None:
        if aggregation not in AGGREGATIONS:
            raise OptionError(
                tr(
                    "there is no aggregation {aggregation!r}; choose from {aggregations}",
                    aggregation=aggregation,
                    aggregations=", ".join(AGGREGATIONS),
                )
            )
        self._way = _WAYS[aggregation](absences)
        self._keeps_single = aggregation != "confident-mean"  # which makes its own sum to 1
        self._windows = 0
        self._first: F32 | None = None

    def push(self, scores: F32, weights: F64, loudness: F64) -> None:
        """Take f32[N, C] scores, f64[N] weights and loudness, in any number of blocks."""
        if self._windows == 0:
            self._first = scores[0].astype(np.float32)
            if not weights[0]:
                weights = np.ones_like(weights)  # not one sample, all padding: it is all there is
        self._windows += len(scores)
        self._way.push(scores.astype(np.float64), weights, loudness)

    def flush(self) -> F32:
        """The clip's scores, f32[C]. At least one window must have been pushed."""
        assert self._first is not None, "push a window first"
        if self._windows == 1 and self._keeps_single:
            return self._first
        return self._way.flush().astype(np.float32)


def confidence(scores: F64) -> F64:
    """How sure a row of scores that sum to 1 is, f64[N]: 1 + Σ s·ln s / ln C; 1 is certain.

    It is 0 where all classes score alike.
    """
    logs = np.log(np.maximum(scores, _SMALLEST_SCORE))
    entropy = (scores * logs).sum(axis=1) / np.log(max(2, scores.shape[1]))
    return np.asarray(np.maximum(1 + entropy, 0))


def telling(scores: F64, absences: Bools | None) -> F64:
    """How much each window, a row of scores that sum to 1 or less, tells of its clip, f64[N]: c²·e.

    c: how sure it is of one class beside others (`confidence`). e: its scores of what is an event:
    between the sounds of a clip is the quiet, which is what lacks to 1, or background, of which a
    window is surer than of any sound.
    """
    sums = scores.sum(axis=1)
    event = sums if absences is None else np.maximum(sums - scores[:, absences].sum(axis=1), 0)
    sure = confidence(scores / np.maximum(sums, _SMALLEST_SCORE)[:, None])
    return np.asarray(sure**2 * event + _LEAST_TELLING)


class _Mean:
    """Σ w·s / Σ w, of scores that one function changes before, and another after."""

    def __init__(
        self,
        before: Callable[[F64, F64], tuple[F64, F64]] = lambda scores, weights: (scores, weights),
        after: Callable[[F64], F64] = lambda scores: scores,
    ) -> None:
        self._before, self._after = before, after
        self._sum: F64 | float = 0.0
        self._weight = 0.0

    def push(self, scores: F64, weights: F64, loudness: F64) -> None:
        scores, weights = self._before(scores, weights)
        self._sum = self._sum + (scores * weights[:, None]).sum(axis=0)
        self._weight += float(weights.sum())

    def flush(self) -> F64:
        return self._after(np.asarray(self._sum / self._weight))


class _LoudnessMean:
    def __init__(self) -> None:
        self._loud, self._plain = _Mean(), _Mean()
        self._silent = True

    def push(self, scores: F64, weights: F64, loudness: F64) -> None:
        self._silent = self._silent and not loudness.any()
        self._loud.push(scores, loudness, loudness)
        self._plain.push(scores, weights, loudness)

    def flush(self) -> F64:
        return self._plain.flush() if self._silent else self._loud.flush()


class _Largest:
    """The mean of the largest few w·s of each class."""

    def __init__(self, kept: int = 1) -> None:
        self._kept = kept
        self._state: F64 | None = None

    def push(self, scores: F64, weights: F64, loudness: F64) -> None:
        weighted = scores * weights[:, None]
        if self._state is not None:
            weighted = np.concatenate([self._state, weighted])
        if len(weighted) > self._kept:
            weighted = np.partition(weighted, len(weighted) - self._kept, axis=0)[-self._kept :]
        self._state = weighted

    def flush(self) -> F64:
        assert self._state is not None
        return np.asarray(self._state.mean(axis=0))


def _confident_mean(absences: Bools | None) -> _Mean:
    def before(scores: F64, weights: F64) -> tuple[F64, F64]:
        logs = np.log(np.maximum(scores, _SMALLEST_SCORE))
        return logs, weights * telling(scores, absences)

    return _Mean(before, _made_one)


def _made_one(logs: F64) -> F64:
    scores = np.exp(logs)
    return np.asarray(scores / max(float(scores.sum()), _SMALLEST_SCORE))


_WAYS: dict[str, Callable[[Bools | None], _Mean | _LoudnessMean | _Largest]] = {
    "loudness-mean": lambda _: _LoudnessMean(),
    "mean": lambda _: _Mean(),
    "max": lambda _: _Largest(),
    "top-k-mean": lambda _: _Largest(TOP_K),
    "confident-mean": _confident_mean,
    "power-mean": lambda _: _Mean(lambda s, w: (s**POWER, w), lambda s: s ** (1 / POWER)),
}
