# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.errors import OptionError
from oido.results.clock import (
    Clock,
    NamePattern,
    Reading,
    offset_of,
    time_in_name,
    time_in_tags,
    zone_named,
)

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
        ({"origination_date": "2023-10-15", "origination_time": ""}, None),
        ({"date": "2023/10/15 06:30"}, datetime(2023, 10, 15, 6, 30)),
        (
            {"guano_timestamp": "2023-10-15T06:30:00.123456789+02"},
            at(2023, 10, 15, 4, 30, 0, 123456),
        ),
        ({"wamd_timestamp": "2023-10-15 06:30:00-05:00"}, at(2023, 10, 15, 11, 30)),
        (
            {"creation_time": "1904-01-01T00:00:00Z", "date": "2023-10-15T06:30:00Z"},
            at(2023, 10, 15, 6, 30),
        ),
        ({"creation_time": "1970-01-01T00:00:09Z"}, at(1970, 1, 1, 0, 0, 9)),
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


def test_tags_in_their_order() -> None:
    """The order that docs/guides/results.md states."""
    in_order = [
        {"guano_timestamp": "2001-01-01T00:00:00Z"},
        {"wamd_timestamp": "2002-01-01 00:00:00"},
        {"RecordingStart": "2002-06-01T00:00:00+1000"},
        {"comment": "Recorded at 00:00:00 01/01/2003 (UTC) by AudioMoth 1"},
        {"origination_date": "2004-01-01", "origination_time": "00:00:00"},
        {"com.apple.quicktime.creationdate": "2005-01-01T00:00:00Z"},
        {"creation_time": "2006-01-01T00:00:00Z"},
        {"date": "2008-01-01 00:00:00"},
    ]
    for count, first in enumerate(in_order):
        tags_from_there = {k: v for tag in reversed(in_order[count:]) for k, v in tag.items()}
        assert time_in_tags(tags_from_there) == time_in_tags(first)


@pytest.mark.parametrize("key", ["guano_timestamp", "wamd_timestamp", "recordingstart"])
def test_a_recorders_time_with_a_zone_goes_before_a_name_without_one(key: str) -> None:
    with_zone, without = ({key: f"2023-10-15T06:30:00{zone}"} for zone in ("-03:00", ""))
    clock = Clock(zone="+01:00")
    assert clock.read("20231015_063005.wav", tags(**with_zone)).at == at(2023, 10, 15, 9, 30)
    assert clock.read("20231015_063005.wav", tags(**without)) == Reading(
        at(2023, 10, 15, 5, 30, 5), "name"
    )


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


TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31, 23, 59, 59)).map(
    lambda time: time.replace(microsecond=0)
)
PREFIXES = st.sampled_from(["", "SMM00123_", "24F319055FDF2F5B_", "north-", "s4a0 ", "x/2/"])
SUFFIXES = st.sampled_from([".wav", ".WAV", "T.WAV", "_001.flac", "-a.w4v", " copy.m4a", ".3gp"])
NAIVE = (
    "%Y%m%d_%H%M%S",
    "%Y%m%d$%H%M%S",
    "%Y-%m-%dT%H-%M-%S",
    "%Y-%m-%d_%H-%M-%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y%m%d%H%M%S",
    "%Y%m%dT%H%M%S",
    "%Y.%m.%d_%H.%M.%S",
    "%Y-%m-%d-birdnet-%H:%M:%S",
    "%Y-%m-%d-birdnet-RTSP_1-%H:%M:%S",
)


@given(TIMES, st.sampled_from(NAIVE), PREFIXES, SUFFIXES)
def test_what_recorders_write_is_read_back(
    time: datetime, form: str, prefix: str, suffix: str
) -> None:
    assert time_in_name(f"{prefix}{time.strftime(form)}{suffix}") == time


@given(
    TIMES,
    st.sampled_from(["%Y-%m-%dT%H-%M-%S", "%Y%m%dT%H%M%S"]),
    st.sampled_from(["Z", "+1000", "-0330", "+05:45", "-08:00"]),
)
def test_a_zone_in_the_name_is_kept(time: datetime, form: str, zone: str) -> None:
    found = time_in_name(f"{time.strftime(form)}{zone}_REC.flac")
    assert found is not None
    assert found.replace(tzinfo=None) == time
    assert found.utcoffset() == datetime.strptime(zone, "%z").utcoffset()


@given(st.integers(1_451_606_400, 2_082_758_399), st.sampled_from(["{:08X}.WAV", "a/b/{:08x}.wav"]))
def test_old_audiomoth_names_are_unix_time_in_hexadecimal(seconds: int, form: str) -> None:
    assert time_in_name(form.format(seconds)) == datetime.fromtimestamp(seconds, UTC)


@given(st.integers(1_262_304_000, 1_999_999_999), st.integers(0, 999_999))
def test_unix_times_of_frigate_and_others(seconds: int, micro: int) -> None:
    time = datetime.fromtimestamp(seconds, UTC)
    exact = time + timedelta(microseconds=micro)
    assert time_in_name(f"clips/front_door-{seconds}.{micro:06d}-ab12cd.mp4") == exact
    milli = exact.replace(microsecond=micro // 1000 * 1000)
    assert time_in_name(f"{seconds}{micro // 1000:03d}.ogg") == milli
    assert time_in_name(f"audio_{seconds}.ogg") == time


@given(TIMES)
def test_frigates_tree_is_in_utc(time: datetime) -> None:
    name = f"recordings/{time:%Y-%m-%d/%H}/garden/{time:%M.%S}.mp4"
    assert time_in_name(name) == time.replace(tzinfo=UTC)
    assert time_in_name(name.replace("/", "\\")) == time.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    [
        "1-100032-A-0.wav",
        "LOCA_2021_09_24_652_3.wav",
        "20231015.wav",  # a day is no time
        "20231315_063000.wav",  # no such month
        "20230229_063000.wav",  # no such day
        "20231015_246000.wav",
        "00450001.WAV",  # a number of eight digits, and no Unix time of these years
        "10160435.wav",
        "0123456789.wav",
        "1697351400-1697351460.wav",  # two: nobody knows which
        "street.flac",
        "2023/10/15/bird.wav",
        "",
    ],
)
def test_what_tells_no_time(name: str) -> None:
    assert time_in_name(name) is None


def test_folders_do_not_lend_their_time() -> None:
    assert time_in_name("20231015_063000/part2.wav") is None


def test_a_number_after_the_time_is_no_zone() -> None:
    assert time_in_name("20231015_063000-0200.wav") == datetime(2023, 10, 15, 6, 30)
    assert time_in_name("20231015_063000_123456.wav") == datetime(2023, 10, 15, 6, 30, 0, 123456)


@pytest.mark.parametrize("text", ["+15", "+0207", "02:00", "-1", "+5:30", "Z", "+1000", ""])
def test_offsets(text: str) -> None:
    wanted = {
        "-1": -timedelta(hours=1),
        "+5:30": timedelta(hours=5, minutes=30),
        "Z": timedelta(),
        "+1000": timedelta(hours=10),
    }
    found = offset_of(text)
    assert (None if found is None else found.utcoffset(None)) == wanted.get(text)


PATTERNS = (
    "%Y%m%d_%H%M%S",
    "rec %d.%m.%Y %H-%M",
    "%y%m%d%H%M%S",
    "%Y-%j-%H%M%S",
    "%d%b%Y_%I%M%S%p",
    "%Y%m%d/%H%M%S",
)


@given(TIMES.filter(lambda t: 1990 <= t.year < 2069), st.sampled_from(PATTERNS))
def test_a_pattern_reads_what_it_writes(time: datetime, pattern: str) -> None:
    wanted = time if "%S" in pattern else time.replace(second=0)
    assert NamePattern(pattern).find(f"site/a_{time.strftime(pattern)}_x.wav") == wanted


def test_a_pattern_with_a_zone_or_of_unix_time() -> None:
    found = NamePattern("%Y%m%dT%H%M%S%z").find("20231015T063000+0200.wav")
    assert found == datetime(2023, 10, 15, 4, 30, tzinfo=UTC)
    assert NamePattern("cam%s_").find("cam1697351400_7.wav") == datetime(
        2023, 10, 15, 6, 30, tzinfo=UTC
    )
    assert NamePattern("%Y%m%d_%H%M%S").find("street.wav") is None
    assert NamePattern("%Y%m%d_%H%M%S").find("99991340_000000 20231015_063000.wav") == datetime(
        2023, 10, 15, 6, 30
    )


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("%Y%m%d", "needs a year, a day and an hour"),
        ("%H%M%S", "needs a year, a day and an hour"),
        ("%Y%Q", "%Q in '%Y%Q' is not known"),
        ("rec", "needs a year"),
        ("%s%H", "needs a year"),
    ],
)
def test_patterns_that_cannot_be(pattern: str, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        NamePattern(pattern)
