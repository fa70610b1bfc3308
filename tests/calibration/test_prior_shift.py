# SPDX-License-Identifier: Apache-2.0
"""Priors of unlabelled windows: found where the assumptions hold, and known to be a proposal."""

from __future__ import annotations

import numpy as np
import pytest

from oido.calibration.prior_shift import estimate_prior, estimate_priors, logit_shift


def posteriors(share: float, n: int = 20_000, seed: int = 0) -> np.ndarray:
    """Of two normal densities two apart, as if each had one half; share: of the upper one."""
    random = np.random.default_rng(seed)
    x = random.normal(np.where(random.random(n) < share, 2.0, 0.0), 1.0)
    return np.asarray(1 / (1 + np.exp(2 - 2 * x)))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
def test_a_prior_is_found_that_nobody_labelled(share: float) -> None:
    assert estimate_prior(posteriors(share), 0.5) == pytest.approx(share, abs=0.012)


def test_probabilities_under_the_new_prior_are_right_on_average() -> None:
    p = posteriors(0.05)
    shift = logit_shift(estimate_prior(p, 0.5), 0.5)
    moved = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + shift)))
    assert moved.mean() == pytest.approx(0.05, abs=0.01)
    assert p.mean() > 0.15


def test_three_classes() -> None:
    random = np.random.default_rng(1)
    truth = random.choice(3, 30_000, p=[0.7, 0.25, 0.05])
    x = random.normal(np.eye(3)[truth] * 3, 1.0)
    likelihoods = np.exp(3 * x)
    p = likelihoods / likelihoods.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(estimate_priors(p, np.full(3, 1 / 3)), [0.7, 0.25, 0.05], atol=0.015)


def test_a_class_that_is_never_met_keeps_a_little() -> None:
    p = np.full(1000, 1e-9)
    assert 0 < estimate_prior(p, 0.5) < 0.01


def test_no_shift_of_equal_priors() -> None:
    assert logit_shift(0.3, 0.3) == 0
    assert logit_shift(0.5, 0.1) == pytest.approx(np.log(9))
