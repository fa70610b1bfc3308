# SPDX-License-Identifier: Apache-2.0
"""Finds English in what somebody reads in Spanish."""

from __future__ import annotations

import re

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
