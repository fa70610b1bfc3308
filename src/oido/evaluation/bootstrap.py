# SPDX-License-Identifier: Apache-2.0
"""How far chance may have moved a figure: 95 % intervals over source recordings.

Clips of one recording are right or wrong together, so what is drawn again is recordings (the
cluster bootstrap: Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 3.8).
A drawn sample is a weight for each clip, and every figure is a function of weights.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32, F64, I64
from oido.datasets.splits import group_numbers

Numbers = NDArray[Any]
"""Counts, truth values or floats."""

_Z = 1.959963984540054
"""The normal distribution holds 95 % between −z and z."""

_MOST_WEIGHTS = 200_000_000
"""Samples times clips times classes: what a second or two can do."""

_MOST_ROUNDS, _LEAST_ROUNDS = 1_000, 200


class Estimate(NamedTuple):
    """A figure, and the interval that holds the true one in 95 of 100 such data; NaN: not known."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def is_known(self) -> bool:
        return not math.isnan(self.value)

    @property
    def has_interval(self) -> bool:
        return not (math.isnan(self.low) or math.isnan(self.high))


def plain(value: Any) -> Any:
    """A figure for JSON: records are dictionaries, tuples lists, and what is not finite is None."""
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    elif hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Bootstrap:
    """Samples of as many groups as there are, drawn with replacement; the same for every figure.

    groups: i64[K]; classes: of how many the figures are, with many of which there are 200 samples
    instead of 1,000. The same groups and seed give the same samples.
    """

    def __init__(self, groups: I64, classes: int = 1, seed: int = 0) -> None:
        self.groups = group_numbers(groups)
        self.count = int(self.groups.max()) + 1
        rounds = _MOST_WEIGHTS // (len(groups) * classes)
        self.rounds = min(_MOST_ROUNDS, max(_LEAST_ROUNDS, rounds))
        self._seed = seed

    @cached_property
    def weights(self) -> F32:
        """f32[rounds, K]: how often each clip is in each sample."""
        random = np.random.default_rng(self._seed)
        shares = np.full(self.count, 1 / self.count)
        drawn = random.multinomial(self.count, shares, size=self.rounds).astype(np.float32)
        return drawn[:, self.groups]

    def sums(self, values: Numbers) -> F64:
        """f64[rounds, …] of numbers [K, …]: the sum over clips in each sample."""
        return np.asarray(self.weights @ values.astype(np.float32), np.float64)

    def percentiles(self, value: float, samples: F64) -> Estimate:
        """A figure, at most 1, with its 2.5th and 97.5th percentile over samples f64[rounds].

        The samples are moved so that their mean is the figure: a clip that is drawn twice makes
        ranks look better than they are. Without an interval if there is one group only, if the
        figure is undefined in half of the samples, or if it is the same in all: then no error was
        seen, and how often one occurs is unknown.
        """
        found = samples[np.isfinite(samples)]
        if self.count < 2 or len(found) < self.rounds / 2 or math.isnan(value):
            return Estimate(value)
        if found.max() == found.min():
            return Estimate(value)
        low, high = np.quantile(found, (0.025, 0.975)) - found.mean() + value
        floor = 0.0 if found.min() >= 0 else -1.0
        return Estimate(
            value, max(floor, min(float(low), value)), min(1.0, max(float(high), value))
        )

    def share(self, parts: Numbers, wholes: Numbers) -> Estimate:
        """Σ parts / Σ wholes, numbers [K] each, parts among wholes: with Wilson's interval.

        The number that Wilson's formula takes is the effective one (Korn and Graubard 1998): that
        of independent trials with the variance that the samples show. It is at most the number
        counted, and at least that of the groups counted, which it is where all or none are right.
        """
        part, whole = float(parts.sum()), float(wholes.sum())
        if not whole:
            return Estimate(math.nan)
        value = part / whole
        groups = len(np.unique(self.groups[wholes > 0]))
        trials = float(groups)
        if 0 < value < 1 and groups > 1:
            of_samples = self.sums(wholes)
            samples = self.sums(parts)[of_samples > 0] / of_samples[of_samples > 0]
            variance = float(samples.var()) * groups / (groups - 1)
            trials = value * (1 - value) / max(variance, 1e-12)
        trials = min(max(trials, groups), whole)
        return Estimate(value, *wilson(value, trials))


def wilson(share: float, trials: float) -> tuple[float, float]:
    """The 95 % interval of a share, 0..1, found in so many trials (Wilson 1927)."""
    centre = share + _Z**2 / (2 * trials)
    spread = _Z * math.sqrt(share * (1 - share) / trials + (_Z / (2 * trials)) ** 2)
    scale = 1 + _Z**2 / trials
    low, high = (centre - spread) / scale, (centre + spread) / scale
    return max(0.0, min(low, share)), min(1.0, max(high, share))
