# SPDX-License-Identifier: Apache-2.0
"""Parts of the clock or the calendar: how much was recorded in each, and how much was heard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

__all__ = ["Stretch", "every_day", "joined", "monday_of"]


@dataclass(frozen=True)
class Stretch:
    """An hour of day (0..23) or a day, or an hour of one day: its recorded seconds and events."""

    name: str
    recorded_seconds: float
    events: int

    @property
    def rate(self) -> float | None:
        """Events per recorded hour; None without a recording."""
        return self.events / self.recorded_seconds * 3600 if self.recorded_seconds > 0 else None


def joined(days: Sequence[Stretch], name: Callable[[str], str]) -> tuple[Stretch, ...]:
    """Days together by what a function makes of their names, in the order of the days."""
    found: dict[str, list[Stretch]] = {}
    for day in days:
        found.setdefault(name(day.name), []).append(day)
    return tuple(
        Stretch(key, sum(d.recorded_seconds for d in group), sum(d.events for d in group))
        for key, group in found.items()
    )


def monday_of(day: str) -> str:
    """The Monday on or before a day, both ``2023-10-15``."""
    found = date.fromisoformat(day)
    return (found - timedelta(days=found.weekday())).isoformat()


def every_day(days: Sequence[Stretch], most: int) -> tuple[Stretch, ...]:
    """With the days between on which nothing was recorded, unless it would be more than ``most``.

    days: named ``2023-10-15``, ascending, one at least.
    """
    first, last = (date.fromisoformat(days[n].name) for n in (0, -1))
    count = (last - first).days + 1
    if count > most:
        return tuple(days)
    known = {day.name: day for day in days}
    names = ((first + timedelta(days=n)).isoformat() for n in range(count))
    return tuple(known.get(name, Stretch(name, 0.0, 0)) for name in names)
