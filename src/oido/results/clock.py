# SPDX-License-Identifier: Apache-2.0
"""When recordings began: from their names, from tags inside them, or, on request, from the disk.

What recorders write: AudioMoth ``20231015_063000.WAV`` (``…T.WAV`` if triggered), and
``5D3A2B10.WAV`` with old firmware (Unix time in hexadecimal); Song Meters
``SMM00123_20231015_063000.wav``, with ``$`` between date and time after a fix by GPS; Frontier Labs
``20231015T063000+1000_REC.flac``; BirdNET-Pi ``2023-10-15-birdnet-06:30:00.wav``; Frigate
``2023-10-15/06/garden/30.00.mp4`` and ``garden-1697351400.52-x7.mp4``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Literal, NamedTuple, get_args

from oido.errors import OptionError

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_DATE_AND_TIME = re.compile(
    r"(?<!\d)(\d{4})([-_.]?)(\d\d)\2(\d\d)"
    r"(?P<between>[T_ $-]?|-birdnet-(?:[^/]*?-)?)"
    r"(\d\d)([-:._]?)(\d\d)\7(\d\d)"
    r"(?:[.,](?P<fraction>\d{1,6})|_(?P<microseconds>\d{6}))?"
    r"(?P<zone>Z|[+-]\d\d:?\d\d)?(?!\d)",
    re.IGNORECASE,
)
_ENDING = re.compile(r"\.(?:[A-Za-z][A-Za-z0-9]{1,4}|3g[p2])$", re.IGNORECASE)
_FRIGATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)/(\d\d)/[^/]+/(\d\d)\.(\d\d)$")
_UNIX = re.compile(r"(?<![0-9A-Za-z.])(1\d{9})(?:\.(\d{1,6})|(\d{3}))?(?![0-9A-Za-z])")
_FIRST_UNIX = 1_262_304_000  # 2010: smaller numbers are rather serial numbers
_HEXADECIMAL = re.compile(r"[0-9A-F]{8}", re.IGNORECASE)
_HEXADECIMAL_RANGE = (1_451_606_400, 2_082_758_400)  # 2016 to 2036: AudioMoth came out in 2017


def time_in_name(file: str) -> datetime | None:
    """The time in the name of a file (its path only where a recorder puts the date into folders).

    Aware where the name tells its zone (``Z``, ``+1000``, Unix times, Frigate's tree), else naive:
    what the clock of the recorder showed. None where the name holds no time, or no possible one.
    """
    path = file.replace("\\", "/")
    stem = _ENDING.sub("", path)
    name = stem.rpartition("/")[2]
    for times, text in ((_dates, name), (_frigate, stem), (_unix, name), (_hexadecimal, name)):
        if (time := next(times(text), None)) is not None:
            return time
    return None


def _was_set(time: datetime) -> bool:
    """Whether the clock that tells this was set: not at the day at which clocks begin to count."""
    return (time.year, time.month, time.day) not in ((1970, 1, 1), (1904, 1, 1), (1980, 1, 1))


def offset_of(text: str) -> timezone | None:
    """``Z``, ``+2``, ``+1000``, ``-03:30`` as an offset from UTC; None for one that nobody has."""
    if text in ("Z", "z"):
        return timezone.utc
    found = re.fullmatch(r"([+-])(\d{1,2}):?(\d\d)?", text)
    if found is None:
        return None
    hours, minutes = int(found[2]), int(found[3] or 0)
    if hours > 14 or minutes % 15 or minutes > 45:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if found[1] == "-" else offset)


def _moment(
    numbers: Iterable[str | None], fraction: str | None = None, zone: timezone | None = None
) -> datetime | None:
    """The time of year, month, day, hour, minute and second; None if there is none such.

    fraction: the digits behind the second's point.
    """
    try:
        year, month, day, hour, minute, second = (int(n or 0) for n in numbers)
        return datetime(year, month, day, hour, minute, second, _micro(fraction), zone)
    except ValueError:
        return None


def _micro(fraction: str | None) -> int:
    return int((fraction or "").ljust(6, "0"))


def _dates(name: str) -> Iterator[datetime]:
    for found in _DATE_AND_TIME.finditer(name):
        zone = found["zone"] or ""
        # "-0200" may be a number of its own, unless all of it is written as ISO 8601 has it.
        is_zone = zone[:1] != "-" or ":" in zone or found["between"].upper() == "T"
        time = _moment(
            found.group(1, 3, 4, 6, 8, 9),
            found["fraction"] or found["microseconds"],
            offset_of(zone) if zone and is_zone else None,
        )
        if time is not None and 1900 <= time.year < 2100:
            yield time


def _frigate(stem: str) -> Iterator[datetime]:
    found = _FRIGATE.search(stem)
    if found and (time := _moment(found.groups(), zone=timezone.utc)):
        yield time


def _unix(name: str) -> Iterator[datetime]:
    found = [m for m in _UNIX.finditer(name) if int(m[1]) >= _FIRST_UNIX]
    if len(found) == 1:  # of two nobody knows which is meant
        micro = _micro(found[0][2] or found[0][3])
        yield EPOCH + timedelta(seconds=int(found[0][1]), microseconds=micro)


def _hexadecimal(name: str) -> Iterator[datetime]:
    if _HEXADECIMAL.fullmatch(name):
        seconds = int(name, 16)
        if _HEXADECIMAL_RANGE[0] <= seconds < _HEXADECIMAL_RANGE[1]:
            yield EPOCH + timedelta(seconds=seconds)


_DIGITS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "y": 2, "I": 2, "j": 3, "s": 10}
_EXPRESSIONS = {
    **{name: rf"\d{{{digits}}}" for name, digits in _DIGITS.items()},
    "f": r"\d{1,6}",
    "p": "[AaPp][Mm]",
    "b": "[A-Za-z]{3}",
    "B": "[A-Za-z]+",
    "z": r"(?:Z|[+-]\d\d:?\d\d)",
    "%": "%",
}
_DATE_PARTS = ({"m", "d"}, {"b", "d"}, {"B", "d"}, {"j"})


class NamePattern:
    """Finds the time that stands somewhere in a name in the way a pattern tells.

    pattern: directives of ``strftime`` (``%Y%m%d_%H%M%S``; ``%s`` alone is Unix time) and plain
    text. With a slash in it the whole path is searched, else the name. Raises OptionError for a
    directive that is not known, or if no date or no time of day can come of it.
    """

    def __init__(self, pattern: str) -> None:
        pieces = re.split(r"%(.)", pattern)
        directives = pieces[1::2]
        for name in directives:
            if name not in _EXPRESSIONS:
                known = " ".join(f"%{n}" for n in _EXPRESSIONS)
                raise OptionError(f"%{name} in {pattern!r} is not known; there are {known}")
        used = set(directives)
        is_date = used & {"Y", "y"} and any(date <= used for date in _DATE_PARTS)
        if used != {"s"} and not (is_date and used & {"H", "I"}):
            raise OptionError(
                f"{pattern!r} needs a year, a day and an hour, as in %Y%m%d_%H%M%S; or %s alone"
            )
        text = "".join(
            _EXPRESSIONS[piece] if number % 2 else re.escape(piece)
            for number, piece in enumerate(pieces)
        )
        before = r"(?<!\d)" if text.startswith(r"\d") else ""
        after = r"(?!\d)" if text.endswith("}") else ""
        self._pattern, self._is_unix, self._in_path = pattern, used == {"s"}, "/" in pattern
        self._search = re.compile(before + text + after)

    def find(self, file: str) -> datetime | None:
        """The first possible time in it; aware if the pattern has a zone. None if there is none."""
        path = file.replace("\\", "/")
        for found in self._search.finditer(path if self._in_path else path.rpartition("/")[2]):
            try:
                if self._is_unix:
                    digits = re.search(r"\d{10}", found[0])
                    assert digits is not None
                    return EPOCH + timedelta(seconds=int(digits[0]))
                return datetime.strptime(found[0], self._pattern)
            except ValueError:
                continue
        return None


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
        if (time := _moment(found.group(7, 6, 5, 1, 2, 3), found[4], zone)) is not None:
            return time
    return None


def _iso(text: str) -> datetime | None:
    found = _ISO.fullmatch(text.strip())
    if found is None:
        return None
    return _moment(found.group(*range(1, 7)), found[7], offset_of(found[8]) if found[8] else None)


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
