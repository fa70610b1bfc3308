# SPDX-License-Identifier: Apache-2.0
"""Labels that a filter names, and that nothing has."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from oido.errors import UnknownLabelError
from oido.models.display import audioset_labels, display_names

__all__ = ["check_labels", "require_label"]

_TEXT = r"'(?:[^']|'')*'"
_NAMED = re.compile(rf"\blabel\s*(?:=|in\s*\()\s*({_TEXT}(?:\s*,\s*{_TEXT})*)", re.IGNORECASE)


def check_labels(where: str, known: Sequence[str]) -> None:
    """Raise UnknownLabelError, naming the nearest, if a filter asks for a label that cannot be.

    where: SQL; what it compares with ``label`` is looked at. known: the labels of the results.
    AudioSet's labels may be missing from the results, because none was heard.
    """
    for found in _NAMED.finditer(where):
        for text in re.findall(_TEXT, found[1]):
            require_label(text[1:-1].replace("''", "'"), known)


def require_label(name: str, known: Sequence[str]) -> None:
    """The same for one name."""
    audioset = audioset_labels()
    possible = dict.fromkeys((*known, *audioset, *display_names(audioset, "es")))
    if name not in possible:
        near = _nearest(name, known) or _nearest(name, possible)
        told = f"; the nearest are: {', '.join(map(repr, near))}" if near else ""
        raise UnknownLabelError(f"nothing in these results has the label {name!r}{told}")


def _nearest(name: str, labels: Iterable[str]) -> list[str]:
    spelling = {label.casefold(): label for label in labels}
    close = difflib.get_close_matches(name.casefold(), list(spelling), n=3, cutoff=0.6)
    return [spelling[folded] for folded in close]
