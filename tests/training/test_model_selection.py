# SPDX-License-Identifier: Apache-2.0
"""Choosing and calibrating a head on folds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from oido.calibration.scaling import fit_slope, log_losses
from oido.errors import OptionError
from oido.training.baselines import BASELINES
from oido.training.embeddings import clip_probabilities
from oido.training.fit import LinearOptions, MlpOptions, fit_linear
from oido.training.head import activate
from oido.training.model_selection import (
    NEVER_HELD_OUT,
    Candidate,
    count_fits,
    cross_validate,
    judge_baselines,
    select,
)
from tests.training.embedded_sounds import made_clips, made_tags

LINEAR = Candidate("linear", LinearOptions())
STIFF = Candidate("stiff", LinearOptions(strength=1e-3))
HASTY = Candidate("hasty", MlpOptions(hidden=2, epochs=1))


def test_selection_judges_clips_by_heads_that_had_not_seen_them() -> None:
    clips = made_clips(12, noise=0.6)
    random = np.random.default_rng(0)
    targets = clips.targets[random.permutation(len(clips))]
    chance = select(replace(clips, targets=targets), [LINEAR])
    assert chance.out_of_fold is not None
    right = (chance.out_of_fold.argmax(axis=1) == targets.argmax(axis=1)).mean()
    assert right < 0.6
    honest = select(clips, [LINEAR])
    assert honest.table[0].accuracy >= 0.95


def test_groups_stand_on_one_side() -> None:
    clips = made_clips(12, clips_per_group=3)
    folds = select(clips, [LINEAR]).folds
    assert folds is not None
    assert len(np.unique(folds)) == 4
    for group in np.unique(clips.groups):
        assert len(np.unique(folds[clips.groups == group])) == 1


def test_given_folds_are_kept() -> None:
    clips = made_clips(6)
    given = np.tile([0, 1, 2], 6)
    np.testing.assert_array_equal(select(replace(clips, folds=given), [LINEAR]).folds, given)


def test_given_folds_that_hold_back_a_whole_class_are_not_used() -> None:
    clips = made_clips(6)
    folds = select(replace(clips, folds=clips.labels), [LINEAR]).folds
    assert folds is not None
    for label in range(3):
        assert len(np.unique(folds[clips.labels == label])) > 1


def test_a_class_of_one_source_is_learnt_from_and_others_are_judged() -> None:
    clips = made_clips(6, noise=0.6)
    groups = np.where(clips.labels == 2, -1, clips.groups)
    lone = replace(clips, groups=groups)
    chosen = select(lone, [LINEAR])
    assert chosen.folds is not None
    assert chosen.out_of_fold is not None
    judged = chosen.folds != NEVER_HELD_OUT
    np.testing.assert_array_equal(judged, clips.labels != 2)
    assert len(np.unique(chosen.folds[judged])) == 5
    # Each head knows the class: what is judged is told from it, too.
    assert (chosen.out_of_fold[judged] > 0).all()
    assert (chosen.out_of_fold[~judged] == 0).all()
    assert chosen.table[0].accuracy >= 0.9
    losses = log_losses(chosen.out_of_fold[judged], clips.targets[judged], "softmax")
    assert chosen.table[0].log_loss == pytest.approx(losses.mean())
    assert chosen.slope != 1.0
    assert judge_baselines(lone, chosen.folds)["nearest centroid"] >= 0.9
    assert cross_validate(lone, [LINEAR])[1].tolist() == chosen.folds.tolist()
    assert count_fits(lone, [LINEAR]) == (5, 6)


def test_nothing_is_judged_where_only_one_class_could_be() -> None:
    clips = made_clips(6)
    groups = np.where(clips.labels > 0, -clips.labels, clips.groups)
    chosen = select(replace(clips, groups=groups), [LINEAR])
    assert chosen.folds is None
    assert chosen.slope == 1.0


def test_given_folds_are_kept_beside_a_class_of_one_source() -> None:
    clips = made_clips(6)
    given = np.tile([0, 1, 2], 6)
    groups = np.where(clips.labels == 2, -1, clips.groups)
    folds = select(replace(clips, folds=given, groups=groups), [LINEAR]).folds
    expected = np.where(clips.labels == 2, NEVER_HELD_OUT, given)
    np.testing.assert_array_equal(folds, expected)


def test_given_folds_of_which_one_is_left_are_dealt_anew() -> None:
    """A recording that is all there is of a class takes its other clips out of the judging."""
    clips = made_clips(6)
    given = np.where(np.arange(len(clips)) % 6 == 0, 1, 0)
    groups = np.where((clips.labels == 2) | (given == 1), -1, clips.groups)
    folds = select(replace(clips, folds=given, groups=groups), [LINEAR]).folds
    assert folds is not None
    held_out = folds != NEVER_HELD_OUT
    np.testing.assert_array_equal(held_out, groups != -1)
    assert len(np.unique(folds[held_out])) > 1


def test_better_candidate_is_taken_and_a_worse_one_is_not() -> None:
    clips = made_clips(15)
    better = select(clips, [HASTY, LINEAR])
    assert better.chosen == "linear"
    assert better.table[1].margin > 1
    assert select(clips, [LINEAR, HASTY]).chosen == "linear"


def test_equal_candidates_leave_the_first() -> None:
    twin = Candidate("twin", LinearOptions())
    assert select(made_clips(8), [LINEAR, twin]).chosen == "linear"


def test_candidates_for_more_clips_are_not_tried() -> None:
    eager = Candidate("eager", LinearOptions(), least_clips=50)
    assert [row.name for row in select(made_clips(8), [LINEAR, eager]).table] == ["linear"]


def test_baselines_are_judged_on_the_folds_of_the_selection() -> None:
    clips = made_clips(10)
    folds = select(clips, [STIFF]).folds
    assert folds is not None
    found = judge_baselines(clips, folds)
    assert list(found) == list(BASELINES)
    assert found["majority class"] == pytest.approx(1 / 3)
    assert found["nearest centroid"] > 0.9


def test_one_clip_a_class_gives_a_head_that_nobody_judged() -> None:
    selection = select(made_clips(1))
    assert selection.out_of_fold is None
    assert selection.folds is None
    assert selection.table == ()
    assert selection.slope == 1


def test_slope_is_folded_into_the_head() -> None:
    clips = made_clips(12, noise=1.0)
    selection = select(clips, [LINEAR])
    plain = fit_linear(clips).logits(clips.embeddings)
    np.testing.assert_allclose(
        selection.head.logits(clips.embeddings), plain * selection.slope, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("factor", [0.3, 3.0])
def test_slope_mends_logits_that_are_too_faint_or_too_loud(factor: float) -> None:
    random = np.random.default_rng(0)
    clips = made_clips(200, windows=1, silent=0)
    logits = random.normal(0, 2, (600, 3)).astype(np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = (shares.cumsum(axis=1) < random.random((600, 1))).sum(axis=1)
    told = replace(clips, targets=np.eye(3, dtype=np.float32)[drawn])

    def probabilities_at(slope: float) -> NDArray[np.float32]:
        scores = activate(logits * np.float32(factor * slope), "softmax")
        return clip_probabilities(scores, told, "softmax")

    slope = fit_slope(probabilities_at, told.targets, "softmax")
    assert slope * factor == pytest.approx(1, rel=0.15)


def test_log_loss_leaves_out_what_is_not_known() -> None:
    p = np.array([[0.5, 0.9]], np.float32)
    targets = np.array([[1, np.nan]], np.float32)
    np.testing.assert_allclose(log_losses(p, targets, "sigmoid"), np.log(2))


def test_tags_are_selected_too() -> None:
    clips = made_tags(60, unknown=0.1)
    selection = select(clips)
    assert selection.head.output == "sigmoid"
    assert selection.table[0].accuracy >= 0.95


def test_cross_validation_is_repeated_for_every_fold() -> None:
    clips = made_clips(10, noise=0.5)
    probabilities, folds = cross_validate(clips, [LINEAR])
    held = clips.subset(folds == 0)
    head = select(clips.subset(folds != 0), [LINEAR]).head
    np.testing.assert_allclose(
        probabilities[folds == 0], clip_probabilities(head.scores(held.embeddings), held, "softmax")
    )
    with pytest.raises(OptionError, match="two sources"):
        cross_validate(made_clips(1), [LINEAR])


def test_same_seed_same_bytes() -> None:
    clips = made_clips(16, noise=0.8)
    one, other = (select(clips, seed=5).head for _ in range(2))
    for layer, again in zip(one.layers, other.layers, strict=True):
        assert layer.weights.tobytes() == again.weights.tobytes()
        assert layer.bias.tobytes() == again.bias.tobytes()


def test_how_many_threads_fit_changes_nothing() -> None:
    clips = made_clips(16, noise=0.8)
    one, three = (select(clips, seed=5, jobs=jobs) for jobs in (1, 3))
    assert one.head.layers[0].weights.tobytes() == three.head.layers[0].weights.tobytes()
    assert one.table == three.table
    assert one.out_of_fold is not None
    assert three.out_of_fold is not None
    np.testing.assert_array_equal(one.out_of_fold, three.out_of_fold)
    assert one.folds is not None
    a, b = (judge_baselines(clips, one.folds, jobs=jobs) for jobs in (1, 3))
    assert a == b


@pytest.mark.parametrize("thorough", [False, True])
@pytest.mark.parametrize("per_class", [1, 6, 16])
def test_fits_are_counted_before_they_are_done(per_class: int, thorough: bool) -> None:
    clips, done = made_clips(per_class), []
    if thorough and per_class == 1:
        return
    n_folds, expected = count_fits(clips, thorough=thorough)
    folds = select(clips, on_fit=lambda: done.append(1)).folds
    assert n_folds == (0 if folds is None else len(np.unique(folds)))
    if thorough:
        cross_validate(clips, on_fit=lambda: done.append(1))
    assert len(done) == expected


def test_one_class_is_told() -> None:
    with pytest.raises(OptionError, match="two classes"):
        select(made_clips(5, 1))
    with pytest.raises(OptionError, match="two classes"):
        select(made_clips(5).subset(np.arange(5)))
    with pytest.raises(OptionError, match="candidate"):
        select(made_clips(5), [])


def test_how_steep_a_candidates_logits_are_does_not_decide() -> None:
    """Of heads that tell classes alike, a flatter one loses nothing: calibration mends it."""
    clips = made_clips(4, noise=0.2)
    table = select(clips, [LINEAR, Candidate("flat", LinearOptions(strength=5.0))]).table
    assert abs(table[1].log_loss - table[0].log_loss) < 0.1 * table[0].log_loss
