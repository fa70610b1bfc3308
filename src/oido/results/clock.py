# SPDX-License-Identifier: Apache-2.0
"""When recordings began: from their names, from tags inside them, or, on request, from the disk.

Names come first (`oido.name_time`), then tags in this order: GUANO, WAMD, Frontier Labs'
RecordingStart, AudioMoth's comment, the origination of Broadcast WAV, creation times of QuickTime,
MP4 and Matroska, dates. The first four go before a name if they tell a zone and it does not.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Literal, NamedTuple, get_args

from oido.errors import OptionError
from oido.messages import tr
from oido.name_time import Habits, NamePattern, NameTime, is_serial, moment, offset_of, read_name
from oido.name_time import time_in_name as time_in_name  # noqa: PLC0414 (for readers)
from oido.results.query_text import quoted

_AUDIOMOTH = re.compile(
    r"Recorded at (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))? (\d\d)/(\d\d)/(\d{4})"
    r"(?: \(UTC(?P<offset>[+-]\d{1,2}(?::?\d\d)?)?\))?"
)
_ISO = re.compile(
    r"(\d{4})[-:/.](\d\d)[-:/.](\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d+))?)?"
    r"\s*(Z|[+-]\d\d(?::?\d\d)?)?"
)
_RECORDERS = ("guano_timestamp", "wamd_timestamp", "recordingstart")  # the last: Frontier Labs
_DATES = ("com.apple.quicktime.creationdate", "creation_time", "timestamp", "date", "icrd")
"""Tags that hold a date and a time, the most trustworthy first."""


def time_in_tags(tags: Mapping[str, object]) -> datetime | None:
    """The time that a recording's tags tell: aware where they tell a zone, else naive.

    Of the recorder first: GUANO, WAMD, AudioMoth's comment, the origination of Broadcast WAV. Then
    creation times of QuickTime, MP4 and Matroska, and dates. A date without a time of day is none;
    one of a clock that was not set counts if there is no other.
    """
    times = list(_tag_times(tags))
    return next((time for time in times if _was_set(time)), times[0] if times else None)


def _tag_times(tags: Mapping[str, object]) -> Iterator[datetime]:
    texts = _texts(tags)
    if (time := recorder_time(texts)) is not None:
        yield time
    origination = f"{texts.get('origination_date', '')} {texts.get('origination_time', '')}"
    for text in (origination, *(texts.get(key, "") for key in _DATES)):
        if (time := _iso(text)) is not None:
            yield time


def _texts(tags: Mapping[str, object]) -> dict[str, str]:
    return {str(key).lower(): str(value) for key, value in tags.items()}


def recorder_time(tags: Mapping[str, object]) -> datetime | None:
    """From what only recorders write, perhaps with a zone: GUANO, WAMD, AudioMoth's comment."""
    times = [_iso(str(tags.get(key, ""))) for key in _RECORDERS]
    return next((time for time in times if time is not None), audiomoth_time(tags))


def audiomoth_time(tags: Mapping[str, object]) -> datetime | None:
    """From a comment such as ``Recorded at 19:17:30 10/12/2018 (UTC+2) by AudioMoth …``.

    Day before month. Aware where the comment tells a zone; the oldest firmware told none.
    """
    for key, text in tags.items():
        found = _AUDIOMOTH.search(str(text)) if key.lower() in ("comment", "icmt") else None
        if found is None:
            continue
        zone = offset_of(found["offset"] or "Z") if "(UTC" in found[0] else None
        if (time := moment(found.group(7, 6, 5, 1, 2, 3), found[4], zone)) is not None:
            return time
    return None


def _iso(text: str) -> datetime | None:
    found = _ISO.fullmatch(text.strip())
    if found is None:
        return None
    return moment(found.group(*range(1, 7)), found[7], offset_of(found[8]) if found[8] else None)


_UNSET = tuple(datetime(year, 1, 1) for year in (1904, 1970, 1980))
"""When clocks without a battery begin to count; they have gone on for some weeks at most."""


def _was_set(time: datetime) -> bool:
    """Whether the clock that tells this was set."""
    naive = time.replace(tzinfo=None)
    return not any(start <= naive < start + timedelta(days=90) for start in _UNSET)


TimeSource = Literal["auto", "name", "tags", "modified"]
Doubt = Literal["ambiguous", "impossible", "not set", "two readings"]


class Reading(NamedTuple):
    """When a recording began, in UTC, and who says so; ``at`` is None where nobody knows.

    doubt: "ambiguous", a local time that came twice, as clocks were set back (the first is taken);
    "impossible", one that was skipped as clocks were set forward; "not set", the days at which
    clocks without a battery begin; these two have no ``at``. "two readings": digits in the name
    are an offset from UTC or a number; other: when it began if they are the other one, or None if
    the name then tells no time of day.
    """

    at: datetime | None
    source: str | None
    doubt: Doubt | None = None
    other: datetime | None = None


@dataclass(frozen=True)
class Clock:
    """How the time of a recording is found.

    pattern: where the time stands in the name (`NamePattern`); None knows what recorders write.
    zone: of times that do not tell their own, an IANA name such as ``Europe/Madrid``, or
    ``+02:00``. source: "auto" tries the name, then the tags; "modified" takes the time at which the
    file was last written, less its duration. Raises OptionError for a value that makes no sense.
    """

    pattern: str | None = None
    zone: str = "UTC"
    source: TimeSource = "auto"
    _zone: tzinfo = field(init=False, repr=False, compare=False)
    _names: NamePattern | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.source not in get_args(TimeSource):
            sources = ", ".join(get_args(TimeSource))
            raise OptionError(
                tr(
                    "there is no time from {source!r}; choose from {sources}",
                    source=self.source,
                    sources=sources,
                )
            )
        object.__setattr__(self, "_zone", zone_named(self.zone))
        object.__setattr__(self, "_names", NamePattern(self.pattern) if self.pattern else None)

    def read(
        self,
        file: str,
        tags: str | None = None,
        modified: str | None = None,
        duration: float = 0.0,
        habits: Habits | None = None,
    ) -> Reading:
        """When this recording began. tags: JSON; modified: ISO (else it is no time), UTC.

        habits: what the names of all recordings show, where one alone can be read in two ways.
        """
        if self.source == "modified":
            return self._from_modified(modified, duration)
        parsed = _parse(tags) if self.source != "name" else {}
        name = None
        if self.source != "tags":
            name = self._in_name(file, habits or Habits())
        reading = Reading(None, None)
        for time, source in self._candidates(name, parsed):
            reading = self._in_utc(time.time, source)
            if reading.at is not None:
                return self._with_doubt(reading, time, parsed)
        return reading

    def _in_name(self, file: str, habits: Habits) -> NameTime | None:
        if self._names is not None:
            time = self._names.find(file)
            return None if time is None else NameTime(time)
        found = read_name(file)
        if found is None or not found.kind:
            return None if found and habits.serials and is_serial(file, habits) else found
        if found.kind == "number" and habits.times is not None:
            return found._replace(kind="") if habits.times else None
        known = {"offset": habits.offsets, "hours": habits.hours}.get(found.kind)
        if known is None:
            return found
        assert found.other is not None
        aware = found.time if found.time.tzinfo is not None else found.other
        return NameTime(aware if known else aware.replace(tzinfo=None))

    def _with_doubt(self, reading: Reading, time: NameTime, tags: Mapping[str, object]) -> Reading:
        """The reading, or the other one that the tags say is right, or both."""
        if not time.kind or (time.kind == "number" and time.time.hour > 0):
            return reading
        other = None if time.other is None else self._in_utc(time.other, "name").at
        if other == reading.at:  # the zone that was named is that offset
            return reading
        zoned = [self._in_utc(t, "tags").at for t in _tag_times(tags) if t.tzinfo is not None]
        for at in (reading.at, other):
            if any(at and t and abs(at - t) <= _NEAR for t in zoned):
                return reading._replace(at=at)
        return reading._replace(doubt="two readings", other=other)

    def _candidates(
        self, name: NameTime | None, tags: Mapping[str, object]
    ) -> list[tuple[NameTime, str]]:
        """Names come first, but what a recorder wrote with a zone before a name that has none."""
        if not tags:  # most recordings have none, and an archive has many
            return [] if name is None else [(name, "name")]
        in_tags, of_recorder = time_in_tags(tags), recorder_time(_texts(tags))
        found = [] if name is None else [(name, "name")]
        found += [] if in_tags is None else [(NameTime(in_tags), "tags")]
        is_sure = name is not None and (name.time.tzinfo is not None or bool(name.kind))
        if of_recorder is not None and of_recorder.tzinfo and not is_sure:
            found.reverse()
        return found

    def _from_modified(self, modified: str | None, duration: float) -> Reading:
        try:
            end = datetime.fromisoformat((modified or "").replace("Z", "+00:00"))
        except ValueError:
            return Reading(None, None)
        end = end if end.tzinfo else end.replace(tzinfo=timezone.utc)
        return Reading(end.astimezone(timezone.utc) - timedelta(seconds=duration), "modified")

    def _in_utc(self, time: datetime, source: str) -> Reading:
        if not _was_set(time):
            return Reading(None, None, "not set")
        if time.tzinfo is not None:
            return Reading(time.astimezone(timezone.utc), source)
        if self._zone is timezone.utc:
            return Reading(time.replace(tzinfo=timezone.utc), source)
        first, second = (time.replace(tzinfo=self._zone, fold=fold) for fold in (0, 1))
        at = first.astimezone(timezone.utc)
        if first.utcoffset() == second.utcoffset():
            return Reading(at, source)
        if at.astimezone(self._zone).replace(tzinfo=None) == time:
            return Reading(at, source, "ambiguous")
        return Reading(None, None, "impossible")


_NEAR = timedelta(minutes=2)
"""How far a time in tags may be from one in the name that it confirms."""


def zone_named(name: str) -> tzinfo:
    """The time zone of this name, such as ``UTC``, ``Europe/Madrid``, ``+02:00``.

    Raises OptionError if there is none.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if name in ("UTC", "Z"):
        return timezone.utc
    if re.fullmatch(r"[+-]\d\d:?\d\d", name) and (offset := offset_of(name)) is not None:
        return offset
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise OptionError(
            tr(
                "there is no time zone {name!r}; name one such as Europe/Madrid or "
                "+02:00 (Windows needs: pip install tzdata)",
                name=name,
            )
        ) from error


def local_time(time: str, zone: str) -> str:
    """SQL of a time in a zone, without that zone: what a clock on the wall shows.

    zone: as for `zone_named`, of which DuckDB knows the names only. Raises OptionError.
    """
    offset = zone_named(zone).utcoffset(None)
    if offset is None:  # it changes with the time of the year
        return f"({time} AT TIME ZONE {quoted(zone)})"
    return f"({time} AT TIME ZONE 'UTC' + INTERVAL ({offset.total_seconds():.0f}) SECOND)"


def _parse(tags: str | None) -> dict[str, object]:
    if not tags or tags == "{}":
        return {}
    try:
        values = json.loads(tags)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
