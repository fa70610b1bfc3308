# SPDX-License-Identifier: Apache-2.0
"""The report of an archive as one HTML page: no script, nothing asked for, light and dark."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from oido._version import __version__
from oido.results.charts import STYLE as CHART_STYLE
from oido.results.charts import HeatRow, bars, details, heat_map, numbers_table
from oido.results.clock import zone_named
from oido.results.coverage import Stretch, every_day, joined, monday_of
from oido.results.summary import LabelFigures, Summary
from oido.results.translations import Words
from oido.writers.html import CONTENT_POLICY, STYLE, Html, join, tag

__all__ = ["html_page"]

_FIRST_LABELS, _HEAT_LABELS = 30, 25
_MOST_BARS = 120
"""More days than that become weeks, more weeks months."""
_MOST_HEAT_DAYS = 120
_SHOWN_FAILURES = 20

_DOUBTS = {
    "ambiguous": "times that came twice on a clock that was set back; the first is taken: {}",
    "impossible": "times that never came on a clock of that zone, left out: {}",
    "not set": "times from a clock that was not set, left out: {}",
}


def html_page(summary: Summary, locale: str = "en") -> Html:
    """The whole document. Labels and file names are text in it, whatever they hold.

    locale: "en" or "es", of texts, numbers and AudioSet's labels. Raises OptionError.
    """
    words = Words(locale)
    name = posixpath.basename(summary.url.replace("\\", "/").rstrip("/")) or summary.url
    title = words("What was heard in {}", name)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=CONTENT_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Html(STYLE + CHART_STYLE)),
    )
    body = tag(
        "body",
        tag("main", tag("h1", title), *_sections(summary, words)),
        tag("footer", tag("p", words("Made by oido {}.", __version__), class_="soft")),
    )
    page = tag("html", head, body, lang=words.language)
    return join(Html("<!DOCTYPE html>\n"), page, "\n")


def _sections(s: Summary, words: Words) -> Iterator[Html]:
    model = str(s.model.get("name", "?"))
    when = words("Heard by oido {} with {}, from {} on.", s.oido_version, model, s.created[:10])
    yield tag("p", when, " ", words("Hours and days are those of {}.", s.zone), class_="soft")
    yield _section(words("At a glance"), _verdict(s, words), _figures(s, words))
    yield _section(words("Labels"), *_labels(s, words))
    if s.coverage.first is not None:
        yield _section(words("By hour of day"), *_by_hour(s, words))
        yield _section(*_by_day(s, words))
        if s.labels:
            yield _section(words("Label by hour of day"), *_heat(s, words))
        if s.label is not None:
            title = words("{}, hour by hour", words.label(s.label))
            yield _section(title, *_label_days(s, words))
        if s.coverage.gaps:
            yield _section(words("Gaps in the recordings"), *_gaps(s, words))
    if s.failures:
        yield _section(words("Failures"), *_failures(s, words))
    yield _section(words("How it was heard"), _parameters(s, words))


def _section(title: str, *content: Html) -> Html:
    return tag("section", tag("h2", title), *content)


def _verdict(s: Summary, words: Words) -> Html:
    tones = {"good": "Good: ", "fair": "Note: ", "poor": "Caution: "}
    items = (
        tag("li", tag("b", words(tones[tone])), text, class_=tone) for tone, text in _told(s, words)
    )
    return tag("ul", *items, class_="verdict")


def _told(s: Summary, words: Words) -> Iterator[tuple[str, str]]:
    number = words.number
    if not s.recordings:
        yield "fair", words("nothing has been heard yet")
    elif s.failed:
        text = "{} of {} recordings could not be heard to their end; they are listed below"
        tone = "poor" if s.failed * 20 > s.recordings else "fair"
        yield tone, words(text, number(s.failed), number(s.recordings))
    else:
        yield "good", words("every recording was heard")
    timeless = s.with_sound - s.timed
    if timeless:
        text = "the time of {} of {} recordings is not known; hours, days and gaps leave them out"
        yield "fair", words(text, number(timeless), number(s.with_sound))
    elif s.timed:
        yield "good", words("the time of every recording is known")
    for doubt, count in s.time_doubts.items():
        yield "fair", words(_DOUBTS[doubt], number(count))
    if s.coverage.gap_count == 1:
        lengths = (words.duration(x) for x in (s.gap_seconds, s.coverage.gap_seconds))
        yield "fair", words("1 gap longer than {}: {}", *lengths)
    elif s.coverage.gap_count:
        lengths = (words.duration(x) for x in (s.gap_seconds, s.coverage.gap_seconds))
        yield "fair", words("{} gaps longer than {}, {} in all", s.coverage.gap_count, *lengths)
    elif s.timed:
        yield "good", words("no gap longer than {}", words.duration(s.gap_seconds))
    if s.calibrated:
        text = "the model is calibrated: probabilities hold for recordings like those of its "
        yield "good", words(text + "calibration")
    else:
        text = "scores are the model's raw outputs and not probabilities; 0.5 of one label is not "
        yield "fair", words(text + "0.5 of another")


def _figures(s: Summary, words: Words) -> Html:
    span = ""
    if s.coverage.first is not None and s.coverage.last is not None:
        first, last = (_day(time, s.zone) for time in (s.coverage.first, s.coverage.last))
        span = words("from {} to {}", first, last)
    shown = (
        ("hours of recordings", words.number(s.hours, _decimals(s.hours)), ""),
        ("recordings heard", words.number(s.heard), ""),
        ("recordings failed", words.number(s.failed), ""),
        ("events", words.number(s.events), ""),
        ("labels", words.number(len(s.labels)), ""),
        ("days", words.number(len(s.by_day)), span),
    )
    cards = (
        tag("div", words(name), tag("strong", value), tag("small", more) if more else None)
        for name, value, more in shown
    )
    return tag("div", *cards, class_="figures")


def _decimals(hours: float) -> int:
    return 2 if hours < 1 else 1 if hours < 100 else 0


def _labels(s: Summary, words: Words) -> Iterator[Html]:
    if not s.labels:
        yield tag("p", words("No event was found."))
        return
    kind = "highest probability" if s.calibrated else "highest score"
    heads = [words(h) for h in ("label", "events", "of recordings", "total time", kind)]
    rows = [_label_row(figures, words) for figures in s.labels]
    yield numbers_table(heads, rows[:_FIRST_LABELS])
    if left := rows[_FIRST_LABELS:]:
        yield details(words("{} more labels", len(left)), numbers_table(heads, left))


def _label_row(figures: LabelFigures, words: Words) -> list[str | Html]:
    percent = f"{words.number(figures.share * 100, 1)} %"
    return [
        words.label(figures.label),
        words.number(figures.events),
        tag("td", percent, class_="bar", style=f"--v:{figures.share:.3f}"),
        words.duration(figures.seconds),
        words.number(figures.highest, 2),
    ]


def _by_hour(s: Summary, words: Words) -> Iterator[Html]:
    yield from _two_bars(s.by_hour, words, "hour")


def _by_day(s: Summary, words: Words) -> list[Any]:
    title, stretches = "By day", s.by_day
    if len(stretches) > _MOST_BARS:
        title, stretches = "By week", joined(s.by_day, monday_of)
    if len(stretches) > _MOST_BARS:
        title, stretches = "By month", joined(s.by_day, lambda day: day[:7])
    if title == "By day":
        stretches = every_day(stretches, 2 * _MOST_BARS)
    return [words(title), *_two_bars(stretches, words, "time")]


def _two_bars(stretches: Sequence[Stretch], words: Words, head: str) -> Iterator[Html]:
    names = [stretch.name for stretch in stretches]
    yield bars(words("Events per hour of recording"), names, [x.rate for x in stretches], words)
    recorded = [x.recorded_seconds / 3600 for x in stretches]
    yield bars(words("Hours recorded"), names, recorded, words, low=True)
    heads = [words(h) for h in (head, "events", "recorded hours", "per hour")]
    rows = [
        (
            x.name,
            words.number(x.events),
            words.number(x.recorded_seconds / 3600, 2),
            "–" if x.rate is None else words.number(x.rate, 2),
        )
        for x in stretches
    ]
    yield details(words("The numbers"), numbers_table(heads, rows))


def _heat(s: Summary, words: Words) -> Iterator[Html]:
    recorded = [hour.recorded_seconds / 3600 for hour in s.by_hour]
    rows = [
        HeatRow(
            words.label(figures.label),
            [n / hours if hours > 0 else None for n, hours in zip(figures.by_hour, recorded)],
        )
        for figures in s.labels[:_HEAT_LABELS]
        if any(figures.by_hour)
    ]
    yield heat_map(words("label"), [hour.name for hour in s.by_hour], rows, words)
    yield _heat_caption(words, "the darkest cell of a row is its highest.")


def _label_days(s: Summary, words: Words) -> Iterator[Html]:
    days: dict[str, list[float | None]] = {}
    for stretch in s.label_days:
        day, _, hour = stretch.name.partition(" ")
        days.setdefault(day, [None] * 24)[int(hour)] = stretch.rate
    rows = [HeatRow(day, values) for day, values in list(days.items())[-_MOST_HEAT_DAYS:]]
    yield heat_map(words("day"), [hour.name for hour in s.by_hour], rows, words, by_row=False)
    yield _heat_caption(words, "the darker, the more.")


def _heat_caption(words: Words, shade: str) -> Html:
    texts = ("Events per hour of recording;", shade, "Hatched: nothing was recorded at that hour.")
    return tag("p", " ".join(words(text) for text in texts), class_="soft")


def _gaps(s: Summary, words: Words) -> Iterator[Html]:
    gaps = s.coverage.gaps
    if len(gaps) < s.coverage.gap_count:
        text = words("The longest {} of {}.", len(gaps), words.number(s.coverage.gap_count))
        yield tag("p", text, class_="soft")
    rows = [
        (_minute(gap.start, s.zone), _minute(gap.end, s.zone), words.duration(gap.seconds))
        for gap in gaps
    ]
    yield numbers_table([words(head) for head in ("from", "to", "length")], rows, "left")


def _failures(s: Summary, words: Words) -> Iterator[Html]:
    kinds = ", ".join(f"{kind}: {words.number(count)}" for kind, count in s.failure_kinds.items())
    yield tag("p", kinds, class_="soft")
    heads = [words(head) for head in ("recording", "reason", "heard")]
    rows = [(f.file, f.reason, words.duration(f.audio_seconds)) for f in s.failures]
    table = numbers_table(heads, rows, "left")
    if len(rows) < s.failed:
        text = words("The first {} of {}.", len(rows), words.number(s.failed))
        table = join(tag("p", text, class_="soft"), table)
    yield table if len(rows) <= _SHOWN_FAILURES else details(words("Show them"), table)


def _parameters(s: Summary, words: Words) -> Html:
    model = " ".join(str(value) for value in s.model.values())
    pairs = [(words("model"), model), *_flat(s.parameters, words)]
    return tag("dl", *(join(tag("dt", name), tag("dd", text)) for name, text in pairs))


def _flat(values: Mapping[str, Any], words: Words, before: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, words, f"{before}{name}.")
        elif value in (None, [], ()):
            yield before + name, words("not set")
        else:
            yield before + name, str(value)


def _day(time: datetime, zone: str) -> str:
    return time.astimezone(zone_named(zone)).date().isoformat()


def _minute(time: datetime, zone: str) -> str:
    return f"{time.astimezone(zone_named(zone)):%Y-%m-%d %H:%M}"
