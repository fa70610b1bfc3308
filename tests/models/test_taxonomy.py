# SPDX-License-Identifier: Apache-2.0
"""AudioSet's tree: known facts, group names, and scores rolled up."""

from __future__ import annotations

import csv
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.errors import UnknownLabelError
from oido.models.taxonomy import ancestors, descendants, expand, rollup


def read(name):
    text = (resources.files("oido.models") / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), strict=True))


ROWS = read("audioset_tree.csv")
PARENTS = {row["name"]: [p for p in row["parents"].split("|") if p] for row in ROWS}
GROUPS = {row["name"] for row in ROWS if row["kind"] == "group"}
CLASSES = tuple(row["label"] for row in read("labels_es.csv"))
COLUMN = {label: column for column, label in enumerate(CLASSES)}
ROOTS = {
    "Human sounds",
    "Animal",
    "Music",
    "Natural sounds",
    "Sounds of things",
    "Source-ambiguous sounds",
    "Channel, environment and background",
}


def is_below(name, other):
    return any(p == other or is_below(p, other) for p in PARENTS.get(name, ()))


def labels_below(name):
    return {label for label in CLASSES if label == name or is_below(label, name)}


def names(columns, labels=CLASSES):
    return {labels[column] for column in columns}


def test_every_class_is_in_the_tree(model):
    assert {row["name"] for row in ROWS if row["kind"] == "class"} == set(CLASSES)
    assert set(model.labels) <= set(PARENTS)
    assert len(PARENTS) == len(ROWS) == 557
    assert {row["kind"] for row in ROWS} == {"class", "group"}


def test_names_differ_by_more_than_case():
    assert len({name.casefold() for name in PARENTS}) == len(PARENTS)


def test_parents_are_in_the_tree_and_above_their_children():
    places = {name: place for place, name in enumerate(PARENTS)}
    for name, parents in PARENTS.items():
        assert len(set(parents)) == len(parents), name
        for parent in parents:
            assert parent in places, name
            assert name not in ancestors(name), name
    assert {name for name, parents in PARENTS.items() if not parents} == ROOTS


def test_every_group_has_classes_below_it():
    for group in GROUPS:
        assert descendants(group, CLASSES), group


def test_ancestors_nearest_first():
    assert ancestors("Dog") == ("Domestic animals, pets", "Animal")
    assert ancestors("Acoustic guitar") == (
        "Guitar",
        "Plucked string instrument",
        "Musical instrument",
        "Music",
    )
    assert ancestors("Siren") == ("Alarm", "Sounds of things")
    assert ancestors("Speech") == ("Human voice", "Human sounds")
    assert ancestors("Animal") == ()


def test_ancestors_of_a_class_with_several_parents():
    assert ancestors("Ambulance (siren)") == (
        "Emergency vehicle",
        "Siren",
        "Motor vehicle (road)",
        "Alarm",
        "Vehicle",
        "Sounds of things",
    )
    assert {"Cat", "Snake", "Steam", "Water", "Onomatopoeia"} < set(ancestors("Hiss"))
    assert {"Percussion", "Cattle, bovinae", "Bell", "Sounds of things"} < set(ancestors("Cowbell"))


@pytest.mark.parametrize("name", PARENTS)
def test_ancestors_are_those_that_climbing_finds(name):
    found = ancestors(name)
    assert len(set(found)) == len(found)
    assert set(found) == {other for other in PARENTS if is_below(name, other)}


def test_case_does_not_matter():
    assert ancestors("dog") == ancestors("DOG") == ancestors("Dog")
    assert descendants("human SOUNDS", CLASSES) == descendants("Human sounds", CLASSES)


def test_a_label_of_a_custom_model_stands_alone():
    assert ancestors("Door of the shed") == ()
    assert descendants("Door of the shed", ("Dog", "Door of the shed")) == [1]


def test_descendants_include_the_label_itself():
    assert names(descendants("Siren", CLASSES)) == {
        "Siren",
        "Civil defense siren",
        "Police car (siren)",
        "Ambulance (siren)",
        "Fire engine, fire truck (siren)",
    }
    assert descendants("Silence", CLASSES) == [COLUMN["Silence"]]
    assert descendants("Unheard of", CLASSES) == []


@pytest.mark.parametrize(
    "name", ["Animal", "Vehicle", "Human sounds", "Music genre", "Onomatopoeia"]
)
def test_descendants_are_those_that_climbing_finds(name):
    found = descendants(name, CLASSES)
    assert found == sorted(set(found))
    assert names(found) == labels_below(name)


def test_the_columns_are_those_of_the_labels_given():
    labels = ("Rain", "Yip", "Door of the shed", "Meow")
    assert descendants("Animal", labels) == [1, 3]
    assert descendants("Dog", labels) == [1]
    assert descendants("Vehicle", labels) == []


def test_the_answer_is_the_callers_own():
    descendants("Animal", CLASSES).clear()
    assert descendants("Animal", CLASSES)


def test_expand_takes_labels_and_groups():
    assert names(expand(["Human sounds"], CLASSES)) == labels_below("Human sounds")
    assert names(expand(["vehicle", "Rain"], CLASSES)) == labels_below("Vehicle") | labels_below(
        "Rain"
    )
    assert expand(["Silence", "Dog", "Bark", "Dog"], CLASSES) == [
        COLUMN["Silence"],
        *descendants("Dog", CLASSES),
    ]
    assert expand([], CLASSES) == []


def test_a_group_is_known_by_its_classes_even_without_a_column_of_its_own():
    assert expand(["Dog", "Animal"], ("Bark", "Rain", "Meow")) == [0, 2]


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [("Human sound", "Human sounds"), ("Vehicles", "Vehicle"), ("Barc", "Bark"), ("", "")],
)
def test_an_unknown_name_gets_the_nearest_labels_and_groups(wrong, nearest):
    with pytest.raises(UnknownLabelError, match=f"no label '{wrong}'.*{nearest}"):
        expand(["Dog", wrong], CLASSES)


def test_a_group_of_which_the_model_has_nothing_is_unknown():
    with pytest.raises(UnknownLabelError, match="no label 'Vehicle'"):
        expand(["Vehicle"], ("Bark", "Meow"))


def test_rollup_of_a_bark():
    scores = np.zeros((2, len(CLASSES)), np.float32)
    scores[0, COLUMN["Bark"]] = 0.75
    scores[0, COLUMN["Dog"]] = 0.25
    scores[1, COLUMN["Animal"]] = 0.5
    rolled = rollup(scores, CLASSES)
    raised = {CLASSES[c]: float(rolled[0, c]) for c in np.flatnonzero(rolled[0])}
    assert raised == dict.fromkeys(("Bark", "Dog", "Domestic animals, pets", "Animal"), 0.75)
    np.testing.assert_array_equal(rolled[1], scores[1])


def test_rollup_passes_over_groups_that_have_no_class():
    scores = np.zeros((1, len(CLASSES)), np.float32)
    scores[0, COLUMN["Ska"]] = 0.5  # its parent is the group "Music genre"
    assert names(np.flatnonzero(rollup(scores, CLASSES)[0])) == {"Ska", "Music"}


def test_rollup_leaves_its_input_and_takes_views():
    scores = np.random.default_rng(1).random((1200, 2 * len(CLASSES))).astype(np.float32)[:, ::2]
    before = scores.copy()
    rolled = rollup(scores, CLASSES)
    np.testing.assert_array_equal(scores, before)
    np.testing.assert_array_equal(rolled, rollup(before, CLASSES))
    assert rolled.dtype == np.float32
    assert rolled.shape == scores.shape


def test_rollup_of_nothing():
    assert rollup(np.zeros((0, len(CLASSES)), np.float32), CLASSES).shape == (0, len(CLASSES))
    own = np.array([[0.5, 0.25]], np.float32)
    np.testing.assert_array_equal(rollup(own, ("shed", "gate")), own)


some_labels = st.lists(
    st.one_of(st.sampled_from(CLASSES), st.sampled_from(("shed", "gate"))),
    min_size=1,
    max_size=40,
    unique=True,
).map(tuple)


@given(labels=some_labels, n=st.sampled_from([1, 2, 511, 512, 513, 1100]), seed=st.integers(0, 99))
def test_rollup_keeps_its_promises(labels, n, seed):
    scores = np.random.default_rng(seed).random((n, len(labels))).astype(np.float32)
    rolled = rollup(scores, labels)
    assert (rolled >= scores).all()
    np.testing.assert_array_equal(rollup(rolled, labels), rolled)
    for column, label in enumerate(labels):
        family = [k for k, other in enumerate(labels) if other == label or is_below(other, label)]
        assert (rolled[:, column] >= rolled[:, family].max(axis=1)).all()
        np.testing.assert_array_equal(rolled[:, column], scores[:, family].max(axis=1))
