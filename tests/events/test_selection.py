# SPDX-License-Identifier: Apache-2.0
"""The Task Library's options: max_results, score_threshold, allow and deny lists."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.errors import OptionError, UnknownLabelError
from oido.events.selection import Selector
from oido.models.labels import label_indices
from oido.params import Selection

SCORES = np.array([0.5, 0.75, 0.25, 0.5, 0.0], np.float32)


@pytest.fixture
def pick(labels, indices):
    def run(k=None, **options):
        found = Selector(labels, Selection(**options), indices).categories(SCORES, k)
        return [(c.label, c.index, c.score) for c in found]

    return run


def names(found):
    return [label for label, _, _ in found]


def test_all_best_first_and_ties_in_label_order(pick):
    assert pick() == [
        ("Dog", 1, 0.75),
        ("Speech", 0, 0.5),
        ("Bark", 3, 0.5),
        ("Domestic animals, pets", 2, 0.25),
        ("Music", 4, 0.0),
    ]


def test_the_threshold_keeps_equality(pick):
    assert names(pick(score_threshold=0.5)) == ["Dog", "Speech", "Bark"]
    assert names(pick(score_threshold=0.500001)) == ["Dog"]
    assert pick(score_threshold=0.76) == []
    assert len(pick(score_threshold=0.0)) == 5


def test_a_threshold_is_compared_as_the_float32_that_scores_are(labels, indices):
    scores = np.full(5, 0.3, np.float32)
    assert len(Selector(labels, Selection(score_threshold=0.3), indices).categories(scores)) == 5


@pytest.mark.parametrize(("limit", "count"), [(1, 1), (3, 3), (5, 5), (99, 5), (None, 5)])
def test_max_results(pick, limit, count):
    assert names(pick(max_results=limit)) == names(pick())[:count]
    assert names(pick(limit)) == names(pick())[:count]


def test_the_narrower_of_two_limits_holds(pick):
    assert len(pick(2, max_results=4)) == 2
    assert len(pick(4, max_results=2)) == 2


@pytest.mark.parametrize("wrong", [0, -1, -5])
def test_max_results_of_less_than_one_is_an_error(wrong):
    with pytest.raises(OptionError, match="max_results must be 1 or more"):
        Selection(max_results=wrong)


def test_a_negative_number_of_categories_is_an_error_too(pick):
    with pytest.raises(OptionError):
        pick(-1)


def test_a_threshold_that_is_no_number_is_an_error():
    with pytest.raises(OptionError):
        Selection(score_threshold=float("nan"))


def test_allow_and_deny_lists(pick):
    assert names(pick(category_allowlist=("Music", "bark"))) == ["Bark", "Music"]
    assert names(pick(category_denylist=("Dog", "Speech"))) == [
        "Bark",
        "Domestic animals, pets",
        "Music",
    ]
    assert names(pick(category_allowlist=("Music", "Bark"), max_results=1)) == ["Bark"]
    assert pick(category_denylist=("Dog",), score_threshold=0.6) == []


def test_both_lists_at_once_are_an_error():
    with pytest.raises(OptionError, match="exclude each other"):
        Selection(category_allowlist=("Dog",), category_denylist=("Music",))


@pytest.mark.parametrize("which", ["category_allowlist", "category_denylist"])
def test_an_unknown_label_names_the_nearest(pick, which):
    with pytest.raises(UnknownLabelError, match=r"'Barc'.*'Bark'"):
        pick(**{which: ("Dog", "Barc")})


def test_the_scores_are_left_as_they_were(pick):
    before = SCORES.copy()
    pick(2, score_threshold=0.3)
    np.testing.assert_array_equal(SCORES, before)


@given(
    values=st.lists(st.integers(0, 8), min_size=1, max_size=30),
    threshold=st.one_of(st.none(), st.integers(0, 8).map(lambda v: v / 8)),
    limit=st.one_of(st.none(), st.integers(1, 40)),
    deny=st.sets(st.integers(0, 29), max_size=5),
)
def test_against_sorting_in_plain_python(values, threshold, limit, deny):
    labels = tuple(f"label {k}" for k in range(len(values)))
    scores = np.array(values, np.float32) / np.float32(8)
    denied = tuple(labels[k] for k in sorted(deny) if k < len(labels))
    selection = Selection(limit, threshold, category_denylist=denied)
    found = Selector(labels, selection, lambda wanted: label_indices(labels, wanted)).categories(
        scores
    )
    expected = [
        (label, k, value / 8)
        for k, (label, value) in enumerate(zip(labels, values))
        if label not in denied and (threshold is None or value / 8 >= threshold)
    ]
    expected.sort(key=lambda item: -item[2])
    assert [(c.label, c.index, c.score) for c in found] == expected[:limit]


def clip_names(scores, names, ancestors, **options):
    selector = Selector(
        names, Selection(**options), partial(label_indices, names), ancestors=ancestors
    )
    row = np.array(scores, np.float32)
    return [c.label for c in selector.categories(row, 3, of_clip=True)]


@pytest.mark.parametrize(
    ("bark", "expected"), [(0.5, ["Bark", "Speech", "Music"]), (0.3, ["Dog", "Bark", "Speech"])]
)
def test_of_a_clip_a_specific_label_of_half_the_score_stands_for_those_above(
    labels, bark, expected
):
    ancestors = ((), (2,), (), (1, 2), ())
    scores = [0.2, 0.9, 0.95, bark, 0.1]
    kin = tuple(map(frozenset, ancestors))
    assert clip_names(scores, labels, kin) == expected
    assert clip_names(scores, labels, kin, labels="all") == [
        "Domestic animals, pets",
        "Dog",
        "Bark",
    ]


def test_a_label_that_is_not_allowed_stands_for_nothing(labels):
    kin = tuple(map(frozenset, ((), (), (), (1,), ())))
    names_ = clip_names([0.1, 0.9, 0.0, 0.8, 0.2], labels, kin, category_denylist=("Bark",))
    assert names_ == ["Dog", "Music", "Speech"]


@pytest.mark.parametrize(
    ("labels", "without"),
    [
        (("Speech", "Silence", "Noise"), {"Silence"}),
        (("bird", "Background", "noise", "Other"), {"Background", "noise", "Other"}),
    ],
)
def test_absence_is_no_event_unless_it_is_asked_for_by_name(labels, without):
    indices = partial(label_indices, labels)
    usual = Selector(labels, Selection(), indices).allowed_events
    assert {labels[n] for n in np.flatnonzero(~usual)} == without
    name = labels[1]
    asked = Selector(labels, Selection(category_allowlist=(name,)), indices).allowed_events
    assert [labels[n] for n in np.flatnonzero(asked)] == [name]


@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.25000003, 0.5, 1.0]), min_size=1, max_size=120),
    st.integers(1, 12),
    st.sampled_from([None, 0.25]),
    st.booleans(),
)
def test_the_best_few_are_the_first_of_all(values, limit, threshold, denies):
    """Of equal ones, too, the first columns; whatever is left out."""
    scores = np.array(values, np.float32)
    labels = tuple(f"label {number}" for number in range(len(scores)))
    denied = labels[::3] if denies else ()
    selection = Selection(score_threshold=threshold, category_denylist=denied)
    best, _ = Selector(labels, selection, partial(label_indices, labels)).best(scores, limit)
    left = [n for n, label in enumerate(labels) if label not in denied]
    left = [n for n in left if threshold is None or scores[n] >= np.float32(threshold)]
    assert best == sorted(left, key=lambda n: (-scores[n], n))[:limit]
