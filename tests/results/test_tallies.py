# SPDX-License-Identifier: Apache-2.0
"""Counts by file, site, day, hour and label, against counts by hand and second by second."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from oido.errors import OptionError
from oido.results import Results
from oido.results.tallies import KEYS, is_little, little_recorded, read_keys, tally, thresholds_of
from tests.results.results_folders import FolderMaker, event, recording

MADRID = ZoneInfo("Europe/Madrid")
RECORDINGS = {
    "rec/north/20231028_233000.wav": 7200.0,  # over the hour that came twice in Madrid
    "rec/north/20231029_093000.wav": 600.5,
    "rec/south/20231029_000000.wav": 14.0,
    "rec/south/unknown.wav": 60.0,
}


@pytest.fixture
def folder(tmp_path: Path) -> FolderMaker:
    maker = FolderMaker(tmp_path / "results")
    rows = [
        event(name, start, start + 1.0, label, score)
        for name, duration in RECORDINGS.items()
        for start, label, score in (
            (0.0, "Dog", 0.5),
            (duration / 2, "Owl", 0.25),
            (duration - 1.5, "Dog", 0.75),
        )
    ]
    bad = recording("rec/bad.wav", 0.0, failure_kind="EmptyAudioError")
    heard = [recording(name, duration) for name, duration in RECORDINGS.items()]
    maker.commit({"recordings": [*heard, bad], "events": rows})
    return maker


def counted(maker: FolderMaker, *by: str, **options: Any) -> list[dict[str, Any]]:
    with Results(str(maker.folder)) as results:
        rows: list[dict[str, Any]] = tally(results, by, **options).to_pylist()
    return rows


def by_hand(*by: str) -> tuple[Counter[Any], Counter[Any]]:
    """Recorded seconds and events by these keys, second by second."""
    seconds: Counter[Any] = Counter()
    events: Counter[Any] = Counter()
    for name, duration in RECORDINGS.items():
        stamp = name.rpartition("/")[2].removesuffix(".wav")
        known = stamp != "unknown"
        start = datetime.strptime(stamp, "%Y%m%d_%H%M%S") if known else datetime(2000, 1, 1)
        start = start.replace(tzinfo=timezone.utc)

        def key(second: float, at: datetime = start, n: str = name, known: bool = known) -> Any:
            local = (at + timedelta(seconds=second)).astimezone(MADRID)
            parts = {
                "file": n,
                "site": n.split("/")[1],
                "day": local.date() if known else None,
                "hour": local.hour if known else None,
            }
            return tuple(parts[each] for each in by)

        for second in range(int(duration)):
            seconds[key(second)] += 1
        seconds[key(int(duration))] += duration % 1  # type: ignore[assignment]
        for second in (0.0, duration / 2, duration - 1.5):
            events[key(second)] += 1
    return +seconds, events


@pytest.mark.parametrize(
    "by",
    [("site",), ("day",), ("hour",), ("site", "hour"), ("day", "hour"), ("hour", "site", "day")],
)
def test_hours_and_events_are_those_counted_second_by_second(
    folder: FolderMaker, by: tuple[str, ...]
) -> None:
    seconds, events = by_hand(*by)
    rows = counted(folder, *by, zone="Europe/Madrid")
    assert {tuple(r[k] for k in by): r["events"] for r in rows if r["events"]} == +events
    found = {tuple(r[k] for k in by): r["recorded_hours"] for r in rows}
    assert found == {k: pytest.approx(s / 3600, abs=6e-5) for k, s in seconds.items()}
    for row in rows:
        rate = row["events"] / (seconds[tuple(row[k] for k in by)] / 3600)
        assert row["events_per_hour"] == pytest.approx(rate, abs=6e-4)


def test_by_file_every_recording_is_there(folder: FolderMaker) -> None:
    rows = {row["file"]: row for row in counted(folder, "file")}
    assert set(rows) == {*RECORDINGS, "rec/bad.wav"}
    bad = rows["rec/bad.wav"]
    assert (bad["recorded_hours"], bad["events"], bad["events_per_hour"]) == (0.0, 0, None)
    assert {row["events"] for name, row in rows.items() if name in RECORDINGS} == {3}


def test_labels_count_against_all_that_was_recorded(folder: FolderMaker) -> None:
    rows = counted(folder, "label")
    assert [(r["label"], r["events"], r["recordings"], r["highest_score"]) for r in rows] == [
        ("Dog", 8, 4, 0.75),
        ("Owl", 4, 4, 0.25),
    ]
    hours = sum(RECORDINGS.values()) / 3600
    assert rows[0]["events_per_hour"] == pytest.approx(8 / hours, abs=1e-3)
    sites = counted(folder, "site", "label", label="Owl")
    assert [(r["site"], r["label"], r["events"]) for r in sites] == [
        ("north", "Owl", 2),
        ("south", "Owl", 2),
    ]
    assert {r["events"] for r in counted(folder, "site", label="Owl")} == {2}
    assert [r["events"] for r in counted(folder, "site", label="Cat")] == [0, 0]


@pytest.mark.parametrize(
    ("names", "pattern", "sites"),
    [
        (("a/x/1.wav", "b/x/2.wav"), None, ["a", "b"]),
        (("top/a/x/1.wav", "top/b/2.wav", "top/3.wav"), None, ["a", "b", "top"]),
        (("top/1.wav", "top/2.wav"), None, ["top", "top"]),
        (("1.wav", "2.wav"), None, [".", "."]),
        (("s3://bucket/a/1.wav", "s3://bucket/b/2.wav"), None, ["a", "b"]),
        (("C:\\a\\1.wav", "C:\\b\\2.wav"), None, ["a", "b"]),
        (("caf\\udce9.wav",), None, ["."]),
        (("d/N1_20231015.WAV", "d/S_2_2023.wav"), "{site}_*.wav", ["N1", "S"]),
        (("a/N/1.wav", "b/S/2.wav"), "{site}/*.wav", ["N", "S"]),
        (("N/2023/1.wav", "S/2024/2.wav"), "{site}/*/*", ["N", "S"]),
        (("x-north-1.wav", "y-south-2.wav", "z.wav"), "-([a-z]+)-", ["north", "south", None]),
        (("x-n.wav", "y-s.wav"), "(?P<place>[ns])\\.wav", ["n", "s"]),
        (("a1.wav", "a2.wav"), "a[0-9]", ["a1", "a2"]),
        (("it's_1.wav",), "{site}_?.wav", ["it's"]),
    ],
)
def test_sites(
    tmp_path: Path, names: tuple[str, ...], pattern: str | None, sites: list[str | None]
) -> None:
    maker = FolderMaker(tmp_path / "results")
    maker.commit({"recordings": [recording(name, 60.0) for name in names]})
    rows = counted(maker, "file", "site", site=pattern)
    assert {row["file"]: row["site"] for row in rows} == dict(zip(names, sites))


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(", "is no pattern"),
        ("(?<=a)b", "is no pattern"),
        ("{site}_{site}", "names the site more than once"),
        ("{site}_night.wav", "matches none of the recordings, such as rec/"),
    ],
)
def test_patterns_of_sites_that_are_none(folder: FolderMaker, pattern: str, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        counted(folder, "site", site=pattern)


def test_the_threshold_that_was_used(tmp_path: Path) -> None:
    def used(model: str = "yamnet/classification", **parameters: Any) -> Any:
        maker = FolderMaker(tmp_path / f"results{len([*tmp_path.iterdir()])}", model=model)
        maker.commit({"events": [event("a.wav", 0.0, 1.0, name) for name in ("Dog", "Owl")]})
        with Results(str(maker.folder)) as results:
            results.header["parameters"] |= parameters
            rows = tally(results, ["label"]).to_pylist()
            return *thresholds_of(results), [row["threshold"] for row in rows]

    assert used() == (0.2, {}, [0.2, 0.2])
    assert used("ensemble") == (0.12, {}, [0.12, 0.12])
    assert used("birds.tflite") == (None, {}, [None, None])
    assert used(calibration_sha256="ab") == (None, {}, [None, None])
    given = {"threshold": 0.5, "thresholds": [["perro", 0.75]]}
    assert used("birds.tflite", detection=given) == (0.5, {"Dog": 0.75}, [0.75, 0.5])
    assert used(selection={"score_threshold": 0.4})[0] == 0.4


def test_keys() -> None:
    assert read_keys(" Site,day,site ") == ("site", "day")
    assert read_keys(None) == ()
    assert {read_keys(key) for key in KEYS} == {(key,) for key in KEYS}
    for wrong, says in (
        ("sitio", r"did you mean site\?"),
        ("", "choose from"),
        ("day,,", "choose"),
    ):
        with pytest.raises(OptionError, match=says):
            read_keys(wrong)


def test_little_is_less_than_an_hour_and_than_a_tenth_of_the_most(folder: FolderMaker) -> None:
    assert is_little(14.0, 3600.0)
    assert not is_little(360.0, 3600.0)
    assert not is_little(14.0, 60.0)
    assert is_little(3599.0, 360_000.0)
    assert not is_little(3600.0, 360_000.0)
    with Results(str(folder.folder)) as results:
        table = tally(results, ["site", "hour"])
        hours = table["recorded_hours"].to_pylist()
        assert (
            little_recorded(table.to_pylist(), ["site", "hour"])
            == {n for n, each in enumerate(hours) if each < max(hours) / 10}
            != set()
        )
        assert little_recorded(tally(results, ["label"]).to_pylist(), ["label"]) == set()
