# SPDX-License-Identifier: Apache-2.0
"""What each step gained over plain logistic regression."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oido.training.baselines import logistic
from oido.training.embeddings import EmbeddedClips
from oido.training.model_selection import CANDIDATES, select
from oido.training.steps import Step, judge_steps
from tests.training.embedded_sounds import made_clips, made_tags

pytest.importorskip("scipy", reason="heads need oido[train]")


def widened(clips: EmbeddedClips) -> EmbeddedClips:
    """The same with the class, plainly, in numbers behind the embedding."""
    known = clips.targets[clips.clip_index].astype(np.float32)
    assert clips.quiet is not None
    more = np.zeros((len(clips.quiet), clips.targets.shape[1]), np.float32)
    return replace(
        clips,
        embeddings=np.concatenate([clips.embeddings, known], axis=1),
        quiet=np.concatenate([clips.quiet, more], axis=1),
        own_size=clips.embeddings.shape[1],
    )


def test_each_step_is_judged_on_the_same_folds() -> None:
    clips = widened(made_clips(8, 3, noise=1.2))
    selection = select(clips, CANDIDATES[:1])
    plain, windows, layers = judge_steps(clips, selection)
    assert [s.name for s in (plain, windows, layers)] == [
        "logistic regression",
        "+ windows, calibration",
        "+ other layers",
    ]
    folds = selection.folds
    assert folds is not None
    right = []
    for fold in np.unique(folds):
        known, unknown = clips.own.subset(folds != fold), clips.own.subset(folds == fold)
        right += list(logistic(known, unknown).argmax(axis=1) == unknown.labels)
    assert plain.accuracy == pytest.approx(np.mean(right))
    assert layers.accuracy == 1.0 > windows.accuracy
    assert layers.log_loss < windows.log_loss
    own = select(clips.own, CANDIDATES[:1]).table[0]
    assert (windows.accuracy, windows.log_loss) == (own.accuracy, own.log_loss)


def test_without_other_layers_there_is_a_step_less() -> None:
    clips = made_clips(6, 3)
    assert clips.own is clips
    names = [step.name for step in judge_steps(clips, select(clips, CANDIDATES[:1]))]
    assert names == ["logistic regression", "+ windows, calibration"]


def test_tags_have_a_logistic_regression_of_each_to_begin_with() -> None:
    tags = made_tags(60, unknown=0.1)
    selection = select(tags, CANDIDATES[:1])
    plain, windows = judge_steps(tags, selection)
    assert plain.name == "logistic regression"
    assert 0.8 < plain.accuracy <= 1.0
    assert 0 < plain.log_loss < 3 * np.log(2), "less than by chance, of three tags"
    known = ~np.isnan(tags.targets)
    assert selection.out_of_fold is not None
    right = ((selection.out_of_fold >= 0.5) == (tags.targets > 0))[known]
    assert windows.accuracy == pytest.approx(right.mean()), "what is unknown is not right"


def test_where_nothing_was_held_back_there_are_no_steps() -> None:
    clips = made_clips(1)
    assert judge_steps(clips, select(clips, CANDIDATES[:1])) == ()


def test_figures_stand_beside_those_of_the_first_step() -> None:
    first, better = Step("a", 0.8, 0.6), Step("b", 0.85, 0.45)
    assert first.beside(first) == "accuracy 0.800, log loss 0.600"
    assert better.beside(first) == "accuracy 0.850 (+0.050), log loss 0.450 (-0.150)"
