# SPDX-License-Identifier: Apache-2.0
"""The plain ways to classify clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from oido.errors import OptionError
from oido.training.baselines import BASELINES, logistic, majority, model_maker, nearest_centroid
from tests.training.embedded_sounds import made_clips, made_tags


@pytest.mark.parametrize("name", list(BASELINES))
def test_baselines_give_probabilities(name: str) -> None:
    clips = made_clips(6)
    found = BASELINES[name](clips, made_clips(4, seed=1), 0)
    assert found.shape == (12, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_majority_says_what_is_most_frequent() -> None:
    clips = made_clips(6).subset(np.r_[0, 6:12, 12])
    assert (majority(clips, clips).argmax(axis=1) == 1).all()


@pytest.mark.parametrize("way", [nearest_centroid, logistic])
def test_good_baselines_learn(way: object) -> None:
    test = made_clips(10, seed=1)
    found = way(made_clips(10), test)  # type: ignore[operator]
    assert (found.argmax(axis=1) == test.labels).mean() >= 0.95


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("per_class", [5, 40])  # fewer clips than the 80 features, and more
def test_logistic_is_scikit_learns_on_the_features_as_they_are(
    per_class: int, standardize: bool
) -> None:
    clips, test = made_clips(per_class, noise=1.5), made_clips(10, seed=1, noise=1.5)
    x, y = (np.concatenate([c.means, c.maxima], axis=1).astype(float) for c in (clips, test))
    if standardize:
        x, y = (x - x.mean(axis=0)) / x.std(axis=0), (y - x.mean(axis=0)) / x.std(axis=0)
    model = LogisticRegression(max_iter=1000, tol=1e-6).fit(x, clips.labels)
    found = logistic(clips, test, standardize=standardize)
    np.testing.assert_allclose(found, model.predict_proba(y), atol=2e-2)


def test_model_maker_takes_more_epochs_than_its_own() -> None:
    clips, test = made_clips(30), made_clips(10, seed=1)
    right = [
        (model_maker(clips, test, epochs=e).argmax(axis=1) == test.labels).mean() for e in (1, 300)
    ]
    assert right[1] >= 0.9
    assert right[1] > right[0]


@pytest.mark.parametrize("name", list(BASELINES))
def test_class_without_clips_is_not_found(name: str) -> None:
    clips = made_clips(6)
    known = clips.subset(clips.labels != 1)
    assert not (BASELINES[name](known, clips, 0).argmax(axis=1) == 1).any() or "Maker" in name


def test_baselines_repeat_bit_for_bit() -> None:
    clips = made_clips(6)
    a, b = (model_maker(clips, clips, 3).tobytes() for _ in range(2))
    assert a == b


def test_logistic_of_tags_is_one_of_each_against_the_rest() -> None:
    tags = made_tags(80, seed=1)
    known, unknown = tags.subset(np.arange(60)), tags.subset(np.arange(60, 80))
    found = logistic(known, unknown)
    x = np.concatenate([known.means, known.maxima], axis=1)
    y = np.concatenate([unknown.means, unknown.maxima], axis=1)
    for tag in range(3):
        model = LogisticRegression(max_iter=1000).fit(x, known.targets[:, tag])
        np.testing.assert_allclose(found[:, tag], model.predict_proba(y)[:, 1], atol=2e-3)


def test_logistic_of_tags_learns_by_the_clips_of_which_it_is_known() -> None:
    tags = made_tags(60, unknown=0.3)
    assert np.isnan(tags.targets).any()
    targets = tags.targets.copy()
    targets[:, 2] = np.where(np.isnan(targets[:, 2]), np.nan, 1.0)
    found = logistic(replace(tags, targets=targets), tags)
    assert np.isfinite(found).all()
    here = ~np.isnan(tags.targets[:, :2])
    right = (found[:, :2] > 0.5) == (tags.targets[:, :2] > 0)
    assert right[here].mean() > 0.9
    assert (found[:, 2] > 0.9).all(), "there in all of them"


def test_other_baselines_are_for_one_label() -> None:
    with pytest.raises(OptionError, match="one label"):
        nearest_centroid(made_tags(), made_tags())
