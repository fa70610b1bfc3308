# SPDX-License-Identifier: Apache-2.0
"""Times in names: what recorders and telephones write, and what can be read in two ways."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.name_time import Habits, offset_of, read_name, time_in_name
from oido.results.clock import Clock, Reading

UTC = timezone.utc


def at(*values: int) -> datetime:
    return datetime(*values, tzinfo=UTC)  # type: ignore[arg-type,misc]


MORNING = at(2023, 10, 15, 6, 30)


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("1409810481.181115120000.wav", at(2018, 11, 15, 12)),
        ("5679.181115120000.wav", at(2018, 11, 15, 12)),
        ("site-a 671379494.201231235959.wav", at(2020, 12, 31, 23, 59, 59)),
        ("20221125_102500+1000.WAV", at(2022, 11, 25, 0, 25)),
        ("20140101T235959+10.wav", at(2014, 1, 1, 13, 59, 59)),
        ("20140101T235959-10.wav", at(2014, 1, 2, 9, 59, 59)),
        ("20140101T235959-0330.wav", at(2014, 1, 2, 3, 29, 59)),
        ("20140101_235959+10.wav", at(2014, 1, 1, 13, 59, 59)),
        ("20140101_235959+05:45.wav", at(2014, 1, 1, 18, 14, 59)),
        ("20140101_235959-03:00.wav", at(2014, 1, 2, 2, 59, 59)),
        ("20140101_235959Z.wav", at(2014, 1, 1, 23, 59, 59)),
        ("20140101_235959_UTC.wav", at(2014, 1, 1, 23, 59, 59)),
        ("20140101_235959_UTC+2.wav", at(2014, 1, 1, 21, 59, 59)),
        ("2014-01-01 23-59-59 GMT-03.wav", at(2014, 1, 2, 2, 59, 59)),
        (
            "S20210205T035946676+1000_E20210205T040446501+1000_-08.0000+000.0000.wav",
            at(2021, 2, 4, 17, 59, 46, 676000),
        ),
        ("201906 7T095935+1000_REC [19.2144 152.8811].flac", at(2019, 6, 6, 23, 59, 35)),
        ("2019 6 7T 9 5 3Z_REC.flac", at(2019, 6, 7, 9, 5, 3)),
        ("20231015T063000-08.3866+152.8761.wav", MORNING),
        ("180801_1630_creek.wav", at(2018, 8, 1, 16, 30)),
        ("ZOOM 180801-163005.wav", at(2018, 8, 1, 16, 30, 5)),
        ("Voice 231015_063000.m4a", MORNING),
        ("20231015_0630.wav", MORNING),
        ("202310150630.wav", MORNING),
        ("231015063000.wav", MORNING),
        ("WhatsApp Audio 2023-10-15 at 06.30.00.ogg", MORNING),
        ("WhatsApp Audio 2023-10-15 at 6.30.00 AM.opus", MORNING),
        ("Screen Recording 2023-10-15 at 6.30.00\u202fPM.mov", at(2023, 10, 15, 18, 30)),
        ("2023-10-15 at 12.05.00 AM.mov", at(2023, 10, 15, 0, 5)),
        ("Aufnahme 2023-10-15 um 06.30.00.m4a", MORNING),
        ("2023-10-15 06_30.wav", MORNING),
        ("2023-10-15 06.30.wav", MORNING),
        ("2023-10-15_06h30.wav", MORNING),
        ("2023-10-15-06-30-00.wav", MORNING),
        ("2023 10 15 06 30 00.wav", MORNING),
        ("2023.10.15.06.30.00.wav", MORNING),
        ("20231015.063000.wav", MORNING),
        ("20231015 063000.wav", MORNING),
        ("2023-10-15 - 06.30.00.wav", MORNING),
        ("signal-2023-10-15-063000.aac", MORNING),
        ("signal-2023-10-15-06-30-00-123.m4a", MORNING),
        ("audio_2023-10-15_06-30-00.ogg", MORNING),
        ("20231015T063000.1234567Z.wav", MORNING + timedelta(microseconds=123456)),
        ("20231015_063000,5.wav", MORNING + timedelta(microseconds=500000)),
        ("20231015T063000123Z.wav", MORNING + timedelta(microseconds=123000)),
        ("2023-10-15T06%3A30%3A00Z.wav", MORNING),
        ("20231015_163000_+1000.wav", MORNING),
        ("20231015_163000 +1000.wav", MORNING),
        ("20231015_163000_(UTC+10).wav", MORNING),
        ("20231015_063000(UTC).wav", MORNING),
        ("20231015_063000 -01.wav", MORNING),
        ("20231015-0630.wav", MORNING),
        ("2023-10-15-0630.wav", MORNING),
        ("2023-10-15_0630.wav", MORNING),
        ("2023_10_15 0630.wav", MORNING),
        ("15.10.2023 06.30.00.wav", MORNING),
        ("15-10-2023_06-30.wav", MORNING),
        ("10-15-2023_06-30-00.mp3", MORNING),
        ("11.10.2023_06h30.wav", at(2023, 10, 11, 6, 30)),
        ("cam-1697351400.123456789-x7.mp4", MORNING + timedelta(microseconds=123456)),
    ],
)
def test_names_of_recorders_and_telephones(name: str, time: datetime) -> None:
    assert Clock().read(f"deep/{name}") == Reading(time, "name")


@pytest.mark.parametrize(
    "name",
    [
        "1409810481.999999999999.wav",  # a serial number, and no time behind it
        "XC753250-2022_06_29[1]magpie.mp3",
        "LOCA_2021_09_24_652_3.wav",
        "2021_09_24_6_30.wav",
        "20231015_2460.wav",
        "20231015-2460.wav",
        "31-31-2023_06-30.wav",
        "123456_1234.wav",
        "991301_1200.wav",
        "100032-3-0-0.wav",
        "S4A01234_5678.wav",
        "PTT-20231015-WA0001.opus",
        "0031612345678.wav",
    ],
)
def test_numbers_that_are_no_times(name: str) -> None:
    assert read_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "1208795168.700209104318.wav",
        "19700209_104318.wav",
        "19800105_000000.wav",
        "19040102T000000",
    ],
)
def test_clocks_that_nobody_set(name: str) -> None:
    assert Clock().read(name) == Reading(None, None, "not set")


def test_an_offset_or_a_number_is_told_with_both_readings() -> None:
    clock = Clock(zone="+01:00")
    reading = clock.read("20221125_102500-0300.WAV")
    aware, local = at(2022, 11, 25, 13, 25), at(2022, 11, 25, 9, 25)
    assert reading == Reading(aware, "name", "two readings", local)
    assert clock.read("20221125_102500-03.WAV") == Reading(local, "name", "two readings", aware)
    west = Clock(zone="America/Sao_Paulo").read("20221125_102500-0300.WAV")
    assert west == Reading(aware, "name"), "both readings are one"
    assert clock.read("20221125_102500-0017.WAV") == Reading(local, "name")
    assert clock.read("20221125_102500-17.WAV") == Reading(local, "name")
    assert clock.read("20221125_102500 -0300.WAV") == reading
    assert time_in_name("20221125_102500-0300.WAV") == datetime(2022, 11, 25, 10, 25)


LOCAL, WEST = at(2022, 11, 25, 10, 25), at(2022, 11, 25, 13, 25)


@pytest.mark.parametrize(
    ("others", "time"),
    [
        (["20221126_102500+1000.WAV"], WEST),
        (["20221126T102500-0300.WAV"], WEST),
        (["20221126_102500-0300.WAV", "20220601_102500-0200.WAV"], WEST),
        (["20221125_102500-0017.WAV"], LOCAL),
        (["20221125_102500-1300.WAV"], LOCAL),
    ],
)
def test_other_names_decide(others: list[str], time: datetime) -> None:
    name = "20221125_102500-0300.WAV"
    habits = Habits.of([name, *others])
    assert Clock().read(name, habits=habits) == Reading(time, "name")


def test_other_names_decide_on_hours_and_numbers() -> None:
    name = "20221125_102500-03.WAV"
    assert Clock().read(name, habits=Habits.of([name, "20221125_102500+03.WAV"])).at == WEST
    assert Clock().read(name, habits=Habits.of([name, "20221125_102500-13.WAV"])).at == LOCAL
    assert Clock().read(name, habits=Habits.of([name])).doubt == "two readings"
    for name in ("180801_0007.wav", "20180801_0007.wav"):
        reading = Clock().read(name, habits=Habits.of([name]))
        assert reading == Reading(at(2018, 8, 1, 0, 7), "name", "two readings", None)
        assert Clock().read(name, habits=Habits.of([name, "180801_0061.wav"])).at is None
    assert Clock().read("10-11-2023_06-30-05.wav") == Reading(
        at(2023, 11, 10, 6, 30, 5), "name", "two readings", at(2023, 10, 11, 6, 30, 5)
    )
    assert Clock().read("201011120000.wav") == Reading(
        at(2010, 11, 12), "name", "two readings", at(2020, 10, 11, 12)
    )


def test_a_number_that_comes_again_is_no_unix_time() -> None:
    names = ["1409810481_rain.wav", "1409810481_wind.wav", "1697351400_x.wav"]
    habits = Habits.of(names)
    assert [Clock().read(name, habits=habits).at for name in names] == [None, None, MORNING]
    assert Clock().read("1409810481.181115120000.wav", habits=habits).at == at(2018, 11, 15, 12)


@pytest.mark.parametrize(
    ("tag", "time"),
    [
        ({"guano_timestamp": "2022-11-25T10:25:01-03:00"}, WEST),
        ({"creation_time": "2022-11-25T13:26:00Z"}, WEST),
        ({"creation_time": "2022-11-25T10:25:00.5Z"}, LOCAL),
    ],
)
def test_a_field_in_the_file_decides(tag: dict[str, str], time: datetime) -> None:
    import json

    reading = Clock().read("20221125_102500-0300.WAV", json.dumps(tag))
    assert reading == Reading(time, "name")


TIMES = st.datetimes(datetime(1991, 1, 1), datetime(2068, 12, 31, 23, 59, 59)).map(
    lambda time: time.replace(microsecond=0)
)
SEPARATED = st.sampled_from(["-", "_", ".", " "])


@given(TIMES, SEPARATED, st.sampled_from(["_", " ", "T", "-", " at ", ", "]), SEPARATED)
def test_hyphens_spaces_and_dots(time: datetime, date: str, between: str, clock: str) -> None:
    form = f"%Y{date}%m{date}%d{between}%H{clock}%M"
    assert time_in_name(f"a {time.strftime(form)}{clock}{time:%S} b.wav") == time
    assert time_in_name(f"a {time.strftime(form)}.wav") == time.replace(second=0)


OFFSETS = st.integers(-12 * 4, 14 * 4).map(lambda quarters: quarters * 15)


@given(TIMES, OFFSETS, st.sampled_from(["", ":"]), st.integers(0, 12), st.booleans())
def test_any_offset_with_a_t_and_any_fraction(
    time: datetime, minutes: int, colon: str, digits: int, hours_only: bool
) -> None:
    minutes -= minutes % 60 if hours_only else 0
    sign, size = "-" if minutes < 0 else "+", abs(minutes)
    zone = f"{sign}{size // 60:02d}" + ("" if hours_only else f"{colon}{size % 60:02d}")
    offset = offset_of(zone)
    if offset is None:  # none that is west of -12:00 or has odd minutes
        assert minutes < -720 or size // 60 in (12, 14)
        return
    fraction = "." + "123456789012"[:digits] if digits else ""
    found = time_in_name(f"{time:%Y%m%dT%H%M%S}{fraction}{zone}_REC.flac")
    assert found is not None
    assert found.utcoffset() == timedelta(minutes=minutes)
    assert found.replace(tzinfo=None, microsecond=0) == time
    assert found.microsecond == int("123456"[:digits].ljust(6, "0")) if digits else True


@given(TIMES, st.integers(100, 9_999_999_999))
def test_a_serial_number_before_the_time_is_no_time(time: datetime, serial: int) -> None:
    assert time_in_name(f"{serial}.{time:%y%m%d%H%M%S}.wav") == time


@given(st.text(st.sampled_from("0123456789-_. T+:ZPM"), max_size=30))
def test_any_digits_are_read_or_not(name: str) -> None:
    reading = Clock().read(f"{name}.wav", habits=Habits.of([name]))
    assert reading.at is None or reading.at.tzinfo is UTC
