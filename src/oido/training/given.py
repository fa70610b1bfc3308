# SPDX-License-Identifier: Apache-2.0
"""Parts of the data that its owner gave: numbered folds, or train, validation and test."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["fold_names", "held_out", "is_part"]

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
