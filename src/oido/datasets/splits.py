# SPDX-License-Identifier: Apache-2.0
"""Which clips are trained on, and which are held out: whole source recordings, never parts of one.

Folds, or train, validation and test, that the data's owner chose are kept. Else the rarest class is
dealt first, its largest recordings first, each to the part that is furthest from its share
(iterative stratification: Sechidis, Tsoumakas and Vlahavas, On the stratification of multi-label
data, 2011; here of groups). Where a class is then missing from a part, recordings move there, as
long as more classes gain by it than lose.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from oido.datasets.clip import Clip
from oido.errors import OptionError

__all__ = [
    "fold_names",
    "fold_numbers",
    "held_out",
    "is_part",
    "leaking_groups",
    "spread",
    "test_mask",
]

_TRAINING = frozenset({"train", "training"})
_VALIDATION = frozenset({"dev", "val", "valid", "validation"})
_TEST = frozenset({"eval", "evaluation", "test", "testing"})


def is_part(name: str) -> bool:
    """Is this, in any case, a name for training, validation or test data?"""
    return name.lower() in _TRAINING | _VALIDATION | _TEST


def held_out(folds: Iterable[str | None]) -> frozenset[str]:
    """The names, of those given, that mean: not to be trained on.

    Those for test data; for want of them, those for validation. Empty if the names are not all of
    this kind, or nothing else would be left to train on.
    """
    names = {fold for fold in folds if fold is not None}
    if not all(is_part(name) for name in names):
        return frozenset()
    for kind in (_TEST, _VALIDATION):
        chosen = frozenset(name for name in names if name.lower() in kind)
        if chosen and chosen != names:
            return chosen
    return frozenset()


def fold_names(folds: Iterable[str | None]) -> list[str]:
    """The names of given folds, numbers by their size and before words; none if just one."""
    names = {fold for fold in folds if fold is not None}
    ordered = sorted(names, key=lambda n: (not n.isdecimal(), int(n) if n.isdecimal() else 0, n))
    return ordered if len(ordered) > 1 else []


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


def test_mask(clips: Sequence[Clip], test: float, seed: int) -> NDArray[np.bool_]:
    """bool[N]: the clips that are held out.

    Those that their owner gave to the test; else about the share ``test`` of them, whole groups,
    and whole folds where folds are given. Raises OptionError if nothing can be held out.
    """
    if not 0.0 < test < 1.0:
        raise OptionError(f"test is the share to hold out, between 0 and 1, not {test:g}")
    folds = _folds_of_groups(clips)
    if names := held_out(folds):
        return np.array([fold in names for fold in folds])
    whole_folds = bool(fold_names(folds))
    units = [
        fold if whole_folds and fold is not None else "\0" + clip.group
        for clip, fold in zip(clips, folds)
    ]
    _require_two_units_of_a_class(clips, units)
    given = dict.fromkeys(_lone_units(clips, units), 0)
    keys, parts = _spread(clips, units, [1.0 - test, test], seed, given)
    return np.array([parts[keys[unit]] == 1 for unit in units])


def fold_numbers(
    clips: Sequence[Clip], k: int | None, seed: int, keep_predefined: bool
) -> tuple[NDArray[np.int64], int]:
    """i64[N] and how many: the fold in which each clip is held out.

    Given folds are kept, and clips that have none go to those; else whole groups are dealt to k
    folds (5 if None). Raises OptionError if there are fewer groups than folds.
    """
    folds: list[str | None] = _folds_of_groups(clips) if keep_predefined else [None] * len(clips)
    names = fold_names(folds)
    if names and k not in (None, len(names)):
        raise OptionError(
            f"the data come with {len(names)} folds of their own, so there cannot be {k}; leave k "
            f"out to use them, or make new ones with keep_given=False"
        )
    k = len(names) or (5 if k is None else k)
    if k < 2:
        raise OptionError(f"k must be 2 or more, not {k}")
    units = [
        clip.group if fold is None or not names else f"{clip.group}\0{fold}"
        for clip, fold in zip(clips, folds)
    ]
    given = {u: names.index(f) for u, f in zip(units, folds) if f is not None and names}
    if (found := len(set(units))) < k:
        raise OptionError(
            f"{k} folds need {k} source recordings, and there are {found}; add recordings, or ask "
            f"for fewer folds"
        )
    _require_two_units_of_a_class(clips, units)
    keys, parts = _spread(clips, units, [1.0 / k] * k, seed, given)
    return np.array([parts[keys[unit]] for unit in units]), k


def leaking_groups(clips: Sequence[Clip]) -> list[str]:
    """Groups whose clips were given to more than one fold."""
    folds: dict[str, set[str]] = {}
    for clip in clips:
        if clip.fold is not None:
            folds.setdefault(clip.group, set()).add(clip.fold)
    return sorted(group for group, names in folds.items() if len(names) > 1)


def _folds_of_groups(clips: Sequence[Clip]) -> list[str | None]:
    """The fold of each clip: its own, or else that of its group."""
    of_group: dict[str, str] = {}
    for clip in clips:
        if clip.fold is not None:
            of_group[clip.group] = min(clip.fold, of_group.get(clip.group, clip.fold))
    return [of_group.get(c.group) if c.fold is None else c.fold for c in clips]


def _columns(clip: Clip) -> list[str]:
    """What a clip counts for: its classes, the absence of classes, or no event at all."""
    return [*clip.labels, *(f"-{label}" for label in clip.negatives)] or [""]


def _spread(
    clips: Sequence[Clip],
    units: list[str],
    shares: list[float],
    seed: int,
    given: dict[str, int],
) -> tuple[dict[str, int], NDArray[np.int64]]:
    """Each unit's number, and the part of each number; whatever the order of the clips."""
    keys = {unit: number for number, unit in enumerate(sorted(set(units)))}
    columns = {c: n for n, c in enumerate(sorted({c for clip in clips for c in _columns(clip)}))}
    counts = np.zeros((len(keys), len(columns)), np.int64)
    for clip, unit in zip(clips, units):
        for column in _columns(clip):
            counts[keys[unit], columns[column]] += 1
    fixed = np.array([given.get(unit, -1) for unit in keys], np.int64)
    return keys, spread(counts, shares, seed, fixed)


def _units_of_classes(clips: Sequence[Clip], units: list[str]) -> dict[str, set[str]]:
    of_class: dict[str, set[str]] = {}
    for clip, unit in zip(clips, units):
        for label in clip.labels:
            of_class.setdefault(label, set()).add(unit)
    return of_class


def _lone_units(clips: Sequence[Clip], units: list[str]) -> set[str]:
    """Units that hold all there is of a class, and no other: they can only be trained on."""
    of_class = _units_of_classes(clips, units)
    shared: set[str] = set().union(*(found for found in of_class.values() if len(found) > 1))
    return set().union(*(found for found in of_class.values() if len(found) == 1)) - shared


def _require_two_units_of_a_class(clips: Sequence[Clip], units: list[str]) -> None:
    of_class = _units_of_classes(clips, units)
    if not of_class or max(len(found) for found in of_class.values()) < 2:
        raise OptionError(
            "nothing can be held out, because no class has two source recordings; add recordings "
            f"of {', '.join(map(repr, sorted(of_class)[:5])) or 'a class'}"
        )
