# SPDX-License-Identifier: Apache-2.0
"""The figures of an archive: what was heard, when, and when nothing was recorded. DuckDB counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from oido.errors import OptionError
from oido.messages import tr
from oido.models.labels import label_text
from oido.results.clock import zone_named
from oido.results.copies import Copies, copies_in
from oido.results.coverage import Coverage, coverage_of
from oido.results.results import Results
from oido.results.tallies import LITTLE, counted, site_of, tally, thresholds_of
from oido.writers.query_tables import plain_value

_FAILURE_TEXTS = {
    "AudioNotFoundError": tr("not there, or not readable"),
    "UnknownFormatError": tr("no known format"),
    "CorruptAudioError": tr("damaged"),
    "EmptyAudioError": tr("empty"),
    "InvalidSamplesError": tr("impossible samples"),
}


def failure_text(kind: str) -> str:
    """What a kind of failure, which is the name of an error, is for people."""
    return _FAILURE_TEXTS.get(kind, kind)


def _rows_of(results: Results, query: str) -> list[dict[str, Any]]:
    """What a query gives, each row by column name."""
    return list(results.sql(query).to_pylist())


@dataclass(frozen=True)
class Period:
    """An hour of day (0..23) or a day, or an hour of one day: its recorded seconds and events."""

    name: str
    recorded_seconds: float
    events: int

    @property
    def recorded_hours(self) -> float:
        return self.recorded_seconds / 3600

    @property
    def rate(self) -> float | None:
        """Events per recorded hour; None without a recording."""
        return self.events / self.recorded_hours if self.recorded_seconds > 0 else None


def joined(days: Sequence[Period], name: Callable[[str], str]) -> tuple[Period, ...]:
    """Days together by what a function makes of their names, in the order of the days."""
    found: dict[str, list[Period]] = {}
    for day in days:
        found.setdefault(name(day.name), []).append(day)
    return tuple(
        Period(key, sum(d.recorded_seconds for d in group), sum(d.events for d in group))
        for key, group in found.items()
    )


def monday_of(day: str) -> str:
    """The Monday on or before a day, both ``2023-10-15``."""
    found = date.fromisoformat(day)
    return (found - timedelta(days=found.weekday())).isoformat()


def every_day(days: Sequence[Period], most: int) -> tuple[Period, ...]:
    """With the days between on which nothing was recorded, unless it would be more than ``most``.

    days: named ``2023-10-15``, ascending, one at least.
    """
    first, last = (date.fromisoformat(days[n].name) for n in (0, -1))
    count = (last - first).days + 1
    if count > most:
        return tuple(days)
    known = {day.name: day for day in days}
    names = ((first + timedelta(days=n)).isoformat() for n in range(count))
    return tuple(known.get(name, Period(name, 0.0, 0)) for name in names)


MOST_FAILURES = 200


@dataclass(frozen=True)
class LabelFigures:
    """One label: its events, in how many recordings, for how long, and by hour of day.

    share: of the recordings heard. seconds: the events' lengths added up, over channels too.
    highest: the highest score, or probability if the run was calibrated.
    """

    label: str
    events: int
    recordings: int
    share: float
    seconds: float
    highest: float
    by_hour: tuple[int, ...] = (0,) * 24


@dataclass(frozen=True)
class Failed:
    """A recording that could not be heard to its end, and how many seconds of it were."""

    file: str
    kind: str
    reason: str
    audio_seconds: float


@dataclass(frozen=True)
class Summary:
    """Everything that a report tells. Hours and days are those of ``zone``.

    oido_version, created: of the run. succeeded: recordings heard to their end. with_sound: those
    of which something was heard; timed: of them, those of a known time. time_sources, time_doubts:
    how many times came from where, and how many are doubtful. label, label_days: the one label
    that was asked for, and its events by hour of each day, named ``2023-10-15 06``. threshold: what
    the score (or probability) of an event had to reach; None: the model's own; label_thresholds:
    of labels that had another. sites: `tally` by site, a row each, with when it first and last
    recorded (UTC, None where no time is known) and its gaps. compared: recordings that a
    taught model compared with what it was taught; unlike: those of them that are unlike all of it.
    copies: recordings that repeat another one, whose events are counted nevertheless.
    """

    url: str
    oido_version: str
    created: str
    model: Mapping[str, Any]
    parameters: Mapping[str, Any]
    calibrated: bool
    recordings: int
    succeeded: int
    failed: int
    hours: float
    inference_hours: float
    events: int
    with_sound: int
    timed: int
    time_sources: Mapping[str, int]
    time_doubts: Mapping[str, int]
    zone: str
    gap_seconds: float
    coverage: Coverage
    labels: tuple[LabelFigures, ...]
    by_hour: tuple[Period, ...]
    by_day: tuple[Period, ...]
    failures: tuple[Failed, ...]
    failure_kinds: Mapping[str, int]
    label: str | None = None
    label_days: tuple[Period, ...] = ()
    threshold: float | None = None
    label_thresholds: Mapping[str, float] = field(default_factory=dict)
    sites: tuple[Mapping[str, Any], ...] = ()
    compared: int = 0
    unlike: int = 0
    copies: Copies = field(default_factory=Copies)

    @property
    def is_mostly_unlike(self) -> bool:
        """Whether the model was made for other recordings than these."""
        return 2 * self.unlike > self.compared

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        values: dict[str, Any] = plain_value(dataclasses.asdict(self))
        values["heard"] = values.pop("succeeded")
        values["hearing_hours"] = values.pop("inference_hours")
        for failure in values["failures"]:
            failure["seconds_heard"] = failure.pop("audio_seconds")
        return {"report_version": 1, **values}


def summarize(
    results: Results,
    *,
    zone: str = "UTC",
    gap_seconds: float = 3600.0,
    label: str | None = None,
    site: str | None = None,
) -> Summary:
    """Count what a report tells.

    zone: of hours and days (`zone_named`). gap_seconds: longer stretches without a recording are
    gaps. label: one to look at day by day. site: a pattern (`oido.results.tallies.site_of`).
    Raises OptionError, UnknownLabelError.
    """
    if results.clock is None:
        raise OptionError(tr("a report needs times; open the results with a clock"))
    zone_named(zone)
    if not gap_seconds > 0:
        raise OptionError(
            tr("a gap is longer than 0 s, not {gap_seconds:g}", gap_seconds=gap_seconds)
        )
    totals = _rows_of(results, _TOTALS)[0]
    labels = _labels(results, totals["succeeded"], zone)
    coverage = coverage_of(results, site_of(results, site), gap_seconds)
    if label is not None:
        label = results.label_here(label)
        results.require_label(label, [figures.label for figures in labels])
    hours = {hour.name: hour for hour in periods(results, ["hour"], zone)}
    threshold, label_thresholds = thresholds_of(results)
    header = results.header
    return Summary(
        url=results.url,
        oido_version=str(header.get("oido_version", "?")),
        created=str(header.get("created", "")),
        model=header.get("model") or {},
        parameters=header.get("parameters") or {},
        calibrated=results.calibrated,
        **totals,
        events=sum(figures.events for figures in labels),
        time_sources=_counts(results, "time_from", "recordings WHERE duration > 0"),
        time_doubts=results.doubts,
        zone=zone,
        gap_seconds=gap_seconds,
        coverage=coverage,
        labels=labels,
        by_hour=tuple(
            hours.get(f"{hour:02d}", Period(f"{hour:02d}", 0.0, 0)) for hour in range(24)
        ),
        by_day=periods(results, ["day"], zone),
        failures=tuple(Failed(**row) for row in _rows_of(results, _FAILURES)),
        failure_kinds=_counts(results, "failure_kind", "recordings"),
        label=label,
        label_days=() if label is None else periods(results, ["day", "hour"], zone, label),
        threshold=threshold,
        label_thresholds=label_thresholds,
        sites=_sites(results, site, coverage),
        copies=copies_in(results),
    )


def _sites(
    results: Results, pattern: str | None, coverage: Coverage
) -> tuple[Mapping[str, Any], ...]:
    """A `tally` by site, with what the clock saw of each."""
    known = {site.site: site for site in coverage.sites}
    rows = tally(results, ["site"], site=pattern).to_pylist()
    for row in rows:
        site = known.get(row["site"] or "")
        row["first_recorded"], row["last_recorded"] = (
            (site.first, site.last) if site else (None,) * 2
        )
        row["gaps"] = site.gap_count if site else None
        row["gap_hours"] = site.gap_seconds / 3600 if site else None
    return tuple(rows)


def about(summary: Summary) -> list[tuple[str, Any]]:
    """What a table of figures is about, and what its columns mean, in two columns."""
    s = summary
    value = "probability" if s.calibrated else "score"
    return [
        ("results", s.url),
        (tr("heard by"), f"oido {s.oido_version}"),
        (tr("heard from"), s.created),
        ("model", s.model.get("name")),
        (tr("threshold of events"), tr("the model's own") if s.threshold is None else s.threshold),
        *(
            (tr("threshold of {label}", label=label_text(label)), value)
            for label, value in s.label_thresholds.items()
        ),
        (tr("threshold and highest"), value if s.calibrated else tr("scores, not probabilities")),
        ("label", s.label or "all"),
        (tr("zone of days and hours"), s.zone),
        (tr("hours of recordings"), s.hours),
        (tr("recordings heard"), s.succeeded),
        (tr("recordings failed"), s.failed),
        (tr("recordings whose time is not known"), s.with_sound - s.timed),
        *((tr("recordings that repeat another"), n) for n in [s.copies.recordings] if n),
        *((tr("recordings unlike all that was taught"), s.unlike) for _ in range(s.compared > 0)),
        ("recorded_hours", tr("what was recorded of that site, day and hour, whatever was heard")),
        ("events_per_hour", "events / recorded_hours"),
        ("event_seconds", tr("added up over labels and channels")),
        (tr("pale rows"), tr("{little}: their rates say little", little=LITTLE)),
    ]


_TOTALS = """
    SELECT count(*) AS recordings,
        count(*) FILTER (failure_kind IS NULL) AS succeeded,
        count(*) FILTER (failure_kind IS NOT NULL) AS failed,
        coalesce(sum(duration), 0) / 3600 AS hours,
        coalesce(sum(hearing_seconds), 0) / 3600 AS inference_hours,
        count(*) FILTER (duration > 0) AS with_sound,
        count(*) FILTER (recorded_at IS NOT NULL AND duration > 0) AS timed,
        count(unknown) AS compared,
        count(*) FILTER (unknown) AS unlike
    FROM recordings"""


_FAILURES = f"""
    SELECT file, failure_kind AS kind, coalesce(failure_reason, '') AS reason,
        coalesce(duration, 0) AS audio_seconds
    FROM recordings WHERE failure_kind IS NOT NULL ORDER BY file LIMIT {MOST_FAILURES}"""


def _labels(results: Results, succeeded: int, zone: str) -> tuple[LabelFigures, ...]:
    hours: dict[str, list[int]] = {}
    by_hour = counted(results, ["hour", "label"], zone=zone)
    query = f"SELECT label, hour, events FROM ({by_hour}) WHERE hour IS NOT NULL"
    for row in _rows_of(results, query):
        hours.setdefault(row["label"], [0] * 24)[row["hour"]] = row["events"]
    rows = _rows_of(
        results,
        f"""SELECT label, events, files AS recordings, CAST(seconds AS DOUBLE) AS seconds,
            CAST(highest AS DOUBLE) AS highest
        FROM ({counted(results, ["label"])}) ORDER BY events DESC, label""",
    )
    return tuple(
        LabelFigures(
            **row,
            share=row["recordings"] / max(succeeded, row["recordings"]),
            by_hour=tuple(hours.get(row["label"], [0] * 24)),
        )
        for row in rows
    )


def periods(
    results: Results, by: Sequence[str], zone: str, label: str | None = None
) -> tuple[Period, ...]:
    """Recorded seconds and events by parts of local time (``day``, ``hour``), in their order.

    A recording counts in each with the seconds that fall into it. label: its events only.
    """
    parts = ", ".join(by)
    query = (
        f"SELECT {parts}, recorded, events FROM ({counted(results, by, zone=zone, label=label)})"
    )
    rows = _rows_of(results, f"{query} WHERE {by[0]} IS NOT NULL ORDER BY {parts}")
    named = ((" ".join(_part(row[part]) for part in by), row) for row in rows)
    return tuple(Period(name, row["recorded"], row["events"]) for name, row in named)


def _part(value: Any) -> str:
    return f"{value:02d}" if isinstance(value, int) else str(value)


def _counts(results: Results, column: str, source: str) -> dict[str, int]:
    rows = _rows_of(results, f"SELECT {column} AS name, count(*) AS n FROM {source} GROUP BY ALL")
    found = {row["name"]: row["n"] for row in rows if row["name"] is not None}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
