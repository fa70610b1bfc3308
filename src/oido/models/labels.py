# SPDX-License-Identifier: Apache-2.0
"""A model's labels: found by name, and shown in the reader's language.

The labels are the names of AudioSet's 527 classes (Google Inc., CC BY 4.0,
research.google.com/audioset); their Spanish names are oido's own. YAMNet has 521 of the classes.
"""

from __future__ import annotations

import csv
import difflib
import os
import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib import resources

from oido.dialects import decode_text, split_lines
from oido.errors import OptionError, UnknownLabelError
from oido.messages import MarkedText, tr

_FEW = 10
"""Labels that a message can list."""


def label_indices(
    labels: tuple[str, ...], wanted: Iterable[str], others: tuple[str, ...] = ()
) -> list[int]:
    """The columns of these labels, in whatever language they can be shown (`label_named`).

    An exact match, or else one that differs in upper and lower case or accents only; of labels of
    two names either will do. others: what the same labels are called in a file of the user's
    (`labels_from`). Raises UnknownLabelError naming the nearest labels, or OptionError for a text.
    """
    if isinstance(wanted, str):
        raise OptionError(tr("labels is a list of labels, such as {example}", example=[wanted]))
    index = {label: i for i, label in reversed(list(enumerate(labels)))}
    spelt: list[dict[str, int]] = []
    found = []
    for name in wanted:
        position = index.get(name)
        if position is None:
            spelt = spelt or _spellings(labels, others)
            position = _alike(name, index, spelt)
        if position is None:
            near = ", ".join(map(repr, nearest_shown(name, (*labels, *_shown(others)))))
            if near:
                hint = tr("the nearest are: {near}", near=near)
            elif len(labels) <= _FEW:
                hint = tr("it has {labels}", labels=", ".join(map(repr, labels)))
            else:
                hint = tr("see `oido models info --labels`")
            raise UnknownLabelError(
                tr("the model has no label {name!r}; {hint}", name=name, hint=hint)
            )
        found.append(position)
    return found


def _spellings(labels: tuple[str, ...], others: tuple[str, ...]) -> list[dict[str, int]]:
    """Columns by labels without case, and without accents too; of two names, by either."""
    own = list(enumerate(labels))
    for each in (labels, others):
        own += list(enumerate(each))
        for which in (0, 1):
            own += [(i, names[which]) for i, names in enumerate(two_names(each))]
        own += list(enumerate(_shown(each)))
    return [{spell(name): i for i, name in reversed(own)} for spell in (str.casefold, fold)]


def _alike(name: str, index: dict[str, int], spelt: list[dict[str, int]]) -> int | None:
    """The column of a label that is meant by a name that is none."""
    for spell, columns in zip((str.casefold, fold), spelt):
        if (position := columns.get(spell(name))) is not None:
            return position
    return index.get(label_named(name) or name)


_MOST_BYTES = 1 << 24

_LATIN_AND_COMMON = re.compile(r"[A-Z][a-z-]+(?: [a-z-]+){1,2}_[^_\s][^_]*")


@lru_cache(maxsize=8)
def two_names(labels: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The Latin and the common name of each label ("Corvus corax_Common Raven"), or ().

    Most labels of such a list begin with a species in Latin; others (Dog_Dog, Noise) go with them.
    """
    if 2 * sum(_LATIN_AND_COMMON.fullmatch(label) is not None for label in labels) <= len(labels):
        return ()
    names = (label.partition("_") for label in labels)
    return tuple((latin, common or latin) for latin, _, common in names)


def _shown(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Of labels of two names both, "Common Raven (Corvus corax)"; others as they are."""
    if names := two_names(labels):
        return tuple(
            common if common == latin else f"{common} ({latin})" for latin, common in names
        )
    return labels


def labels_from(path: str | os.PathLike[str], labels: tuple[str, ...]) -> tuple[str, ...]:
    """A file with what a model's labels are called in another language, one a line in their order.

    Of labels of two names each line is Latin_Common, as in BirdNET's own files, and the Latin names
    must be the model's. Raises OptionError for a file that is not of these labels.
    """
    try:
        with open(path, "rb") as file:
            lines = split_lines(decode_text(file.read(_MOST_BYTES)))
    except OSError as error:
        raise OptionError(
            tr("--labels-file {path}: cannot be read ({reason})", path=path, reason=error.strerror)
        ) from error
    found = tuple(line.strip() for line in lines if line.strip())
    if len(found) != len(labels):
        raise OptionError(
            tr(
                "--labels-file {path} has {n_found:,} labels and the model "
                "{n_labels:,}: it must have one a line, in the model's order (oido "
                "models info --labels)",
                path=path,
                n_found=len(found),
                n_labels=len(labels),
            )
        )
    for number, ((latin, _), line) in enumerate(zip(two_names(labels), found), start=1):
        if fold(line.partition("_")[0]) != fold(latin):
            raise OptionError(
                tr(
                    "--labels-file {path}: label {number} is {line!r}, and the "
                    "model's is {latin!r}; it must be of this model, in its order, "
                    "as Latin_Common",
                    path=path,
                    number=number,
                    line=line,
                    latin=latin,
                )
            )
    if two_names(labels) and not two_names(found):
        raise OptionError(
            tr(
                "--labels-file {path} has Latin names only; each line must be Latin_Common",
                path=path,
            )
        )
    return found


def shown_labels(
    labels: tuple[str, ...], locale: str, others: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """What is written for each label: `display_names`, or what a file calls it (`labels_from`)."""
    names = display_names(labels, locale)
    return _shown(others) if others else names


def label_named(name: str) -> str | None:
    """AudioSet's label that a name in any of ``LOCALES`` stands for, or None.

    Upper and lower case, accents and spaces at the ends do not matter.
    """
    return _every_name().get(fold(name))


def is_same(name: str, other: str) -> bool:
    """Whether two names stand for one label, in whatever languages they are written."""
    return label_key(name) == label_key(other)


def label_key(name: str) -> str:
    """What names of one label have in common, in whatever languages and case they are written."""
    return label_named(name) or fold(name)


def fold(name: str) -> str:
    """A name as it is compared: without case, accents and spaces at its ends."""
    plain = unicodedata.normalize("NFKD", name.strip().casefold())
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def nearest_shown(name: str, labels: Iterable[str]) -> list[str]:
    """The `nearest` of the labels, or of what they are called elsewhere, if that is more alike."""
    own = tuple(labels)
    found = nearest(name, own, likeness=0.5)
    others: list[str] = []
    for language in LOCALES[1:]:
        others += nearest(name, _translated(own, language), likeness=0.5)

    def likeness(near: str) -> float:
        return difflib.SequenceMatcher(None, fold(name), fold(near)).ratio()

    if max(map(likeness, others), default=0.0) <= max(map(likeness, found), default=0.0):
        return found
    return sorted(dict.fromkeys([*found, *others]), key=likeness, reverse=True)[:3]


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
    no translation, as those of custom models, stays as it is; of two names (`two_names`) both are
    shown, "Common Raven (Corvus corax)". Raises OptionError for a language
    that is not in ``LOCALES``.
    """
    language = re.split(r"[-_.@]", locale, maxsplit=1)[0].strip().lower()
    if language not in LOCALES:
        raise OptionError(
            tr(
                "there are no display names for locale {locale!r}; choose from {locales}",
                locale=locale,
                locales=", ".join(LOCALES),
            )
        )
    if language == "en" or two_names(labels):
        return _shown(labels)
    translated = _names(language)
    return tuple(translated.get(label, label) for label in labels)


class _Label(MarkedText):
    """Translated by the tables of labels, not by the catalogue."""

    def in_language(self, locale: str) -> str:
        """What it is called there, if there are names of labels in that language."""
        return display_names((str(self),), locale)[0] if locale in LOCALES[1:] else str(self)


def label_text(label: str) -> str:
    """A label as a text for people, or a part of one: shown by its name in their language."""
    made = _Label(label)
    made.msgid, made.parts, made.changes = label, None, ()
    return made


def _translated(labels: tuple[str, ...], language: str) -> tuple[str, ...]:
    """What those of the labels are called that have another name in a language."""
    names = _names(language)
    return tuple(names[label] for label in labels if label in names)


@cache
def _every_name() -> dict[str, str]:
    """AudioSet's labels by what they are called, folded; their own names go first."""
    named: dict[str, str] = {}
    for language in LOCALES[1:]:
        named |= {fold(shown): label for label, shown in _names(language).items()}
    return named | {fold(label): label for label in audioset_labels()}


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


def audioset_strong_labels() -> tuple[str, ...]:
    """The 447 classes of AudioSet's strong labels that its training set has, in alphabetical order:
    other classes than the 527, many of which are among them."""
    return tuple(row["label"] for row in read_table("labels_strong.csv"))
