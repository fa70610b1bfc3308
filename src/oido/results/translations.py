# SPDX-License-Identifier: Apache-2.0
"""What the report says, in English and in Spanish."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from oido.models.labels import display_names

__all__ = ["Words", "translations"]


@cache
def translations(language: str) -> dict[str, str]:
    """From English to a language, "en" or "es"; what is missing stays English."""
    if language == "en":
        return {}
    texts: dict[str, str] = json.loads(
        Path(__file__).with_name(f"{language}.json").read_text("utf-8")
    )
    return texts


class Words:
    """The texts, numbers and labels of one language. Call it with an English text and its values.

    locale: "en" or "es". Raises OptionError for another.
    """

    def __init__(self, locale: str) -> None:
        display_names((), locale)  # raises
        self.language = locale[:2].lower()
        self._texts = translations(self.language)

    def __call__(self, text: str, *values: object) -> str:
        return self._texts.get(text, text).format(*values)

    def label(self, label: str) -> str:
        """What to show for a label."""
        return display_names((label,), self.language)[0]

    def number(self, value: float, decimals: int = 0) -> str:
        """With thousands apart: 12,345.6 or 12.345,6."""
        text = f"{value:,.{decimals}f}"
        return text.translate(str.maketrans(",.", ".,")) if self.language == "es" else text

    def short(self, value: float | None) -> str:
        """Two figures at least: 0.04, 0.4, 4.2, 42, 1,234; a dash for None."""
        if value is None:
            return "–"
        return self.number(value, 0 if value == 0 or value >= 10 else 1 if value >= 0.1 else 2)

    def duration(self, seconds: float) -> str:
        """Seconds in the units that fit: 12.3 s, 5 min 3 s, 7 h 20 min, 3 d 4 h."""
        if seconds < 60:
            return f"{self.number(seconds, 1)} s"
        total = round(seconds)
        for size, unit, small, lesser in (
            (86400, "d", 3600, "h"),
            (3600, "h", 60, "min"),
            (60, "min", 1, "s"),
        ):
            if total >= size:
                text, remainder = f"{self.number(total // size)} {unit}", total % size // small
                return f"{text} {remainder} {lesser}" if remainder else text
        return f"{total} s"
