# SPDX-License-Identifier: Apache-2.0
"""When each site recorded, and when it did not, against counts second by second."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from oido.results import Results
from oido.results.coverage import MOST_GAPS, Coverage, coverage_of
from oido.results.tallies import site_of
from tests.results.results_folders import FolderMaker, recording

FIRST = datetime(2023, 10, 14, 20, tzinfo=timezone.utc)
HOUR = 3600


def coverage(folder: Path, gap_seconds: float, pattern: str | None = None) -> Coverage:
    with Results(str(folder)) as results:
        return coverage_of(results, site_of(results, pattern), gap_seconds)


def recorded(folder: str, start: int, length: float = 1.0) -> dict[str, object]:
    """A recording of a folder, this many seconds after FIRST."""
    moment = FIRST + timedelta(seconds=start)
    return recording(f"{folder}x{start}_{moment:%Y%m%dT%H%M%S}Z.wav", length)


def made(path: Path, recordings: list[dict[str, object]]) -> Path:
    maker = FolderMaker(path / "results")
    maker.commit({"recordings": recordings})
    return maker.folder


def seconds(moment: datetime | None) -> float:
    assert moment is not None
    return (moment - FIRST).total_seconds()


def gaps_of(found: Coverage) -> list[tuple[str | None, float, float]]:
    """Site, begin and end of each, in seconds."""
    assert all((g.end - g.start).total_seconds() == g.seconds for g in found.gaps)
    return [(gap.site, seconds(gap.start), seconds(gap.end)) for gap in found.gaps]


def holes(moments: set[int], longer: int) -> list[tuple[int, int]]:
    return [(a + 1, b) for a, b in pairwise(sorted(moments)) if b - a - 1 > longer]


@pytest.mark.parametrize("seed", range(6))
def test_gaps_are_those_between_the_seconds_that_were_recorded(tmp_path: Path, seed: int) -> None:
    """Recordings overlap, lie within each other, and follow at once; of one to four sites."""
    rng = np.random.default_rng(seed)
    sites: dict[str, set[int]] = {}
    recordings = []
    for _ in range(24):
        name = f"s{rng.integers(0, seed % 4 + 1)}"
        # Each site has its own stretch of time, so that some follow each other.
        start = int(rng.integers(0, 3_000)) + 2_000 * int(name[1]) * (seed % 2)
        length = int(rng.integers(1, 100))
        sites.setdefault(name, set()).update(range(start, start + length))
        recordings.append(recorded(f"all/{name}/", start, float(length)))
    found = coverage(made(tmp_path, recordings), 10.0, "{site}/*.wav")
    anywhere = set().union(*sites.values())
    expected = {(name, *hole) for name, moments in sites.items() for hole in holes(moments, 10)}
    expected |= {
        (None, start, end)
        for start, end in holes(anywhere, 10)
        if not any(min(moments) < start and end <= max(moments) for moments in sites.values())
    }
    assert set(gaps_of(found)) == expected
    lengths = [gap.seconds for gap in found.gaps]
    assert lengths == sorted(lengths, reverse=True)
    assert (found.gap_count, found.gap_seconds) == (len(expected), sum(lengths))
    assert found.seconds == len(anywhere)
    assert (seconds(found.first), seconds(found.last)) == (min(anywhere), max(anywhere) + 1)
    assert {
        each.site: (seconds(each.first), seconds(each.last), each.gap_count, each.gap_seconds)
        for each in found.sites
    } == {
        name: (
            min(moments),
            max(moments) + 1,
            len(holes(moments, 10)),
            sum(end - start for start, end in holes(moments, 10)),
        )
        for name, moments in sites.items()
    }


def test_a_site_that_was_silent_while_another_recorded(tmp_path: Path) -> None:
    hourly = [recorded("all/fell/", hour * HOUR, 3600.0) for hour in range(48)]
    silent = [recorded("all/marsh/", hour * HOUR, 3600.0) for hour in (0, 47)]
    found = coverage(made(tmp_path, hourly + silent), 60.0)
    assert gaps_of(found) == [("marsh", HOUR, 47 * HOUR)]
    assert [(site.site, site.gap_count) for site in found.sites] == [("fell", 0), ("marsh", 1)]
    assert found.sites_with_gaps == 1


def test_a_folder_for_each_day_hides_no_gap(tmp_path: Path) -> None:
    days = [recorded(f"all/day{day}/", day * 24 * HOUR, 3600.0) for day in (0, 1, 4)]
    found = coverage(made(tmp_path, days), 24.0 * HOUR)
    assert gaps_of(found) == [(None, 25 * HOUR, 96 * HOUR)]
    assert found.sites_with_gaps == 0


def test_recordings_that_a_pattern_does_not_match_are_one_site(tmp_path: Path) -> None:
    names = [recorded("A_", 0), recorded("A_", 500), recorded("other", 100), recorded("other", 900)]
    found = coverage(made(tmp_path, names), 60.0, "{site}_x*_*.wav")
    assert gaps_of(found) == [("", 101, 900), ("A", 1, 500)]


def test_of_many_gaps_the_longest_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    starts = np.cumsum(np.arange(MOST_GAPS + 11) + 100 + 1)  # gaps of 101 s, 102 s, and so on
    found = coverage(made(tmp_path, [recorded("", int(start)) for start in starts]), 99.0)
    assert (len(found.gaps), found.gap_count) == (MOST_GAPS, MOST_GAPS + 10)
    assert found.gaps[0].seconds == 101 + MOST_GAPS + 9
    assert found.gap_seconds == sum(range(101, 101 + MOST_GAPS + 10))


def test_nothing_with_a_time_is_no_coverage(tmp_path: Path) -> None:
    folder = made(tmp_path, [recording("no-time.wav", 60.0)])
    assert coverage(folder, 1.0) == Coverage(None, None, 0, (), 0, 0.0, ())
