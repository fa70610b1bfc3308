# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from oido.calibration.thresholds import NEVER, Alarms, ThresholdTarget, aimed_thresholds, between
from oido.errors import OptionError

OWN = np.array([False])


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def sure(hits: int, alarms: int) -> tuple[np.ndarray, np.ndarray]:
    """Clips that are right, above others that are half wrong."""
    p = [0.99 - 0.0005 * n for n in range(hits)] + [0.5 - 0.001 * n for n in range(alarms)]
    return column(*p), column(*([1.0] * hits), *([1.0, 0.0] * alarms)[:alarms])


@pytest.mark.parametrize("text", ["precision=0.9", "recall=1", "f1", "false-alarms-per-hour=2.5"])
def test_aims_are_read(text: str) -> None:
    assert str(ThresholdTarget.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accuracy=1", "no aim 'accuracy'"),
        ("precision", "say how much"),
        ("precision=high", "must be a number"),
        ("recall=1.5", "at most 1"),
        ("recall=0", "above 0"),
        ("f1=0.5", "no number"),
        ("false-alarms-per-hour=nan", "above 0"),
    ],
)
def test_aims_that_are_none(text: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ThresholdTarget.parse(text)


def test_recall_takes_the_highest_threshold_that_finds_so_many() -> None:
    p = column(*np.linspace(0.05, 0.95, 10))
    targets = np.ones((10, 1), np.float32)
    values = aimed_thresholds(ThresholdTarget("recall", 0.8), p, targets, OWN).values
    assert (p >= values).sum() == 8
    assert (p >= aimed_thresholds(ThresholdTarget("recall", 1.0), p, targets, OWN).values).all()


def test_f1_is_where_it_is_highest() -> None:
    dice = np.random.default_rng(0)
    targets = (dice.random((300, 1)) < 0.3).astype(np.float32)
    p = np.clip(dice.normal(0.3 + 0.3 * targets, 0.2), 0, 1).astype(np.float32)

    def f1(threshold: float) -> float:
        reported = p >= np.float32(threshold)
        return 2 * (targets * reported).sum() / (reported.sum() + targets.sum())

    found = float(aimed_thresholds(ThresholdTarget("f1"), p, targets, OWN).values[0])
    assert f1(found) == max(f1(value) for value in np.unique(p))


def test_precision_takes_the_lowest_threshold_that_is_right_often_enough() -> None:
    p, targets = sure(60, 60)
    high, low = (
        float(aimed_thresholds(ThresholdTarget("precision", wanted), p, targets, OWN).values[0])
        for wanted in (0.99, 0.8)
    )
    assert low < 0.49 < high
    reported = p >= np.float32(low)
    assert (targets * reported).sum() / reported.sum() == pytest.approx(0.8, abs=0.02)


def test_what_probabilities_promise_counts_where_clips_are_few() -> None:
    """Three hits with probabilities of 0.5 prove no precision of 0.9; thirty do."""
    for count, is_reached in ((3, False), (30, True)):
        p = column(*np.linspace(0.5, 0.55, count), 0.1)
        targets = column(*[1.0] * count, 0.0)
        found = aimed_thresholds(ThresholdTarget("precision", 0.9), p, targets, OWN)
        assert found.reached.tolist() == [is_reached]
        assert (found.values[0] == NEVER) == (not is_reached)


def test_pooled_classes_share_the_threshold_of_their_clips() -> None:
    p, targets = sure(60, 60)
    pooled = np.array([False, True, True])
    parts = np.concatenate([p, p[::2].repeat(2, 0), p], axis=1)
    columns = np.repeat(targets, 3, axis=1)
    values = aimed_thresholds(ThresholdTarget("f1"), parts, columns, pooled).values
    assert values[1] == values[2]
    columns[:, 1:] = np.nan
    columns[0, 1:] = 1  # two clips tell nothing: all classes choose
    values = aimed_thresholds(ThresholdTarget("f1"), parts, columns, pooled).values
    assert values[1] == values[2] == pytest.approx(values[0], abs=0.02)


def test_unknown_targets_do_not_count() -> None:
    p, targets = sure(40, 20)
    with_unknown = np.concatenate([targets, np.full((5, 1), np.nan, np.float32)])
    more = np.concatenate([p, np.full((5, 1), 0.7, np.float32)])
    for aim in (
        ThresholdTarget("f1"),
        ThresholdTarget("recall", 0.9),
        ThresholdTarget("precision", 0.9),
    ):
        one, other = (
            aimed_thresholds(aim, *pair, OWN).values[0]
            for pair in ((p, targets), (more, with_unknown))
        )
        assert one == pytest.approx(other, abs=1e-6)


def alarms_of(windows: Any, hours: float) -> tuple[Alarms, np.ndarray, np.ndarray]:
    """Clips without the class; windows: f32[K, N]."""
    rows = np.asarray(windows, np.float32)
    index = np.repeat(np.arange(len(rows)), rows.shape[1])
    alarms = Alarms(rows.reshape(-1, 1), index, np.full(len(rows), hours / len(rows)))
    return alarms, rows.max(axis=1, keepdims=True), np.zeros((len(rows), 1), np.float32)


def stretches(windows: np.ndarray, threshold: np.float32) -> int:
    """Counted one by one."""
    found = 0
    for row in windows:
        before = False
        for value in row:
            found += (value >= threshold) and not before
            before = bool(value >= threshold)
    return found


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [(40, 12), (300, 20)])
def test_false_alarms_are_stretches_of_windows(seed: int, size: tuple[int, int]) -> None:
    dice = np.random.default_rng(seed)
    windows = np.round(0.97 * dice.random(size) ** 3, 2).astype(np.float32)  # with ties
    alarms, p, targets = alarms_of(windows, hours=2.0)
    for allowed in (1, 5):
        aim = ThresholdTarget("false-alarms-per-hour", allowed / 2)
        found = aimed_thresholds(aim, p, targets, OWN, alarms).values[0]
        higher = np.unique(windows[windows >= found])
        assert all(stretches(windows, t) <= allowed for t in [found, *higher])
        below = windows[windows < found].max()
        assert stretches(windows, below) > allowed


def test_silence_allows_every_threshold_and_certainty_none() -> None:
    aim = ThresholdTarget("false-alarms-per-hour", 1.0)
    alarms, p, targets = alarms_of(np.zeros((5, 4)), hours=5)
    assert aimed_thresholds(aim, p, targets, OWN, alarms).values[0] == 0
    alarms, p, targets = alarms_of(np.ones((50, 4)), hours=5)
    found = aimed_thresholds(aim, p, targets, OWN, alarms)
    assert found.values[0] == NEVER
    assert not found.reached[0]
    with pytest.raises(OptionError, match="windows"):
        aimed_thresholds(aim, p, targets, OWN)


@pytest.mark.parametrize("high", [1.0, 0.5, 1e-3, 3.3e-7])
def test_between_is_above_the_one_and_not_above_the_other(high: float) -> None:
    top = np.float32(high)
    for low in (np.nextafter(top, np.float32(0)), top / 2, np.float32(0)):
        assert low < np.float32(between(float(low), float(top))) <= top
