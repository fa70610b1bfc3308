# SPDX-License-Identifier: Apache-2.0
"""The figures of an archive, and its coverage, against counts second by second."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from oido.errors import OptionError, UnknownLabelError
from oido.results import Clock, Results
from oido.results.summary import Period, Summary, every_day, joined, monday_of, periods, summarize
from tests.results.results_folders import FolderMaker, event, recording

UTC = timezone.utc


def summary_of(folder: Path, **options: object) -> Summary:
    with Results(str(folder)) as results:
        return summarize(results, **options)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two hours around midnight, a pause, a second recorder, and what could not be heard."""
    maker = FolderMaker(tmp_path / "results")
    recordings = [
        recording("a_20231014_230000.wav", 7200.0),  # 23:00 to 01:00
        recording("b_20231015_003000.wav", 3600.0),  # 00:30 to 01:30
        recording("a_20231015_063000.wav", 1800.0),  # 06:30 to 07:00
        recording("no-time.wav", 600.0),
        recording("bad.wav", 0.0, failure_kind="EmptyAudioError", failure_reason="is empty"),
        recording(
            "a_20231015_070500.wav", 60.0, failure_kind="CorruptAudioError", failure_reason="cut"
        ),
    ]
    events = [
        event("a_20231014_230000.wav", 0.0, 10.0, "Owl", 0.5),
        event("a_20231014_230000.wav", 3599.0, 3601.0, "Owl", 0.75),
        event("a_20231014_230000.wav", 3600.0, 3605.0, "Dog", 0.25),
        event("b_20231015_003000.wav", 0.0, 1.0, "Owl", 0.375),
        event("no-time.wav", 0.0, 1.0, "Dog", 0.5),
    ]
    maker.commit({"recordings": recordings, "events": events})
    return maker.folder


def test_counts_and_labels(folder: Path) -> None:
    summary = summary_of(folder)
    assert (summary.recordings, summary.succeeded, summary.failed) == (6, 4, 2)
    assert summary.hours == pytest.approx((7200 + 3600 + 1800 + 600 + 60) / 3600)
    assert (summary.with_sound, summary.timed) == (5, 4)
    assert summary.time_sources == {"name": 4}
    assert summary.failure_kinds == {"CorruptAudioError": 1, "EmptyAudioError": 1}
    assert [(f.file, f.reason, f.audio_seconds) for f in summary.failures] == [
        ("a_20231015_070500.wav", "cut", 60.0),
        ("bad.wav", "is empty", 0.0),
    ]
    owl, dog = summary.labels
    assert (owl.label, owl.events, owl.recordings, owl.share) == ("Owl", 3, 2, 0.5)
    assert (owl.seconds, owl.highest) == (13.0, 0.75)
    assert (dog.label, dog.events, dog.recordings, dog.seconds) == ("Dog", 2, 2, 6.0)
    assert {hour: n for hour, n in enumerate(owl.by_hour) if n} == {23: 2, 0: 1}
    assert summary.events == 5


def test_hours_days_and_gaps(folder: Path) -> None:
    summary = summary_of(folder, gap_seconds=200.0)
    recorded = {s.name: s.recorded_seconds for s in summary.by_hour if s.recorded_seconds}
    assert recorded == {"23": 3600.0, "00": 5400.0, "01": 1800.0, "06": 1800.0, "07": 60.0}
    assert summary.by_hour[0].events == 2
    assert summary.by_hour[0].rate == pytest.approx(2 / 1.5)
    assert summary.by_hour[5].rate is None
    assert summary.by_day == (
        Period("2023-10-14", 3600.0, 2),
        Period("2023-10-15", 5400.0 + 1800.0 + 1800.0 + 60.0, 2),
    )
    coverage = summary.coverage
    assert coverage.first == datetime(2023, 10, 14, 23, tzinfo=UTC)
    assert coverage.last == datetime(2023, 10, 15, 7, 6, tzinfo=UTC)
    assert coverage.seconds == 9000 + 1800 + 60, "two recorders at once count once"
    assert [(gap.start.hour, gap.end.hour, gap.seconds) for gap in coverage.gaps] == [
        (1, 6, 5 * 3600.0),
        (7, 7, 300.0),
    ]
    assert (coverage.gap_count, coverage.gap_seconds) == (2, 18_300.0)
    assert summary_of(folder, gap_seconds=5 * 3600.0).coverage.gap_count == 0, "longer, not equal"


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "+05:30"])
def test_another_zone_moves_hours_and_days(folder: Path, zone: str) -> None:
    summary = summary_of(folder, zone=zone, label="Owl")
    # 04:30 to 06:30, 06:00 to 07:00, 12:00 to 12:30, 12:35 to 12:36
    assert {s.name: s.recorded_seconds for s in summary.by_hour if s.recorded_seconds} == {
        "04": 1800.0,
        "05": 3600.0,
        "06": 1800.0 + 3600.0,
        "12": 1800.0 + 60.0,
    }
    assert [day.name for day in summary.by_day] == ["2023-10-15"]
    assert {s.name: s.events for s in summary.label_days if s.events} == {
        "2023-10-15 04": 1,
        "2023-10-15 05": 1,
        "2023-10-15 06": 1,
    }


def test_nothing_at_all_and_no_time_at_all(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results")
    empty = summary_of(maker.folder)
    assert (empty.recordings, empty.events, empty.labels, empty.by_day) == (0, 0, (), ())
    assert empty.coverage.first is None
    maker.commit({"recordings": [recording("x.wav", 5.0)]})
    assert summary_of(maker.folder).coverage.gaps == ()
    assert summary_of(maker.folder).timed == 0


def test_probabilities_where_the_run_is_calibrated(tmp_path: Path) -> None:
    maker = FolderMaker(tmp_path / "results", calibrated=True)
    rows = [{**event("a.wav", 0.0, 1.0, "Dog", 0.25), "probability": 0.875}]
    maker.commit({"recordings": [recording("a.wav", 5.0)], "events": rows})
    summary = summary_of(maker.folder)
    assert summary.calibrated
    assert summary.labels[0].highest == 0.875


def test_what_cannot_be(folder: Path) -> None:
    with pytest.raises(UnknownLabelError, match="'Owll'; the nearest are: 'Owl'"):
        summary_of(folder, label="Owll")
    with pytest.raises(OptionError, match="there is no time zone 'Mars'"):
        summary_of(folder, zone="Mars")
    with pytest.raises(OptionError, match="a gap is longer than 0 s"):
        summary_of(folder, gap_seconds=0.0)
    with Results(str(folder), None) as results, pytest.raises(OptionError, match="with a clock"):
        summarize(results)


def test_everything_is_plain_for_json(heard: Path) -> None:
    with Results(str(heard), Clock(zone="Europe/Madrid")) as results:
        values = summarize(results, label="Police car (siren)").to_dict()
    again = json.loads(json.dumps(values, allow_nan=False))
    assert again["report_version"] == 1
    assert again["coverage"]["first"] == "2018-12-10T17:17:30Z"
    assert again["coverage"]["gaps"][0]["end"] == "2023-10-15T04:30:00Z"
    siren = next(entry for entry in again["labels"] if entry["label"] == "Police car (siren)")
    assert siren["events"] == 1
    assert again["failure_kinds"] == {"EmptyAudioError": 1}
    assert again["heard"] + again["failed"] == again["recordings"]
    assert again["hearing_hours"] >= 0
    [failure] = again["failures"]
    assert set(failure) == {"file", "kind", "reason", "seconds_heard"}


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
    with Results(str(maker.folder)) as results:
        found = periods(results, ["day", "hour"], "Europe/Madrid")
    assert {p.name: p.recorded_seconds for p in found} == {
        f"{day} {hour:02d}": seconds for (day, hour), seconds in expected.items()
    }


def test_days_to_weeks_and_the_days_between() -> None:
    days = (Period("2023-10-14", 1.0, 1), Period("2023-10-16", 2.0, 2))
    assert [d.name for d in every_day(days, 10)] == ["2023-10-14", "2023-10-15", "2023-10-16"]
    assert every_day(days, 2) == days
    assert monday_of("2023-10-15") == "2023-10-09"
    assert joined(days, lambda day: day[:7]) == (Period("2023-10", 3.0, 3),)


def test_a_rate_needs_a_recording() -> None:
    assert Period("7", 1_800.0, 3).rate == 6.0
    assert Period("7", 0.0, 0).rate is None
