# SPDX-License-Identifier: Apache-2.0
"""The time in the name of a recording, and which of two readings it is.

What recorders write: AudioMoth ``20231015_063000.WAV`` (``…T.WAV`` if triggered), and
``5D3A2B10.WAV`` with old firmware (Unix time in hexadecimal); Song Meters
``SMM00123_20231015_063000.wav``, with ``$`` between date and time after a fix by GPS; Frontier Labs
``20231015T063000+1000_REC.flac``; BirdNET-Pi ``2023-10-15-birdnet-06:30:00.wav``; Frigate
``2023-10-15/06/garden/30.00.mp4`` and ``garden-1697351400.52-x7.mp4``; SoundTraps
``5679.181115120000.wav``; hand-held recorders ``180801_1630.wav``; telephones ``WhatsApp Audio
2023-10-15 at 06.30.00.ogg``.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Literal, NamedTuple
from urllib.parse import unquote

from oido.errors import OptionError
from oido.messages import tr

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_DATE_AND_TIME = re.compile(
    r"(?<!\d)(\d{4})([-_. ]?)(\d\d)\2(\d\d)"
    r"(?P<between>T|[_ $.,-]{0,3}|-birdnet-(?:[^/]*?-)?"
    r"|(?P<word>[ _](?:at|um|om|a las|à|kl\.?)[ _]))"
    r"(\d\d?)(?P<sign>[-:._ h]?)(\d\d)(?:(?P=sign)(\d\d)"
    r"(?:[.,](?P<fraction>\d+)|_(?P<microseconds>\d{6})|(?P<digits>\d{3}|\d{6}))?)?"
    r"(?:[ _\u202f]?(?P<half>[AP])\.?M\b\.?)?"
    r"(?P<zone>Z(?![A-Z])|[ _]?\(?(?:UTC|GMT)(?:[+-]\d\d?(?::?\d\d)?)?\)?(?![A-Z])"
    # With a point behind, it is a place on earth; with a space before, "-01" is a number.
    r"|(?:[ _]?\+|-|[ _]-(?=\d{4}))\d\d(?::?\d\d)?(?!\d|\.\d))?(?!\d)",
    re.IGNORECASE,
)
_DAY_FIRST = re.compile(
    r"(?<!\d)(\d\d)([-_.])(\d\d)\2(\d{4})[T_ -]{1,3}(\d\d)([-:._h])(\d\d)(?:\6(\d\d))?(?!\d)"
)
"""``15-10-2023_06-30-00``, or the month before the day; with points, the day always comes first."""

_SPACE_FOR_ZERO = re.compile(
    r"(?<!\d)(\d{4})([ 01]\d)([ 0-3]\d)T([ 0-2]\d)([ 0-5]\d)([ 0-5]\d)"
    r"(Z|[+-]\d\d(?::?\d\d)?)?(?!\d)"
)
"""What a Frontier Labs recorder wrote with firmware 3.08."""

_SHORT = re.compile(
    r"(?<!\d)(\d{6}|\d{8}|\d{4}-\d\d-\d\d|\d{4}_\d\d_\d\d)"
    r"(?:(?:[_ T]?|(?<=\d{8})-|(?<=[-_]\d\d)-)(\d{4})|[_ T-](\d{6}))(?:\.\d+)?(?!\d)"
)
"""``yymmdd_hhmm`` or ``_hhmmss`` of hand-held recorders, ``yyyymmdd_hhmm``, 12 digits in a row."""

_SERIAL_AND_TIME = re.compile(r"(?<!\d)\d{3,10}\.(\d{12})(?!\d)")
"""A SoundTrap's number, and the time as ``yymmddhhmmss``."""

_ENDING = re.compile(r"\.(?:[A-Za-z][A-Za-z0-9]{1,4}|3g[p2])$", re.IGNORECASE)
_FRIGATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)/(\d\d)/[^/]+/(\d\d)\.(\d\d)$")
_UNIX = re.compile(r"(?<![0-9A-Za-z.])(1\d{9})(?:\.(\d{1,9})|(\d{3}))?(?![0-9A-Za-z]|\.\d)")
_FIRST_UNIX = 1_262_304_000  # 2010: smaller numbers are rather serial numbers
_HEXADECIMAL = re.compile(r"[0-9A-F]{8}", re.IGNORECASE)
_HEXADECIMAL_RANGE = (1_451_606_400, 2_082_758_400)  # 2016 to 2036: AudioMoth came out in 2017


class NameTime(NamedTuple):
    """The time in a name, and where it can be read in two ways, the other reading.

    A hyphen and digits behind the time are an offset or a number; so are four digits behind the
    date the time of day or a number (``other`` is None then). kind: which of these, or "".
    """

    time: datetime
    other: datetime | None = None
    kind: Literal["", "offset", "hours", "number", "digits"] = ""


def time_in_name(file: str) -> datetime | None:
    """The time in the name of a file (its path only where a recorder puts the date into folders).

    Aware where the name tells its zone (``Z``, ``+1000``, Unix times, Frigate's tree), else naive:
    what the clock of the recorder showed; digits behind a hyphen are no zone here. None where the
    name holds no time, or no possible one.
    """
    found = read_name(file)
    if found is None:
        return None
    naive = found.other is not None and found.other.tzinfo is None and found.kind == "offset"
    return found.other if naive else found.time


def read_name(file: str) -> NameTime | None:
    """The same with both readings, the likelier one first."""
    path = file.replace("\\", "/")
    stem = _ENDING.sub("", unquote(path) if "%" in path else path)  # downloads keep %3A for a colon
    name = stem.rpartition("/")[2]
    for times, text in (
        (_serial_and_time, name),
        (_dates, name),
        (_days_first, name),
        (_frigate, stem),
        (_unix, name),
        (_short, name),
        (_hexadecimal, name),
    ):
        if (found := next(times(text), None)) is not None:
            return found
    return None


def offset_of(text: str) -> timezone | None:
    """``Z``, ``+2``, ``+1000``, ``-03:30`` as an offset from UTC; None for one that nobody has."""
    if text in ("Z", "z"):
        return timezone.utc
    found = re.fullmatch(r"([+-])(\d{1,2}):?(\d\d)?", text)
    if found is None:
        return None
    hours, minutes = int(found[2]), int(found[3] or 0)
    if hours > (12 if found[1] == "-" else 14) or minutes % 15 or minutes > 45:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if found[1] == "-" else offset)


def moment(
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
    return int((fraction or "")[:6].ljust(6, "0"))


def _dates(name: str) -> Iterator[NameTime]:
    for found in _SPACE_FOR_ZERO.finditer(name if " " in name else ""):
        if " " in found[0] and (
            time := moment(found.groups()[:6], None, offset_of(found[7] or ""))
        ):
            yield NameTime(time)
    for found in _DATE_AND_TIME.finditer(name):
        year, month, day = found.group(1, 3, 4)
        hour, minute, second = found.group(7, 9, 10)
        if second is None and not found["sign"]:
            continue  # `_short` reads these, because they may be no time
        if len(hour) == 1 and not (found["half"] or found["word"]):
            continue
        if found["half"] and found["sign"] and int(hour) <= 12:
            hour = str(int(hour) % 12 + 12 * (found["half"] in "Pp"))
        zone = (found["zone"] or "").lstrip(" _")
        offset = offset_of(re.sub("[ _()]|UTC|GMT", "", zone, flags=re.IGNORECASE) or "Z")
        fraction = found["fraction"] or found["microseconds"] or found["digits"]
        naive = moment((year, month, day, hour, minute, second), fraction)
        if naive is None or not 1900 <= naive.year < 2100:
            continue
        if not zone or offset is None:
            yield NameTime(naive)
        elif zone[0] == "-" and ":" not in zone and found["between"].upper() != "T":
            # All of it is not written as ISO 8601 has it: "-0200" may be a number of its own.
            aware = naive.replace(tzinfo=offset)
            hours_only = len(zone) == 3
            yield (
                NameTime(naive, aware, "hours") if hours_only else NameTime(aware, naive, "offset")
            )
        else:
            yield NameTime(naive.replace(tzinfo=offset))


def _days_first(name: str) -> Iterator[NameTime]:
    for found in _DAY_FIRST.finditer(name):
        day, sign, month, year, hour, _, minute, second = found.groups()
        first = moment((year, month, day, hour, minute, second))
        other = None if sign == "." else moment((year, day, month, hour, minute, second))
        if first is not None and other is not None and other != first:
            yield NameTime(first, other, "digits")
        elif time := first or other:
            yield NameTime(time)


def _serial_and_time(name: str) -> Iterator[NameTime]:
    for found in _SERIAL_AND_TIME.finditer(name if "." in name else ""):
        if (time := _short_year(found[1])) is not None:
            yield NameTime(time)


def _short(name: str) -> Iterator[NameTime]:
    for found in _SHORT.finditer(name):
        date, hours, seconds = re.sub("[-_]", "", found[1]), found[2], found[3]
        joined = found[0][len(found[1]) : len(found[1]) + 1].isdigit()
        digits = date + (hours or seconds)
        if joined and len(digits) == 12:  # twelve in a row: one year is longer than the other
            long, short = _long_year(digits), _short_year(digits)
            if long is not None and short is not None:
                yield NameTime(long, short, "digits")
            elif (time := long or short) is not None:
                yield NameTime(time)
        elif not joined:
            time = _long_year(digits) if len(date) == 8 else _short_year(digits)
            if time is not None and time.year >= 1990:
                yield NameTime(time, None, "number" if hours else "")


def _long_year(digits: str) -> datetime | None:
    time = moment([digits[:4], *re.findall("..", digits[4:]), "0"][:6])
    return time if time is not None and 1990 <= time.year < 2100 else None


def _short_year(digits: str) -> datetime | None:
    year, *rest = re.findall("..", digits)
    century = "19" if int(year) >= 70 else "20"
    return moment([century + year, *rest, "0"][:6])


def _frigate(stem: str) -> Iterator[NameTime]:
    found = _FRIGATE.search(stem)
    if found and (time := moment(found.groups(), zone=timezone.utc)):
        yield NameTime(time)


def _unix(name: str) -> Iterator[NameTime]:
    found = [m for m in _UNIX.finditer(name) if int(m[1]) >= _FIRST_UNIX]
    if len(found) == 1:  # of two nobody knows which is meant
        micro = _micro(found[0][2] or found[0][3])
        yield NameTime(EPOCH + timedelta(seconds=int(found[0][1]), microseconds=micro))


def _hexadecimal(name: str) -> Iterator[NameTime]:
    if _HEXADECIMAL.fullmatch(name):
        seconds = int(name, 16)
        if _HEXADECIMAL_RANGE[0] <= seconds < _HEXADECIMAL_RANGE[1]:
            yield NameTime(EPOCH + timedelta(seconds=seconds))


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
                raise OptionError(
                    tr(
                        "%{name} in {pattern!r} is not known; there are {known}",
                        name=name,
                        pattern=pattern,
                        known=known,
                    )
                )
        used = set(directives)
        is_date = used & {"Y", "y"} and any(date <= used for date in _DATE_PARTS)
        if used != {"s"} and not (is_date and used & {"H", "I"}):
            raise OptionError(
                tr(
                    "{pattern!r} needs a year, a day and an hour, as in %Y%m%d_%H%M%S; or %s alone",
                    pattern=pattern,
                )
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


@dataclass(frozen=True)
class Habits:
    """What the names of an archive show together, of what a single one leaves open.

    offsets, hours: whether ``-0300``, ``-03`` behind a time is an offset from UTC; times: whether
    four digits behind a date are a time of day; None where nobody knows. serials: numbers that
    could be Unix times, but come again in other names.
    """

    offsets: bool | None = None
    hours: bool | None = None
    times: bool | None = None
    serials: frozenset[str] = frozenset()

    @classmethod
    def of(cls, files: Iterable[str]) -> Habits:
        """Of all names of an archive."""
        import numpy as np  # only archives need it

        sure: set[int] = set()
        west: dict[int, Counter[str]] = {2: Counter(), 4: Counter()}
        impossible: set[int] = set()
        is_number, unix = False, array("Q")  # there may be a million
        for file in files:
            name = _ENDING.sub("", file.replace("\\", "/")).rpartition("/")[2]
            for between, sign, digits in _BEHIND_TIME.findall(name):
                if offset_of(f"{sign}{digits}") is None:
                    impossible.add(len(digits))
                elif sign == "+" or between == "T":
                    sure.add(len(digits))
                else:
                    west[len(digits)][digits] += 1
            for found in _SHORT.finditer(name):
                is_number = is_number or (bool(found[2]) and _hours_are_impossible(found[2]))
            unix.extend(int(found[1]) for found in _UNIX.finditer(name) if not found[2])
        offsets, hours = (
            True if size in sure else False if size in impossible else None for size in (4, 2)
        )
        if offsets is None and sum(west[4].values()) > 1 and len(west[4]) <= 2:
            offsets = True  # a number would count; two, because of summer time
        numbers, counts = np.unique(np.asarray(unix), return_counts=True)
        serials = frozenset(map(str, numbers[counts > 1].tolist()))
        return cls(offsets, hours, False if is_number else None, serials)


_BEHIND_TIME = re.compile(
    r"\d{4}[-_. ]?\d\d[-_. ]?\d\d([T_ $-]?)\d\d[-:._ ]?\d\d[-:._ ]?\d\d"
    r"[_ ]?([+-])(\d\d|\d{4})(?!\d)"
)


def _hours_are_impossible(digits: str) -> bool:
    return int(digits[:2]) > 23 or int(digits[2:]) > 59


def is_serial(file: str, habits: Habits) -> bool:
    """Whether all that could be a Unix time in the name comes again in others."""
    name = _ENDING.sub("", file.replace("\\", "/")).rpartition("/")[2]
    found = [match[1] for match in _UNIX.finditer(name)]
    dated = next(_dates(name), None) or next(_serial_and_time(name), None)
    return bool(found) and dated is None and set(found) <= habits.serials
