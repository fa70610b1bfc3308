# SPDX-License-Identifier: Apache-2.0
"""The texts of score calibrations and thresholds: written, read back, and refused by line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oido.errors import OptionError
from oido.heads import (
    Head,
    ScoreCalibration,
    ScoreTransformation,
    Sigmoid,
    parse_thresholds,
    thresholds_text,
)

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
sigmoids = st.builds(
    Sigmoid, st.floats(0, width=32, allow_infinity=False), finite, finite, st.none() | finite
)
calibrations = st.builds(
    ScoreCalibration,
    st.lists(st.none() | sigmoids, min_size=1, max_size=8).filter(any).map(tuple),
    st.sampled_from(ScoreTransformation),
    finite,
)
labels = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1, max_size=12
).filter(lambda label: label == label.strip())


@given(calibrations)
@example(ScoreCalibration((Sigmoid(3.4028234663852886e38, -3.4025e38, 1e-45, 1.1754944e-38),)))
def test_a_calibration_is_read_back_as_it_was_written(calibration: ScoreCalibration) -> None:
    text = calibration.text()
    n_labels = len(calibration.sigmoids)
    assert text.count("\n") == n_labels - 1
    read = ScoreCalibration.parse(
        text, n_labels, calibration.transformation, calibration.default_score
    )
    assert read == calibration


@given(st.lists(st.floats(-1e30, 1e30), min_size=4, max_size=4))
def test_parameters_are_float32_as_the_readers_of_metadata_take_them(values: list[float]) -> None:
    sigmoid = Sigmoid(abs(values[0]), *values[1:])
    expected = [float(np.float32(v)) for v in (abs(values[0]), *values[1:])]
    assert [sigmoid.scale, sigmoid.slope, sigmoid.offset, sigmoid.min_score] == expected
    assert [np.float32(field) for field in sigmoid.text().split(",")] == expected


def test_the_text_is_as_short_as_it_can_be() -> None:
    calibration = ScoreCalibration((Sigmoid(1, 0.1, -2.5, 0.3), None, Sigmoid(0.95, 8, -1e-7)))
    assert calibration.text() == "1,0.1,-2.5,0.3\n\n0.95,8,-1e-07"


def test_other_writers_spaces_and_line_ends_are_read() -> None:
    read = ScoreCalibration.parse("1.0, 2.50 ,-1\r\n\r\n+.5,1E-1,2.,0.25", 3)
    assert read.sigmoids == (Sigmoid(1, 2.5, -1), None, Sigmoid(0.5, 0.1, 2, 0.25))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3\n1,2\n1,2,3", r"line 2\b.*scale,slope,offset.*'1,2'"),
        ("1,2,3\n\n1,2,3,4,5", r"line 3\b.*'1,2,3,4,5'"),
        ("1,2,x\n\n", r"line 1\b.*numbers"),
        ("1,2,\n\n", r"line 1\b.*numbers"),
        (" \n1,2,3\n", r"line 1\b.*numbers"),
        ("1,2,1_0\n\n", r"line 1\b.*numbers"),
        ("1,2,\u0663\n\n", r"line 1\b.*numbers"),
        ("\n1;2;3\n", r"line 2\b.*numbers"),
        ("\n\n-0.5,2,3", r"line 3\b.*scale must be 0 or more"),
        ("\nnan,2,3\n", r"line 2\b.*scale.*finite"),
        ("\n1,nan,3\n", r"line 2\b.*slope.*finite"),
        ("\n1,2,-inf\n", r"line 2\b.*offset.*finite"),
        ("\n1,2,3,nan\n", r"line 2\b.*min_score.*finite"),
        ("\n1,2,1e39\n", r"line 2\b.*offset.*finite"),
        ("1,2,3\n1,2,3", r"2 line\(s\) for 3 label.*line 3 is missing"),
        ("1,2,3\n1,2,3\n1,2,3\n", r"4 line\(s\) for 3 label.*line 4 is too many"),
        ("", r"1 line\(s\) for 3 label.*line 2 is missing"),
        ("\n\n", "no label at all"),
    ],
)
def test_a_bad_calibration_names_the_line(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ScoreCalibration.parse(text, 3)


@pytest.mark.parametrize("default", [float("nan"), float("inf"), 1e39])
def test_a_default_score_must_be_a_number(default: float) -> None:
    with pytest.raises(OptionError, match="default score"):
        ScoreCalibration((Sigmoid(1, 1, 0),), default_score=default)


@given(st.lists(st.tuples(labels, st.floats(0, 1)), max_size=6).map(tuple))
def test_thresholds_are_read_back_as_they_were_written(
    thresholds: tuple[tuple[str, float], ...],
) -> None:
    assert parse_thresholds(thresholds_text(thresholds)) == thresholds


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("label,threshold\nDog", 2),
        ("label,threshold\nDog,loud", 2),
        ("Dog,0.5\nCat,1.5", 2),
        ("Dog,0.5\n\nCat,nan", 3),
        ('Dog,0.5\n"Cat,0.5', 2),
        ("Dog,0.5\nlabel,threshold", 2),
    ],
)
def test_bad_thresholds_name_the_line(text: str, line: int) -> None:
    with pytest.raises(OptionError, match=rf"line {line}: must be label,threshold"):
        parse_thresholds(text)


@pytest.mark.parametrize("label", [" Dog", "Dog\n", "Big\rDog", "Dog\u2003"])
def test_a_label_whose_threshold_would_not_be_read_back_is_refused(label: str) -> None:
    with pytest.raises(OptionError, match="one line"):
        thresholds_text(((label, 0.5),))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"calibration": ScoreCalibration((Sigmoid(1, 1, 0),))}, "2 labels.*calibration of 1"),
        ({"thresholds": (("Cat", 0.5),)}, "no label 'Cat'"),
        ({"thresholds": (("Dog", 0.5), ("Dog", 0.4))}, "two thresholds"),
        ({"thresholds": (("Dog", 1.5),)}, "0 to 1"),
        ({"thresholds": (("Dog", float("nan")),)}, "0 to 1"),
        ({"score_threshold": float("nan")}, "score threshold.*finite"),
    ],
)
def test_a_head_whose_parts_do_not_fit_is_refused(arguments, message) -> None:
    with pytest.raises(OptionError, match=message):
        Head("scores", ("Dog", "Speech"), **arguments)
