# SPDX-License-Identifier: Apache-2.0
"""Annotations of perch-hoplite come in, and answers go out to it; nothing of its is changed."""

from __future__ import annotations

import sqlite3
import struct
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from oido.errors import OptionError
from oido.search.label_store import Answer
from oido.search.label_tables import read_answers, write_answers

ANSWERS = [
    Answer("n/a.wav", 3.0, 4.5, "Owl", "yes", "Ana"),
    Answer("s/a.wav", 1.0, 2.0, "Owl", "no", "Ana", channel=1),
    Answer("n/a.wav", 1.0, 2.0, "Dog", "unsure", "Bo"),
    Answer("n/a.wav", 0.5, 0.75, "=Dog", "yes"),
]


def rows_of(path: Path, query: str = "SELECT * FROM annotations ORDER BY id") -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "hoplite.sqlite"
    write_answers(ANSWERS, path, "hoplite")

    assert read_answers(path, "Zoe") == [
        replace(a, channel=None, who=a.who or "oido", choice="marked") for a in ANSWERS
    ]
    (first, *_) = rows_of(path)
    assert first == (1, 1, struct.pack("<2d", 3.0, 4.5), "Owl", 1, "Ana")
    assert rows_of(path, "SELECT id, filename FROM recordings") == [(1, "n/a.wav"), (2, "s/a.wav")]
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_annotations_of_nobody_are_whose_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "hoplite.sqlite"
    write_answers(ANSWERS[:2], path, "hoplite")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE annotations SET provenance = '' WHERE id = 2")
    assert [answer.who for answer in read_answers(path, "Zoe")] == ["Ana", "Zoe"]


def test_answers_are_added_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "hoplite.sqlite"
    write_answers(ANSWERS[1:3], path, "hoplite")
    before = rows_of(path)

    write_answers(ANSWERS, path, "hoplite")
    write_answers(ANSWERS, path, "hoplite")

    assert rows_of(path)[:2] == before
    assert len(rows_of(path)) == len(ANSWERS)
    assert rows_of(path, "SELECT count(*) FROM recordings") == [(2,)]


def test_files_that_are_none_of_its_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE mine (text TEXT)")
    text = tmp_path / "text.sqlite"
    text.write_text("mine")
    for path, message in ((other, "no database of perch-hoplite"), (text, "is not overwritten")):
        before = path.read_bytes()
        with pytest.raises(OptionError, match=message):
            write_answers(ANSWERS, path, "hoplite")
        assert path.read_bytes() == before
    with pytest.raises(OptionError, match="oido labels merge"):
        read_answers(other)


@pytest.mark.parametrize(
    "values",
    [
        {"offsets": b"short"},
        {"offsets": struct.pack("<2d", 2, 1)},
        {"offsets": struct.pack("<2d", 1, np.nan)},
        {"offsets": 7},
        {"label_type": 3},
        {"label_type": -1},
        {"label_type": "yes"},
        {"label": None},
    ],
    ids=str,
)
def test_annotations_that_make_no_sense(tmp_path: Path, values: dict[str, Any]) -> None:
    path = tmp_path / "hoplite.sqlite"
    columns = {"offsets": struct.pack("<2d", 1, 2), "label": "Owl", "label_type": 1, **values}
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE recordings (id INTEGER PRIMARY KEY, filename)")
        connection.execute(
            "CREATE TABLE annotations "
            "(id INTEGER PRIMARY KEY, recording_id, offsets, label, label_type, provenance)"
        )
        connection.execute("INSERT INTO recordings VALUES (1, 'a.wav')")
        connection.execute(
            "INSERT INTO annotations VALUES (1, 1, :offsets, :label, :label_type, 'Ana')", columns
        )
    with pytest.raises(OptionError, match="annotation 1"):
        read_answers(path)


def test_a_database_of_perch_hoplite_itself(tmp_path: Path) -> None:
    hoplite = pytest.importorskip("perch_hoplite.db.sqlite_usearch_impl")
    kinds = pytest.importorskip("perch_hoplite.db.datatypes").LabelType
    config = hoplite.get_default_usearch_config(embedding_dim=8)
    database = hoplite.SQLiteUSearchDB.create(str(tmp_path / "db"), config)
    recording = database.insert_recording("n/a.wav")
    database.insert_window(recording, [3.0, 8.0], np.ones(8, np.float16))
    database.insert_annotation(recording, [3.0, 8.0], "Owl", kinds.POSITIVE, "Ana")
    database.commit()

    path = tmp_path / "db" / hoplite.HOPLITE_FILENAME
    assert read_answers(path) == [Answer("n/a.wav", 3.0, 8.0, "Owl", "yes", "Ana", choice="marked")]
    write_answers(ANSWERS, path, "hoplite")
    found = hoplite.SQLiteUSearchDB.create(str(tmp_path / "db")).get_all_annotations()
    assert [(a.offsets, a.label, a.label_type, a.provenance) for a in found][1:] == [
        ([3.0, 4.5], "Owl", kinds.POSITIVE, "Ana"),
        ([1.0, 2.0], "Owl", kinds.NEGATIVE, "Ana"),
        ([1.0, 2.0], "Dog", kinds.UNCERTAIN, "Bo"),
        ([0.5, 0.75], "=Dog", kinds.POSITIVE, "oido"),
    ]

    alone = tmp_path / "alone" / hoplite.HOPLITE_FILENAME
    alone.parent.mkdir()
    write_answers(ANSWERS, alone, "hoplite")
    opened = hoplite.SQLiteUSearchDB.create(str(alone.parent), config)
    assert len(opened.get_all_annotations()) == len(ANSWERS)
