# SPDX-License-Identifier: Apache-2.0
"""The report of an archive as one HTML page, in English or in Spanish."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from oido.messages import in_language, recognised, tr, translated
from oido.models.labels import display_names
from oido.results.clock import zone_named
from oido.results.examples import MOST_SECONDS, Examples
from oido.results.summary import Period, Summary, every_day, failure_text, joined, monday_of
from oido.results.tallies import LITTLE, is_little, little_recorded
from oido.writers.html import Faded, render

_MOST_BARS = 120
"""More days than that become weeks, more weeks months."""
_HEAT_LABELS, _HEAT_DAYS, _MOST_ROWS = 25, 120, 500

HeatRow = tuple[str, list[float | None]]
"""A row's name, and its value in each hour; None where nothing was recorded."""


def html_page(
    summary: Summary,
    locale: str = "en",
    tables: Mapping[tuple[str, ...], Any] = MappingProxyType({}),
    examples: Examples | None = None,
) -> str:
    """The whole document. Labels and file names are text in it, whatever they hold.

    locale: "en" or "es", of texts, numbers and AudioSet's labels. tables: further ones, of
    `oido.results.tallies`, by their keys. examples: events to be heard. Raises OptionError, and
    MissingExtraError without Jinja2.
    """
    s, words = summary, Words(locale)
    name = posixpath.basename(s.url.replace("\\", "/").rstrip("/")) or s.url
    first, last = s.coverage.first, s.coverage.last
    zone = zone_named(s.zone)

    def minute(time: datetime) -> str:
        return f"{time.astimezone(zone):%Y-%m-%d %H:%M}"

    used = {} if s.threshold is None else {"detection.threshold": words.number(s.threshold, 2)}
    label_days, label_days_recorded = _label_days(s, words)
    several_sites = len(s.sites) > 1
    return render(
        "archive.html",
        "archive",
        title=words("What was heard in {}", name),
        words=words,
        s=s,
        period=(minute(first)[:10], minute(last)[:10]) if first and last else None,
        by_time=_by_time(s.by_day) if first else None,
        rates_of=_rates,
        label_hours=_label_hours(s, words),
        hours_recorded=[
            words.duration(hour.recorded_seconds) if hour.recorded_seconds else ""
            for hour in s.by_hour
        ],
        label_days=label_days,
        label_days_recorded=label_days_recorded,
        little=words("Pale: {}; such rates say little, and set no scale.", words(LITTLE)),
        threshold=_threshold(s, words),
        clips=[(label, group) for label, group in examples.of_label.items() if group]
        if examples
        else [],
        max_seconds=f"{MOST_SECONDS:g}",
        without_clips=_without_clips(examples, words) if examples else [],
        tables_of_sites=_counts(
            [
                {
                    name: minute(value) if isinstance(value, datetime) else value
                    for name, value in row.items()
                }
                for row in s.sites
            ],
            ("site", "first_recorded", "last_recorded"),
            words,
        ),
        tables=[
            (", ".join(map(words, keys)), _counts(table.to_pylist(), keys, words))
            for keys, table in tables.items()
        ],
        gaps=[
            (
                *([words("all") if gap.site is None else gap.site or "–"] * several_sites),
                minute(gap.start),
                minute(gap.end),
                words.duration(gap.seconds),
            )
            for gap in s.coverage.gaps
        ],
        failure_kinds=[
            f"{words(failure_text(kind))}: {words.number(count)}"
            for kind, count in s.failure_kinds.items()
        ],
        failures=[
            (
                f.file,
                words.recognised(f.reason).removeprefix(f"{f.file}: "),
                words.duration(f.audio_seconds),
            )
            for f in s.failures
        ],
        parameters=[
            (n, words.value(used.get(n) if v is None else v)) for n, v in _flat(s.parameters)
        ],
    )


_HEADS = {
    name.replace(" ", "_"): name
    for name in (
        tr("site"),
        tr("first recorded"),
        tr("last recorded"),
        tr("gaps"),
        tr("gap hours"),
        tr("events per hour"),
        tr("recordings with events"),
        tr("event seconds"),
    )
}
"""Of columns that no other table has."""


def column_head(name: str, words: Words) -> str:
    """What people read over a column of a `tally`."""
    return words(_HEADS.get(name, name.replace("_", " ")))


class _Counts(NamedTuple):
    """A table of counts as texts. more: rows that are not shown."""

    heads: list[str]
    rows: list[list[str]]
    faded: set[int]
    more: int


def _counts(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], words: Words) -> _Counts:
    """A `tally` in a language, without the threshold, which is told elsewhere."""
    names = [name for name in (rows[0] if rows else ()) if name != "threshold"]

    def text(name: str, value: Any) -> str:
        if value is None:
            return "–"
        if name == "label":
            return words.label(value)
        if name in keys:
            return f"{value:02d}" if name == "hour" else str(value)
        return words.number(value, 0 if isinstance(value, int) else 2)

    shown = rows[:_MOST_ROWS]
    return _Counts(
        [column_head(name, words) for name in names],
        [[text(name, row[name]) for name in names] for row in shown],
        little_recorded(rows, keys),
        len(rows) - len(shown),
    )


def _threshold(s: Summary, words: Words) -> str:
    """From which score on events count."""
    if s.threshold is None:
        text = words("An event reached the model's own threshold of its label, or else 0.2.")
    else:
        kind = tr("probability") if s.calibrated else tr("score")
        text = words("An event reached a {} of {}.", words(kind), words.number(s.threshold, 2))
    others = (f"{words.label(n)} {words.number(v, 2)}" for n, v in s.label_thresholds.items())
    more = "; ".join(others)
    return f"{text} {words('Of others: {}.', more)}" if more else text


_WHY = {
    "elsewhere": tr("not on this computer: {}"),
    "missing": tr("not there any more: {}"),
    "changed": tr("changed since: {}"),
    "unreadable": tr("cannot be read: {}"),
    "too far in": tr("too far in, and only to be read from the beginning: {}"),
}


def _without_clips(examples: Examples, words: Words) -> list[str]:
    """Why there are not more examples."""
    lines = [words(_WHY[why], words.number(n)) for why, n in examples.unreached.items()]
    if lines:
        text = tr("Recordings of which nothing is to be heard here: {}.")
        lines = [words(text, ", ".join(lines))]
    return lines + [words("More would make the page too large.")] * examples.left_out


def _by_time(days: tuple[Period, ...]) -> tuple[str, tuple[Period, ...]]:
    """A heading and the days, or so many of the weeks or months that all of them can be seen."""
    if len(days) <= _MOST_BARS:
        return tr("By day"), every_day(days, 2 * _MOST_BARS)
    weeks = joined(days, monday_of)
    if len(weeks) <= _MOST_BARS:
        return tr("By week"), weeks
    return tr("By month"), joined(days, lambda day: day[:7])


def _rates(stretches: Sequence[Period]) -> list[float | None]:
    """Events per recorded hour, faded where little was recorded; None where nothing was."""
    most = max((s.recorded_seconds for s in stretches), default=0.0)
    return [_faded(s.rate, s.recorded_seconds, most) for s in stretches]


def _faded(rate: float | None, seconds: float, most: float) -> float | None:
    return Faded(rate) if rate is not None and is_little(seconds, most) else rate


def _label_hours(s: Summary, words: Words) -> list[HeatRow]:
    """Events per recorded hour of the most frequent labels, by hour of day."""
    return [
        (
            words.label(figures.label),
            _rates([replace(hour, events=n) for n, hour in zip(figures.by_hour, s.by_hour)]),
        )
        for figures in s.labels[:_HEAT_LABELS]
        if any(figures.by_hour)
    ]


def _label_days(s: Summary, words: Words) -> tuple[list[HeatRow], list[list[str]]]:
    """Events per recorded hour of the one label, by hour of the last days; how many in how long."""
    days: dict[str, list[float | None]] = {}
    tips: dict[str, list[str]] = {}
    for stretch, rate in zip(s.label_days, _rates(s.label_days)):
        day, _, hour = stretch.name.partition(" ")
        days.setdefault(day, [None] * 24)[int(hour)] = rate
        tip = words(
            "{} in {}", words.number(stretch.events), words.duration(stretch.recorded_seconds)
        )
        tips.setdefault(day, [""] * 24)[int(hour)] = tip
    return list(days.items())[-_HEAT_DAYS:], list(tips.values())[-_HEAT_DAYS:]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The parameters of all depths; None for one that is not set."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, None if value in (None, [], ()) else value


class Words:
    """The texts, numbers and labels of one language. Call it with an English text and its values.

    locale: "en" or "es". Raises OptionError for another.
    """

    def __init__(self, locale: str) -> None:
        display_names((), locale)  # raises
        self.language = locale[:2].lower()

    def __call__(self, text: str, *values: object) -> str:
        return translated(str(text), self.language).format(*values)

    def recognised(self, sentence: str) -> str:
        """A sentence that oido stored in English, such as why a recording failed."""
        with in_language(self.language):
            return recognised(sentence)

    def label(self, label: str) -> str:
        """What to show for a label."""
        return display_names((label,), self.language)[0]

    def value(self, value: object) -> str:
        """One that is set, or not (None)."""
        if value is None or isinstance(value, bool):
            return self("not set" if value is None else "yes" if value else "no")
        return str(value)

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
