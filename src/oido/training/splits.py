# SPDX-License-Identifier: Apache-2.0
"""Which clips are trained on, and which are held out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.training.clip import Clip
from oido.training.given import fold_names, held_out
from oido.training.spreading import spread

__all__ = ["fold_numbers", "leaking_groups", "test_mask"]


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
    clips: Sequence[Clip], k: int | None, seed: int, keep_given: bool
) -> tuple[NDArray[np.int64], int]:
    """i64[N] and how many: the fold in which each clip is held out.

    Given folds are kept, and clips that have none go to those; else whole groups are dealt to k
    folds (5 if None). Raises OptionError if there are fewer groups than folds.
    """
    folds: list[str | None] = _folds_of_groups(clips) if keep_given else [None] * len(clips)
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
