# SPDX-License-Identifier: Apache-2.0
"""Score calibration: against the formula in plain float64, at its edges, and without warnings."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.events.calibration import Calibrator
from oido.heads import ScoreCalibration, ScoreTransformation, Sigmoid

IDENTITY, LOG, INVERSE_LOGISTIC = ScoreTransformation
T = float(np.float32(1e-16))

scores_0_1 = st.floats(0, 1, width=32)
moderate = st.floats(-50, 50, width=32)


def probability(calibration: ScoreCalibration, label: int, x: float) -> float:
    """One probability by the definition, a scalar at a time, with math alone."""
    s = calibration.sigmoids[label]
    if s is None or (s.min_score is not None and x < s.min_score):
        return calibration.default_score
    z = s.slope * transformed(calibration.transformation, x) + s.offset
    return s.scale * 0.5 * (1 + math.tanh(z / 2))  # the logistic function without an exponential


def transformed(transformation: ScoreTransformation, x: float) -> float:
    def log(y: float) -> float:
        return math.log(y) if y >= T else 2 * math.log(T) - math.log(2 * T - y)

    return {IDENTITY: x, LOG: log(x), INVERSE_LOGISTIC: log(x) - log(1 - x)}[transformation]


@given(
    st.sampled_from(ScoreTransformation),
    scores_0_1,
    st.lists(
        st.none()
        | st.builds(Sigmoid, st.floats(0, 1, width=32), moderate, moderate, st.none() | scores_0_1),
        min_size=1,
        max_size=5,
    ).filter(any),
    st.data(),
)
def test_probabilities_are_those_of_the_definition(transformation, default, sigmoids, data):
    calibration = ScoreCalibration(tuple(sigmoids), transformation, default)
    n = len(sigmoids)
    rows = data.draw(st.lists(st.lists(scores_0_1, min_size=n, max_size=n), max_size=4))
    scores = np.array(rows, np.float32).reshape(-1, n)
    result = Calibrator(calibration).apply(scores)
    assert result.dtype == np.float32
    assert result.shape == scores.shape
    expected = [[probability(calibration, c, float(x)) for c, x in enumerate(r)] for r in scores]
    # tanh loses what is smaller than an ulp of 1; the rest is the rounding to float32.
    np.testing.assert_allclose(result, np.array(expected).reshape(-1, n), rtol=1.2e-7, atol=4e-16)


@pytest.mark.parametrize(
    ("transformation", "x", "z"),
    [
        (IDENTITY, 0.25, 2 * 0.25 - 1),
        (LOG, 0.25, 2 * math.log(0.25) - 1),
        (LOG, 0.0, 2 * (math.log(T) - math.log(2)) - 1),
        (INVERSE_LOGISTIC, 0.25, 2 * math.log(1 / 3) - 1),
        (INVERSE_LOGISTIC, 0.0, 2 * (math.log(T) - math.log(2)) - 1),
        (INVERSE_LOGISTIC, 1.0, -2 * (math.log(T) - math.log(2)) - 1),
    ],
)
def test_values_worked_out_by_hand(transformation, x, z):
    calibrator = Calibrator(ScoreCalibration((Sigmoid(0.5, 2, -1),), transformation))
    result = calibrator.apply(np.array([[x]], np.float32))
    np.testing.assert_allclose(result, 0.5 / (1 + math.exp(-z)), rtol=1.2e-7)


@pytest.mark.parametrize("min_score", [0.1, 0.3, 0.7, 0.5, 77 / 256])
def test_a_score_equal_to_min_score_is_calibrated(min_score):
    at = np.float32(min_score)
    scores = np.array([[np.nextafter(at, np.float32(-1))], [at]], np.float32)
    calibration = ScoreCalibration((Sigmoid(1, 0, 0, min_score),), default_score=-0.25)
    np.testing.assert_array_equal(Calibrator(calibration).apply(scores), [[-0.25], [0.5]])


def test_a_label_without_parameters_gets_the_default_score():
    calibration = ScoreCalibration((None, Sigmoid(1, 0, 0)), default_score=0.1)
    scores = np.array([[0.0, 0.0], [1.0, 1.0]], np.float32)
    expected = np.array([[0.1, 0.5]] * 2, np.float32)
    np.testing.assert_array_equal(Calibrator(calibration).apply(scores), expected)


@pytest.mark.parametrize("transformation", ScoreTransformation)
@pytest.mark.parametrize("slope", [3.4e38, 1e4, -1e4, -3.4e38])
@pytest.mark.parametrize("scale", [0, 1, 3.4e38])
def test_the_largest_parameters_give_no_warning_and_stay_within_the_scale(
    transformation, slope, scale
):
    calibration = ScoreCalibration((Sigmoid(scale, slope, 1e3),), transformation)
    scores = np.array([0, 1e-45, 1e-16, 1e-3, 0.5, 1 - 6e-8, 1], np.float32)[:, None]
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        result = Calibrator(calibration).apply(scores)
    assert ((result >= 0) & (result <= np.float32(scale))).all()
    ends = result[[0, -1], 0]
    rising = np.float32(scale) * np.array([transformation is IDENTITY, 1])
    if abs(slope) > 1e30 and slope > 0:
        np.testing.assert_array_equal(ends, rising)


@pytest.mark.parametrize("transformation", ScoreTransformation)
def test_a_rising_sigmoid_keeps_the_order_of_scores_from_one_end_to_the_other(transformation):
    small = np.geomspace(1e-45, 1e-10, 400, dtype=np.float32)
    scores = np.unique(np.concatenate([[0], small, np.linspace(0, 1, 4097, dtype=np.float32)]))
    calibration = ScoreCalibration((Sigmoid(1, 1, 0),), transformation)
    result = Calibrator(calibration).apply(scores.astype(np.float32)[:, None])[:, 0]
    assert (np.diff(result) >= 0).all()
    assert len(np.unique(result)) > 4000


def test_one_row_alone_is_calibrated_as_it_is_among_others():
    rng = np.random.default_rng(3)
    scores = rng.random((40, 7), np.float32)
    sigmoids = tuple(Sigmoid(*rng.random(3)) for _ in range(7))
    calibrator = Calibrator(ScoreCalibration(sigmoids, LOG))
    whole = calibrator.apply(scores)
    for row, expected in zip(scores, whole):
        np.testing.assert_array_equal(calibrator.apply(row), expected)
    assert calibrator.apply(scores[:0]).shape == (0, 7)
