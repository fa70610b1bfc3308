# SPDX-License-Identifier: Apache-2.0
"""When each site recorded, and when it did not, by the clock. DuckDB counts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from oido.results.results import Results

MOST_GAPS = 100


@dataclass(frozen=True)
class CoverageGap:
    """A stretch without a recording, in UTC.

    site: that recorded nothing though it did before and after; None: no site did, and none was
    there before and after.
    """

    start: datetime
    end: datetime
    seconds: float
    site: str | None


@dataclass(frozen=True)
class SiteCoverage:
    """When one site recorded: its first and last moment, UTC, and its gaps in between.

    site: "" for recordings that a pattern does not match.
    """

    site: str
    first: datetime
    last: datetime
    gap_count: int
    gap_seconds: float


@dataclass(frozen=True)
class Coverage:
    """What the clock saw of the recordings whose time is known.

    first, last: when the first began and the last ended, UTC; None if no time is known. seconds:
    with at least one recording of any site. gaps: the longest, longest first, at most 100 of
    ``gap_count``, which take ``gap_seconds``, added up over sites. sites: by name.
    """

    first: datetime | None
    last: datetime | None
    seconds: float
    gaps: tuple[CoverageGap, ...]
    gap_count: int
    gap_seconds: float
    sites: tuple[SiteCoverage, ...]

    @property
    def sites_with_gaps(self) -> int:
        return sum(site.gap_count > 0 for site in self.sites)


def coverage_of(results: Results, site: str, gap_seconds: float) -> Coverage:
    """Coverage by the clock, and the gaps longer than this.

    site: SQL of the site of a ``file`` (`oido.results.tallies.site_of`). Folders may be days as
    well as sites: so a gap between sites counts where none of them was there before and after.
    """
    spans = f"""
        placed AS (
            SELECT coalesce({site}, '') AS site, recorded_at AS start,
                recorded_at + to_microseconds(CAST(round(duration * 1e6) AS BIGINT)) AS stop
            FROM recordings WHERE recorded_at IS NOT NULL AND duration > 0
        ),
        spans AS (SELECT *, max(start) OVER (PARTITION BY site) AS site_ends FROM placed),
        ordered AS (
            SELECT site, start, stop, max(stop) OVER by_site AS site_before,
                max(stop) OVER of_all AS before, max(site_ends) OVER of_all AS ends
            FROM spans WINDOW
                by_site AS (PARTITION BY site ORDER BY start, stop
                    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
                of_all AS (ORDER BY start, stop ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
        ),
        gaps AS (
            SELECT site, site_before AS start, start AS stop FROM ordered UNION ALL
            SELECT NULL, before, start FROM ordered WHERE ends < start
        ),
        long AS (
            SELECT site, start, stop, epoch(stop) - epoch(start) AS seconds
            FROM gaps WHERE epoch(stop) - epoch(start) > {float(gap_seconds)!r}
        )"""
    (total,) = results.sql(
        f"""WITH {spans} SELECT min(start) AS first, max(stop) AS last,
            coalesce(sum(greatest(epoch(stop) - epoch(greatest(start, coalesce(before, start))), 0)
            ), 0) AS seconds,
            (SELECT count(*) FROM long) AS gap_count,
            (SELECT coalesce(sum(seconds), 0.0) FROM long) AS gap_seconds FROM ordered"""
    ).to_pylist()
    longest = results.sql(
        f"""WITH {spans} SELECT start, stop AS end, seconds, site FROM long
        ORDER BY seconds DESC, start, site LIMIT {MOST_GAPS}"""
    )
    sites = results.sql(
        f"""WITH {spans}, of_sites AS (SELECT site, count(*) AS gap_count,
            sum(seconds) AS gap_seconds FROM long GROUP BY site)
        SELECT site, min(start) AS first, max(stop) AS last,
            coalesce(any_value(gap_count), 0) AS gap_count,
            coalesce(any_value(gap_seconds), 0.0) AS gap_seconds
        FROM placed LEFT JOIN of_sites USING (site) GROUP BY site ORDER BY site"""
    )
    return Coverage(
        **total,
        gaps=tuple(CoverageGap(**row) for row in longest.to_pylist()),
        sites=tuple(SiteCoverage(**row) for row in sites.to_pylist()),
    )
