# SPDX-License-Identifier: Apache-2.0
"""Annotations in the databases of perch-hoplite, which searches and teaches by embeddings, too.

Only the tables of recordings and annotations are read and written: ``offsets`` are little-endian
float64, seconds, and ``label_type`` is 0 for no, 1 for yes, 2 for unsure. Source of the layout:
perch_hoplite 1.0.2, db/sqlite_usearch_impl.py and db/datatypes.py (Apache-2.0).
"""

from __future__ import annotations

import math
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from oido.dialects import Verdict
from oido.errors import OptionError, OutputError
from oido.messages import tr
from oido.search.label_store import Answer
from oido.writers.atomic import write_atomically

SUFFIX = ".sqlite"

_MAGIC = b"SQLite format 3\0"
_KINDS: dict[Verdict, int] = {"no": 0, "yes": 1, "unsure": 2}
_VERDICTS = {kind: verdict for verdict, kind in _KINDS.items()}
_NOBODY = "oido"
"""Where an answer does not say whose it is; hoplite wants a text."""

_SCHEMA = """
CREATE TABLE hoplite_metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE deployments (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, project TEXT NOT NULL,
    latitude REAL, longitude REAL, UNIQUE (name, project));
CREATE TABLE recordings (
    id INTEGER PRIMARY KEY AUTOINCREMENT, filename TEXT NOT NULL, datetime TEXT,
    deployment_id INTEGER REFERENCES deployments(id) ON DELETE CASCADE,
    UNIQUE (id, deployment_id), UNIQUE (filename, deployment_id));
CREATE TABLE windows (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    recording_id INTEGER NOT NULL REFERENCES recordings(id) ON DELETE CASCADE,
    offsets FLOAT_LIST NOT NULL, UNIQUE (id, recording_id, offsets));
CREATE TABLE annotations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    recording_id INTEGER NOT NULL REFERENCES recordings(id) ON DELETE CASCADE,
    offsets FLOAT_LIST NOT NULL, label TEXT NOT NULL, label_type INTEGER NOT NULL,
    provenance TEXT NOT NULL, UNIQUE (id, recording_id, offsets));
CREATE INDEX idx_annotations
    ON annotations(recording_id, offsets, label, label_type, provenance);
CREATE INDEX idx_labels ON annotations(label, label_type, provenance);
CREATE INDEX idx_recordings_deployment_id ON recordings(deployment_id);
CREATE INDEX idx_windows_recording_id ON windows(recording_id);
"""


def is_database(path: str) -> bool:
    """Whether a file is one of SQLite's."""
    try:
        with open(path, "rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False  # whoever reads it says why


def read_annotations(path: str, who: str = "") -> list[Answer]:
    """The annotations of a database, whose provenance is who answered; who: where there is none.

    Raises OptionError.
    """
    query = (
        "SELECT filename, offsets, label, label_type, provenance "
        "FROM annotations JOIN recordings ON recording_id = recordings.id ORDER BY annotations.id"
    )
    try:
        uri = f"{Path(path).absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            rows = connection.execute(query).fetchall()
    except sqlite3.Error as error:
        raise OptionError(
            tr(
                "{path}: no database of perch-hoplite 1.0 or later ({error}); label stores are "
                "joined by oido labels merge",
                path=path,
                error=error,
            )
        ) from error
    found = [_answer(path, number, *row) for number, row in enumerate(rows, start=1)]
    return [each if each.who else replace(each, who=who) for each in found]


def write_annotations(answers: Sequence[Answer], path: Path) -> None:
    """Add answers to a database, or make one with recordings and annotations, without embeddings.

    Nothing that is in it is changed; what it has already is not added again. Raises OptionError for
    a file that is no database of hoplite's, OutputError where it cannot be written.
    """
    if path.exists():
        if not is_database(str(path)):
            raise OptionError(tr("{path}: is no database, and is not overwritten", path=path))
        read_annotations(str(path))  # raises
        with _in_sentences(path), closing(sqlite3.connect(path)) as connection, connection:
            _insert(connection, answers)
        return
    with TemporaryDirectory() as folder:
        made = Path(folder) / path.name
        with closing(sqlite3.connect(made)) as connection, connection:
            connection.executescript(_SCHEMA)
            _insert(connection, answers)
        with write_atomically(path, binary=True) as file:
            file.stream.write(made.read_bytes())


@contextmanager
def _in_sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise OutputError(
            tr("{path} cannot be written: {reason}", path=path, reason=error)
        ) from error


def _insert(connection: sqlite3.Connection, answers: Sequence[Answer]) -> None:
    known = dict(connection.execute("SELECT filename, id FROM recordings ORDER BY id DESC"))
    for name in dict.fromkeys(answer.recording for answer in answers):
        if name not in known:
            found = connection.execute("INSERT INTO recordings (filename) VALUES (?)", (name,))
            known[name] = found.lastrowid
    columns = "recording_id, offsets, label, label_type, provenance"
    there = set(connection.execute(f"SELECT {columns} FROM annotations"))
    rows = [
        (
            known[answer.recording],
            struct.pack("<2d", answer.start_time, answer.end_time),
            answer.label,
            _KINDS[answer.verdict],
            answer.who or _NOBODY,
        )
        for answer in answers
    ]
    connection.executemany(
        f"INSERT INTO annotations ({columns}) VALUES (?, ?, ?, ?, ?)",
        [row for row in rows if row not in there],
    )


def _answer(
    path: str, number: int, file: str, offsets: bytes, label: str, kind: int, provenance: str
) -> Answer:
    try:
        start, end = struct.unpack("<2d", offsets)
        verdict = _VERDICTS[kind]
        is_span = 0 <= start <= end < math.inf
    except (struct.error, TypeError, KeyError):
        is_span = False
    if not is_span or not label or not file:
        raise OptionError(
            tr(
                "{path}, annotation {number}: its recording, start, end, label or kind is missing, "
                "or none",
                path=path,
                number=number,
            )
        )
    return Answer(file, start, end, label, verdict, provenance or "", choice="marked")
