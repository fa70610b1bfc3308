# SPDX-License-Identifier: Apache-2.0
"""AudioSet's tree of classes: what is above and below a label.

The tree is the AudioSet ontology, CC BY-SA 4.0, research.google.com/audioset/ontology, restricted
to its 527 classes and to the groups above them that have no class ("Human sounds", "Natural
sounds"…); ``data/audioset_tree.csv`` keeps that licence. It has seven roots, and 36 of its classes
have several parents: a hiss may come from a cat, a snake or steam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32
from oido.models.labels import label_indices, label_named, read_table

_BLOCK = 512
"""Windows that are rolled up at a time: a block stays in the processor's cache."""


def ancestors(label: str) -> tuple[str, ...]:
    """The classes and groups above a class or group, nearest first, each once.

    Upper and lower case do not matter. A label that AudioSet does not have stands alone: ().
    """
    parents = _parents()
    found: dict[str, None] = {}
    level = parents.get(label.casefold(), ())
    while level:
        found.update(dict.fromkeys(level))
        above = (p for name in level for p in parents[name.casefold()])
        level = tuple(p for p in dict.fromkeys(above) if p not in found)
    return tuple(found)


def parents(label: str) -> tuple[str, ...]:
    """The classes and groups right above a class or group; () likewise."""
    return _parents().get(label.casefold(), ())


@lru_cache(maxsize=16)
def columns_above(
    labels: tuple[str, ...], above: Callable[[str], tuple[str, ...]]
) -> tuple[frozenset[int], ...]:
    """Of each label, the columns of what `ancestors` or `parents` puts above it."""
    columns = {label.casefold(): column for column, label in enumerate(labels)}
    return tuple(
        frozenset(columns[n.casefold()] for n in above(label) if n.casefold() in columns)
        for label in labels
    )


def is_group(name: str) -> bool:
    """Whether AudioSet's tree has a class or group of this name, whatever the case."""
    return name.casefold() in _parents()


def descendants(name: str, labels: tuple[str, ...]) -> list[int]:
    """The columns of a class or group and of all below it, ascending.

    Upper and lower case do not matter. Empty if the model has nothing of it.
    """
    return list(_families(labels).get(name.casefold(), ()))


def expand(names: Iterable[str], labels: tuple[str, ...]) -> list[int]:
    """The columns of labels and groups, each with all below it ("Animal", "Human sounds").

    In the order of the names, each column once. Classes may be named in another language
    (`label_named`). Raises UnknownLabelError, which names the nearest labels and groups, for a name
    that the model has nothing of.
    """
    families = _families(labels)
    columns: dict[int, None] = {}
    for name in names:
        if name.casefold() not in families:
            name = label_named(name) or name  # noqa: PLW2901
        if name.casefold() not in families:
            above = dict.fromkeys(a for label in labels for a in ancestors(label))
            label_indices(tuple(dict.fromkeys((*labels, *above))), [name])  # raises
        columns.update(dict.fromkeys(families[name.casefold()]))
    return list(columns)


def rollup(scores: F32, labels: tuple[str, ...]) -> F32:
    """Scores f32[N, C] → f32[N, C]: to each class the highest of its own and its descendants'.

    The maximum and not a sum, because scores are not probabilities: those of "Bark" and "Howl"
    do not add up to that of "Dog". A class with several parents raises them all. Rolling up twice
    changes nothing more.
    """
    rolled = scores.copy()  # f32[N, C]
    larger = _larger_families(labels)
    for start in range(0, len(scores), _BLOCK):
        block = np.ascontiguousarray(scores[start : start + _BLOCK].T)  # f32[C, n]
        for column, family in larger:
            rolled[start : start + _BLOCK, column] = block[family].max(axis=0)
    return rolled


@cache
def _parents() -> dict[str, tuple[str, ...]]:
    """The parents of each class and group, by its folded name."""
    return {
        row["name"].casefold(): tuple(row["parents"].split("|")) if row["parents"] else ()
        for row in read_table("audioset_tree.csv")
    }


@lru_cache(maxsize=16)
def _families(labels: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """The columns of each name with all below it, ascending, by its folded name."""
    families: dict[str, list[int]] = {}
    for column, label in enumerate(labels):
        for name in dict.fromkeys(n.casefold() for n in (label, *ancestors(label))):
            families.setdefault(name, []).append(column)
    return {name: tuple(columns) for name, columns in families.items()}


@lru_cache(maxsize=16)
def _larger_families(labels: tuple[str, ...]) -> tuple[tuple[int, NDArray[np.intp]], ...]:
    """Of each column with others below it: the column, and its family, intp[k]."""
    families = _families(labels)
    all_families = ((column, families[label.casefold()]) for column, label in enumerate(labels))
    return tuple((c, np.array(family, np.intp)) for c, family in all_families if len(family) > 1)
