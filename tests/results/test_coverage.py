# SPDX-License-Identifier: Apache-2.0
"""When something was recorded, by the clock, against a count second by second."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from oido.results import Results
from oido.results.coverage import (
    MOST_GAPS,
    Coverage,
    Stretch,
    covered_by,
    every_day,
    gaps_of,
    joined,
    monday_of,
)
from tests.results.results_folders import FolderMaker, recording

UTC = timezone.utc


def test_coverage_equals_a_count_second_by_second(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    zone = ZoneInfo("Europe/Madrid")
    first = datetime(2023, 10, 28, 20, tzinfo=UTC)  # clocks are set back in the next night
    maker = FolderMaker(tmp_path / "results")
    recordings, expected = [], Counter[tuple[str, int]]()
    for number in range(25):
        start = first + timedelta(seconds=int(rng.integers(0, 2 * 86400)))
        seconds = int(rng.integers(1, 9000))
        recordings.append(recording(f"{number:02d}x_{start:%Y%m%dT%H%M%S}Z.wav", float(seconds)))
        for n in range(seconds):
            moment = (start + timedelta(seconds=n)).astimezone(zone)
            expected[moment.date().isoformat(), moment.hour] += 1
    maker.commit({"recordings": recordings})
    parts = "CAST(moment AS DATE) AS day, hour(moment) AS hour"
    with Results(str(maker.folder)) as results:
        found = covered_by(results, parts, "Europe/Madrid")
    assert {(day.isoformat(), hour): n for (day, hour), n in found.items()} == expected


def test_days_to_weeks_and_the_days_between() -> None:
    days = (Stretch("2023-10-14", 1.0, 1), Stretch("2023-10-16", 2.0, 2))
    assert [d.name for d in every_day(days, 10)] == ["2023-10-14", "2023-10-15", "2023-10-16"]
    assert every_day(days, 2) == days
    assert monday_of("2023-10-15") == "2023-10-09"
    assert joined(days, lambda day: day[:7]) == (Stretch("2023-10", 3.0, 3),)


def coverage_of(folder: Path, gap_seconds: float) -> Coverage:
    with Results(str(folder)) as results:
        return gaps_of(results, gap_seconds)


@pytest.mark.parametrize("seed", range(4))
def test_gaps_are_those_between_the_seconds_that_were_recorded(tmp_path: Path, seed: int) -> None:
    """Recordings overlap, lie within each other, and follow at once."""
    rng = np.random.default_rng(seed)
    first = datetime(2023, 10, 14, 20, tzinfo=UTC)
    seconds: set[int] = set()
    recordings = []
    for number in range(12):
        start, length = int(rng.integers(0, 3_000)), int(rng.integers(1, 400))
        seconds |= set(range(start, start + length))
        moment = first + timedelta(seconds=start)
        recordings.append(recording(f"{number:02d}x_{moment:%Y%m%dT%H%M%S}Z.wav", float(length)))
    maker = FolderMaker(tmp_path / "results")
    maker.commit({"recordings": recordings})
    found = coverage_of(maker.folder, 10.0)
    ordered = sorted(seconds)
    gaps = [(a + 1, b - a - 1) for a, b in pairwise(ordered) if b - a - 1 > 10]
    assert found.seconds == len(seconds)
    assert found.first == first + timedelta(seconds=ordered[0])
    assert found.last == first + timedelta(seconds=ordered[-1] + 1)
    assert [((g.start - first).total_seconds(), g.seconds) for g in found.gaps] == sorted(
        gaps, key=lambda gap: (-gap[1], gap[0])
    )
    assert all((g.end - g.start).total_seconds() == g.seconds for g in found.gaps)
    assert (found.gap_count, found.gap_seconds) == (len(gaps), sum(gap[1] for gap in gaps))


def test_of_many_gaps_the_longest_are_listed_and_all_are_counted(tmp_path: Path) -> None:
    first, start = datetime(2023, 10, 14, tzinfo=UTC), 0
    recordings = []
    for number in range(MOST_GAPS + 11):
        moment = first + timedelta(seconds=start)
        recordings.append(recording(f"x_{moment:%Y%m%dT%H%M%S}Z.wav", 1.0))
        start += 101 + number  # a gap of 100 s, then 101 s, and so on
    maker = FolderMaker(tmp_path / "results")
    maker.commit({"recordings": recordings})
    found = coverage_of(maker.folder, 99.0)
    assert (len(found.gaps), found.gap_count) == (MOST_GAPS, MOST_GAPS + 10)
    assert found.gaps[0].seconds == 100 + MOST_GAPS + 9
    assert found.gap_seconds == sum(range(100, 100 + MOST_GAPS + 10))


def test_nothing_with_a_time_is_no_coverage(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    maker.commit({"recordings": [recording("no-time.wav", 60.0)]})
    assert coverage_of(maker.folder, 1.0) == Coverage(None, None, 0, (), 0, 0.0)


def test_a_rate_needs_a_recording() -> None:
    assert Stretch("7", 1_800.0, 3).rate == 6.0
    assert Stretch("7", 0.0, 0).rate is None
