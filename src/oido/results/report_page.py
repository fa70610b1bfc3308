# SPDX-License-Identifier: Apache-2.0
"""The report of an archive as one HTML page, in English or in Spanish."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from oido.models.labels import display_names
from oido.results.clock import zone_named
from oido.results.summary import Period, Summary, every_day, joined, monday_of
from oido.writers.html import render

_MOST_BARS = 120
"""More days than that become weeks, more weeks months."""
_HEAT_LABELS, _HEAT_DAYS = 25, 120

HeatRow = tuple[str, list[float | None]]
"""A row's name, and its value in each hour; None where nothing was recorded."""


def html_page(
    summary: Summary, locale: str = "en", tables: Mapping[tuple[str, ...], Any] = {}
) -> str:
    """The whole document. Labels and file names are text in it, whatever they hold.

    locale: "en" or "es", of texts, numbers and AudioSet's labels. Raises OptionError, and
    MissingExtraError without Jinja2.
    """
    s, words = summary, Words(locale)
    name = posixpath.basename(s.url.replace("\\", "/").rstrip("/")) or s.url
    first, last = s.coverage.first, s.coverage.last
    zone = zone_named(s.zone)

    def minute(time: datetime) -> str:
        return f"{time.astimezone(zone):%Y-%m-%d %H:%M}"

    return render(
        "archive.html",
        "archive",
        title=words("What was heard in {}", name),
        words=words,
        s=s,
        period=(minute(first)[:10], minute(last)[:10]) if first and last else None,
        by_time=_by_time(s.by_day) if first else None,
        label_hours=_label_hours(s, words),
        label_days=_label_days(s),
        gaps=[
            (minute(gap.start), minute(gap.end), words.duration(gap.seconds))
            for gap in s.coverage.gaps
        ],
        failures=[(f.file, f.reason, words.duration(f.audio_seconds)) for f in s.failures],
        parameters=list(_flat(s.parameters)),
    )


def _by_time(days: tuple[Period, ...]) -> tuple[str, tuple[Period, ...]]:
    """A heading and the days, or so many of the weeks or months that all of them can be seen."""
    if len(days) <= _MOST_BARS:
        return "By day", every_day(days, 2 * _MOST_BARS)
    weeks = joined(days, monday_of)
    if len(weeks) <= _MOST_BARS:
        return "By week", weeks
    return "By month", joined(days, lambda day: day[:7])


def _label_hours(s: Summary, words: Words) -> list[HeatRow]:
    """Events per recorded hour of the most frequent labels, by hour of day."""
    recorded = [hour.recorded_hours for hour in s.by_hour]
    return [
        (
            words.label(figures.label),
            [n / hours if hours > 0 else None for n, hours in zip(figures.by_hour, recorded)],
        )
        for figures in s.labels[:_HEAT_LABELS]
        if any(figures.by_hour)
    ]


def _label_days(s: Summary) -> list[HeatRow]:
    """Events per recorded hour of the one label, by hour of the last days."""
    days: dict[str, list[float | None]] = {}
    for stretch in s.label_days:
        day, _, hour = stretch.name.partition(" ")
        days.setdefault(day, [None] * 24)[int(hour)] = stretch.rate
    return list(days.items())[-_HEAT_DAYS:]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """The parameters of all depths; None for one that is not set."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, None if value in (None, [], ()) else str(value)


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
