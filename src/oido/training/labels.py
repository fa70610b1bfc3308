# SPDX-License-Identifier: Apache-2.0
"""What people write for a label: a class, no event at all, an explicit absence, several classes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from oido.errors import OptionError

__all__ = ["NON_EVENTS", "Meaning", "check_label", "folder_meaning", "meaning_of"]

NON_EVENTS = frozenset({"background", "noise", "other", "silence"})
"""Names, in any case, that say: none of the events is heard here."""

_SEVERAL = re.compile(r",(?!\s)")


class Meaning(NamedTuple):
    """The classes heard, the classes known to be absent, and whether nothing else is heard.

    ``-Dog`` alone says of no other class whether it is heard: complete is False then.
    """

    labels: tuple[str, ...]
    negatives: tuple[str, ...]
    complete: bool


def check_label(label: str, where: str) -> str:
    """The label in its one spelling (no space around it, Unicode NFC, as macOS does not write).

    Raises OptionError, naming ``where`` it stands, for an empty label and for one with a slash or a
    control character: labels become lines of a file and names of folders.
    """
    clean = unicodedata.normalize("NFC", label).strip(" ")
    bad = next((c for c in clean if c == "/" or unicodedata.category(c) in ("Cc", "Zl", "Zp")), "")
    if bad:
        names = {"/": "a slash", "\n": "a newline", "\r": "a newline", "\t": "a tab"}
        what = names.get(bad, "a control character")
        raise OptionError(f"{where}: the label {label!r} has {what} in it; write it without")
    if not clean.strip():
        raise OptionError(
            f"{where}: the label is empty; name a class, or write background for no event"
        )
    return clean


def meaning_of(names: Iterable[str], where: str) -> Meaning:
    """What these names say of one clip together.

    Each is a class, ``-class`` for its absence, or one of `NON_EVENTS`. Raises OptionError for a
    bad label, and for a class said to be both heard and absent.
    """
    labels, negatives = set(), set()
    for name in names:
        text = name.strip(" ")
        if text.startswith("-"):
            negatives.add(check_label(text[1:], where))
        elif check_label(text, where).lower() not in NON_EVENTS:
            labels.add(check_label(text, where))
    if both := sorted(labels & negatives):
        raise OptionError(f"{where}: {both[0]!r} is said to be heard and to be absent")
    return Meaning(tuple(sorted(labels)), tuple(sorted(negatives)), bool(labels) or not negatives)


def folder_meaning(name: str, where: str) -> Meaning:
    """What the name of a folder says: ``A,B`` is two classes, ``Smoke detector, smoke alarm`` one.

    A comma divides only where no space follows it, because labels such as AudioSet's hold commas.
    """
    return meaning_of(_SEVERAL.split(name), where)
