# SPDX-License-Identifier: Apache-2.0
"""One row for each sound: the most specific label, the strongest sound, ties as the parent."""

from __future__ import annotations

import pytest

from oido.events.spans import Choice, Kinship, Span

ANIMAL, DOG, BARK, CAT, SPEECH, HORN = range(6)
KINSHIP = Kinship(
    ancestors=tuple(
        map(frozenset, ((), (ANIMAL,), (DOG, ANIMAL), (ANIMAL,), (), ()))  # type: ignore[arg-type]
    ),
    parents=tuple(map(frozenset, ((), (ANIMAL,), (DOG,), (ANIMAL,), (), ()))),  # type: ignore[arg-type]
)


def span(index: int, start: int = 0, end: int = 100, score: float = 0.8) -> Span:
    return Span(index, start, end, score / (1 - score), 1)


def chosen(*spans: Span, keeps_all: bool = False) -> list[tuple[int, list[int]]]:
    kept = Choice(KINSHIP, keeps_all).choose(spans, lambda s: s.score)
    return [(s.index, list(s.also)) for s in kept]


def test_the_most_specific_label_stands_for_those_above_it():
    rows = chosen(span(ANIMAL, score=0.9), span(DOG, score=0.7), span(BARK, score=0.3))
    assert rows == [(BARK, [ANIMAL, DOG])]


def test_a_specific_label_of_less_than_a_fifth_of_the_score_does_not_stand_for_others():
    assert chosen(span(DOG, score=0.9), span(BARK, score=0.17)) == [(DOG, [BARK])]
    assert chosen(span(DOG, score=0.9), span(BARK, score=0.19)) == [(BARK, [DOG])]


def test_all_labels_are_kept_if_that_is_asked_for():
    rows = chosen(span(ANIMAL, score=0.9), span(BARK, score=0.3), keeps_all=True)
    assert rows == [(ANIMAL, []), (BARK, [])]


def test_a_general_label_stays_where_the_specific_one_covers_less_than_half_of_it():
    rows = chosen(span(ANIMAL, 0, 100, 0.9), span(DOG, 0, 49, 0.8))
    assert rows == [(ANIMAL, []), (DOG, [])]
    assert chosen(span(ANIMAL, 0, 100, 0.9), span(DOG, 0, 50, 0.8)) == [(DOG, [ANIMAL])]


@pytest.mark.parametrize(("score", "n"), [(0.39, 1), (0.41, 2)])
def test_an_unrelated_sound_needs_half_of_the_strongest_score(score, n):
    rows = chosen(span(SPEECH, score=0.8), span(HORN, score=score))
    assert len(rows) == n
    assert rows[0] == (SPEECH, [HORN] if n == 1 else [])


def test_sounds_at_other_times_do_not_matter():
    assert len(chosen(span(SPEECH, 0, 100, 0.9), span(HORN, 60, 200, 0.2))) == 2


@pytest.mark.parametrize(
    ("cat", "rows"),
    [
        (0.41, [(ANIMAL, [DOG, CAT])]),  # neither wins
        (0.39, [(DOG, [ANIMAL, CAT])]),  # the dog does
    ],
)
def test_siblings_that_neither_wins_are_their_parent(cat, rows):
    assert chosen(span(ANIMAL, score=0.5), span(DOG, score=0.8), span(CAT, score=cat)) == rows


def test_without_evidence_for_the_parent_siblings_stay():
    assert [i for i, _ in chosen(span(DOG, score=0.8), span(CAT, score=0.79))] == [DOG, CAT]
