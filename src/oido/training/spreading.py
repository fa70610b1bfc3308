# SPDX-License-Identifier: Apache-2.0
"""Dealing whole recordings out to parts, so that every class is where it should be.

The rarest class is dealt first, its largest recordings first, each to the part that is furthest
from its share (iterative stratification: Sechidis, Tsoumakas and Vlahavas, On the stratification of
multi-label data, 2011; here of groups). Where a class is then missing from a part, recordings move
there, as long as more classes gain by it than lose.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["spread"]

_FREE = -1


def spread(
    counts: NDArray[np.int64], shares: Sequence[float], seed: int, given: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The part, 0 to K - 1, of each of G units.

    counts: i64[G, C], clips of each class in each unit; a unit may have several. shares: of K
    parts, adding up to 1. given: i64[G], the parts of units that have theirs, else -1.

    If no unit has two classes, each class of n units stands in min(n, K) parts; and in as many as
    moves of single units can reach, otherwise. No part is empty while there are K units.
    """
    return _Deal(counts, np.asarray(shares, np.float64), seed, given).done()


class _Deal:
    def __init__(
        self,
        counts: NDArray[np.int64],
        shares: NDArray[np.float64],
        seed: int,
        given: NDArray[np.int64],
    ) -> None:
        # The last column stands for any class: no part may be empty, and sizes should be right.
        self._counts = np.hstack([counts, counts.sum(1, keepdims=True)])
        self._has = self._counts > 0
        self._parts = np.full(len(counts), _FREE, np.int64)
        self._given = given
        self._need = shares[:, None] * self._counts.sum(0)  # f64[K, C + 1]: clips still wanted
        self._units = np.zeros(self._need.shape, np.int64)  # i64[K, C + 1]: units there
        self._wanted = np.minimum(self._has.sum(0), len(shares))  # parts a class can stand in
        draw = random.Random(seed)
        self._order = np.array(draw.sample(range(len(counts)), len(counts)))
        self._part_order = draw.sample(range(len(shares)), len(shares))

    def done(self) -> NDArray[np.int64]:
        for number, part in enumerate(self._given.tolist()):
            if part != _FREE:
                self._put(number, part)
        total = self._has.sum(0)
        while (free := self._parts == _FREE).any():
            waiting = (total - self._units.sum(0)).tolist()  # units of each class
            rarest = min((count, c) for c, count in enumerate(waiting) if count)[1]
            units = self._those(free & self._has[:, rarest])
            units.sort(key=lambda u: -int(self._counts[u, rarest]))
            for unit in units:
                self._put(unit, self._best_part(rarest))
        while self._repair():
            pass
        return self._parts

    def _those(self, chosen: NDArray[np.bool_]) -> list[int]:
        """The units of a mask, bool[G], in the order of the seed."""
        ordered: list[int] = self._order[chosen[self._order]].tolist()
        return ordered

    def _best_part(self, column: int) -> int:
        """The part that lacks most clips of a class, and among equals most clips at all."""
        need = np.round(self._need[:, [column, -1]], 6)
        return max(self._part_order, key=lambda p: (need[p, 0], need[p, 1]))

    def _put(self, unit: int, part: int) -> None:
        if (old := self._parts[unit]) != _FREE:
            self._need[old] += self._counts[unit]
            self._units[old] -= self._has[unit]
        self._parts[unit] = part
        self._need[part] -= self._counts[unit]
        self._units[part] += self._has[unit]

    def _repair(self) -> bool:
        """One move that lets more classes stand in more parts, if there is one."""
        lacking = (self._units > 0).sum(0) < self._wanted
        for part, column in np.argwhere((self._units == 0) & lacking).tolist():
            movable = self._has[:, column] & (self._parts != part) & (self._given == _FREE)
            units = self._those(movable)
            if self._move(units, part):
                return True
        return False

    def _move(self, units: list[int], part: int) -> bool:
        gains = [(self._gain(u, part), -self._counts[u, -1]) for u in units]
        best = max(range(len(units)), key=lambda i: gains[i], default=None)
        if best is None or gains[best][0] <= 0:
            return False
        self._put(units[best], part)
        return True

    def _gain(self, unit: int, part: int) -> int:
        """How many more (class, part) pairs there would be, if the unit went to that part."""
        won = self._units[part] == 0
        lost = self._units[self._parts[unit]] == 1
        return int(np.sum(self._has[unit] & won)) - int(np.sum(self._has[unit] & lost))
