# SPDX-License-Identifier: Apache-2.0
"""A model's labels: found by name, and shown in the reader's language.

The labels are the names of AudioSet's 527 classes (Google Inc., CC BY 4.0,
research.google.com/audioset); their Spanish names are oido's own. YAMNet has 521 of the classes.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

from oido.errors import OptionError, UnknownLabelError


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
            near = ", ".join(map(repr, nearest(name, labels, likeness=0.5)))
            hint = f"the nearest are: {near}" if near else "see `oido models info --labels`"
            raise UnknownLabelError(f"the model has no label {name!r}; {hint}")
        found.append(position)
    return found


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> list[str]:
    """Up to three of the known names that this one may stand for, the most likely first.

    First those that it is a part of, then those that are spelt alike, whatever the case; likeness:
    how much of it, 0..1 (difflib's ratio).
    """
    folded, by_spelling = name.casefold(), {each.casefold(): each for each in known}
    inside = [spelling for spelling in by_spelling if folded and folded in spelling]
    similar = difflib.get_close_matches(folded, list(by_spelling), n=3, cutoff=likeness)
    return [by_spelling[spelling] for spelling in dict.fromkeys([*inside[:3], *similar])][:3]


LOCALES = ("en", "es")
"""Languages that labels can be shown in; "en" is the labels themselves."""

_NOT_IN_YAMNET = {
    "Male speech, man speaking",
    "Female speech, woman speaking",
    "Battle cry",
    "Male singing",
    "Female singing",
    "Funny music",
}


def display_names(labels: tuple[str, ...], locale: str) -> tuple[str, ...]:
    """What to show for each label, in the same order.

    Only the language of a locale counts: "es", "es-ES" and "es_MX" are the same. A label that has
    no translation, as those of custom models, stays as it is. Raises OptionError for a language
    that is not in ``LOCALES``.
    """
    language = re.split(r"[-_.@]", locale, maxsplit=1)[0].strip().lower()
    if language not in LOCALES:
        raise OptionError(
            f"there are no display names for locale {locale!r}; choose from {', '.join(LOCALES)}"
        )
    if language == "en":
        return labels
    names = _names(language)
    return tuple(names.get(label, label) for label in labels)


@cache
def _names(language: str) -> dict[str, str]:
    rows = read_table(f"labels_{language}.csv")
    return {row["label"]: row[f"label_{language}"] for row in rows}


def read_table(name: str) -> list[dict[str, str]]:
    """The rows of a CSV that comes with oido, by its header."""
    file = resources.files("oido.models").joinpath("data").joinpath(name)
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


def audioset_labels() -> tuple[str, ...]:
    """The 527 classes in the order of AudioSet's class_labels_indices.csv."""
    return tuple(_names("es"))


def yamnet_labels() -> tuple[str, ...]:
    """The 521 classes of YAMNet, in its order: AudioSet's less six."""
    return tuple(label for label in audioset_labels() if label not in _NOT_IN_YAMNET)
