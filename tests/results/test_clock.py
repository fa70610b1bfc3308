# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.errors import OptionError
from oido.results.clock import Clock, Reading, time_in_tags, zone_named

UTC = timezone.utc
MOTH = "Recorded at 19:17:30 10/12/2018 ({}) by AudioMoth 0FE081F80FE081F0 at gain setting 2"


def at(*values: int) -> datetime:
    return datetime(*values, tzinfo=UTC)  # type: ignore[arg-type,misc]


def tags(**values: str) -> str:
    return json.dumps(values)


@given(
    st.datetimes(datetime(1995, 1, 1), datetime(2035, 1, 1)).map(
        lambda t: t.replace(microsecond=0)
    ),
    st.sampled_from(["Europe/Madrid", "America/New_York", "Asia/Kolkata", "UTC", "+05:45"]),
)
def test_any_moment_is_found_again_from_what_a_local_clock_showed(
    moment: datetime, zone: str
) -> None:
    shown = moment.replace(tzinfo=UTC).astimezone(zone_named(zone))
    reading = Clock(zone=zone).read(f"{shown:%Y%m%d_%H%M%S}.WAV")
    if reading.doubt == "ambiguous":
        assert reading.at is not None
        assert moment.replace(tzinfo=UTC) - reading.at in (timedelta(), timedelta(hours=1))
    else:
        assert reading == Reading(moment.replace(tzinfo=UTC), "name")


def test_clocks_that_are_set_back_and_forward() -> None:
    clock = Clock(zone="Europe/Madrid")
    assert clock.read("20231029_023000.WAV") == Reading(
        at(2023, 10, 29, 0, 30), "name", "ambiguous"
    )
    assert clock.read("20230326_023000.WAV") == Reading(None, None, "impossible")
    assert clock.read("20230326_030000.WAV") == Reading(at(2023, 3, 26, 1), "name")
    assert clock.read("20231029T023000Z.WAV") == Reading(at(2023, 10, 29, 2, 30), "name")


def test_a_clock_that_was_not_set_and_a_name_without_time() -> None:
    assert Clock().read("19700101_000512.WAV") == Reading(None, None, "not set")
    assert Clock().read("street.flac", "{}", "2024-01-01T00:00:00+00:00") == Reading(None, None)
    told = tags(creation_time="2019-05-01T10:00:00.000000Z")
    assert Clock().read("19700101_000512.WAV", told) == Reading(at(2019, 5, 1, 10), "tags")


@pytest.mark.parametrize(
    ("zone", "hour"), [("UTC", 19), ("UTC+2", 17), ("UTC-3:30", 22), ("UTC+10", 9)]
)
def test_audiomoths_comment(zone: str, hour: int) -> None:
    reading = Clock(zone="Asia/Tokyo").read("a.wav", tags(comment=MOTH.format(zone)))
    minute = 47 if ":30" in zone else 17
    assert reading == Reading(at(2018, 12, 10, hour, minute, 30), "tags")


def test_a_comment_with_a_zone_goes_before_a_name_without_one() -> None:
    comment = tags(comment=MOTH.format("UTC+2"))
    assert Clock().read("20181210_191730.WAV", comment).at == at(2018, 12, 10, 17, 17, 30)
    assert Clock().read("20181210T191730Z.WAV", comment).at == at(2018, 12, 10, 19, 17, 30)
    assert Clock(source="name").read("20181210_191730.WAV", comment).at == at(
        2018, 12, 10, 19, 17, 30
    )
    old = tags(comment="Recorded at 19:17:30 10/12/2018 by AudioMoth 0FE081F80FE081F0")
    assert Clock(zone="+01:00").read("a.WAV", old).at == at(2018, 12, 10, 18, 17, 30)


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"creation_time": "2023-10-15T06:30:00.000000Z"}, at(2023, 10, 15, 6, 30)),
        ({"com.apple.quicktime.creationdate": "2023-10-15T06:30:00+0200"}, at(2023, 10, 15, 4, 30)),
        ({"DATE": "2023-10-15T06:30:00Z"}, at(2023, 10, 15, 6, 30)),
        (
            {"origination_date": "2023-10-15", "origination_time": "06:30:00"},
            datetime(2023, 10, 15, 6, 30),
        ),
        ({"date": "2007"}, None),
        ({"date": "2004-07-06"}, None),
        ({"creation_time": "2023-13-15T06:30:00Z"}, None),
        ({"comment": "Recorded at 19:17:30 40/12/2018 (UTC)"}, None),
        ({"comment": "Recorded at home"}, None),
        ({}, None),
    ],
)
def test_tags(told: dict[str, str], wanted: datetime | None) -> None:
    assert time_in_tags(told) == wanted


def test_tags_that_are_broken_are_no_tags() -> None:
    assert Clock().read("a.wav", "{not json") == Reading(None, None)
    assert Clock().read("a.wav", "[1]") == Reading(None, None)


def test_modified_counts_only_on_request_and_as_the_end() -> None:
    clock = Clock(source="modified")
    reading = clock.read("20231015_063000.WAV", "{}", "2024-05-05T12:00:00+02:00", 60.0)
    assert reading == Reading(at(2024, 5, 5, 9, 59), "modified")
    assert clock.read("a.wav", "{}", '"5d41402abc4b2a76b9719d911017c592"').at is None
    assert clock.read("a.wav").at is None


def test_patterns_and_sources() -> None:
    clock = Clock(pattern="%d%m%y %H.%M", zone="Europe/Madrid")
    assert clock.read("site 151023 06.30 x.wav").at == at(2023, 10, 15, 4, 30)
    assert clock.read("20231015_063000.WAV").at is None, "a pattern stands alone"
    told = tags(creation_time="2019-05-01T10:00:00Z")
    assert Clock(source="tags").read("20231015_063000.WAV", told).at == at(2019, 5, 1, 10)


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "+25:00", "../etc", ""])
def test_zones_that_are_none(zone: str) -> None:
    with pytest.raises(OptionError, match="there is no time zone"):
        Clock(zone=zone)


def test_a_source_that_is_none() -> None:
    with pytest.raises(OptionError, match="choose from auto, name, tags, modified"):
        Clock(source="mtime")  # type: ignore[arg-type]


def test_zones_by_name() -> None:
    assert zone_named("Europe/Madrid") == ZoneInfo("Europe/Madrid")
    assert zone_named("Z") is UTC
