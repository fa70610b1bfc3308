# SPDX-License-Identifier: Apache-2.0
"""A review: what each person is asked next, and what becomes of the answers.

Answers go into the label store at once. Nobody is asked about a place twice, and nobody about one
that enough people have answered, or are being asked about just now.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from oido.dialects import Verdict
from oido.errors import OptionError
from oido.messages import tr
from oido.models.labels import label_key
from oido.results.query_text import quoted
from oido.results.results import Results
from oido.review.items import ReviewItem
from oido.review.queues import ItemSource, LearningState
from oido.search.label_store import Answer, LabelStore

SCORES_SECONDS = 30.0
"""Before and behind a place, the scores of its label are shown."""

_LEAST_OVERLAP = 0.5
"""Spans that share more than this of what they cover together are one place."""

_LENT_SECONDS = 300.0
"""For so long, nobody else is asked about what somebody was given to answer."""

_ANSWERS_PER_UPDATE = 5
NAMED = "named"
"""How answers of the keys 1 to 9 say that their label was chosen: by who answered."""


@dataclass(frozen=True)
class ReviewSettings:
    """How a review is done.

    choice, query: what answers say of how their place was found; model: by which model. label: that
    all places are asked of; None: each has its own. others: labels of the keys 1 to 9. by: who
    answers, where only one person does. opinions: how many people are asked about each place.
    export: where what was learnt is written.
    """

    choice: str
    query: str
    model: str = ""
    label: str | None = None
    others: tuple[str, ...] = ()
    by: str | None = None
    opinions: int = 1
    export: Path | None = None

    def __post_init__(self) -> None:
        if self.opinions < 1:
            raise OptionError(
                tr("--opinions is 1 person or more, not {opinions}", opinions=self.opinions)
            )
        if len(self.others) > 9:
            raise OptionError(tr("there are 9 keys for other labels, 1 to 9"))


class RecordingFacts(NamedTuple):
    """Where a recording is, how long it is, and when it began (or None)."""

    location: str
    duration: float
    recorded_at: Any


class ReviewSession:
    """One review of an archive. Everything of it is called by one thread at a time."""

    def __init__(
        self,
        results: Results,
        store: LabelStore,
        source: ItemSource,
        settings: ReviewSettings,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.state: LearningState | None = None
        """What a queue that learns said last."""
        self._results, self._store, self._source, self._now = results, store, source, now
        self._items: dict[str, ReviewItem] = {}
        self._recordings: dict[str, RecordingFacts] = {}
        self._lent: dict[str, dict[str, float]] = {}
        self._is_here: dict[str, bool] = {}
        self._answers = _Answers([], [])
        self._since_update = 0
        self._reload()

    def next_items(
        self, who: str, count: int, held: Collection[str] = ()
    ) -> list[tuple[str, ReviewItem]]:
        """The next places that a person is asked about, with their ids, and fewer at the end.

        held: ids of those that are on the person's page already.
        """
        self._reload()
        wanted = count + len(held)
        while True:
            candidates = self._source.candidates(wanted)
            found = []
            for item in candidates:
                key = id_of(item)
                if key not in held and self._is_open(key, item, who):
                    found.append((key, item))
            if len(found) >= count or len(candidates) < wanted:
                break
            wanted *= 2
        found = found[:count]
        for key, item in found:
            self._items[key] = item
            self._lent.setdefault(key, {})[who] = self._now()
        self._know([item.recording for _, item in found])
        return found

    def item(self, key: str) -> ReviewItem:
        """A place by its id. Raises OptionError for one that nobody was asked about."""
        if key not in self._items:
            raise OptionError(tr("this review does not ask about that place; reload the page"))
        return self._items[key]

    def recording(self, item: ReviewItem) -> RecordingFacts:
        """Of the recording of a place."""
        self._know([item.recording])
        return self._recordings[item.recording]

    def answer(self, who: str, key: str, verdict: Verdict, label: str | None = None) -> None:
        """Write down what somebody says of a place.

        label: with "no", what it is instead. Raises OptionError and OutputError; then nothing of it
        is stored.
        """
        item = self.item(key)
        first = Answer(
            item.recording,
            item.start_time,
            item.end_time,
            item.label,
            verdict,
            who=who,
            channel=item.channel,
            value=item.score,
            choice=self.settings.choice,
            model=self.settings.model,
            query=self.settings.query,
        )
        answers = [first]
        if label is not None and label != item.label:
            answers.append(replace(first, label=label, verdict="yes", value=None, choice=NAMED))
        # What the same person named before is not what it is any more.
        before = [
            entry for entry in self._answers.named(first) if (label, "no") != (entry.label, verdict)
        ]
        self._store.add([*answers, *(replace(e, undoes=e.id, created="") for e in before)])
        self._reload()
        self._lent.get(key, {}).pop(who, None)
        self._since_update += 1

    def undo(self, who: str) -> tuple[str, ReviewItem] | None:
        """Take back a person's last answer to this review; to what it was. None: there is none."""
        entries = [entry for entry in self._store.history() if entry.who == who]
        undone = {entry.undoes for entry in entries}
        ours = [e for e in self._of_this(entries) if not e.undoes and e.id not in undone]
        if not ours:
            return None
        last = ours[-1]
        # What somebody named instead was written down with the "no".
        same = [e for e in ours if (e.created, e.place[:4]) == (last.created, last.place[:4])]
        self._store.add(replace(entry, undoes=entry.id, created="") for entry in same)
        self._reload()
        self._since_update += 1
        first = same[0]
        times, value = (first.start_time, first.end_time), first.value or 0.0
        item = ReviewItem(first.recording, *times, first.label, value, first.channel)
        self._items[id_of(item)] = item
        return id_of(item), item

    def learn(self) -> bool:
        """Let a queue that learns do so, if enough was answered since; whether it did."""
        if self._since_update < _ANSWERS_PER_UPDATE and self.state is not None:
            return False
        self.state = self._source.update()
        self._since_update = 0
        return self.state is not None

    def export(self) -> Path:
        """Write what was learnt. Raises OptionError where nothing is, and what writing raises."""
        export, path = getattr(self._source, "export", None), self.settings.export
        if export is None or path is None:
            raise OptionError(tr("this review learns nothing: begin one with --learn owl"))
        self.state = self._source.update()
        export(path)
        return path

    def progress(self, who: str) -> dict[str, Any]:
        """How far a person, and all of them, are; agreement is of places that several answered."""
        items: Sequence[ReviewItem] | None = getattr(self._source, "items", None)
        done = None
        if items is not None:
            done = sum(len(self._answers.people(item)) >= self.settings.opinions for item in items)
        agreement = self._answers.agreement()
        return {
            "yours": self._answers.count(who),
            "people": len(self._answers.everybody()),
            "done": done,
            "total": None if items is None else len(items),
            "severalAnswered": agreement[0],
            "alike": agreement[1],
        }

    def scores(self, items: Sequence[ReviewItem]) -> list[list[tuple[float, float, float]]]:
        """For each place: start, end and score of its label in the windows in and around it.

        Where the archive has none of the label, the place's own.
        """
        value = self._results.value_column
        rows: list[dict[str, Any]] = []
        if items:
            spans = " OR ".join(
                f"(file = {quoted(item.recording)} "
                f"AND list_contains([{quoted(item.label)}], label) "
                f"AND start_time < {item.end_time + SCORES_SECONDS!r} "
                f"AND end_time > {item.start_time - SCORES_SECONDS!r})"
                for item in items
            )
            # As a list that names files, which lets parts without them be passed over; labels as
            # one that names none, because the archive may have no such label, and that is no error.
            files = ", ".join(sorted({quoted(item.recording) for item in items}))
            rows = self._results.sql(
                f"SELECT file, channel, label, start_time, end_time, {value} AS value FROM windows "
                f"WHERE file IN ({files}) AND ({spans}) ORDER BY start_time"
            ).to_pylist()
        found = []
        for item in items:
            low, high = item.start_time - SCORES_SECONDS, item.end_time + SCORES_SECONDS
            own = [
                (row["start_time"], row["end_time"], row["value"])
                for row in rows
                if (row["file"], row["label"]) == (item.recording, item.label)
                and item.channel in (None, row["channel"])
                and row["start_time"] < high
                and row["end_time"] > low
            ]
            found.append(own or [(item.start_time, item.end_time, item.score)])
        return found

    def close(self) -> None:
        """Let go of the store; what was answered is there."""
        self._store.close()

    def _is_open(self, key: str, item: ReviewItem, who: str) -> bool:
        people = self._answers.people(item)
        if who in people or len(people) >= self.settings.opinions:
            return False
        since = self._now() - _LENT_SECONDS
        lent = {name for name, at in self._lent.get(key, {}).items() if at > since and name != who}
        return len(people | lent) < self.settings.opinions

    def _reload(self) -> None:
        """Others may have written into the store since."""
        answers = self._store.answers()
        self._answers = _Answers(answers, self._of_this(answers))

    def _of_this(self, entries: Sequence[Answer]) -> list[Answer]:
        """Those of this review: its words may have been asked of another archive, too."""
        asked = (self.settings.query, self.settings.model)
        ours = [entry for entry in entries if (entry.query, entry.model) == asked]
        if missing := sorted({entry.recording for entry in ours} - self._is_here.keys()):
            files = ", ".join(map(quoted, missing))
            rows = self._results.sql(f"SELECT file FROM recordings WHERE file IN ({files})")
            here = {row["file"] for row in rows.to_pylist()}
            self._is_here.update((name, name in here) for name in missing)
        return [entry for entry in ours if self._is_here[entry.recording]]

    def _know(self, names: Sequence[str]) -> None:
        missing = sorted({*names} - self._recordings.keys())
        if not missing:
            return
        has_time = "recorded_at" in self._results.columns("recordings")
        rows = self._results.sql(
            f"""SELECT file, any_value(location) AS location, any_value(duration) AS duration,
            {"any_value(recorded_at)" if has_time else "NULL"} AS recorded_at FROM recordings
            WHERE file IN ({", ".join(map(quoted, missing))}) GROUP BY file"""
        ).to_pylist()
        for name in missing:
            self._recordings[name] = RecordingFacts(name, 0.0, None)
        for row in rows:
            self._recordings[row["file"]] = RecordingFacts(
                row["location"] or row["file"], row["duration"] or 0.0, row["recorded_at"]
            )


class _Answers:
    """What counts of a store, by recording and label, so that a place is found at once.

    ours: those of one review, of which what was named instead is no answer to what it asked.
    """

    def __init__(self, answers: Sequence[Answer], ours: Sequence[Answer]) -> None:
        self._ours = [answer for answer in ours if answer.choice != NAMED]
        self._of: dict[tuple[str, str], list[Answer]] = {}
        for answer in answers:
            self._of.setdefault((answer.recording, label_key(answer.label)), []).append(answer)

    def people(self, item: ReviewItem) -> set[str]:
        """Who answered what is asked of a place."""
        known = self._of.get((item.recording, label_key(item.label)), ())
        return {answer.who for answer in known if _is_same_place(answer, item)}

    def named(self, answer: Answer) -> list[Answer]:
        """What who answers named instead, at this place in this review."""
        return [
            each
            for group in self._of.values()
            for each in group
            if each.choice == NAMED
            and (each.who, each.query, each.place[:4])
            == (answer.who, answer.query, answer.place[:4])
        ]

    def count(self, who: str) -> int:
        return sum(answer.who == who for answer in self._ours)

    def everybody(self) -> set[str]:
        return {answer.who for answer in self._ours}

    def agreement(self) -> tuple[int, int]:
        """Places that several people are sure of, and how many they answered alike."""
        groups: dict[tuple[object, ...], list[str]] = {}
        for answer in self._ours:
            if answer.verdict != "unsure":
                groups.setdefault(answer.place, []).append(answer.verdict)
        several = [verdicts for verdicts in groups.values() if len(verdicts) > 1]
        return len(several), sum(len({*verdicts}) == 1 for verdicts in several)


def id_of(item: ReviewItem) -> str:
    """A place's name on pages, the same each time."""
    times = f"{item.start_time:.3f}\n{item.end_time:.3f}"
    text = f"{item.recording}\n{item.channel}\n{times}\n{item.label}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _is_same_place(answer: Answer, item: ReviewItem) -> bool:
    if None not in (answer.channel, item.channel) and answer.channel != item.channel:
        return False
    shared = min(answer.end_time, item.end_time) - max(answer.start_time, item.start_time)
    covered = max(answer.end_time, item.end_time) - min(answer.start_time, item.start_time)
    return shared > _LEAST_OVERLAP * covered or (shared == covered == 0)
