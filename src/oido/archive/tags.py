# SPDX-License-Identifier: Apache-2.0
"""When a recording began, as the tags inside it tell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from oido.archive.names import offset_of

__all__ = ["audiomoth_time", "time_in_tags"]

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
    told = {str(key).lower(): str(value) for key, value in tags.items()}
    if (time := audiomoth_time(told)) is not None:
        return time
    for key in _DATES:
        if (time := _iso(told.get(key, ""))) is not None:
            return time
    return _iso(f"{told.get('origination_date', '')} {told.get('origination_time', '')}")


def audiomoth_time(tags: Mapping[str, object]) -> datetime | None:
    """From a comment such as ``Recorded at 19:17:30 10/12/2018 (UTC+2) by AudioMoth …``.

    Day before month. Aware where the comment tells a zone; the oldest firmware told none.
    """
    for key, text in tags.items():
        found = _AUDIOMOTH.search(str(text)) if key.lower() in ("comment", "icmt") else None
        if found is None:
            continue
        hour, minute, second, _, day, month, year = (int(g or 0) for g in found.groups()[:7])
        micro = int((found[4] or "").ljust(6, "0"))
        zone = None
        if "(UTC" in found[0]:
            zone = offset_of(found["offset"] or "Z")
        try:
            return datetime(year, month, day, hour, minute, second, micro, zone)
        except ValueError:
            continue
    return None


def _iso(text: str) -> datetime | None:
    found = _ISO.fullmatch(text.strip())
    if found is None:
        return None
    micro = int((found[7] or "").ljust(6, "0"))
    zone = offset_of(found[8]) if found[8] else None
    try:
        year, month, day, hour, minute, second = (int(found[n]) for n in range(1, 7))
        return datetime(year, month, day, hour, minute, second, micro, zone)
    except ValueError:
        return None
