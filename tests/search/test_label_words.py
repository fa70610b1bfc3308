# SPDX-License-Identifier: Apache-2.0
"""Words that are the name of no label find labels that mean about the same."""

from __future__ import annotations

import sys

import pytest

from oido.errors import MissingExtraError
from oido.models.labels import audioset_labels
from oido.search import label_words
from oido.search.label_words import labels_for_words


@pytest.mark.parametrize(
    ("words", "label"),
    [
        ("puppy", "Dog"),
        ("doggo barking", "Bark"),
        ("bird of prey", "Bird"),
        ("gunshots", "Gunshot, gunfire"),
        ("Frogs Croaking", "Croak"),
        ("perro ladrando", "Bark"),
        ("tormenta", "Thunderstorm"),
    ],
)
def test_words_find_labels(words: str, label: str) -> None:
    pytest.importorskip("wordllama", reason="needs oido[words]")
    found = labels_for_words(words, audioset_labels())
    assert found[0] == label
    assert len(found) <= 3


def test_words_that_mean_none_of_them_find_none() -> None:
    pytest.importorskip("wordllama", reason="needs oido[words]")
    assert labels_for_words("invoice", audioset_labels()) == ()
    assert labels_for_words("puppy", ("Rain", "Car")) == ()
    assert labels_for_words("puppy", ()) == ()


def test_without_the_extra_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    label_words._model.cache_clear()
    monkeypatch.setitem(sys.modules, "wordllama", None)
    with pytest.raises(MissingExtraError, match=r"oido\[words\]"):
        labels_for_words("puppy", ("Dog",))
