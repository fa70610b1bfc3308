# SPDX-License-Identifier: Apache-2.0
"""Guarantees, checked on draws whose true rate is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from oido.calibration.risk_control import Guarantee, guaranteed_thresholds, p_value
from oido.errors import OptionError

DRAWS = 300


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fpr=0.1", "no guarantee of 'fpr'"),
        ("fnr", "must be like"),
        ("fnr=x", "must be like"),
        ("fnr=1.5", "between 0 and 1"),
        ("false-alarms=0", "between 0 and 1"),
    ],
)
def test_guarantees_that_are_none(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Guarantee.parse(text)
    with pytest.raises(OptionError, match="confidence"):
        Guarantee.parse("fnr=0.1", 1.0)


@pytest.mark.parametrize(
    ("rate", "confidence", "needed"), [(0.1, 0.9, 22), (0.05, 0.95, 59), (0.5, 0.5, 1)]
)
def test_so_many_recordings_are_needed(rate: float, confidence: float, needed: int) -> None:
    """0.9²² is the first power below 0.1; 59 is the known sample size for 95 % and 95 %."""
    guarantee = Guarantee("fnr", rate, confidence)
    assert guarantee.least_recordings == needed
    assert p_value(0.0, needed, rate, whole=True) <= 1 - confidence + 1e-12
    assert needed == 1 or p_value(0.0, needed - 1, rate, whole=True) > 1 - confidence


@pytest.mark.parametrize("misses", [0, 3, 9])
def test_whole_losses_are_binomial(misses: int) -> None:
    found = p_value(float(misses), 100, 0.1, whole=True)
    assert found == pytest.approx(binom.cdf(misses, 100, 0.1), rel=1e-9)


def test_shares_of_losses_are_bounded() -> None:
    """P(as low as this, or lower) of losses whose mean is the rate, by simulation."""
    dice = np.random.default_rng(0)
    drawn = dice.beta(0.3, 1.2, (4_000, 60))  # mean 0.2
    values = np.array([p_value(float(row.sum()), len(row), 0.2, whole=False) for row in drawn])
    for level in (0.05, 0.1, 0.3):
        assert (values <= level).mean() <= level


@pytest.mark.parametrize("kind", ["fnr", "false-alarms"])
@pytest.mark.parametrize("clips_of_one", [1, 3])
def test_the_rate_is_exceeded_in_no_more_draws_than_said(kind: str, clips_of_one: int) -> None:
    """Normal scores, the true rate being known; recordings differ where they have several clips."""
    guarantee = Guarantee(kind, 0.1, 0.8)
    dice = np.random.default_rng(2)
    wanted = 1.0 if kind == "fnr" else 0.0
    spread, noise = (0.0, 1.0) if clips_of_one == 1 else (0.8, 0.6)  # total variance 1
    rates = []
    for _ in range(DRAWS):
        middles = dice.normal(0, spread, 60) if spread else np.zeros(60)
        logits = np.repeat(middles, clips_of_one) + dice.normal(0, noise, 60 * clips_of_one)
        p = (1 / (1 + np.exp(-logits))).astype(np.float32)[:, None]
        targets = np.full(p.shape, wanted, np.float32)
        groups = np.repeat(np.arange(60), clips_of_one)
        (threshold,) = guaranteed_thresholds(guarantee, ("owl",), p, targets, groups)
        cut = np.log(threshold / (1 - threshold))
        below = _normal(float(cut))
        rates.append(below if kind == "fnr" else 1 - below)
    exceeded = np.mean(np.array(rates) > 0.1)
    assert exceeded <= 0.2 + 2 * np.sqrt(0.2 * 0.8 / DRAWS)
    assert np.mean(rates) > 0.02, "it is not safe by giving up"


def test_the_threshold_is_the_last_one_that_is_safe() -> None:
    """Binomial: of 22 recordings none may be missed at 0.1 and 0.9, of 40 one."""
    for count, missed in ((22, 0), (37, 0), (38, 1), (40, 1)):
        assert binom.cdf(missed, count, 0.1) <= 0.1 < binom.cdf(missed + 1, count, 0.1)
        p = np.linspace(0.1, 0.9, count, dtype=np.float32)[:, None]
        groups, ones = np.arange(count), np.ones((count, 1), np.float32)
        (low,) = guaranteed_thresholds(Guarantee("fnr", 0.1), ("owl",), p, ones, groups)
        assert (p < low).sum() == missed
        alarms = Guarantee("false-alarms", 0.1)
        (high,) = guaranteed_thresholds(alarms, ("owl",), p, 0 * ones, groups)
        assert (p >= high).sum() == missed


def test_too_few_recordings_are_refused() -> None:
    p = np.random.default_rng(0).random((60, 2)).astype(np.float32)
    targets = np.ones((60, 2), np.float32)
    targets[21:, 1] = 0
    groups = np.arange(60)
    with pytest.raises(OptionError, match=r"needs 22 recordings of each class.*'wren' has 21"):
        guaranteed_thresholds(Guarantee("fnr", 0.1), ("owl", "wren"), p, targets, groups)
    groups[:50] = 0  # many clips, one recording
    with pytest.raises(OptionError, match="'owl' has 11"):
        guaranteed_thresholds(Guarantee("fnr", 0.1), ("owl", "wren"), p, targets, groups)


def test_false_certainty_cannot_be_guarded_against() -> None:
    p, zeros = np.ones((50, 1), np.float32), np.zeros((50, 1), np.float32)
    with pytest.raises(OptionError, match="probability 1"):
        guaranteed_thresholds(Guarantee("false-alarms", 0.1), ("owl",), p, zeros, np.arange(50))


def test_assumptions_are_told() -> None:
    guarantee = Guarantee("false-alarms", 0.05)
    assert "at most 0.05" in guarantee.sentence
    assert any("one class" in line for line in guarantee.assumptions)


def _normal(x: float) -> float:
    from math import erf, sqrt

    return 0.5 * (1 + erf(x / sqrt(2)))
