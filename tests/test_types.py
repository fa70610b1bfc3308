# SPDX-License-Identifier: Apache-2.0
"""Records say in a line what people look for in them; what they are compared by is all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oido.types import Category, Event, Row


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (Category("Dog", 74, 0.75), "Category('Dog', 0.75)"),
        (Category("Dog", 74, 0.754, 0.6), "Category('Dog', probability 0.60)"),
        (Category("Dog", 74, 0.75, display_name="Perro"), "Category('Perro', 0.75)"),
        (Event("Dog", 74, 0.5, 12.346, 0.75), "Event('Dog', 0.75, 0.50–12.35 s)"),
        (
            Event("Dog", 74, 0.0, 1.0, 0.75, 0.25, "Perro", ("Animal",)),
            "Event('Perro', probability 0.25, 0.00–1.00 s)",
        ),
        (Row("a.wav", 1, 0.0, 1.0, "Dog", 74, 0.75), "Row('a.wav', 0.00–1.00 s, 'Dog', 0.75)"),
        (Row("a.wav", 1, 0, 1, "Dog", 74, 0.75, 0.5), "Row('a.wav', 0.00–1.00 s, 'Dog', 0.50)"),
    ],
)
def test_a_record_is_a_line(record, line):
    assert repr(record) == line


def test_equality_is_of_all_but_the_name_for_people():
    event = Event("Dog", 74, 0.0, 1.0, 0.75)
    assert event == replace(event, display_name="Perro")
    assert event != replace(event, score=0.7500001)
    assert event != replace(event, also=("Animal",))
    assert Row("a", None, 0, 1, "Dog", 74, 0.5)[4] == "Dog"
