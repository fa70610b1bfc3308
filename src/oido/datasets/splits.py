# SPDX-License-Identifier: Apache-2.0
"""Which clips are trained on, and which are held out: whole source recordings, never parts of one.

Every split is made here. Folds, or train, validation and test, that the data's owner chose are
kept. Else the rarest class is dealt first, its largest recordings first, each to the part that is
furthest from its share (iterative stratification: Sechidis, Tsoumakas and Vlahavas, On the
stratification of multi-label data, 2011; here of groups). Where a class is then missing from a
part, recordings move there, as long as more classes gain by it than lose.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import ArrayLike

from oido.arrays import F32, F64, I64, Bools
from oido.datasets.clip import Clip
from oido.errors import OptionError, needs_extra, require_packages
from oido.messages import tr

_TRAINING = frozenset({"train", "training"})
_VALIDATION = frozenset({"dev", "val", "valid", "validation"})
_TEST = frozenset({"eval", "evaluation", "test", "testing"})


def is_part(name: str) -> bool:
    """Is this, in any case, a name for training, validation or test data?"""
    return name.lower() in _TRAINING | _VALIDATION | _TEST


def test_parts(folds: Iterable[str | None]) -> frozenset[str]:
    """Of these names, those that mean: not to be trained on.

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
    """The names of these folds, numbers by their size and before words; none if just one."""
    names = {fold for fold in folds if fold is not None}
    ordered = sorted(names, key=lambda n: (not n.isdecimal(), int(n) if n.isdecimal() else 0, n))
    return ordered if len(ordered) > 1 else []


_FREE = -1


def spread(counts: I64, shares: Sequence[float], seed: int, fixed: I64) -> I64:
    """The part, 0 to K - 1, of each of G units.

    counts: i64[G, C], clips of each class in each unit; a unit may have several. shares: of K
    parts, adding up to 1. fixed: i64[G], the parts of units that have theirs, else -1.

    If no unit has two classes, each class of n units stands in min(n, K) parts; and in as many as
    moves of single units can reach, otherwise. No part is empty while there are K units.
    """
    return _Deal(counts, np.asarray(shares, np.float64), seed, fixed).parts()


class _Deal:
    def __init__(self, counts: I64, shares: F64, seed: int, fixed: I64) -> None:
        # The last column stands for any class: no part may be empty, and sizes should be right.
        self._counts = np.hstack([counts, counts.sum(1, keepdims=True)])
        self._has = self._counts > 0
        self._parts = np.full(len(counts), _FREE, np.int64)
        self._fixed = fixed
        self._need = shares[:, None] * self._counts.sum(0)  # f64[K, C + 1]: clips still missing
        self._units = np.zeros(self._need.shape, np.int64)  # i64[K, C + 1]: units there
        self._wanted = np.minimum(self._has.sum(0), len(shares))  # parts a class can stand in
        draw = random.Random(seed)
        self._order = np.array(draw.sample(range(len(counts)), len(counts)))
        self._part_order = draw.sample(range(len(shares)), len(shares))

    def parts(self) -> I64:
        for number, part in enumerate(self._fixed.tolist()):
            if part != _FREE:
                self._assign(number, part)
        total = self._has.sum(0)
        while (free := self._parts == _FREE).any():
            waiting = (total - self._units.sum(0)).tolist()  # units of each class
            rarest = min((count, c) for c, count in enumerate(waiting) if count)[1]
            units = self._in_order(free & self._has[:, rarest])
            units.sort(key=lambda u: -int(self._counts[u, rarest]))
            for unit in units:
                self._assign(unit, self._best_part(rarest))
        while self._repair():
            pass
        return self._parts

    def _in_order(self, chosen: Bools) -> list[int]:
        """The units of a mask, bool[G], in the order of the seed."""
        ordered: list[int] = self._order[chosen[self._order]].tolist()
        return ordered

    def _best_part(self, column: int) -> int:
        """The part that lacks most clips of a class, and among equals most clips at all."""
        need = np.round(self._need[:, [column, -1]], 6)
        return max(self._part_order, key=lambda p: (need[p, 0], need[p, 1]))

    def _assign(self, unit: int, part: int) -> None:
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
            movable = self._has[:, column] & (self._parts != part) & (self._fixed == _FREE)
            if self._move(self._in_order(movable), part):
                return True
        return False

    def _move(self, units: list[int], part: int) -> bool:
        gains = [(self._gain(u, part), -self._counts[u, -1]) for u in units]
        best = max(range(len(units)), key=lambda i: gains[i], default=None)
        if best is None or gains[best][0] <= 0:
            return False
        self._assign(units[best], part)
        return True

    def _gain(self, unit: int, part: int) -> int:
        """How many more (class, part) pairs there would be, if the unit went to that part."""
        won = self._units[part] == 0
        lost = self._units[self._parts[unit]] == 1
        return int(np.sum(self._has[unit] & won)) - int(np.sum(self._has[unit] & lost))


def test_mask(clips: Sequence[Clip], test: float, seed: int) -> Bools:
    """bool[N]: the clips that are held out.

    The data's own test parts; else about the share ``test`` of them, whole groups, and whole
    folds of the data's own. Raises OptionError if nothing can be held out.
    """
    if not 0.0 < test < 1.0:
        raise OptionError(
            tr("test is the share to hold out, between 0 and 1, not {test:g}", test=test)
        )
    folds = _folds_of_groups(clips)
    if names := test_parts(folds):
        return np.array([fold in names for fold in folds])
    whole_folds = bool(fold_names(folds))
    units = [
        fold if whole_folds and fold is not None else "\0" + clip.group
        for clip, fold in zip(clips, folds)
    ]
    _require_two_units_of_a_class(clips, units)
    fixed = dict.fromkeys(_lone_units(clips, units), 0)
    return np.asarray(_spread(clips, units, [1.0 - test, test], seed, fixed) == 1)


def fold_numbers(
    clips: Sequence[Clip], k: int | None, seed: int, keep_predefined: bool
) -> tuple[I64, int]:
    """i64[N] and how many: the fold in which each clip is held out.

    The data's own folds are kept, and clips that have none go to those; else whole groups are
    dealt to k folds (5 if None). Raises OptionError if there are fewer groups than folds.
    """
    folds: list[str | None] = _folds_of_groups(clips) if keep_predefined else [None] * len(clips)
    names = fold_names(folds)
    if names and k not in (None, len(names)):
        raise OptionError(
            tr(
                "the data come with {n_names} folds of their own, so there cannot be "
                "{k}; leave k out to use them, or make new ones with "
                "keep_predefined=False",
                n_names=len(names),
                k=k,
            )
        )
    k = len(names) or (5 if k is None else k)
    if k < 2:
        raise OptionError(tr("k must be 2 or more, not {k}", k=k))
    units = [
        clip.group if fold is None or not names else f"{clip.group}\0{fold}"
        for clip, fold in zip(clips, folds)
    ]
    fixed = {u: names.index(f) for u, f in zip(units, folds) if f is not None and names}
    if (found := len(set(units))) < k:
        raise OptionError(
            tr(
                "{k} folds need {k} source recordings, and there are {found}; add "
                "recordings, or ask for fewer folds",
                k=k,
                found=found,
            )
        )
    _require_two_units_of_a_class(clips, units)
    return _spread(clips, units, [1.0 / k] * k, seed, fixed), k


def folds_to_judge_by(clips: Sequence[Clip], seed: int) -> I64:
    """i64[N]: the fold in which each clip is held out, where all clips are to be judged.

    Folds of the data's own are kept, but train and test parts are not: they are one split. Else
    there are five, or as many as groups. Raises OptionError.
    """
    groups = len({clip.group for clip in clips})
    if groups < 2:
        raise OptionError(
            tr(
                "all clips are of one recording, and none could be held out to judge "
                "by; add recordings"
            )
        )
    names = [clip.fold for clip in clips]
    keep = bool(fold_names(names)) and not test_parts(names)
    return fold_numbers(clips, None if keep else min(5, groups), seed, keep)[0]


def group_numbers(groups: ArrayLike) -> I64:
    """i64[N]: the group of each row by number, 0 to G - 1 in the order of names that compare."""
    return np.asarray(np.unique(np.asarray(groups), return_inverse=True)[1], np.int64)


_TRAINING_EXTRA = tr("training needs scikit-learn; run: pip install 'oido[train]'")


def require_training_extra() -> None:
    """Raise MissingExtraError without what ``oido[train]`` installs."""
    require_packages(_TRAINING_EXTRA, "sklearn")


def training_extra() -> AbstractContextManager[None]:
    """Around an import of what ``oido[train]`` installs, whose lack is a MissingExtraError."""
    return needs_extra(_TRAINING_EXTRA)


def stratified_folds(labels: I64, groups: I64, count: int, seed: int) -> I64:
    """i64[K]: a fold 0..count−1 for each row, groups whole, each fold with its share of labels.

    scikit-learn's StratifiedGroupKFold. Raises MissingExtraError without it.
    """
    with training_extra():
        from sklearn.model_selection import StratifiedGroupKFold
    folds = np.zeros(len(labels), np.int64)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    for number, (_, test) in enumerate(splitter.split(labels, labels, groups)):
        folds[test] = number
    return folds


def hold_out_groups(targets: F32, groups: I64, share: float, seed: int) -> Bools:
    """bool[K]: about this share of the groups of each class, and one at least.

    targets: f32[K, C], above 0 for the classes of a row. A class of a single group has none held
    out, and no class loses all that it has. Raises OptionError if nothing can be held out.
    """
    if not 0.0 < share < 1.0:
        raise OptionError(
            tr("the share to hold out is between 0 and 1, not {share:g}", share=share)
        )
    index = group_numbers(groups)
    count = int(index.max()) + 1
    has = np.zeros((count, targets.shape[1]), bool)
    np.logical_or.at(has, index, np.nan_to_num(targets) > 0)
    held = np.zeros(count, bool)
    order = np.random.default_rng(seed).permutation(count)
    for column in np.argsort(has.sum(axis=0), kind="stable"):
        of_class = order[has[order, column]]
        missing = max(1, round(share * len(of_class))) - np.count_nonzero(held[of_class])
        for group in of_class[~held[of_class]]:
            left = has[~held].sum(axis=0) - has[group]
            if missing > 0 and (left[has[group]] > 0).all():
                held[group] = True
                missing -= 1
    if not held.any():
        raise OptionError(
            tr(
                "nothing can be held out to tell when to stop, because no class has "
                "two source recordings; add recordings, or give validation clips"
            )
        )
    return np.asarray(held[index])


def leaking_groups(clips: Sequence[Clip]) -> list[str]:
    """Groups whose clips are in more than one fold."""
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
    clips: Sequence[Clip], units: list[str], shares: list[float], seed: int, fixed: dict[str, int]
) -> I64:
    """i64[N]: the part of each clip's unit, whatever the order of the clips."""
    keys = {unit: number for number, unit in enumerate(sorted(set(units)))}
    columns = {c: n for n, c in enumerate(sorted({c for clip in clips for c in _columns(clip)}))}
    counts = np.zeros((len(keys), len(columns)), np.int64)
    for clip, unit in zip(clips, units):
        for column in _columns(clip):
            counts[keys[unit], columns[column]] += 1
    of_unit = np.array([fixed.get(unit, _FREE) for unit in keys], np.int64)
    return spread(counts, shares, seed, of_unit)[[keys[unit] for unit in units]]


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
            tr(
                "nothing can be held out, because no class has two source "
                "recordings; add recordings of {of_class}",
                of_class=", ".join(map(repr, sorted(of_class)[:5])) or tr("a class"),
            )
        )
