# SPDX-License-Identifier: Apache-2.0
"""When recordings began: from their names, from their tags, or, on request, from the disk."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Literal, NamedTuple, get_args

from oido.archive.names import offset_of, time_in_name, was_set
from oido.archive.patterns import NamePattern
from oido.archive.tags import audiomoth_time, time_in_tags
from oido.errors import OptionError

__all__ = ["Clock", "Doubt", "Reading", "TimeSource", "zone_named"]

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
        told = _loaded(tags) if self.source != "name" else {}
        name = None
        if self.source != "tags":
            name = self._names.find(file) if self._names else time_in_name(file)
        reading = Reading(None, None)
        for time, source in self._candidates(name, told):
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


def _loaded(tags: str | None) -> dict[str, object]:
    if not tags or tags == "{}":
        return {}
    try:
        values = json.loads(tags)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
