# SPDX-License-Identifier: Apache-2.0
"""Telling sounds of no trained class."""

from __future__ import annotations

import numpy as np
import pytest

from oido.errors import OptionError
from oido.training.model_selection import select
from oido.training.novelty import fit_novelty
from tests.training.embedded_sounds import made_clips


def test_sounds_of_a_class_that_was_left_out_are_told() -> None:
    clips = made_clips(20, 4)
    known = clips.subset(clips.labels != 3)
    detector = fit_novelty(known, square_root=True, folds=select(known).folds)
    test = made_clips(20, 4, seed=8)
    strange = test.labels == 3
    unknown = detector.clip_similarities(test) < detector.threshold
    assert unknown[strange].mean() >= 0.9
    assert unknown[~strange].mean() <= 0.2


def test_threshold_keeps_the_share_that_was_asked_for() -> None:
    clips = made_clips(40)
    for accepted in (0.5, 0.9):
        detector = fit_novelty(clips, square_root=False, accepted=accepted)
        kept = (detector.clip_similarities(clips) >= detector.threshold).mean()
        assert kept == pytest.approx(accepted, abs=0.02)


def test_clip_of_one_window_is_that_window() -> None:
    clips = made_clips(6, windows=1, silent=0)
    detector = fit_novelty(clips, square_root=True)
    np.testing.assert_allclose(
        detector.clip_similarities(clips), detector.similarities(clips.embeddings), rtol=1e-6
    )


def test_held_out_threshold_is_not_above_the_one_of_seen_clips() -> None:
    clips = made_clips(8, noise=1.0)
    folds = select(clips).folds
    held = fit_novelty(clips, square_root=True, folds=folds).threshold
    assert held < fit_novelty(clips, square_root=True).threshold


def test_one_class_or_an_odd_share_is_refused() -> None:
    with pytest.raises(OptionError, match="two classes"):
        fit_novelty(made_clips(4, 1), square_root=True)
    with pytest.raises(OptionError, match="accepted"):
        fit_novelty(made_clips(4), square_root=True, accepted=1.0)
