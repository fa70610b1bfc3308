# SPDX-License-Identifier: Apache-2.0
"""The language of --on: what it means, and what is said of what it does not mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.errors import OptionError
from oido.live.conditions import Condition, parse_condition, parse_duration
from oido.live.triggers import slugs


@pytest.mark.parametrize(
    ("text", "labels", "threshold", "strictly", "seconds", "cool_down"),
    [
        ("Dog", ("Dog",), None, False, 0, None),
        ("Dog>0.5", ("Dog",), 0.5, True, 0, None),
        ("  Dog >= .5 ", ("Dog",), 0.5, False, 0, None),
        (
            "Smoke detector, smoke alarm>0.6 for 2s",
            ("Smoke detector, smoke alarm",),
            0.6,
            True,
            2,
            None,
        ),
        ("Dog|Bark | Howl>0.4 for 500 ms", ("Dog", "Bark", "Howl"), 0.4, True, 0.5, None),
        ("Music for children", ("Music for children",), None, False, 0, None),
        ("Music for children for 1.5min", ("Music for children",), None, False, 90, None),
        ("Siren cool-down 5min for 2s", ("Siren",), None, False, 2, 300),
        ("Siren>0.3 for 2s cooldown 0s", ("Siren",), 0.3, True, 2, 0),
        ('"a>b|c"|Dog>=1', ("a>b|c", "Dog"), 1.0, False, 0, None),
        ("Animal/>0.4", ("Animal/",), 0.4, True, 0, None),
        ("Dog|Dog", ("Dog",), None, False, 0, None),
    ],
)
def test_what_conditions_mean(
    text: str,
    labels: tuple[str, ...],
    threshold: float | None,
    strictly: bool,
    seconds: float,
    cool_down: float | None,
) -> None:
    assert parse_condition(text) == Condition(
        text.strip(), labels, threshold, strictly, seconds, cool_down
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "a label is missing"),
        (">0.5", "a label is missing"),
        ("Dog||Bark", "a label is missing"),
        ("Dog>", "not nothing"),
        ("Dog>loud", "not 'loud'"),
        ("Dog>1.5", "from 0 to 1, not 1.5"),
        ("Dog>nan", "from 0 to 1"),
        ("Dog>0.5 for 2", "such as 2s"),
        ("Dog>0.5 for 2 days", "no duration"),
        ("Dog for 2s for 3s", "stands there twice"),
        ("Dog>0.3>0.5", "more than one '>'"),
        ('"Dog>0.5', "double quote"),
        ('"a"b', "double quote"),
        ("Dog for 2h", "10 min at most"),
    ],
)
def test_what_is_wrong_is_told(text: str, told: str) -> None:
    with pytest.raises(OptionError) as raised:
        parse_condition(text)
    assert told in str(raised.value)
    assert "Smoke detector, smoke alarm>0.6 for 2s" in str(raised.value)


@pytest.mark.parametrize("text", ["", "s", "-1s", "1e9s", "2 weeks", "٣s", "1.2.3s"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(OptionError, match="no duration"):
        parse_duration(text)


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_an_option_error(text: str) -> None:
    try:
        condition = parse_condition(text)
    except OptionError:
        return
    assert condition.labels
    assert all(condition.labels)


def test_every_label_of_the_model_can_be_written(model: object) -> None:
    labels = model.labels  # type: ignore[attr-defined]
    assert len(labels) == 521
    for label in labels:
        assert parse_condition(f"{label}>0.5 for 2s").labels == (label,)
        assert parse_condition(label).labels == (label,)


def test_names_are_short_and_differ() -> None:
    texts = ["Dog|Bark>0.5", "Dog|Bark>0.9", "¡Ñ!", "狗", "x" * 99]
    names = slugs([parse_condition(text) for text in texts])
    assert names[:3] == ["dog-bark", "dog-bark-2", "sound"]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 48
