# SPDX-License-Identifier: Apache-2.0
"""Who is asked what, and what becomes of the answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from oido.errors import OptionError
from oido.results import Results
from oido.review.items import ReviewItem
from oido.review.queues import FixedQueue, ItemSource, QueueChoice, make_queue
from oido.review.session import ReviewSession, ReviewSettings, id_of
from oido.search.label_store import Answer, LabelStore
from tests.results.results_folders import FolderMaker, recording
from tests.review.archives import NAMES

HERE = NAMES[1]
OWLS = [ReviewItem(HERE, 2.0 * n, 2.0 * n + 1, "Owl", n / 20) for n in range(20)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LabelStore]:
    with LabelStore(tmp_path / "project.db") as opened:
        yield opened


def session(
    results: Results, store: LabelStore, source: ItemSource | None = None, **settings: Any
) -> ReviewSession:
    facts: dict[str, Any] = {"choice": "stratified", "query": "oido review --label Owl"}
    facts |= {"model": "yamnet/classification", "others": ("Dog", "Rain"), **settings}
    return ReviewSession(results, store, source or FixedQueue(OWLS), ReviewSettings(**facts))


def keys(found: Sequence[tuple[str, ReviewItem]]) -> list[str]:
    return [key for key, _ in found]


def test_an_answer_is_stored_at_once_with_all_that_is_known(
    results: Results, store: LabelStore
) -> None:
    review = session(results, store)
    (first, item), (second, _) = review.next_items("Ana", 2)
    assert item == OWLS[0]
    review.answer("Ana", first, "yes")
    (answer,) = store.answers()
    assert (answer.recording, answer.start_time, answer.end_time) == (HERE, 0.0, 1.0)
    assert (answer.label, answer.verdict, answer.who) == ("Owl", "yes", "Ana")
    assert (answer.value, answer.choice) == (0.0, "stratified")
    assert (answer.model, answer.query) == ("yamnet/classification", "oido review --label Owl")
    assert answer.created > "2026"
    assert keys(review.next_items("Ana", 1)) == [second]
    # A review that begins anew asks on where the other was.
    assert keys(session(results, store).next_items("Ana", 1)) == [second]
    with pytest.raises(OptionError, match="reload"):
        review.answer("Ana", "0" * 16, "yes")


def test_what_the_page_holds_does_not_come_twice(results: Results, store: LabelStore) -> None:
    review = session(results, store)
    found = keys(review.next_items("Ana", 15))
    more = keys(review.next_items("Ana", 15, held=found))
    assert len(more) == 5
    assert {*found, *more} == {id_of(item) for item in OWLS}
    assert review.next_items("Ana", 3, held=[*found, *more]) == []


def test_answers_from_elsewhere_count_too(results: Results, store: LabelStore) -> None:
    review = session(results, store)
    mostly = Answer(HERE, 2.1, 3.1, "Owl", "no", who="Bo")  # the second, but for a tenth
    half = Answer(HERE, 4.5, 5.5, "Owl", "no", who="Bo")
    other = Answer(HERE, 6.0, 7.0, "Dog", "no", who="Bo")
    store.add([mostly, half, other])
    asked = {item.start_time for _, item in review.next_items("Ana", 20)}
    assert asked == {item.start_time for item in OWLS} - {2.0}


def test_another_label_is_a_no_and_a_yes(results: Results, store: LabelStore) -> None:
    review = session(results, store)
    (key, item), *_ = review.next_items("Ana", 3)
    review.answer("Ana", key, "no", "Dog")
    found = {(a.label, a.verdict, a.choice) for a in store.answers()}
    assert found == {("Owl", "no", "stratified"), ("Dog", "yes", "named")}
    review.answer("Ana", key, "no", "Rain")  # she thinks again
    assert {(a.label, a.verdict) for a in store.answers()} == {("Owl", "no"), ("Rain", "yes")}
    assert review.undo("Ana") == (key, item)
    assert "Rain" not in {a.label for a in store.answers()}
    assert review.progress("Ana")["yours"] == 1  # the first "no" counts again
    assert review.undo("Ana") == (key, item)
    assert store.answers("Owl") == []


def test_undo_is_of_this_review_and_person(results: Results, store: LabelStore) -> None:
    store.add([Answer(HERE, 0.0, 1.0, "Cat", "yes", who="Ana", query="oido review --label Cat")])
    review = session(results, store)
    first, second = keys(review.next_items("Ana", 2))
    bos = keys(review.next_items("Bo", 1))
    assert review.undo("Ana") is None
    review.answer("Ana", first, "yes")
    review.answer("Ana", second, "unsure")
    review.answer("Bo", bos[0], "no")
    again = session(results, store)  # the server was begun anew
    undone = again.undo("Ana")
    assert undone is not None
    assert undone[0] == second
    assert keys(again.next_items("Ana", 1)) == [second]
    assert {(a.who, a.label) for a in store.answers()} == {
        ("Ana", "Cat"),
        ("Ana", "Owl"),
        ("Bo", "Owl"),
    }
    assert len(store.history()) == 5  # nothing was deleted
    again.answer("Ana", second, "yes")  # without having been asked again: its id is known


def test_the_same_words_asked_of_two_archives_are_two_reviews(
    results: Results, store: LabelStore, tmp_path: Path
) -> None:
    maker = FolderMaker(tmp_path / "other")
    maker.commit({"recordings": [recording("other.wav", 60.0)]})
    other_owls = FixedQueue([item._replace(recording="other.wav") for item in OWLS])
    with Results(str(maker.folder)) as other_results:
        here, there = session(results, store), session(other_results, store, other_owls)
        (key, item), *_ = here.next_items("Ana", 1)
        here.answer("Ana", key, "yes")
        for other_key in keys(there.next_items("Ana", 2)):
            there.answer("Ana", other_key, "no")
        here.next_items("Ana", 1)  # which looks into the store again
        assert [each.progress("Ana")["yours"] for each in (here, there)] == [1, 2]
        assert here.undo("Ana") == (key, item)  # not the last of all, which is of the other
        assert here.undo("Ana") is None
        assert {answer.recording for answer in store.answers()} == {"other.wav"}
    # Of the same recordings, heard by another model, neither.
    again = session(results, store, model="birds")
    (key, _), *_ = again.next_items("Ana", 1)
    again.answer("Ana", key, "yes")
    assert session(results, store).undo("Ana") is None


def test_two_people_are_not_asked_the_same(results: Results, store: LabelStore) -> None:
    clock = [0.0]
    review = ReviewSession(
        results, store, FixedQueue(OWLS), ReviewSettings("stratified", "q"), now=lambda: clock[0]
    )
    anas, bos = keys(review.next_items("Ana", 12)), keys(review.next_items("Bo", 12))
    assert not {*anas} & {*bos}
    assert len(bos) == 8
    review.answer("Ana", anas[0], "yes")
    clock[0] = 3_000.0  # Ana went home
    freed = keys(review.next_items("Bo", 20, held=bos))
    assert freed == anas[1:]


def test_as_many_opinions_as_are_wanted(results: Results, store: LabelStore) -> None:
    review = session(results, store, FixedQueue(OWLS[:3]), opinions=2)
    ids = [id_of(item) for item in OWLS[:3]]
    for who, verdicts in {"Ana": ("yes", "no", "yes"), "Bo": ("yes", "yes", "unsure")}.items():
        assert keys(review.next_items(who, 5)) == ids
        for key, verdict in zip(ids, verdicts):
            review.answer(who, key, verdict)  # type: ignore[arg-type]
    assert review.next_items("Cem", 5) == []
    progress = review.progress("Ana")
    assert (progress["yours"], progress["people"]) == (3, 2)
    assert (progress["done"], progress["total"]) == (3, 3)
    assert (progress["severalAnswered"], progress["alike"]) == (2, 1)
    with pytest.raises(OptionError, match="--opinions"):
        session(results, store, opinions=0)
    with pytest.raises(OptionError, match="9 keys"):
        session(results, store, others=tuple("abcdefghij"))


def test_channels_at_the_same_time_are_two_places(results: Results, store: LabelStore) -> None:
    left, right = (OWLS[0]._replace(channel=channel) for channel in (0, 1))
    review = session(results, store, FixedQueue([left, right, right]))
    (first, asked), (second, _) = review.next_items("Ana", 5)
    assert asked == left
    assert first != second
    review.answer("Ana", first, "yes")
    assert keys(review.next_items("Ana", 5)) == [second]
    review.answer("Ana", second, "no")
    assert [(a.channel, a.verdict) for a in store.answers()] == [(0, "yes"), (1, "no")]
    assert review.undo("Ana") == (second, right)
    # An answer to a recording as a whole is one to each of its channels.
    store.add([Answer(HERE, 0.0, 1.0, "Owl", "no", who="Bo")])
    assert review.next_items("Ana", 5) == []


def test_an_answer_in_another_spelling_is_one(results: Results, store: LabelStore) -> None:
    store.add([Answer(HERE, 0.0, 1.0, "owl", "no", who="Bo")])
    assert keys(session(results, store).next_items("Ana", 1)) == [id_of(OWLS[1])]


def test_scores_around_a_place(results: Results, store: LabelStore) -> None:
    queue = make_queue(results, QueueChoice("Owl", choice="top", count=200))
    review = session(results, store, queue)
    items = [item for item in queue.items if item.recording.startswith("north")][:2]
    south = next(item for item in queue.items if item.recording.startswith("south"))
    of_first, of_second, own = review.scores([*items, south])
    assert own == [(south.start_time, south.end_time, south.score)]
    for item, scores in zip(items, (of_first, of_second)):
        assert len(scores) > 20
        assert all(e > item.start_time - 30 and s < item.end_time + 30 for s, e, _ in scores)
        assert scores == sorted(scores)
    assert review.scores([]) == []
    # A sound that the archive's model has no name for may be learnt all the same.
    nameless = items[0]._replace(label="bittern")
    assert review.scores([nameless]) == [[(nameless.start_time, nameless.end_time, nameless.score)]]


def test_facts_of_recordings(results: Results, store: LabelStore) -> None:
    review = session(results, store)
    known = review.recording(ReviewItem("north/20231015_063000.wav", 0.0, 1.0, "Owl", 0.5))
    assert known.duration == 60.0
    assert known.location == str(Path(results.url).parent / "rec/north/20231015_063000.wav")
    assert f"{known.recorded_at:%Y-%m-%d %H:%M}" == "2023-10-15 06:30"
    assert review.recording(OWLS[0]._replace(recording="d.wav")) == ("d.wav", 0.0, None)


class State(NamedTuple):
    """As the learning loop has it."""

    answers: int
    positives: int
    curve: tuple[tuple[int, float], ...]
    finished: bool
    advice: str


class Learner:
    """Asks for places from the end, those that it has not learnt from."""

    def __init__(self, store: LabelStore) -> None:
        self.store, self.updates, self.exported = store, list[int](), list[Path]()

    def candidates(self, count: int) -> list[ReviewItem]:
        answered = {answer.start_time for answer in self.store.answers()}
        return [item for item in OWLS[::-1] if item.start_time not in answered][:count]

    def update(self) -> State:
        answers = self.store.answers("Owl")
        self.updates.append(len(answers))
        positives = sum(answer.verdict == "yes" for answer in answers)
        curve = tuple((n, n / 20) for n in self.updates)
        return State(len(answers), positives, curve, len(answers) >= 10, "go on")

    def export(self, path: Path) -> None:
        self.exported.append(path)


def test_a_queue_that_learns(results: Results, store: LabelStore, tmp_path: Path) -> None:
    learner = Learner(store)
    export = tmp_path / "owl.tflite"
    review = session(results, store, learner, export=export, choice="learned")
    assert review.learn()
    assert not review.learn()
    for n in range(7):
        ((key, item),) = review.next_items("Ana", 1)
        assert item == OWLS[19 - n]
        review.answer("Ana", key, "yes" if n % 2 else "no")
        assert review.learn() == (n == 4)
    assert learner.updates == [0, 5]
    assert review.state is not None
    assert (review.state.answers, review.state.positives) == (5, 2)
    progress = review.progress("Ana")
    assert (progress["total"], progress["done"], progress["yours"]) == (None, None, 7)
    assert review.export() == export
    assert learner.exported == [export]
    assert learner.updates == [0, 5, 7]  # what was answered last is in it
    with pytest.raises(OptionError, match="--learn owl"):
        session(results, store).export()
    assert not session(results, store).learn()
