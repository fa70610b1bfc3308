# SPDX-License-Identifier: Apache-2.0
"""Which places of an archive are asked about, and in which order.

By a label or a condition, sampled over the scores; from a table of hits; nearest to the threshold,
where a model is least certain; or least like all the rest. A queue that learns from the answers has
the same two methods.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from oido.errors import OptionError, UnknownLabelError
from oido.messages import tr
from oido.params import Detection
from oido.results.clip_files import ClipSource, chosen_events, listed_places
from oido.results.query_text import quoted
from oido.results.results import Results
from oido.review.items import ReviewItem

Choice = Literal["top", "random", "stratified", "uncertain", "novel"]
CHOICES: tuple[Choice, ...] = ("top", "random", "stratified", "uncertain", "novel")
_SURPLUS = 8
"""So many windows are looked at for each place, because neighbours are one place."""

_DEFAULT_THRESHOLD = 0.2  # of events, where neither the archive nor the model says another
_UNKNOWN = "unknown"


class LearningState(Protocol):
    """What a queue that learns says of itself after an update.

    curve: of each point the answers and how well it did then, 0..1; what follows is not shown.
    """

    @property
    def answers(self) -> int: ...
    @property
    def positives(self) -> int: ...
    @property
    def curve(self) -> Sequence[Sequence[float]]: ...
    @property
    def finished(self) -> bool: ...
    @property
    def advice(self) -> str: ...


class ItemSource(Protocol):
    """Where the places come from that are asked about."""

    def candidates(self, count: int) -> Sequence[ReviewItem]:
        """Up to so many places, the next one first."""

    def update(self) -> LearningState | None:
        """Learn from the answers that were given since; None of a queue that does not learn."""


class FixedQueue:
    """Places in an order that stays."""

    def __init__(self, items: Iterable[ReviewItem]) -> None:
        self.items = list(dict.fromkeys(items))

    def candidates(self, count: int) -> Sequence[ReviewItem]:
        """The first of all places; who asks leaves out what is answered."""
        return self.items[:count]

    def update(self) -> None:
        """Nothing is learnt."""


@dataclass(frozen=True)
class QueueChoice:
    """What is to be asked.

    label: events or windows of it; None: of any. where: a condition in SQL. table: rows of
    `oido find` or `oido query`. threshold: what "uncertain" is near to; None: the archive's own.
    index: the folder of the index of embeddings, for "novel".
    """

    label: str | None = None
    where: str | None = None
    table: Path | None = None
    choice: Choice = "stratified"
    count: int = 500
    seed: int = 0
    threshold: float | None = None
    index: Path | None = None

    @property
    def name(self) -> str:
        """How answers say that their place was chosen."""
        return "listed" if self.table is not None else self.choice

    @property
    def query(self) -> str:
        """What answers say that found their place."""
        parts = ["oido review"]
        if self.label is not None:
            parts.append(f"--label {self.label!r}")
        if self.table is not None:
            parts.append(f"--from {self.table.name}")
        else:
            parts.append(f"--choose {self.choice}")
        if self.where is not None:
            parts.append(f"--where {self.where!r}")
        return " ".join(parts)


def make_queue(results: Results, wanted: QueueChoice) -> FixedQueue:
    """The places of an archive, chosen once. Raises OptionError, and UnknownLabelError."""
    if wanted.count < 1:
        raise OptionError(tr("--count is 1 place or more, not {count}", count=wanted.count))
    if wanted.table is not None:
        return _listed(results, wanted, wanted.table)
    if wanted.choice == "uncertain":
        rows = _uncertain(results, wanted)
    elif wanted.choice == "novel":
        rows = _novel(results, wanted)
    else:
        return _sampled(results, wanted)
    if not rows:
        raise _nothing(results, wanted)
    return _of_rows(rows)


def _sampled(results: Results, wanted: QueueChoice) -> FixedQueue:
    choice = wanted.choice
    assert choice in ("top", "random", "stratified")
    places = chosen_events(
        results, wanted.label, wanted.count, choice, where=wanted.where, seed=wanted.seed
    )
    if choice != "top":
        # So that the first fifty of five hundred are a sample of all scores, too.
        random.Random(wanted.seed).shuffle(places)
    if choice == "stratified":
        nth: dict[int | None, int] = {}
        turns = []
        for place in places:
            turns.append(nth.setdefault(place.stratum, 0))
            nth[place.stratum] += 1
        places = [place for _, place in sorted(zip(turns, places), key=lambda each: each[0])]
    return _of_places(places)


def _listed(results: Results, wanted: QueueChoice, table: Path) -> FixedQueue:
    label = None if wanted.label is None else results.label_here(wanted.label)
    places = listed_places(results, table, label)[: wanted.count]
    if any(not place.label for place in places):
        raise OptionError(
            tr("{table} does not say which sound its rows are: add --label owl", table=table)
        )
    return _of_places(places)


def _of_places(places: Iterable[ClipSource]) -> FixedQueue:
    return _of_rows(
        {
            "file": place.recording,
            "channel": place.channel,
            "start_time": place.start_time,
            "end_time": place.end_time,
            "label": place.label,
            "value": place.value,
        }
        for place in places
    )


def _of_rows(rows: Iterable[Mapping[str, Any]]) -> FixedQueue:
    return FixedQueue(
        ReviewItem(
            row["file"],
            float(row["start_time"]),
            float(row["end_time"]),
            row["label"],
            float(row["value"]),
            row["channel"],
        )
        for row in rows
    )


def _uncertain(results: Results, wanted: QueueChoice) -> list[dict[str, Any]]:
    """Windows (where there are none, events) whose scores are nearest to the threshold."""
    value = results.value_column
    conditions = [] if wanted.where is None else [f"({wanted.where}\n)"]
    if wanted.label is not None:
        conditions.append(f"label = {quoted(results.label_here(wanted.label))}")
    condition = " AND ".join(conditions) or "true"
    for table in ("windows", "events"):
        rows: list[dict[str, Any]] = results.sql(
            f"SELECT file, channel, start_time, end_time, label, {value} AS value FROM {table} "
            f"WHERE {condition} ORDER BY abs({value} - {_threshold(results, wanted)}), "
            f"file, start_time LIMIT {wanted.count * _SURPLUS}",
            written=wanted.where,
        ).to_pylist()
        if rows:
            return _one_a_place(rows, wanted.count)
    return []


def _threshold(results: Results, wanted: QueueChoice) -> str:
    """SQL of the threshold of a row's label."""
    if wanted.threshold is not None:
        return f"{float(wanted.threshold)!r}"
    detection = results.header.get("parameters", {}).get("detection") or {}
    common = detection.get("threshold") or Detection().threshold or _DEFAULT_THRESHOLD
    own = "".join(
        f" WHEN {quoted(label)} THEN {float(value)!r}"
        for label, value in detection.get("thresholds") or ()
    )
    return f"(CASE label{own} ELSE {float(common)!r} END)" if own else f"{float(common)!r}"


def _novel(results: Results, wanted: QueueChoice) -> list[dict[str, Any]]:
    """Windows that are least like the others, each under its best label.

    Without embeddings: the stretches that the model itself did not know.
    """
    from oido.results.find import Finder

    try:
        finder = Finder(results, wanted.index)
    except OptionError:
        if wanted.label is None and wanted.where is None and (rows := _unknown(results, wanted)):
            return rows
        raise
    found = finder.outlying(wanted.count, where=wanted.where, seed=wanted.seed).to_pylist()
    return _labelled(results, found, wanted.label)


def _unknown(results: Results, wanted: QueueChoice) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = results.sql(
            f"SELECT file, channel, start_time, end_time, label, score AS value FROM events "
            f"WHERE label = {quoted(_UNKNOWN)} ORDER BY score DESC, file, start_time "
            f"LIMIT {wanted.count}"
        ).to_pylist()
    except UnknownLabelError:
        return []
    return rows


def _labelled(
    results: Results, rows: Sequence[dict[str, Any]], label: str | None
) -> list[dict[str, Any]]:
    """Windows with the label that is asked of them: this one, or else their best."""
    if label is not None:
        name = results.label_here(label)
        return [{**row, "label": name, "value": row["similarity"]} for row in rows]
    value = results.value_column
    files = ", ".join(sorted({quoted(row["file"]) for row in rows})) or "''"
    best = results.sql(
        f"SELECT file, channel, start_time, arg_max(label, {value}) AS label FROM windows "
        f"WHERE file IN ({files}) GROUP BY file, channel, start_time"
    ).to_pylist()
    names = {_window(row): row["label"] for row in best}
    return [
        {**row, "label": names.get(_window(row), _UNKNOWN), "value": row["similarity"]}
        for row in rows
    ]


def _window(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["file"], row["channel"], round(row["start_time"], 3)


def _one_a_place(rows: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Of windows of a label that overlap or touch, the first."""
    kept: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    chosen = []
    for row in rows:
        spans = kept.setdefault((row["file"], row["channel"], row["label"]), [])
        start, end = row["start_time"], row["end_time"]
        if all(start > e or end < s for s, e in spans):
            spans.append((start, end))
            chosen.append(row)
    return chosen[:count]


def _nothing(results: Results, wanted: QueueChoice) -> OptionError:
    if wanted.label is not None:
        known = results.sql("SELECT DISTINCT label FROM windows").to_pylist()
        results.require_label(wanted.label, [row["label"] for row in known])
    return OptionError(tr("there is nothing to ask about in {url}", url=os.fspath(results.url)))


def frequent_labels(results: Results, count: int) -> list[str]:
    """The labels with the most events, for the keys 1 to 9."""
    rows = results.sql(
        f"SELECT label FROM events GROUP BY label ORDER BY count(*) DESC, label LIMIT {count}"
    ).to_pylist()
    return [row["label"] for row in rows]
