# SPDX-License-Identifier: Apache-2.0
"""Finds English in what somebody reads in Spanish."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from gettext import NullTranslations
from html import unescape

import pytest

from oido import messages
from oido.models.labels import audioset_labels, display_names

ENGLISH = re.compile(
    r"\b(the|of|and|with|which|that|this|from|for|is|are|was|were|it|its|they|to|by|or|be|been|"
    r"have|not|what|where|when|only|than|each|every|there|one|many|at|on|in|as|an|but|more|"
    r"write|says?|give[ns]?|sounds?|missing|needs?|must|unknown|none|nothing|"
    r"options|heard|hears?)\b",
    re.IGNORECASE,
)
"""Words that no Spanish sentence has, but for those of commands, which are left out before."""


def without_commands(text: str) -> str:
    """A text without what is no language: commands, options, names and values."""
    text = re.sub(r"\b([A-Z]\w+) (?:for|of|and) (?=[A-Z])", r"\1 ", text)  # a name in English
    text = re.sub(r"`[^`]*`|\[ for DURACIÓN\]|for 2s", "", text)
    text = re.sub(
        r"\b(hay|son|columnas):? (\w+, )+\w+|\bmix, each\b", "", text
    )  # names that there are
    text = re.sub(r"^  oido .*?(\s{2,}|$)", "", text, flags=re.MULTILINE)
    text = re.sub(r"^  (cat|python) .*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\([\w,]+\)|\S*\|\S*", "", text)
    text = re.sub(r"\{[^}\s]*\}|\[[^]]*\]|'[^'\n]*'|\"[^\"\n]*\"", "", text)
    return re.sub(r"[\w/.:-]*[/_.=-][\w/.:=-]*|\b[A-Z][A-Z-]+\b|--?[\w-]+", "", text)


def english(text: str) -> list[str]:
    """The lines with English in them."""
    return [line for line in without_commands(text).splitlines() if ENGLISH.search(line)]


def english_in_page(html: str) -> list[str]:
    """The same of an HTML page: of its text, without styles, pictures, code, and lists of facts."""
    left_out = r"<(style|svg|pre|code|dl)\b.*?</\1>|<[^>]*>"
    return english(re.sub(left_out, " ", html, flags=re.DOTALL))


_VEIL = 0xAC00
"""Letters of the catalogue's texts are moved by so much, into those of Korea's alphabet."""

_LETTER = re.compile(r"[^\W\d_]")
_VEILED = re.compile(f"[{chr(_VEIL)}-{chr(_VEIL + 0x24F)}]")


@contextmanager
def veiled_texts() -> Iterator[None]:
    """Texts of the Spanish catalogue are shown in other letters while the block runs.

    Whatever is shown in Latin letters then came past the catalogue: `words_past_the_catalogue`.
    `unveiled` gives the Spanish text.
    """
    known = messages.catalogue("es")

    class Veiled(NullTranslations):
        _catalog = known._catalog  # type: ignore[attr-defined]

        def gettext(self, message: str) -> str:
            return _veiled(known.gettext(message)) if message in self._catalog else message

    veiled = Veiled()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages, "catalogue", lambda locale: veiled)
        yield


def _veiled(text: str) -> str:
    """All letters but those of fields, such as {name!r}."""
    pieces = re.split(r"(\{[^{}]*\})", text)
    return "".join(
        piece if number % 2 else _LETTER.sub(lambda m: chr(ord(m[0]) + _VEIL), piece)
        for number, piece in enumerate(pieces)
    )


def unveiled(text: str) -> str:
    """As it would have been shown."""
    return _VEILED.sub(lambda found: chr(ord(found[0]) - _VEIL), text)


_SPANISH_LABELS = re.compile(
    "|".join(
        rf"(?<!\w){re.escape(shown)}(?!\w)"
        for shown in sorted(display_names(audioset_labels(), "es"), key=len, reverse=True)
    )
)
_CSV = re.compile(r'("[^"]*"|[^,"\s]+)(,("[^"]*"|[^,"\s]*))+')
_NO_WORDS = re.compile(
    r"`[^`]*`|'[^'\n]*'|\"[^\"\n]*\"|"  # what is quoted is somebody's, or to be typed
    r"\S*[._/=@|\\\[\]]\S+|--?[\w-]+|"  # files, addresses, options, names in code
    r"\d+ min\b|"
    r"[\w-]+ +\d+(\.\d+)+\S*|\w+(-\w+)+"  # packages, and their versions
)
_WORD = re.compile(r"(?<![\w-])[A-Za-zÀ-ÿ][a-zà-ÿ]{2,}(?![\w-])")


def words_past_the_catalogue(
    veiled: str, known: Iterable[str] = (), columns: Iterable[str] = ()
) -> list[str]:
    """Lines with words that are in no catalogue: of texts that were shown under `veiled_texts`.

    known: words of the command and its data; columns: as a table's head has them, in a line of
    their own, because conditions name them so. Rows of CSV are for programs.
    """
    names, heads, found = set(known), set(columns), []
    for line in veiled.splitlines():
        if _CSV.fullmatch(line.strip()) or set(line.split()) <= heads:
            continue
        text = _NO_WORDS.sub(" ", _SPANISH_LABELS.sub(" ", line))
        if [word for word in _WORD.findall(text) if word not in names]:
            found.append(unveiled(line))
    return found


def texts_of_page(html: str) -> str:
    """What a page says, a line for each text and each name of a picture."""
    body = re.sub(r"<(style|svg|script|pre|code)\b.*?</\1>", " ", html, flags=re.DOTALL)
    names = re.findall(r'\b(?:alt|title|aria-label|placeholder)="([^"]*)"', body)
    return unescape("\n".join([re.sub(r"<[^>]*>", "\n", body), *names]))
