# SPDX-License-Identifier: Apache-2.0
"""Triggers against scores that a reader can follow by hand; the language of their conditions."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.errors import OptionError, UnknownLabelError
from oido.heads import Head
from oido.inference.postprocess import HeadPostprocessor, make_postprocessors
from oido.live.triggers import (
    Condition,
    Trigger,
    TriggerParams,
    parse_condition,
    parse_duration,
    slugs,
)
from oido.params import Selection, Windowing

SECOND = Windowing(16_000, 16_000, 16_000)
"""Windows of one second, side by side: window k is the second k."""


def reader(*labels: str, thresholds: tuple[tuple[str, float], ...] = ()) -> HeadPostprocessor:
    head = Head("sounds", labels, thresholds=thresholds)
    return make_postprocessors((head,), head, Selection(), locale="en", rolls_up=False)["sounds"]


def changes(
    condition: str,
    scores: list[float] | list[list[float]],
    *,
    labels: tuple[str, ...] = ("Dog",),
    thresholds: tuple[tuple[str, float], ...] = (),
    **params: float,
) -> list[tuple[str, float, float, float]]:
    """(on or off, seconds of its sound, when) of each change; scores a window each."""
    heard = reader(*labels, thresholds=thresholds)
    trigger = Trigger(parse_condition(condition), heard, SECOND, TriggerParams(**params))
    told = []
    rows = np.array(scores, np.float32).reshape(len(scores), -1)
    for window, row in enumerate(rows):
        if change := trigger.push(window, row, row):
            told.append((change, window + 1.0))
    if change := trigger.flush():
        told.append((change, float(len(rows))))
    return [
        ("on" if c.is_on else "off", c.start / 16_000, c.end / 16_000, when) for c, when in told
    ]


def test_on_at_the_first_window_and_off_when_it_is_over() -> None:
    scores = [0, 0, 0.7, 0.4, 0.2, 0, 0, 0]
    assert changes("Dog>0.6", scores, off_after=2) == [("on", 2, 3, 3), ("off", 2, 4, 6)]
    assert changes("Dog>0.6", scores, off_after=0) == [("on", 2, 3, 3), ("off", 2, 4, 5)]


def test_the_threshold_itself_counts_only_with_or_equal() -> None:
    half = float(np.float32(0.6))
    assert changes("Dog>0.6", [half, 0, 0]) == []
    assert changes("Dog>=0.6", [half, 0, 0])[0] == ("on", 0, 1, 1)


def test_it_must_last() -> None:
    assert changes("Dog>0.6 for 3s", [0.7, 0.7, 0, 0, 0]) == []
    assert changes("Dog>0.6 for 3s", [0, 0.7, 0.4, 0.4, 0.4])[0] == ("on", 1, 4, 4)


def test_weak_windows_go_on_but_do_not_begin() -> None:
    assert changes("Dog>0.6", [0.5, 0.5, 0.5]) == []
    assert changes("Dog>0.6 for 2s", [0.5, 0.5, 0.7, 0.35])[0] == ("on", 2, 4, 4)


def test_pauses_of_a_beeping_alarm_do_not_end_it() -> None:
    beeps = [0.9, 0, 0.9, 0, 0.9, 0, 0, 0]
    assert changes("Dog>0.6 for 5s", beeps, off_after=2) == [("on", 0, 5, 5), ("off", 0, 5, 7)]
    assert changes("Dog>0.6 for 5s", beeps, off_after=1) == []


def test_silence_does_not_count_as_lasting() -> None:
    assert changes("Dog>0.6 for 3s", [0.9, 0, 0, 0, 0], off_after=60) == []


def test_cool_down_runs_from_the_last_on() -> None:
    scores = [0.9, 0, 0.9, 0, 0.9, 0, 0.9, 0]
    told = changes("Dog>0.6", scores, off_after=0, cool_down=4)
    assert [(state, when) for state, _, _, when in told] == [
        ("on", 1),
        ("off", 2),
        ("on", 5),
        ("off", 6),
    ]
    own = changes("Dog>0.6 cool-down 0s", scores, off_after=0, cool_down=4)
    assert sum(state == "on" for state, *_ in own) == 4


def test_a_sound_that_outlasts_the_cool_down_is_told_then() -> None:
    scores = [0.9, 0, 0, 0.9, 0.9, 0.9, 0.9]
    told = changes("Dog>0.6", scores, off_after=1, cool_down=5)
    assert told == [("on", 0, 1, 1), ("off", 0, 1, 2), ("on", 3, 6, 6), ("off", 3, 7, 7)]


def test_any_of_several_labels_and_the_best_is_named() -> None:
    heard = reader("Dog", "Cat", "Rain")
    trigger = Trigger(parse_condition("Dog|Cat>0.5"), heard, SECOND, TriggerParams())
    row = np.array([0.6, 0.8, 1.0], np.float32)
    change = trigger.push(0, row, row)
    assert change is not None
    assert (change.column, change.score) == (1, pytest.approx(0.8))


def test_the_models_own_thresholds_and_groups() -> None:
    own = (("Dog", 0.8),)
    assert changes("Dog", [0.7], thresholds=own) == []
    assert changes("Dog", [0.85], thresholds=own)[0][0] == "on"
    assert changes("Dog>0.5", [0.7], thresholds=own)[0][0] == "on"
    assert changes("Dog", [0.31])[0][0] == "on"
    family = changes("Animal/>0.5", [[0, 0.9]], labels=("Rain", "Dog"))
    assert family[0][0] == "on"


def test_labels_and_groups_in_spanish() -> None:
    assert changes("Perro>0.6", [0.7])[0][0] == "on"
    assert changes("perro/|Lluvia>0.6", [[0, 0.7]], labels=("Rain", "Bark"))[0][0] == "on"


def test_unknown_labels_name_the_nearest() -> None:
    with pytest.raises(UnknownLabelError, match="'Dog'"):
        Trigger(parse_condition("Dgo"), reader("Dog"), SECOND, TriggerParams())


def test_overlapping_windows_answer_for_the_hop_around_their_centre() -> None:
    windowing = Windowing(16_000, 15_600, 7_680)
    trigger = Trigger(parse_condition("Dog>0.5"), reader("Dog"), windowing, TriggerParams())
    change = trigger.push(3, np.ones(1, np.float32), np.ones(1, np.float32))
    assert change is not None
    assert (change.start, change.end) == (3 * 7_680 + 3_960, 4 * 7_680 + 3_960)


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
        ('"the ""big"" door>"|"|""">.5', ('the "big" door>', '|"'), 0.5, True, 0, None),
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
        ('the "big" door>0.5', "its own are doubled"),
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
    assert names[:3] == ["dog-bark", "dog-bark-2", "n"]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 48


def test_a_name_is_its_labels_alone_and_not_of_their_order() -> None:
    """Topics, sensors and files are known by it: another trigger must not get it later."""
    texts = [
        "Bebé llorando",
        "Bebe\u0301  LLORANDO>0.5",
        "Straße",
        "狗",
        "猫",
        "Собака",
        "🔔",
        "🔕",
    ]
    alone = [slugs([parse_condition(text)])[0] for text in texts]
    assert alone[:3] == ["bebe-llorando", "bebe-llorando", "strasse"]
    assert slugs([parse_condition(text) for text in reversed(texts[2:])]) == alone[:1:-1]
    assert len(set(alone)) == len(alone) - 1
    assert all(re.fullmatch("[a-z0-9-]{1,48}", name) for name in alone)
    assert len(slugs([parse_condition("狗" + "x" * 99)])[0]) <= 48
