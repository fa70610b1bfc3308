# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from oido.arrays import F32
from oido.calibration.scaling import (
    CONSTANT,
    FLOOR,
    TOO_LITTLE,
    fit_sigmoids,
    fit_slopes,
    log_losses,
)
from oido.errors import OptionError
from oido.events.calibration import Calibrator
from oido.heads import OutputKind, ScoreTransformation
from oido.training.head import activate


def made(
    clips: int, slopes: list[float], offsets: list[float], seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, targets, and the probabilities that the targets were drawn by."""
    dice = np.random.default_rng(seed)
    logits = dice.uniform(-6, 4, (clips, len(slopes)))
    truth = 1 / (1 + np.exp(-(logits * slopes + offsets)))
    targets = (dice.random(truth.shape) < truth).astype(np.float32)
    return (1 / (1 + np.exp(-logits))).astype(np.float32), targets, truth


def test_sigmoids_that_scores_were_drawn_by_are_found_again() -> None:
    slopes, offsets = [0.5, 1.0, 2.0, 1.5], [-1.0, 2.0, 0.0, -3.0]
    scores, targets, truth = made(20_000, slopes, offsets)
    fitted = fit_sigmoids(scores, targets, np.arange(len(scores)))
    assert fitted.slopes == pytest.approx(slopes, rel=0.06)
    assert fitted.offsets == pytest.approx(offsets, abs=0.12)
    said = Calibrator(fitted.calibration(range(4), 4)).apply(scores)
    np.testing.assert_allclose(said, truth, atol=0.03)


def test_a_class_with_many_clips_is_as_scikit_learn_says() -> None:
    scores, targets, _ = made(5_000, [0.8, 1.2], [0.5, -1.0], seed=3)
    fitted = fit_sigmoids(scores, targets, np.arange(len(scores)))
    logits = np.log(scores) - np.log1p(-scores)
    for column in range(2):
        alone = LogisticRegression(C=1e6).fit(logits[:, column : column + 1], targets[:, column])
        assert fitted.slopes[column] == pytest.approx(alone.coef_[0, 0], rel=0.02)
        assert fitted.offsets[column] == pytest.approx(alone.intercept_[0], abs=0.03)


def test_few_clips_are_drawn_to_the_other_classes() -> None:
    """Of a class with 12 clips, what others say brings it nearer to the truth than alone."""
    errors = []
    for seed in range(20):
        scores, targets, truth = made(400, [1.0] * 6, [-1.0] * 6, seed)
        targets[12:, 0] = np.nan
        if np.nansum(targets[:, 0]) < 3 or np.nansum(targets[:, 0]) > 9:
            continue
        fitted = fit_sigmoids(scores, targets, np.arange(len(scores)))
        assert fitted.notes[0] == ""
        said = Calibrator(fitted.calibration(range(6), 6)).apply(scores)[:, 0]
        logits = (np.log(scores) - np.log1p(-scores))[:, :1]
        alone = LogisticRegression(C=1e6).fit(logits[:12], targets[:12, 0])
        by_itself = alone.predict_proba(logits)[:, 1]
        errors.append([np.mean((p - truth[:, 0]) ** 2) for p in (said, by_itself)])
    pooled, alone = np.mean(errors, axis=0)
    assert len(errors) > 10
    assert pooled < 0.5 * alone


def test_too_few_recordings_and_constant_scores_take_the_pooled_sigmoid() -> None:
    scores, targets, _ = made(300, [1.0] * 4, [0.0] * 4)
    groups = np.arange(300)
    targets[:, 1] = 0
    targets[:2, 1] = 1  # two recordings
    targets[:, 2] = 0
    targets[:40, 2] = 1
    groups[:40] = 0  # forty clips of one recording
    scores[:, 3] = 0.25
    fitted = fit_sigmoids(scores, targets, groups)
    assert fitted.notes == ("", TOO_LITTLE, TOO_LITTLE, CONSTANT)
    assert fitted.is_pooled.tolist() == [False, True, True, True]
    sigmoids = fitted.calibration(range(4), 5).sigmoids
    assert sigmoids[1] == sigmoids[2] == sigmoids[3] == sigmoids[4] != sigmoids[0]


def test_the_order_of_scores_is_kept() -> None:
    """Also of a class that is heard less, the higher its score; and around the floor."""
    scores, targets, _ = made(300, [1.0, 1.0, -2.0], [0.0] * 3)
    fitted = fit_sigmoids(scores, targets, np.arange(300))
    assert (fitted.slopes > 0).all()
    ladder = np.concatenate([[0, 1e-9, FLOOR / 2], np.linspace(FLOOR, 1, 999), [1]])
    rows = np.repeat(ladder[:, None], 3, axis=1).astype(np.float32)
    steps = np.diff(Calibrator(fitted.calibration(range(3), 3)).apply(rows), axis=0)
    assert (steps >= 0).all()
    assert (steps[5:-2] > 0).all(axis=1).mean() > 0.9


def test_logits_are_taken_as_they_are() -> None:
    scores, targets, _ = made(2_000, [1.0, 2.0], [0.0, -1.0])
    logits = (np.log(scores) - np.log1p(-scores)).astype(np.float32)
    fitted = fit_sigmoids(logits, targets, np.arange(2_000))
    assert fitted.transformation is ScoreTransformation.IDENTITY
    assert fitted.slopes == pytest.approx([1.0, 2.0], rel=0.15)


def test_many_classes_are_as_good_as_few() -> None:
    """How classes differ is learnt from some of them; each still gets its own sigmoid."""
    dice = np.random.default_rng(1)
    slopes, offsets = dice.uniform(0.7, 1.5, 200), dice.uniform(-2, 1, 200)
    scores, targets, truth = made(600, slopes.tolist(), offsets.tolist())
    fitted = fit_sigmoids(scores, targets, np.arange(600))
    said = Calibrator(fitted.calibration(range(200), 200)).apply(scores)
    assert np.sqrt(np.mean((said - truth) ** 2)) < 0.03
    assert np.corrcoef(fitted.offsets, offsets)[0, 1] > 0.95


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s, t: (s, t * 0), "no clip has a class"),
        (lambda s, t: (s, t * 0 + 1), "add clips without"),
        (lambda s, t: (s * 0 + 0.5, t), "same score, 0.5, to every class"),
        (lambda s, t: (s * np.nan, t), "not finite"),
    ],
)
def test_data_that_nothing_can_be_fitted_to(change, message: str) -> None:
    scores, targets, _ = made(50, [1.0, 1.0], [0.0, 0.0])
    with pytest.raises(OptionError, match=message):
        fit_sigmoids(*change(scores, targets), np.arange(50))


def test_a_model_of_one_class_needs_clips_that_are_called_background() -> None:
    scores, targets, _ = made(50, [1.0], [0.0])
    with pytest.raises(OptionError, match="other sounds, all of which are called 'background'"):
        fit_sigmoids(scores, targets * 0 + 1, np.arange(50))


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("factor", [0.1, 0.4, 1.0, 2.5, 9.0])
def test_slopes_are_those_of_trying_every_one(output: OutputKind, factor: float) -> None:
    for seed in range(4):
        dice = np.random.default_rng(seed)
        logits = dice.normal(0, 2, (90, 6))
        if output == "softmax":
            truth = (logits + dice.gumbel(size=logits.shape)).argmax(axis=1)
            targets = np.eye(6, dtype=np.float32)[truth]
        else:
            targets = (dice.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32)
            targets[dice.random(logits.shape) < 0.1] = np.nan
        faint = (logits * factor).astype(np.float32)
        asked: list[float] = []

        def probabilities_at(slope: float, faint: F32 = faint, asked: list[float] = asked) -> F32:
            asked.append(slope)
            return activate(faint * np.float32(slope), output)

        parts = [dice.random(90) < share for share in (0.1, 0.5, 0.8)] + [np.ones(90, np.bool_)]
        found = fit_slopes(probabilities_at, targets, output, parts)
        assert len(asked) == len(set(asked)) < 40  # each once, and not all of them
        grid = np.geomspace(0.2, 5.0, 65).tolist()
        losses = [
            log_losses(activate(faint * np.float32(s), output), targets, output) for s in grid
        ]
        for part, slope in zip(parts, found):
            totals = [of_s[part].sum() + 4 * np.log2(s) ** 2 for s, of_s in zip(grid, losses)]
            assert slope == grid[int(np.argmin(totals))]
