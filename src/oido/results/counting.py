# SPDX-License-Identifier: Apache-2.0
"""How many events of a label are true, by site, day, night and hour, from reviewed clips."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oido.errors import OptionError
from oido.evaluation.bootstrap import Estimate
from oido.evaluation.prevalence import Counted, count_true
from oido.messages import tr
from oido.models.labels import is_same
from oido.results.query_text import quoted
from oido.results.results import Results
from oido.results.tallies import KEYS, site_of, tally
from oido.search.label_store import Answer, LabelStore
from oido.search.label_tables import read_answers

COUNT_KEYS = ("site", "day", "night", "hour", "file")


@dataclass(frozen=True)
class EventCount:
    """What `count_events` finds.

    keys: what events are grouped by; groups: of each group its true events, recorded_hours: of
    those that have any, where they are known. unsure: reviews that decide nothing. unreviewed:
    groups with events of which none was reviewed: what is said of them rests on the others.
    """

    label: str
    keys: tuple[str, ...]
    counted: Counted[tuple[Any, ...]]
    events: Mapping[tuple[Any, ...], int]
    recorded_hours: Mapping[tuple[Any, ...], float]
    unsure: int
    unreviewed: tuple[tuple[Any, ...], ...]

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row for each group, then one for all: events, true ones with their interval, a rate."""
        for key, estimate in self.counted.groups.items():
            yield self._row(key, self.events[key], estimate, self.recorded_hours.get(key))
        known = self.recorded_hours.get(())
        if self.keys:
            yield self._row(("all",) * len(self.keys), self.counted.n, self.counted.total, known)

    def _row(
        self, key: Sequence[Any], events: int, true: Estimate, hours: float | None
    ) -> dict[str, Any]:
        row: dict[str, Any] = {**dict(zip(self.keys, key)), "label": self.label, "events": events}
        row |= {"true_events": round(true.value, 1)}
        row |= {"low": round(true.low, 1), "high": round(true.high, 1)}
        row["recorded_hours"] = None if hours is None else round(hours, 3)
        names = ("true_per_hour", "low_per_hour", "high_per_hour")
        for name, value in zip(names, (true.value, true.low, true.high)):
            row[name] = round(value / hours, 4) if hours else None
        return row


def count_events(
    results: Results,
    label: str,
    reviewed: str | os.PathLike[str],
    by: Sequence[str] = ("site",),
    *,
    where: str | None = None,
    site: str | None = None,
    zone: str = "UTC",
) -> EventCount:
    """Count the true events of a label.

    reviewed: ``clips.csv`` of `oido clips --choose stratified` (or random) with its ``verdict``:
    yes, no, unsure, or nothing; or a label store that has these answers. where: as it was given to
    `oido clips`. by: of ``COUNT_KEYS``; a night is called by the day on which it begins. Raises
    OptionError.
    """
    for key in by:
        if key not in COUNT_KEYS:
            raise OptionError(
                tr(
                    "nothing is counted by {key!r}; choose from {count_keys}",
                    key=key,
                    count_keys=", ".join(COUNT_KEYS),
                )
            )
    if {"day", "night", "hour"} & {*by} and "start_at" not in results.columns("events"):
        raise OptionError(tr("days, nights and hours need the times of recordings"))
    name = results.label_here(label)
    value = "probability" if results.calibrated else "score"
    local = f"(start_at AT TIME ZONE {quoted(zone)})"
    terms = {
        "site": site_of(results, site) if "site" in by else "NULL",
        "day": f"CAST({local} AS DATE)",
        "night": f"CAST({local} - INTERVAL 12 HOUR AS DATE)",
        "hour": f"hour({local})",
        "file": "file",
    }
    wanted = ", ".join([*(f"{terms[key]} AS key_{key}" for key in by), f"{value} AS value"])
    condition = f" AND ({where}\n)" if where else ""
    rows = results.sql(
        f"SELECT file, channel, start_time, {wanted} FROM events "
        f"WHERE label = {quoted(name)}{condition} ORDER BY file, channel NULLS FIRST, start_time"
    ).to_pylist()
    if not rows:
        raise OptionError(tr("the archive has no event of {name}", name=name))
    number_of = {
        (row["file"], row["channel"], round(row["start_time"], 3)): n for n, row in enumerate(rows)
    }
    verdicts, unsure = _verdicts(os.fspath(reviewed), number_of, name)
    keys = [tuple(row[f"key_{key}"] for key in by) for row in rows]
    numbers = np.array(list(verdicts), np.int64)
    counted = count_true(
        np.array([row["value"] for row in rows], np.float64),
        keys,
        numbers,
        np.array(list(verdicts.values()), bool),
    )
    events: dict[tuple[Any, ...], int] = {}
    for each in keys:
        events[each] = events.get(each, 0) + 1
    seen = {keys[n] for n in verdicts}
    return EventCount(
        name,
        tuple(by),
        counted,
        events,
        _recorded_hours(results, by, zone, site),
        unsure,
        tuple(key for key in events if key not in seen),
    )


def _recorded_hours(
    results: Results, by: Sequence[str], zone: str, site: str | None
) -> dict[tuple[Any, ...], float]:
    """Of each group, and of everything under the empty one; none where nights are counted."""
    if not {*by} <= {*KEYS}:
        return {}
    rows = tally(results, by, zone=zone, site=site).to_pylist()
    found = {tuple(row[key] for key in by): row["recorded_hours"] for row in rows}
    (everything,) = results.sql(
        "SELECT coalesce(sum(duration), 0) / 3600 AS hours FROM recordings WHERE duration > 0"
    ).to_pylist()
    return found | {(): everything["hours"]}


def _verdicts(
    path: str, number_of: Mapping[tuple[Any, ...], int], label: str
) -> tuple[dict[int, bool], int]:
    """Whether events are true, by their numbers, and how many nobody is sure of."""
    found: dict[int, bool] = {}
    unsure = 0
    for answer in _answers(path, label):
        if answer.choice not in ("stratified", "random"):
            raise OptionError(
                tr(
                    "{path}: clips that were chosen as {choice} are no sample of the "
                    "others; choose them with --choose stratified",
                    path=path,
                    choice=answer.choice or tr("unknown"),
                )
            )
        place = (answer.recording, answer.channel, round(answer.start_time, 3))
        if place not in number_of:
            raise OptionError(
                tr(
                    "{path}: the archive has no event of {label} in {place} at {place_2:.3f} s",
                    path=path,
                    label=label,
                    place=place[0],
                    place_2=place[2],
                )
            )
        if answer.verdict == "unsure":
            unsure += 1
        else:
            found[number_of[place]] = answer.verdict == "yes"
    if not found:
        raise OptionError(
            tr(
                "{path}: no clip of {label} has a verdict yet: write yes or no there",
                path=path,
                label=label,
            )
        )
    return found, unsure


def _answers(path: str, label: str) -> list[Answer]:
    """What was answered of a label: in a label store, or a table of clips."""
    with open(path, "rb") if os.path.isfile(path) else contextlib.nullcontext() as file:
        is_store = file is not None and file.read(15) == b"SQLite format 3"
    if is_store:
        with LabelStore(path, is_new_allowed=False) as store:
            return list(store.decided(label).values())
    return [answer for answer in read_answers(path) if is_same(answer.label, label)]
