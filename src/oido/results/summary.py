# SPDX-License-Identifier: Apache-2.0
"""The figures of an archive: what was heard, when, and what was not. DuckDB counts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from typing import Any

from oido.errors import OptionError
from oido.results.clock import zone_named
from oido.results.coverage import Coverage, Stretch, covered_by, gaps_of, local, rows_of
from oido.results.database import quoted
from oido.results.results import Results, require_label

__all__ = ["Failed", "LabelFigures", "Summary", "summarize"]

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
    that was asked for, and its events by hour of each day, named ``2023-10-15 06``.
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
    by_hour: tuple[Stretch, ...]
    by_day: tuple[Stretch, ...]
    failures: tuple[Failed, ...]
    failure_kinds: Mapping[str, int]
    label: str | None = None
    label_days: tuple[Stretch, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON."""
        values: dict[str, Any] = _plain(dataclasses.asdict(self))
        values["coverage"] = _plain(self.coverage._asdict())
        values["coverage"]["gaps"] = [_plain(gap._asdict()) for gap in self.coverage.gaps]
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
) -> Summary:
    """Count what a report tells.

    zone: of hours and days, an IANA name. gap_seconds: longer stretches without a recording are
    told. label: one to look at day by day. Raises OptionError, UnknownLabelError.
    """
    if results.clock is None:
        raise OptionError("a report needs times; open the results with a clock")
    zone_named(zone)
    if zone[:1] in "+-":
        raise OptionError(f"hours are told in a zone such as Europe/Madrid, not in {zone!r}")
    if not gap_seconds > 0:
        raise OptionError(f"a gap is longer than 0 s, not {gap_seconds:g}")
    totals = rows_of(results, _TOTALS)[0]
    labels = _labels(results, totals["succeeded"], zone)
    if label is not None:
        require_label(label, [figures.label for figures in labels])
    hours = covered_by(results, "hour(moment) AS hour", zone)
    per_hour = [sum(figures.by_hour[hour] for figures in labels) for hour in range(24)]
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
        coverage=gaps_of(results, gap_seconds),
        labels=labels,
        by_hour=tuple(
            Stretch(f"{hour:02d}", hours.get((hour,), 0.0), per_hour[hour]) for hour in range(24)
        ),
        by_day=_days(results, zone),
        failures=_failures(results),
        failure_kinds=_counts(results, "failure_kind", "recordings"),
        label=label,
        label_days=() if label is None else _days_of_label(results, zone, label),
    )


_TOTALS = """
    SELECT count(*) AS recordings,
        count(*) FILTER (failure_kind IS NULL) AS succeeded,
        count(*) FILTER (failure_kind IS NOT NULL) AS failed,
        coalesce(sum(duration), 0) / 3600 AS hours,
        coalesce(sum(hearing_seconds), 0) / 3600 AS inference_hours,
        count(*) FILTER (duration > 0) AS with_sound,
        count(*) FILTER (recorded_at IS NOT NULL AND duration > 0) AS timed
    FROM recordings"""


def _labels(results: Results, succeeded: int, zone: str) -> tuple[LabelFigures, ...]:
    value = "probability" if "probability" in results.columns("events") else "score"
    hours: dict[str, list[int]] = {}
    for row in rows_of(
        results,
        f"""SELECT label, hour({local("start_at", zone)}) AS hour, count(*) AS events
        FROM events WHERE start_at IS NOT NULL GROUP BY ALL""",
    ):
        hours.setdefault(row["label"], [0] * 24)[row["hour"]] = row["events"]
    rows = rows_of(
        results,
        f"""SELECT label, count(*) AS events, count(DISTINCT file) AS recordings,
            CAST(sum(end_time - start_time) AS DOUBLE) AS seconds,
            CAST(max({value}) AS DOUBLE) AS highest
        FROM events GROUP BY label ORDER BY events DESC, label""",
    )
    return tuple(
        LabelFigures(
            **row,
            share=row["recordings"] / max(succeeded, row["recordings"]),
            by_hour=tuple(hours.get(row["label"], [0] * 24)),
        )
        for row in rows
    )


def _days(results: Results, zone: str) -> tuple[Stretch, ...]:
    """Every day with a recording or an event."""
    covered = covered_by(results, "CAST(moment AS DATE) AS day", zone)
    counted = {
        (row["day"],): row["events"]
        for row in rows_of(
            results,
            f"""SELECT CAST({local("start_at", zone)} AS DATE) AS day, count(*) AS events
            FROM events WHERE start_at IS NOT NULL GROUP BY ALL""",
        )
    }
    return tuple(
        Stretch(day[0].isoformat(), covered.get(day, 0.0), counted.get(day, 0))
        for day in sorted(covered.keys() | counted.keys())
    )


def _days_of_label(results: Results, zone: str, label: str) -> tuple[Stretch, ...]:
    """The hours of all days with a recording, and the label's events in them."""
    at = local("start_at", zone)
    covered = covered_by(results, "CAST(moment AS DATE) AS day, hour(moment) AS hour", zone)
    counted = {
        (row["day"], row["hour"]): row["events"]
        for row in rows_of(
            results,
            f"""SELECT CAST({at} AS DATE) AS day, hour({at}) AS hour, count(*) AS events
            FROM events WHERE start_at IS NOT NULL AND label = {quoted(label)} GROUP BY ALL""",
        )
    }
    return tuple(
        Stretch(f"{key[0]} {key[1]:02d}", covered.get(key, 0.0), counted.get(key, 0))
        for key in sorted(covered.keys() | counted.keys())
    )


def _failures(results: Results) -> tuple[Failed, ...]:
    rows = rows_of(
        results,
        f"""SELECT file, failure_kind AS kind, coalesce(failure_reason, '') AS reason,
            coalesce(duration, 0) AS audio_seconds
        FROM recordings WHERE failure_kind IS NOT NULL ORDER BY file LIMIT {MOST_FAILURES}""",
    )
    return tuple(Failed(**row) for row in rows)


def _counts(results: Results, column: str, source: str) -> dict[str, int]:
    rows = rows_of(results, f"SELECT {column} AS name, count(*) AS n FROM {source} GROUP BY ALL")
    found = {row["name"]: row["n"] for row in rows if row["name"] is not None}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
