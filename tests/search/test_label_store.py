# SPDX-License-Identifier: Apache-2.0
"""Answers are only added, the latest counts, and stores of several people become one."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from oido.dialects import Verdict
from oido.errors import OptionError, OutputError
from oido.search.label_store import Answer, LabelStore


def answer(n: int, verdict: Verdict = "yes", who: str = "Ana", label: str = "Owl") -> Answer:
    return Answer("a.wav", float(n), n + 1.0, label, verdict, who, value=0.5, choice="random")


def test_the_latest_answer_of_a_person_counts(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "p.db") as store:
        store.add([answer(1), answer(2, "no")])
        store.add([answer(1, "unsure"), answer(1, "no", "Bo"), answer(3, label="Dog")])
        assert [(a.start_time, a.verdict, a.who) for a in store.answers("Owl")] == [
            (2.0, "no", "Ana"),
            (1.0, "unsure", "Ana"),
            (1.0, "no", "Bo"),
        ]
        assert len(store.answers()) == 4
        assert len(store.history()) == 5
    with LabelStore(tmp_path / "p.db") as store:
        assert len(store.history()) == 5
        assert store.history()[0].value == 0.5


def test_undo_takes_back_one_at_a_time_and_only_ones_own(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "p.db") as store:
        store.add([answer(1), answer(2)])
        store.add([answer(1, "no"), answer(4, who="Bo")])
        assert store.undo("Ana") == store.history()[2]
        assert [(a.start_time, a.verdict) for a in store.answers() if a.who == "Ana"] == [
            (1.0, "yes"),
            (2.0, "yes"),
        ]
        undone = store.undo("Ana")
        assert undone is not None
        assert undone.start_time == 2.0
        assert store.undo("Ana") is not None
        assert store.undo("Ana") is None
        assert [a.who for a in store.answers()] == ["Bo"]
        store.add([answer(1)])
        assert len(store.answers()) == 2, "what is answered again counts again"


def test_most_voices_decide_and_agreement_is_counted(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "p.db") as store:
        store.add([answer(1, "yes", who) for who in ("Ana", "Bo")])
        store.add([answer(1, "no", "Cy"), answer(2, "yes", "Ana"), answer(2, "no", "Bo")])
        store.add(
            [answer(3, "no", "Ana"), answer(3, "unsure", "Bo"), answer(4), answer(4, who="B")]
        )
        verdicts = {place[2]: a.verdict for place, a in store.decided().items()}
        assert verdicts == {1.0: "yes", 2.0: "unsure", 3.0: "no", 4.0: "yes"}
        assert store.agreement() == (3, 1)


def test_stores_merge_without_doubles(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "a.db") as one, LabelStore(tmp_path / "b.db") as other:
        one.add([answer(1)])
        other.add([answer(1, "no", "Bo"), answer(2, "no", "Bo")])
        assert one.merge(other.path) == 2
        assert one.merge(other.path) == 0
        assert other.merge(one.path) == 1
        assert {a.id for a in one.history()} == {a.id for a in other.history()}
        other.undo("Bo")
        assert one.merge(other.path) == 1
        assert len(one.answers()) == 2
        assert one.merge(one.path) == 0
        with pytest.raises(OptionError, match="no such label store"):
            one.merge(tmp_path / "none.db")


def test_entries_cannot_be_changed_or_deleted(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "p.db") as store:
        store.add([answer(1)])
    for statement in ("DELETE FROM entries", "UPDATE entries SET verdict = 'no'"):
        connection = sqlite3.connect(tmp_path / "p.db")
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            connection.execute(statement)
        connection.close()


def test_all_answers_of_a_call_or_none(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "p.db") as store:
        with pytest.raises(OptionError, match="'perhaps'"):
            store.add([answer(1), answer(2, "perhaps")])  # type: ignore[arg-type]
        assert store.history() == []


def test_two_write_at_once(tmp_path: Path) -> None:
    def write(who: str) -> None:
        with LabelStore(tmp_path / "p.db") as store:
            for n in range(30):
                store.add([answer(n, who=who)])

    threads = [threading.Thread(target=write, args=(name,)) for name in ("Ana", "Bo", "Cy")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with LabelStore(tmp_path / "p.db") as store:
        assert len(store.answers()) == 90


def test_files_that_are_none_are_refused_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = tmp_path / "notes.db"
    text.write_text("my notes, which are long enough to be no database of any kind" * 20)
    before = text.read_bytes()
    with pytest.raises(OptionError, match="is no label store"):
        LabelStore(text)
    assert text.read_bytes() == before
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE mine (x)")
    other.close()
    with pytest.raises(OptionError, match="another program's database"):
        LabelStore(tmp_path / "other.db")
    LabelStore(tmp_path / "p.db").close()
    holder = sqlite3.connect(tmp_path / "p.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr("oido.search.label_store._WAIT_SECONDS", 0.1)
    with pytest.raises(OptionError, match="another program holds it"):
        LabelStore(tmp_path / "p.db")
    holder.close()


def test_a_label_in_two_spellings_is_one(tmp_path: Path) -> None:
    with LabelStore(tmp_path / "p.db") as store:
        store.add([answer(1, "yes"), answer(2, "no")])
        store.add([answer(1, "no", label="owl "), answer(1, "no", "Bo", label="Búho, lechuza")])
        assert [(a.label, a.who, a.verdict) for a in store.answers("OWL")] == [
            ("Owl", "Ana", "no"),
            ("Owl", "Ana", "no"),
            ("Owl", "Bo", "no"),
        ]
        assert [(a.start_time, a.verdict) for a in store.decided().values()] == [
            (2.0, "no"),
            (1.0, "no"),
        ]
        assert store.agreement() == (1, 1)
        assert store.history()[2].label == "owl ", "what was written stays"


@pytest.mark.parametrize(
    ("times", "recording", "message"),
    [
        ((2.0, 1.0), "a.wav", "from 2 to 1 s"),
        ((float("nan"), 1.0), "a.wav", "from nan to 1 s"),
        ((-1.0, 1.0), "a.wav", "from -1 to 1 s"),
        ((0.0, float("inf")), "a.wav", "from 0 to inf s"),
        ((0.0, 1.0), "a\udcff.wav", "is no text"),
    ],
)
def test_an_answer_that_says_nothing_is_refused(
    tmp_path: Path, times: tuple[float, float], recording: str, message: str
) -> None:
    with LabelStore(tmp_path / "p.db") as store:
        with pytest.raises(OptionError, match=message):
            store.add([answer(1), Answer(recording, *times, "Owl", "yes")])
        assert store.history() == []


def test_a_store_that_can_only_be_read_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.db"
    with LabelStore(path) as store:
        store.add([answer(1)])
    connect = sqlite3.connect
    monkeypatch.setattr(  # as a disk does that lets nobody write, also not the superuser
        "oido.search.label_store.sqlite3.connect",
        lambda path, **options: connect(f"file:{path}?mode=ro", uri=True, **options),
    )
    with LabelStore(path, is_new_allowed=False) as store:
        assert len(store.answers()) == 1
        with pytest.raises(OutputError, match="readonly"):
            store.add([answer(2)])
