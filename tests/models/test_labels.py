# SPDX-License-Identifier: Apache-2.0
"""Display names: every AudioSet class has its own Spanish name, and only that."""

from __future__ import annotations

import csv
import unicodedata
from collections import Counter
from importlib import resources

import pytest

from oido.errors import OptionError, UnknownLabelError
from oido.models import labels as display
from oido.models.labels import display_names, label_indices, label_named

BEYOND_YAMNET = {
    "Male speech, man speaking",
    "Female speech, woman speaking",
    "Battle cry",
    "Male singing",
    "Female singing",
    "Funny music",
}


@pytest.fixture(scope="module")
def table():
    text = (resources.files("oido.models") / "data" / "labels_es.csv").read_bytes().decode("utf-8")
    rows = list(csv.reader(text.splitlines(), strict=True))
    assert rows[0] == ["label", "label_es"]
    assert all(len(row) == 2 for row in rows)
    return rows[1:]


def test_527_labels_each_once(table):
    assert len(table) == len({label for label, _ in table}) == 527


def test_every_label_of_the_model_is_there_in_its_order(model, table):
    known = [label for label, _ in table]
    assert set(known) - set(model.labels) == BEYOND_YAMNET
    assert [label for label in known if label not in BEYOND_YAMNET] == list(model.labels)


def test_the_six_others_are_where_audioset_has_them(table):
    places = {label: place for place, (label, _) in enumerate(table)}
    assert {label: places[label] for label in BEYOND_YAMNET} == {
        "Male speech, man speaking": 1,
        "Female speech, woman speaking": 2,
        "Battle cry": 12,
        "Male singing": 32,
        "Female singing": 33,
        "Funny music": 277,
    }


def test_no_two_classes_share_a_name(table):
    counts = Counter(name.casefold() for _, name in table)
    assert [name for name, count in counts.items() if count > 1] == []


def test_names_are_tidy(table):
    for label, name in table:
        assert name == " ".join(name.split()), label
        assert name[0].isupper(), label
        assert not name.endswith(".") or name.endswith("etc."), label
        assert set(name) <= set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZñÑáéíóúüÁÉÍÓÚ(),. "
        )
        assert name.count("(") == name.count(")"), label


def test_names_in_spanish(model):
    spanish = dict(zip(model.labels, display_names(model.labels, "es")))
    assert spanish["Snare drum"] == "Caja"
    assert spanish["Heart murmur"] == "Soplo cardíaco"
    assert spanish["Bowed string instrument"] == "Instrumento de cuerda frotada"
    assert spanish["Bow-wow"] == "Guau guau"
    assert spanish["Crowing, cock-a-doodle-doo"] == "Canto del gallo, quiquiriquí"


@pytest.mark.parametrize("locale", ["es", "ES", "es-ES", "es_MX", "es_AR.UTF-8", "es-419"])
def test_the_language_of_a_locale_decides(locale):
    assert display_names(("Dog", "Rain"), locale) == ("Perro", "Lluvia")


@pytest.mark.parametrize("locale", ["en", "en-GB", "en_US.UTF-8", "EN"])
def test_english_is_the_labels_themselves(locale):
    assert display_names(("Dog", "my own sound"), locale) == ("Dog", "my own sound")


def test_a_label_without_translation_stays_as_it_is():
    labels = ("Dog", "Door of the shed", "", "dog")
    assert display_names(labels, "es") == ("Perro", "Door of the shed", "", "dog")
    assert display_names((), "es") == ()


@pytest.mark.parametrize("locale", ["fr", "", "español", "spa", "../es", "C"])
def test_an_unknown_locale_names_those_there_are(locale):
    with pytest.raises(OptionError, match="choose from en, es"):
        display_names(("Dog",), locale)


def test_the_table_is_read_once_and_only_when_needed():
    display._names.cache_clear()
    display_names(("Dog",), "en")
    assert display._names.cache_info().misses == 0
    display_names(("Dog",), "es")
    display_names(("Cat",), "es-ES")
    assert display._names.cache_info().misses == 1


def test_a_label_is_found_by_every_name_that_it_is_shown_by(model, table):
    columns = list(range(len(model.labels)))
    assert label_indices(model.labels, model.labels) == columns
    for shown in (display_names(model.labels, "es"), map(str.upper, model.labels)):
        assert label_indices(model.labels, shown) == columns
    assert all(label_named(shown) == label for label, shown in table)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("perro", "Dog"),
        ("LLANTO DE BEBE", "Baby cry, infant cry"),
        (unicodedata.normalize("NFD", "Llanto de bebé"), "Baby cry, infant cry"),
        (" Sirena ", "Siren"),
    ],
)
def test_case_accents_and_their_encoding_do_not_matter(model, name, label):
    assert label_indices(model.labels, [name]) == [model.labels.index(label)]


def test_own_labels_go_before_translations():
    labels = ("Perro", "Dog", "perro", "Búho", "buho", "Owl")
    assert label_indices(labels, ["Perro", "perro", "PERRO", "BÚHO", "búho", "BUHO"]) == [
        *(0, 2, 0),
        *(3, 3, 4),
    ]
    assert label_indices(("Hund", "Owl"), ["buho, lechuza"]) == [1]
    assert label_named("Hund") is None


@pytest.mark.parametrize(
    ("name", "near"),
    [("Pero", "'Perro'"), ("Sirnea", "'Sirena', 'Siren'"), ("Dgo", "'Dog'"), ("Sirn", "'Siren'")],
)
def test_the_nearest_is_offered_in_the_language_it_is_nearest_in(model, name, near):
    with pytest.raises(UnknownLabelError, match=f"no label '{name}'; the nearest are: {near}"):
        label_indices(model.labels, [name])


def test_a_few_labels_are_listed_where_none_is_near(model):
    with pytest.raises(UnknownLabelError, match=r"no label 'Rooster'; it has 'Dog bark', 'Rain'$"):
        label_indices(("Dog bark", "Rain"), ["Rooster"])
    with pytest.raises(UnknownLabelError, match=r"'qqqqqqq'; see `oido models info --labels`$"):
        label_indices(model.labels, ["qqqqqqq"])


def test_six_of_audiosets_labels_are_not_yamnets(model):
    with pytest.raises(UnknownLabelError, match="no label 'Grito de batalla'"):
        label_indices(model.labels, ["Grito de batalla"])


def test_one_text_is_no_list_of_labels(model):
    with pytest.raises(OptionError, match=r"a list of labels, such as \['Siren'\]"):
        label_indices(model.labels, "Siren")
