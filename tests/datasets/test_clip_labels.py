# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from oido.datasets.clip import Meaning, check_label, folder_meaning, meaning_of
from oido.errors import OptionError


@pytest.mark.parametrize("name", ["background", "Noise", "OTHER", "silence"])
def test_some_names_say_that_there_is_no_event(name: str) -> None:
    assert folder_meaning(name, "") == Meaning((), (), complete=True)


@pytest.mark.parametrize(
    ("name", "labels", "negatives"),
    [
        ("Dog", ("Dog",), ()),
        ("Dog,Cat", ("Cat", "Dog"), ()),
        ("Smoke detector, smoke alarm", ("Smoke detector, smoke alarm",), ()),
        ("Smoke detector, smoke alarm,Dog", ("Dog", "Smoke detector, smoke alarm"), ()),
        ("Dog,background", ("Dog",), ()),
        ("Dog,-Cat", ("Dog",), ("Cat",)),
        ("Ping-pong", ("Ping-pong",), ()),
    ],
)
def test_names_of_folders(name: str, labels: tuple[str], negatives: tuple[str]) -> None:
    assert folder_meaning(name, "") == Meaning(labels, negatives, complete=True)


def test_a_negative_alone_says_nothing_of_other_classes() -> None:
    assert folder_meaning("-Dog", "") == Meaning((), ("Dog",), complete=False)


def test_labels_in_two_spellings_of_unicode_are_one() -> None:
    assert check_label("Ru\u0301a", "") == check_label("R\u00faa", "")


@pytest.mark.parametrize("label", ["", "  ", "a/b", "a\nb", "a\rb", "a\tb", "a\0b", "a\u2028b"])
def test_labels_that_no_file_or_line_can_hold_are_refused(label: str) -> None:
    with pytest.raises(OptionError, match="line 7: the label"):
        check_label(label, "list.csv, line 7")


@pytest.mark.parametrize("name", ["-", "A,,B", ",A"])
def test_empty_parts_of_names_are_refused(name: str) -> None:
    with pytest.raises(OptionError, match="empty"):
        folder_meaning(name, "birds")


def test_a_class_cannot_be_heard_and_absent() -> None:
    with pytest.raises(OptionError, match="'Dog' is said to be heard and to be absent"):
        meaning_of(["Dog", "-Dog"], "list.csv, line 2")
