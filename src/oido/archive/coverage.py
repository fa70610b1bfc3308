# SPDX-License-Identifier: Apache-2.0
"""When there was a recording, by the clock, and when there was none."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from oido.archive.database import quoted
from oido.archive.results import Results

__all__ = ["Coverage", "Gap", "covered_by", "gaps_of", "local"]

_BIN = 900
"""Seconds: the offsets of today's time zones are multiples of a quarter of an hour."""

MOST_GAPS = 100


class Gap(NamedTuple):
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
    gaps: tuple[Gap, ...]
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
    total = _rows(
        results,
        f"""WITH {_SPANS} SELECT min(start) AS first, max(stop) AS last,
            coalesce(sum(greatest(epoch(stop) - epoch(greatest(start, coalesce(before, start))), 0)
            ), 0) AS seconds FROM ordered""",
    )[0]
    found = _rows(
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
        tuple(Gap(row["before"], row["start"], row["seconds"]) for row in found),
        found[0]["count"] if found else 0,
        found[0]["total"] if found else 0.0,
    )


def covered_by(results: Results, parts: str, zone: str) -> dict[tuple[Any, ...], float]:
    """Recorded seconds by parts of local time.

    parts: SQL such as ``hour(moment)``, ``CAST(moment AS DATE)``. A recording counts in each part
    with the seconds that fall into it.
    """
    rows = _rows(
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


def _rows(results: Results, query: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = results.sql(query).to_pylist()
    return rows
