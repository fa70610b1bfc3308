# SPDX-License-Identifier: Apache-2.0
"""When recordings began: from their names, from tags inside them, or, on request, from the disk."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Literal, NamedTuple, get_args

from oido.errors import OptionError
from oido.results.filename_times import NamePattern, moment, offset_of, time_in_name, was_set

__all__ = [
    "Clock",
    "Doubt",
    "Reading",
    "TimeSource",
    "audiomoth_time",
    "time_in_tags",
    "zone_named",
]

_AUDIOMOTH = re.compile(
    r"Recorded at (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))? (\d\d)/(\d\d)/(\d{4})"
    r"(?: \(UTC(?P<offset>[+-]\d{1,2}(?::?\d\d)?)?\))?"
)
_ISO = re.compile(
    r"(\d{4})[-:](\d\d)[-:](\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,6})\d*)?"
    r"\s*(Z|[+-]\d\d:?\d\d)?"
)
_DATES = ("com.apple.quicktime.creationdate", "creation_time", "timestamp", "date", "icrd")
"""Tags that hold a date and a time, the most trustworthy first."""


def time_in_tags(tags: Mapping[str, object]) -> datetime | None:
    """The time that a container's tags tell: aware where they tell a zone, else naive.

    AudioMoth's comment, then creation times of QuickTime, MP4 and Matroska, the origination of
    Broadcast WAV. A date without a time of day is none.
    """
    texts = {str(key).lower(): str(value) for key, value in tags.items()}
    if (time := audiomoth_time(texts)) is not None:
        return time
    for key in _DATES:
        if (time := _iso(texts.get(key, ""))) is not None:
            return time
    return _iso(f"{texts.get('origination_date', '')} {texts.get('origination_time', '')}")


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


TimeSource = Literal["auto", "name", "tags", "modified"]
Doubt = Literal["ambiguous", "impossible", "not set"]


class Reading(NamedTuple):
    """When a recording began, in UTC, and who says so; ``at`` is None where nobody knows.

    doubt: "ambiguous", a local time that came twice, as clocks were set back (the first is taken);
    "impossible", one that was skipped as clocks were set forward; "not set", the day at which
    clocks without a battery begin. The last two have no ``at``.
    """

    at: datetime | None
    source: str | None
    doubt: Doubt | None = None


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
            raise OptionError(f"there is no time from {self.source!r}; choose from {sources}")
        object.__setattr__(self, "_zone", zone_named(self.zone))
        object.__setattr__(self, "_names", NamePattern(self.pattern) if self.pattern else None)

    def read(
        self, file: str, tags: str | None = None, modified: str | None = None, duration: float = 0.0
    ) -> Reading:
        """When this recording began. tags: JSON; modified: ISO (else it is no time), UTC."""
        if self.source == "modified":
            return self._from_modified(modified, duration)
        parsed = _parse(tags) if self.source != "name" else {}
        name = None
        if self.source != "tags":
            name = self._names.find(file) if self._names else time_in_name(file)
        reading = Reading(None, None)
        for time, source in self._candidates(name, parsed):
            reading = self._in_utc(time, source)
            if reading.at is not None:
                break
        return reading

    def _candidates(
        self, name: datetime | None, tags: Mapping[str, object]
    ) -> list[tuple[datetime, str]]:
        """Names come first, but a comment with a zone before a name that has none."""
        if not tags:  # most recordings have none, and an archive has many
            return [] if name is None else [(name, "name")]
        found = [(name, "name"), (time_in_tags(tags), "tags")]
        moth = audiomoth_time(tags)
        if name is not None and name.tzinfo is None and moth is not None and moth.tzinfo:
            found.reverse()
        return [(time, source) for time, source in found if time is not None]

    def _from_modified(self, modified: str | None, duration: float) -> Reading:
        try:
            end = datetime.fromisoformat((modified or "").replace("Z", "+00:00"))
        except ValueError:
            return Reading(None, None)
        end = end if end.tzinfo else end.replace(tzinfo=timezone.utc)
        return Reading(end.astimezone(timezone.utc) - timedelta(seconds=duration), "modified")

    def _in_utc(self, time: datetime, source: str) -> Reading:
        if not was_set(time):
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
            f"there is no time zone {name!r}; name one such as Europe/Madrid or +02:00 (Windows "
            "needs: pip install tzdata)"
        ) from error


def _parse(tags: str | None) -> dict[str, object]:
    if not tags or tags == "{}":
        return {}
    try:
        values = json.loads(tags)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
