# SPDX-License-Identifier: Apache-2.0
"""What people said of an archive's sounds: one small database per project, to which is only added.

Each answer stands there for good, with who gave it, when, and what it was an answer to. A later one
of the same person counts instead of the earlier, and an undone one counts no more; both stay to be
read. Stores of several people merge, because each entry has an id of its own.
"""

from __future__ import annotations

import math
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import NamedTuple

from oido.dialects import Verdict
from oido.errors import OptionError, OutputError
from oido.messages import text_of, tr
from oido.models.labels import label_key

VERDICTS: tuple[Verdict, ...] = ("yes", "no", "unsure")
_APPLICATION = 0x6F69646F  # "oido", so that no other database is taken for a store
_VERSION = 1
_WAIT_SECONDS = 20.0

_SCHEMA = f"""
CREATE TABLE entries (
    id TEXT PRIMARY KEY, created TEXT NOT NULL, who TEXT NOT NULL, recording TEXT NOT NULL,
    channel INTEGER, start_time REAL NOT NULL, end_time REAL NOT NULL, label TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('yes', 'no', 'unsure')),
    value REAL, choice TEXT NOT NULL, model TEXT NOT NULL, query TEXT NOT NULL,
    undoes TEXT NOT NULL);
CREATE INDEX places ON entries (recording, start_time);
CREATE TRIGGER kept BEFORE DELETE ON entries
    BEGIN SELECT raise(ABORT, 'entries are never deleted'); END;
CREATE TRIGGER fixed BEFORE UPDATE ON entries
    BEGIN SELECT raise(ABORT, 'entries are never changed'); END;
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""


@dataclass(frozen=True)
class Answer:
    """Whether a label is right of a span of a recording, by whom.

    value: the score or similarity at which it was asked; choice: how it was chosen (top, random,
    stratified, …); model, query: what found it. undoes: the id of an answer that this one takes
    back, "" of an answer itself. id and created are given by the store.
    """

    recording: str
    start_time: float
    end_time: float
    label: str
    verdict: Verdict
    who: str = ""
    channel: int | None = None
    value: float | None = None
    choice: str = ""
    model: str = ""
    query: str = ""
    undoes: str = ""
    created: str = ""
    id: str = field(default="")

    @property
    def is_of_sample(self) -> bool:
        """Whether chance chose the place, so that it speaks for places that nobody reviewed."""
        return self.choice in ("stratified", "random")

    @property
    def place(self) -> tuple[str, int | None, float, float, str]:
        """What it is an answer to."""
        times = (round(self.start_time, 3), round(self.end_time, 3))
        return (self.recording, self.channel, *times, self.label)


class Agreement(NamedTuple):
    """Of places that several people are sure of: how many, and how many they answered alike."""

    places: int
    alike: int


class LabelStore(AbstractContextManager["LabelStore"]):
    """The store in a file, which is made if there is none.

        with LabelStore("project.db") as store:
            store.add([Answer("a.wav", 3.0, 4.0, "Owl", "yes", who="Ana")])
            store.undo("Ana")

    Several processes may read and write at once. Raises OptionError for a file that is no store, or
    whose lock is held for 20 s, and OutputError for one that cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], *, is_new_allowed: bool = True) -> None:
        self.path = Path(path)
        if not self.path.exists() and not is_new_allowed:
            raise OptionError(tr("{path}: there is no such label store", path=self.path))
        with self._in_sentences():
            self._connection = sqlite3.connect(
                self.path, timeout=_WAIT_SECONDS, isolation_level=None
            )
            try:
                self._open()
            except BaseException:
                self._connection.close()
                raise

    def add(self, answers: Iterable[Answer]) -> list[Answer]:
        """Add answers, all of them or none; what they are with their ids."""
        now = instant_text(datetime.now(timezone.utc))
        made = [replace(a, id=secrets.token_hex(8), created=a.created or now) for a in answers]
        for answer in made:
            _check(answer)
        self._insert(made)
        return made

    def undo(self, who: str = "") -> Answer | None:
        """Take back a person's last answer that counts; which it was, None if there is none."""
        entries = [each for each in self.history() if each.who == who]
        undone = {each.undoes for each in entries}
        for last in reversed(entries):
            if not last.undoes and last.id not in undone:
                self.add([replace(last, undoes=last.id, created="")])
                return last
        return None

    def history(self) -> list[Answer]:
        """Every entry, in the order in which they were given."""
        with self._in_sentences():
            rows = self._connection.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM entries ORDER BY created, rowid"
            ).fetchall()
        return [Answer(**dict(zip(_COLUMNS, row))) for row in rows]

    def answers(self, label: str | None = None) -> list[Answer]:
        """What counts: for each place the latest answer of each person.

        label: of this one only, in whatever language it is written. One label has one name, as it
        was written first.
        """
        entries = self.history()
        undone = {entry.undoes for entry in entries if entry.undoes}
        wanted = None if label is None else label_key(label)
        names: dict[str, str] = {}
        latest: dict[tuple[object, ...], Answer] = {}
        for entry in entries:
            own = label_key(entry.label)
            if entry.undoes or entry.id in undone or wanted not in (None, own):
                continue
            answer = replace(entry, label=names.setdefault(own, entry.label))
            key = (*answer.place, answer.who)
            latest.pop(key, None)
            latest[key] = answer
        return list(latest.values())

    def decided(self, label: str | None = None) -> dict[tuple[object, ...], Answer]:
        """One answer for each place: what most say, and where they are even, unsure."""
        groups: dict[tuple[object, ...], list[Answer]] = {}
        for answer in self.answers(label):
            groups.setdefault(answer.place, []).append(answer)
        found = {}
        for place, group in groups.items():
            votes = sum({"yes": 1, "no": -1}.get(answer.verdict, 0) for answer in group)
            verdict: Verdict = "yes" if votes > 0 else "no" if votes < 0 else "unsure"
            found[place] = replace(group[-1], verdict=verdict)
        return found

    def agreement(self, label: str | None = None) -> Agreement:
        """How far several people agree."""
        groups: dict[tuple[object, ...], list[str]] = {}
        for answer in self.answers(label):
            if answer.verdict != "unsure":
                groups.setdefault(answer.place, []).append(answer.verdict)
        several = [verdicts for verdicts in groups.values() if len(verdicts) > 1]
        return Agreement(len(several), sum(len({*verdicts}) == 1 for verdicts in several))

    def merge(self, other: str | os.PathLike[str]) -> int:
        """Add the entries of another store that are not here yet; how many they were."""
        if os.path.abspath(other) == os.path.abspath(self.path):
            return 0
        with LabelStore(other, is_new_allowed=False) as store:
            return self._insert(store.history())

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __exit__(self, *error: object) -> None:
        self.close()

    def _insert(self, entries: Iterable[Answer]) -> int:
        marks = ", ".join("?" * len(_COLUMNS))
        statement = f"INSERT OR IGNORE INTO entries ({', '.join(_COLUMNS)}) VALUES ({marks})"
        rows = [tuple(asdict(entry)[name] for name in _COLUMNS) for entry in entries]
        with self._in_sentences(), self._transaction():
            before = self._connection.total_changes
            self._connection.executemany(statement, rows)
            return self._connection.total_changes - before

    def _open(self) -> None:
        run = self._connection.execute

        def is_empty() -> bool:
            return not run("SELECT count(*) FROM sqlite_master").fetchone()[0]

        if is_empty():  # one that is there is not written to: it may lie where it can only be read
            with self._transaction():
                if is_empty():  # of two that make it at once, one does
                    for statement in _statements(_SCHEMA):
                        run(statement)
        facts = [run(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if facts[0] != _APPLICATION:
            raise OptionError(
                tr("{path}: is another program's database; name another file", path=self.path)
            )
        if facts[1] != _VERSION:
            raise OptionError(
                tr(
                    "{path}: is a label store of version {facts}, which this oido does not know",
                    path=self.path,
                    facts=facts[1],
                )
            )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    @contextmanager
    def _in_sentences(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            text = text_of(error)
            if "locked" in text:
                raise OptionError(
                    tr(
                        "{path}: another program holds it; close that, and try again",
                        path=self.path,
                    )
                ) from error
            if "not a database" in text or "malformed" in text:
                raise OptionError(tr("{path}: is no label store", path=self.path)) from error
            raise OutputError(
                tr("{path} cannot be used: {text}", path=self.path, text=text)
            ) from error


_COLUMNS = tuple(Answer.__dataclass_fields__)


def instant_text(instant: datetime) -> str:
    """An instant as stores keep it: texts that sort as the instants do."""
    return instant.astimezone(timezone.utc).isoformat(timespec="milliseconds")


def _check(answer: Answer) -> None:
    """Raise OptionError for an answer that says nothing."""
    if answer.verdict not in VERDICTS:
        raise OptionError(
            tr("a verdict is yes, no or unsure, not {verdict!r}", verdict=answer.verdict)
        )
    if not 0 <= answer.start_time <= answer.end_time < math.inf:
        raise OptionError(
            tr(
                "{recording}: nothing lasts from {start_time:g} to {end_time:g} s",
                recording=answer.recording,
                start_time=answer.start_time,
                end_time=answer.end_time,
            )
        )
    for text in (answer.recording, answer.label, answer.who):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise OptionError(
                tr("{text!r} is no text: it holds bytes that are no letters", text=text)
            ) from error


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; triggers hold semicolons of their own."""
    text = ""
    for line in script.strip().splitlines():
        text += line + "\n"
        if sqlite3.complete_statement(text):
            yield text
            text = ""
