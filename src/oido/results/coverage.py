# SPDX-License-Identifier: Apache-2.0
"""When there was a recording and when there was none, by the clock and by the calendar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from oido.results.database import quoted
from oido.results.results import Results

__all__ = [
    "Coverage",
    "CoverageGap",
    "Stretch",
    "covered_by",
    "every_day",
    "gaps_of",
    "joined",
    "local",
    "monday_of",
    "rows_of",
]

_BIN = 900
"""Seconds: the offsets of today's time zones are multiples of a quarter of an hour."""

MOST_GAPS = 100


class CoverageGap(NamedTuple):
    """A stretch without a recording, in UTC."""

    start: datetime
    end: datetime
    seconds: float


class Coverage(NamedTuple):
    """What the clock saw of the recordings whose time is known.

    first, last: when the first began and the last ended, UTC; None if no time is known. seconds:
    with at least one recording. gaps: the longest, longest first, at most 100 of ``gap_count``,
    which take ``gap_seconds``.
    """

    first: datetime | None
    last: datetime | None
    seconds: float
    gaps: tuple[CoverageGap, ...]
    gap_count: int
    gap_seconds: float


_SPANS = """
    spans AS (
        SELECT recorded_at AS start,
            recorded_at + to_microseconds(CAST(round(duration * 1e6) AS BIGINT)) AS stop
        FROM recordings WHERE recorded_at IS NOT NULL AND duration > 0
    ),
    ordered AS (
        SELECT start, stop, max(stop) OVER (
            ORDER BY start, stop ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS before FROM spans
    )"""


def gaps_of(results: Results, gap_seconds: float) -> Coverage:
    """Coverage by the clock, and the gaps longer than this."""
    total = rows_of(
        results,
        f"""WITH {_SPANS} SELECT min(start) AS first, max(stop) AS last,
            coalesce(sum(greatest(epoch(stop) - epoch(greatest(start, coalesce(before, start))), 0)
            ), 0) AS seconds FROM ordered""",
    )[0]
    found = rows_of(
        results,
        f"""WITH {_SPANS} SELECT before, start, epoch(start) - epoch(before) AS seconds,
            count(*) OVER () AS count, sum(epoch(start) - epoch(before)) OVER () AS total
        FROM ordered WHERE epoch(start) - epoch(before) > {float(gap_seconds)!r}
        ORDER BY seconds DESC, start LIMIT {MOST_GAPS}""",
    )
    return Coverage(
        total["first"],
        total["last"],
        total["seconds"],
        tuple(CoverageGap(row["before"], row["start"], row["seconds"]) for row in found),
        found[0]["count"] if found else 0,
        found[0]["total"] if found else 0.0,
    )


def covered_by(results: Results, parts: str, zone: str) -> dict[tuple[Any, ...], float]:
    """Recorded seconds by parts of local time.

    parts: SQL such as ``hour(moment)``, ``CAST(moment AS DATE)``. A recording counts in each part
    with the seconds that fall into it.
    """
    rows = rows_of(
        results,
        f"""WITH spans AS (
            SELECT epoch(recorded_at) AS start, epoch(recorded_at) + duration AS stop
            FROM recordings WHERE recorded_at IS NOT NULL AND duration > 0
        ),
        binned AS (
            SELECT start, stop, unnest(range(
                CAST(floor(start / {_BIN}) AS BIGINT), CAST(ceil(stop / {_BIN}) AS BIGINT)
            )) AS bin FROM spans
        ),
        timed AS (
            SELECT {local(f"to_timestamp(bin * {_BIN})", zone)} AS moment,
                least(stop, (bin + 1) * {_BIN}) - greatest(start, bin * {_BIN}) AS seconds
            FROM binned
        )
        SELECT {parts}, sum(seconds) AS seconds FROM timed GROUP BY ALL ORDER BY ALL""",
    )
    return {tuple(row.values())[:-1]: row["seconds"] for row in rows}


def local(time: str, zone: str) -> str:
    """SQL of a time in a zone, without that zone: what a clock on the wall shows."""
    return f"({time} AT TIME ZONE {quoted(zone)})"


def rows_of(results: Results, query: str) -> list[dict[str, Any]]:
    """What a query gives, each row by column name."""
    rows: list[dict[str, Any]] = results.sql(query).to_pylist()
    return rows


@dataclass(frozen=True)
class Stretch:
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


def joined(days: Sequence[Stretch], name: Callable[[str], str]) -> tuple[Stretch, ...]:
    """Days together by what a function makes of their names, in the order of the days."""
    found: dict[str, list[Stretch]] = {}
    for day in days:
        found.setdefault(name(day.name), []).append(day)
    return tuple(
        Stretch(key, sum(d.recorded_seconds for d in group), sum(d.events for d in group))
        for key, group in found.items()
    )


def monday_of(day: str) -> str:
    """The Monday on or before a day, both ``2023-10-15``."""
    found = date.fromisoformat(day)
    return (found - timedelta(days=found.weekday())).isoformat()


def every_day(days: Sequence[Stretch], most: int) -> tuple[Stretch, ...]:
    """With the days between on which nothing was recorded, unless it would be more than ``most``.

    days: named ``2023-10-15``, ascending, one at least.
    """
    first, last = (date.fromisoformat(days[n].name) for n in (0, -1))
    count = (last - first).days + 1
    if count > most:
        return tuple(days)
    known = {day.name: day for day in days}
    names = ((first + timedelta(days=n)).isoformat() for n in range(count))
    return tuple(known.get(name, Stretch(name, 0.0, 0)) for name in names)
