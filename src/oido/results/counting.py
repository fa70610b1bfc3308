# SPDX-License-Identifier: Apache-2.0
"""How many events or windows of a label are true, by site, day, night and hour, from reviews."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import numpy as np

from oido.arrays import I64
from oido.errors import OptionError
from oido.evaluation.bootstrap import Estimate
from oido.evaluation.prevalence import Counted, count_true
from oido.messages import tr
from oido.models.labels import is_same, label_text
from oido.models.tflite.taught_head import TaughtHead
from oido.results.clock import local_time
from oido.results.copies import copies_in
from oido.results.query_text import quoted
from oido.results.results import Results
from oido.results.sample_drift import unlike_sample
from oido.results.tallies import counted, site_of
from oido.results.window_scores import PLACE, ScoredWindows, score_windows
from oido.search.label_store import Answer, LabelStore
from oido.search.label_tables import read_answers

COUNT_KEYS = ("site", "day", "night", "hour", "file")

Unit = Literal["events", "windows"]
"""What is counted: what the model took for a sound, or every window, whatever its score."""


@dataclass(frozen=True)
class EventCount:
    """What `count_events` finds.

    keys: what events are grouped by; groups: of each group its true events, recorded_hours: of
    those that have any, where they are known. unsure: reviews that decide nothing. unreviewed:
    groups with events of which none was reviewed: what is said of them rests on the others. unit:
    what is counted; unlike: sites whose sounds differ from what was reviewed; confirmed: groups of
    which a review said yes; left_out: reviews of places that were not chosen by chance; gone: those
    of places that are not in the archive any more. copies:
    recordings of the archive that repeat another, so that what is in them counts again.
    recorded_hours is empty where a condition looks at more than the names of recordings: of how
    many hours that is, nobody knows.
    """

    label: str
    keys: tuple[str, ...]
    counted: Counted[tuple[Any, ...]]
    events: Mapping[tuple[Any, ...], int]
    recorded_hours: Mapping[tuple[Any, ...], float]
    unsure: int
    unreviewed: tuple[tuple[Any, ...], ...]
    unit: Unit = "events"
    unlike: tuple[str, ...] = ()
    confirmed: int = 0
    left_out: int = 0
    copies: int = 0
    gone: int = 0

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
        row: dict[str, Any] = {**dict(zip(self.keys, key)), "label": self.label, self.unit: events}
        row |= {f"true_{self.unit}": round(true.value, 1)}
        row |= {"low": round(true.low, 1), "high": round(true.high, 1)}
        row["recorded_hours"] = None if hours is None else round(hours, 6)
        names = ("true_per_hour", "low_per_hour", "high_per_hour")
        for name, value in zip(names, true):
            row[name] = round(value / hours, 4) if hours else None
        for name, value in zip(("share", "low_share", "high_share"), true):
            row[name] = round(value / events, 6)
        return row


def count_events(
    results: Results,
    label: str,
    reviewed: str | os.PathLike[str],
    by: Sequence[str] = ("site",),
    *,
    unit: Unit = "events",
    head: TaughtHead | None = None,
    where: str | None = None,
    site: str | None = None,
    zone: str = "UTC",
) -> EventCount:
    """Count the true events of a label, or the windows that hold it.

    reviewed: ``clips.csv`` of `oido clips --choose stratified` (or random) with its ``verdict``:
    yes, no, unsure, or nothing; or a label store that has these answers, of which those to other
    questions (a review that learns, a search) are left out, and so are those of places that the
    archive has not any more. where: as it was given to
    `oido clips`. by: of ``COUNT_KEYS``; a night is called by the day on which it begins. unit:
    windows count whatever their score, so that nothing is below a threshold. head: of windows, a
    taught one, whose scores of the stored embeddings are meant. Raises OptionError.
    """
    table = "events" if unit == "events" else "windows" if head is None else "embeddings"
    for key in by:
        if key not in COUNT_KEYS:
            raise OptionError(
                tr(
                    "nothing is counted by {key!r}; choose from {count_keys}",
                    key=key,
                    count_keys=", ".join(COUNT_KEYS),
                )
            )
    if {"day", "night", "hour"} & {*by} and "start_at" not in results.columns(table):
        raise OptionError(tr("days, nights and hours need the times of recordings"))
    local = local_time("start_at", zone)
    terms = {
        "site": site_of(results, site),
        "day": f"CAST({local} AS DATE)",
        "night": f"CAST({local} - INTERVAL 12 HOUR AS DATE)",
        "hour": f"hour({local})",
        "file": "file",
    }
    wanted = [f"{terms[key]} AS key_{key}" for key in dict.fromkeys((*by, "site"))]
    if unit == "events":
        found = _scored_events(results, label, wanted, where)
    else:
        found = score_windows(results, label, head, wanted, where)
    places = found.places
    path = os.fspath(reviewed)
    answers = _answers(path, found.label)
    sample = of_sample(answers, path)
    verdicts, unsure, gone = _verdicts(
        path, sample, {place: n for n, place in enumerate(places)}, found.label, unit
    )
    keys = list(zip(*(found.columns[f"key_{key}"] for key in by))) if by else [()] * len(places)
    numbers: I64 = np.array(list(verdicts), np.int64)
    true = count_true(
        found.scores,
        keys,
        numbers,
        np.array(list(verdicts.values()), bool),
        in_halves=unit == "windows",
    )
    events: dict[tuple[Any, ...], int] = {}
    for each in keys:
        events[each] = events.get(each, 0) + 1
    seen = {keys[n] for n in verdicts}
    recordings = _named(results, where)
    hours = {} if recordings is None else _recorded_hours(results, by, zone, site, recordings)
    return EventCount(
        found.label,
        tuple(by),
        true,
        events,
        hours,
        unsure,
        tuple(key for key in events if key not in seen),
        unit,
        unlike_sample(results, found, numbers, in_halves=unit == "windows"),
        len({keys[n] for n, is_true in verdicts.items() if is_true}),
        len(answers) - len(sample),
        copies_in(results, recordings or "true").recordings,
        gone,
    )


def _scored_events(
    results: Results, label: str, terms: Sequence[str], where: str | None
) -> ScoredWindows:
    """The events of a label, in the place of windows."""
    name = results.label_here(label)
    value = results.value_column
    condition = f" AND ({where}\n)" if where else ""
    rows = results.sql(
        f"SELECT {', '.join([*PLACE, *terms])}, {value} AS value FROM events WHERE "
        f"label = {quoted(name)}{condition} ORDER BY file, channel NULLS FIRST, start_time",
        written=where,
    )
    if not rows.num_rows:
        known = results.sql("SELECT DISTINCT label FROM events")["label"].to_pylist()
        results.require_label(name, known)
        raise OptionError(tr("the archive has no event of {name}", name=label_text(name)))
    columns = {n: rows[n].to_pylist() for n in rows.column_names}
    return ScoredWindows(name, columns, np.array(columns.pop("value"), np.float64))


def _named(results: Results, where: str | None) -> str | None:
    """The condition, if it looks at nothing but the names of recordings; None: at events, too."""
    if not where:
        return "true"
    try:
        results.sql(f"SELECT file FROM (SELECT file FROM recordings) WHERE ({where}\n) LIMIT 1")
    except OptionError:
        return None
    return where


def _recorded_hours(
    results: Results, by: Sequence[str], zone: str, site: str | None, where: str
) -> dict[tuple[Any, ...], float]:
    """Of each group, and of everything under the empty one; of the recordings of the condition."""
    # A night is the later half of a day and the earlier half of the next.
    keys = tuple(dict.fromkeys(k for key in by for k in (_NIGHT if key == "night" else (key,))))
    keys = keys or ("file",)  # of everything together
    files: set[str] | None = None
    if where != "true":
        keys = tuple(dict.fromkeys((*keys, "file")))
        files = {*results.sql(f"SELECT file FROM recordings WHERE ({where}\n)")["file"].to_pylist()}
    found: dict[tuple[Any, ...], float] = {(): 0.0}
    # Not those of a `tally`, which are rounded: recordings may last a second.
    for row in results.sql(counted(results, keys, zone=zone, site=site)).to_pylist():
        if files is not None and row["file"] not in files:
            continue
        if "night" in by and row["day"] is not None:
            row["night"] = row["day"] - timedelta(days=int(row["hour"] < 12))
        hours = row["recorded"] / 3600
        found[()] += hours
        if by:
            place = tuple(row.get(key) for key in by)
            found[place] = found.get(place, 0.0) + hours
    return found


_NIGHT = ("day", "hour")


def of_sample(answers: Sequence[Answer], path: str) -> list[Answer]:
    """Those whose places chance chose. Raises OptionError where there are others alone."""
    sample = [answer for answer in answers if answer.is_of_sample]
    if answers and not sample:
        raise OptionError(
            tr(
                "{path}: clips that were chosen as {choice!r} are no sample of the "
                "others; choose them with --choose stratified",
                path=path,
                choice=answers[0].choice or tr("unknown"),
            )
        )
    return sample


def left_out_text(number: int) -> str:
    """That so many reviews are left out, and why."""
    return tr(
        "left out: {number} reviews of places that were not chosen by chance; they are no sample "
        "of the others",
        number=number,
    )


def _verdicts(
    path: str,
    sample: Sequence[Answer],
    number_of: Mapping[tuple[Any, ...], int],
    label: str,
    unit: Unit,
) -> tuple[dict[int, bool], int, int]:
    """Whether events are true, by their numbers; how many nobody is sure of, and how many are not
    in the archive. Raises OptionError where none is left."""
    found: dict[int, bool] = {}
    unsure = 0
    gone: list[Answer] = []
    for answer in sample:
        number = number_of.get((answer.recording, answer.channel, round(answer.start_time, 3)))
        if number is None:
            gone.append(answer)
        elif answer.verdict == "unsure":
            unsure += 1
        else:
            found[number] = answer.verdict == "yes"
    if found:
        return found, unsure, len(gone)
    facts: dict[str, Any] = {"path": path, "label": label_text(label)}
    if not gone:
        text = tr("{path}: no clip of {label} has a verdict yet: write yes or no there", **facts)
    else:
        facts |= {"place": gone[0].recording, "place_2": gone[0].start_time}
        text = (
            tr(
                "{path}: the archive has no window for {label} in {place} at "
                "{place_2:.3f} s; windows are counted from clips of windows: oido clips "
                "--of windows, or --model",
                **facts,
            )
            if unit == "windows"
            else tr(
                "{path}: the archive has no event of {label} in {place} at {place_2:.3f} s", **facts
            )
        )
    raise OptionError(text)


def _answers(path: str, label: str) -> list[Answer]:
    """What was answered of a label: in a label store, or a table of clips."""
    with open(path, "rb") if os.path.isfile(path) else contextlib.nullcontext() as file:
        is_store = file is not None and file.read(15) == b"SQLite format 3"
    if is_store:
        with LabelStore(path, is_new_allowed=False) as store:
            return list(store.decided(label).values())
    return [answer for answer in read_answers(path) if is_same(answer.label, label)]
