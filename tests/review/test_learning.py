# SPDX-License-Identifier: Apache-2.0
"""The loop: what it asks, what it learns of answers, when it stops, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from oido.errors import OptionError
from oido.results.results import Results
from oido.review.items import ReviewItem
from oido.review.learning import LearningLoop
from oido.search.label_store import Answer, LabelStore
from tests.results.results_folders import FolderMaker, event, recording
from tests.review.made_archives import (
    HOP,
    RECORDINGS,
    WINDOW,
    WINDOWS,
    answer_all,
    holds_owl,
    made_archive,
    rows_of,
    window_of,
)

Made = tuple[Path, dict[str, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made_archive(tmp_path_factory.mktemp("made") / "results")


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore(tmp_path / "project.db")


def owl_of(letters: dict[str, str], number: int = 0) -> str:
    """The span of an owl in a recording of the archive, as --like takes it."""
    file = f"site/{number:02d}.wav"
    start = letters[file].index("oo") * HOP
    return f"{file}@{start:.3f}-{start + WINDOW:.3f}"


def test_from_a_label_to_every_owl(made: Made, store: LabelStore) -> None:
    """Twelve of 1,440 places; half of them would take chance some 700 answers."""
    folder, letters = made
    with Results(str(folder)) as results:
        loop = LearningLoop(results, store, "Owl")
        asked: list[ReviewItem] = []
        for _ in range(8):
            items = loop.candidates(5)
            assert items == loop.candidates(5), "the same until there are answers"
            assert len(items) == 5
            assert all(item.label == "Owl" for item in items)
            answer_all(store, items, letters)
            asked += items
            state = loop.update()
        assert state.answers == len(asked) == 40
        places = {(item.recording, window_of(item.start_time)) for item in asked}
        assert len(places) == 40
        for file, number in places:
            assert not {(file, number - 1), (file, number + 1)} & places, "neighbours are one place"
        found = {item.recording for item in asked if holds_owl(letters, item)}
        assert state.positives == sum(holds_owl(letters, item) for item in asked)
        assert len(found) >= 10, "of twelve recordings with an owl"
        assert [point.answers for point in state.curve][-1] == 40
        assert state.curve[-1].average_precision > 0.8
        assert "average precision" in state.advice


def test_an_example_of_the_archive_is_where_it_begins(made: Made, store: LabelStore) -> None:
    folder, letters = made
    with Results(str(folder)) as results:
        loop = LearningLoop(results, store, "night bird", like=[owl_of(letters)])
        first = loop.candidates(6)
        assert sum(holds_owl(letters, item) for item in first) >= 5
        assert all(item.label == "night bird" for item in first)
        own = ("site/00.wav", letters["site/00.wav"].index("oo"))
        answer_all(store, first[:1], letters)
        loop.update()
        later = {(i.recording, window_of(i.start_time)) for i in loop.candidates(100)}
        assert own not in later, "an example is known to be one"
        scores = [item.score for item in loop.candidates(5)]
        assert all(0 <= score <= 1 for score in scores)


def test_what_was_answered_is_not_asked_again_in_any_loop(made: Made, store: LabelStore) -> None:
    folder, letters = made
    with Results(str(folder)) as results:
        loop = LearningLoop(results, store, "Owl")
        first = loop.candidates(4)
        unsure = Answer(*first[0][:4], verdict="unsure", value=0.5)
        store.add([unsure])
        answer_all(store, first[1:], letters)
        later = LearningLoop(results, store, "Owl")
        state = later.update()
        assert state.answers == 3
        spans = {(item.recording, item.start_time) for item in later.candidates(20)}
        assert not spans & {(item.recording, item.start_time) for item in first}
        # A changed mind counts, and what is undone is open again.
        store.undo()
        assert later.update().answers == 2
        assert later.update() is later.update(), "nothing new, nothing done"


def test_longer_spans_and_other_peoples_answers_count(made: Made, store: LabelStore) -> None:
    folder, letters = made
    file = "site/02.wav"
    start = letters[file].index("oo")
    store.add(
        [
            Answer(file, start * HOP, (start + 1) * HOP + WINDOW, "Owl", "yes", who="Ana"),
            Answer("site/01.wav", 0.0, 10.0, "Owl", "no", who="Ben"),
            Answer("another archive.wav", 0.0, 1.0, "Owl", "yes", who="Ben"),
            Answer("site/04.wav", 0.0, 1.0, "Dog", "yes", who="Ben"),
        ]
    )
    with Results(str(folder)) as results:
        loop = LearningLoop(results, store, "Owl")
        state = loop.update()
        assert (state.answers, state.positives) == (2, 1)
        assert sum(holds_owl(letters, item) for item in loop.candidates(8)) >= 6


def test_advice_says_how_many_more(made: Made, store: LabelStore) -> None:
    folder, letters = made
    with Results(str(folder)) as results:
        loop = LearningLoop(results, store, "Owl")
        assert "first places" in loop.update().advice
        owls = [r for r in loop.candidates(12) if holds_owl(letters, r)][:2]
        answer_all(store, owls, letters)
        assert "3 more answers of yes are needed" in loop.update().advice
        no = [ReviewItem(f"site/{n:02d}.wav", 0.0, WINDOW, "Owl", 0.1) for n in (1, 3)]
        answer_all(store, no, letters)
        with pytest.raises(OptionError, match="3 more answers of yes are needed"):
            loop.export("owl.tflite")
        more = [r for r in loop.candidates(30) if holds_owl(letters, r)][:3]
        answer_all(store, more, letters)
        assert "3 more answers of no are needed" in loop.update().advice


def test_yes_of_one_recording_is_not_enough(tmp_path: Path, store: LabelStore) -> None:
    maker = FolderMaker(tmp_path / "one")
    letters = "..oo..oo..oo..oo..oo..oo" + "abcde" * 12
    maker.commit({"recordings": [recording("a.wav", 50)], "embeddings": rows_of("a.wav", letters)})
    owl = {**event("a.wav", 2 * HOP, 2 * HOP + WINDOW, "Owl", 0.8), "label_index": 4}
    maker.commit({"windows": [owl]})
    for n in range(0, 60, 4):
        verdict = "yes" if letters[n] == "o" else "no"
        store.add([Answer("a.wav", n * HOP, n * HOP + WINDOW, "Owl", verdict)])
    for n in range(3, 24, 4):
        store.add([Answer("a.wav", n * HOP, n * HOP + WINDOW, "Owl", "yes")])
    with Results(str(tmp_path / "one")) as results:
        loop = LearningLoop(results, store, "Owl")
        state = loop.update()
        assert state.positives >= 5
        assert not state.curve
        assert not state.finished
        assert "a yes from another recording" in state.advice
        with pytest.raises(OptionError, match="another recording"):
            loop.export(tmp_path / "owl.tflite")


def test_a_frequent_sound_gets_its_answers_of_no(tmp_path: Path, store: LabelStore) -> None:
    """Where a sound is nearly everywhere it scores high, near the boundary, too."""
    maker = FolderMaker(tmp_path / "frequent")
    letters = {f"{n:02d}.wav": "ooao.oobooc.oooodoeo" * 3 for n in range(12)}
    for n, (file, own) in enumerate(letters.items()):
        maker.commit(
            {"recordings": [recording(file, 30)], "embeddings": rows_of(file, own, seed=n)}
        )
    maker.commit({"windows": [{**event("00.wav", 0.0, WINDOW, "Owl", 0.8), "label_index": 4}]})
    with Results(str(tmp_path / "frequent")) as results:
        loop = LearningLoop(results, store, "Owl")
        while loop.update().answers < 50:
            answer_all(store, loop.candidates(5), letters)
        state = loop.update()
        assert state.answers - state.positives >= 5
        assert "of no are needed" not in state.advice


def test_answers_of_one_kind_are_no_classifier(made: Made, store: LabelStore) -> None:
    folder, letters = made
    with Results(str(folder)) as results:
        loop = LearningLoop(results, store, "Owl")
        with pytest.raises(OptionError, match="nothing was learnt yet"):
            loop.export("owl.tflite")
        answer_all(store, [i for i in loop.candidates(30) if holds_owl(letters, i)], letters)
        with pytest.raises(OptionError, match=r"all \d+ answers are yes"):
            loop.export("owl.tflite")


def test_twenty_times_no_asks_for_another_example(made: Made, store: LabelStore) -> None:
    folder, letters = made
    no = [
        Answer(f"site/{n:02d}.wav", 0.0, WINDOW, "unheard", "no")
        for n in range(RECORDINGS)
        if "o" not in letters[f"site/{n:02d}.wav"][:2]
    ]
    store.add(no)
    with Results(str(folder)) as results:
        loop = LearningLoop(results, store, "unheard", like=[owl_of(letters)])
        assert "begin with another example of unheard" in loop.update().advice
        with pytest.raises(OptionError, match=r"all \d+ answers are no"):
            loop.export("x.tflite")


def test_nothing_to_begin_with(made: Made, store: LabelStore) -> None:
    with Results(str(made[0])) as results:
        with pytest.raises(OptionError, match="begin with an example"):
            LearningLoop(results, store, "thing without a name").candidates(5)
        with pytest.raises(OptionError, match="at least 1 place"):
            LearningLoop(results, store, "Owl").candidates(0)
        with pytest.raises(OptionError, match="slash"):
            LearningLoop(results, store, "a/b")


def test_an_archive_without_embeddings(tmp_path: Path, store: LabelStore) -> None:
    maker = FolderMaker(tmp_path / "plain")
    maker.commit({"recordings": [recording("a.wav", 5.0)]})
    with (
        Results(str(tmp_path / "plain")) as results,
        pytest.raises(OptionError, match="holds no embeddings"),
    ):
        LearningLoop(results, store, "Owl")


def test_embeddings_of_another_model(made: Made, store: LabelStore, tmp_path: Path) -> None:
    """A file is written for the archive's own model only; its hash is made up here."""
    folder, letters = made
    with Results(str(folder)) as results:
        loop = LearningLoop(results, store, "Owl")
        for _ in range(5):
            answer_all(store, loop.candidates(8), letters)
            loop.update()
        with pytest.raises(OptionError, match="another yamnet/classification than the one here"):
            loop.export(tmp_path / "owl.tflite")
    assert not (tmp_path / "owl.tflite").exists()


def test_when_all_is_asked_there_is_no_more(tmp_path: Path, store: LabelStore) -> None:
    maker = FolderMaker(tmp_path / "small")
    letters = {f"{n}.wav": "oo" if n % 2 else "ab" for n in range(12)}
    rows = [row for file, text in letters.items() for row in rows_of(file, text)]
    maker.commit({"recordings": [recording(f, 2.0) for f in letters], "embeddings": rows})
    with Results(str(tmp_path / "small")) as results:
        loop = LearningLoop(results, store, "Owl", like=["1.wav@0-1"])
        answer_all(store, [ReviewItem(f, 0.0, WINDOW, "Owl", 0.5) for f in letters], letters)
        state = loop.update()
        assert state.finished
        assert state.advice == "every place of the archive was asked about"
        assert loop.candidates(5) == []


def test_the_archive_may_grow_meanwhile(made: Made, store: LabelStore, tmp_path: Path) -> None:
    """A loop has what was there when it began; the next one has what came."""
    folder = tmp_path / "results"
    shutil.copytree(made[0], folder)
    with Results(str(folder)) as results:
        assert len(LearningLoop(results, store, "Owl").candidates(3)) == 3
    entry = {"recordings": [recording("new.wav", 30.0)]}
    maker = FolderMaker.__new__(FolderMaker)
    maker.folder, maker.commits, maker.calibrated, maker.has_also = folder, 4, False, True
    maker.commit({**entry, "embeddings": rows_of("new.wav", "oo" + "a" * (WINDOWS - 2), seed=99)})
    store.add([Answer("new.wav", 0.0, WINDOW, "Owl", "yes")])
    with Results(str(folder)) as results:
        assert LearningLoop(results, store, "Owl").update().positives == 1
