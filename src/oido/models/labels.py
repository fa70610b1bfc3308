# SPDX-License-Identifier: Apache-2.0
"""A model's labels, found by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from oido.errors import UnknownLabelError

__all__ = ["label_indices"]


def label_indices(labels: tuple[str, ...], wanted: Iterable[str]) -> list[int]:
    """The columns of these labels.

    An exact match, or else one that differs in upper and lower case only. Raises UnknownLabelError
    naming the nearest labels.
    """
    index = {label: i for i, label in reversed(list(enumerate(labels)))}
    folded = {label.casefold(): i for label, i in index.items()}
    found = []
    for name in wanted:
        position = index.get(name, folded.get(name.casefold()))
        if position is None:
            raise UnknownLabelError(f"the model has no label {name!r}; {_nearest(name, labels)}")
        found.append(position)
    return found


def _nearest(name: str, labels: tuple[str, ...]) -> str:
    folded = name.casefold()
    inside = [label for label in labels if folded and folded in label.casefold()]
    by_spelling = {label.casefold(): label for label in labels}
    similar = difflib.get_close_matches(folded, list(by_spelling), n=3, cutoff=0.5)
    near = list(dict.fromkeys([*inside[:3], *(by_spelling[s] for s in similar)]))[:3]
    return (
        f"the nearest are: {', '.join(map(repr, near))}"
        if near
        else "see `oido models info --labels`"
    )
