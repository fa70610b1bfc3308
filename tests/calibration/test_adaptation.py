# SPDX-License-Identifier: Apache-2.0
"""Adapting a head: adopted where reviews elsewhere speak for it, and kept in every other case."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oido.calibration.adaptation import (
    AS_IT_WAS,
    ReviewedWindows,
    adapt,
    candidates_of,
    speaks_for,
    taught_priors,
    with_background,
)
from oido.datasets.splits import group_numbers
from oido.models.tflite.taught_head import HeadLayer, TaughtHead


def head_of(
    weights: list[list[float]], bias: list[float], output: str = "sigmoid", labels: str = "owl"
) -> TaughtHead:
    layer = HeadLayer(np.array(weights, np.float32), np.array(bias, np.float32))
    return TaughtHead(
        "taught",
        "00",
        tuple(labels.split()),
        (layer,),
        output,
        False,
        {"priors": [0.5]},  # type: ignore[arg-type]
    )


OWL = head_of([[2.0, 0.0]], [-2.0])
"""Right for owls of one half: windows with one are two larger in the first number."""


def windows(share: float, n: int, seed: int, hum: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Features and truth; hum: how large the second number is where there is no owl."""
    random = np.random.default_rng(seed)
    truth = random.random(n) < share
    x = np.stack([random.normal(2.0 * truth, 1.0), hum * ~truth + random.normal(0, 0.2, n)], axis=1)
    return x.astype(np.float32), truth


def reviewed(
    head: TaughtHead, share: float, everywhere: np.ndarray, count: int = 300, hum: float = 0.0
) -> ReviewedWindows:
    """Reviews at ten sites, half of them where the score is high."""
    x, truth = windows(share, 40 * count, 7, hum)
    scores = head.scores_of_features(x)[:, 0]
    order = np.argsort(scores)
    random = np.random.default_rng(3)
    numbers = np.concatenate(
        [
            order[-4 * count :][random.permutation(4 * count)[: count // 2]],
            random.permutation(len(x))[: count // 2],
        ]
    )
    one = ReviewedWindows(
        x[numbers],
        np.arange(len(numbers)),
        np.zeros(len(numbers), int),
        truth[numbers],
        group_numbers(np.arange(len(numbers)) % 10),
        np.ones(len(numbers)),
    )
    weights = speaks_for(
        one.probabilities(head), head.scores_of_features(everywhere)[:, 0].astype(float)
    )
    return replace(one, weights=weights)


def test_priors_of_a_place_where_owls_are_rare_are_adopted() -> None:
    everywhere, _ = windows(0.02, 5_000, 1)
    found = adapt(reviewed(OWL, 0.02, everywhere), candidates_of(OWL, everywhere))
    assert found.head is not None
    assert "prior" in found.chosen
    assert found.less_loss.low > 0
    shift = found.head.layers[-1].bias[0] - OWL.layers[-1].bias[0]
    if found.chosen == "priors of the place":
        assert shift == pytest.approx(np.log(0.02 / 0.98), abs=0.4)
    assert found.table[0].name == AS_IT_WAS
    assert found.table[0].log_loss.value > min(row.log_loss.value for row in found.table[1:])


def test_nothing_is_adopted_where_the_place_is_as_it_was_taught() -> None:
    everywhere, _ = windows(0.5, 5_000, 1)
    found = adapt(reviewed(OWL, 0.5, everywhere), candidates_of(OWL, everywhere))
    assert found.head is None
    assert found.reason
    assert found.reviews == 300


def test_a_hum_of_the_place_is_learnt_as_background() -> None:
    fooled = head_of([[2.0, 0.5]], [-2.0])  # it takes a hum for some of an owl
    everywhere, truth = windows(0.1, 5_000, 1, hum=1.5)
    adapted = with_background(fooled, everywhere)
    assert adapted is not None
    hum_before, hum_after = (
        h.scores_of_features(everywhere[~truth]).mean() for h in (fooled, adapted)
    )
    assert hum_after < 0.7 * hum_before
    found = adapt(reviewed(fooled, 0.1, everywhere, hum=1.5), candidates_of(fooled, everywhere))
    assert found.head is not None
    assert found.table[0].log_loss.value > found.table[2].log_loss.value


def test_too_few_reviews_judge_nothing() -> None:
    everywhere, _ = windows(0.02, 1_000, 1)
    reviews = reviewed(OWL, 0.02, everywhere)
    for changed in (
        replace(reviews, sources=np.zeros(300, int)),
        replace(reviews, is_true=np.zeros(300, bool)),
    ):
        found = adapt(changed, candidates_of(OWL, everywhere))
        assert found.head is None
        assert found.reason.startswith("too few reviews to judge by")


def test_one_class_out_of_all_needs_a_class_of_nothing_for_background() -> None:
    everywhere, _ = windows(0.2, 500, 1)
    two = [[2.0, 0.0], [0.0, 1.0]], [-2.0, 0.0]
    assert len(candidates_of(head_of(*two, "softmax", "owl fox"), everywhere)) == 2
    assert len(candidates_of(head_of(*two, "softmax", "owl background"), everywhere)) == 4
    np.testing.assert_allclose(taught_priors(head_of(*two, "softmax", "owl fox")), 0.5)


def test_reviews_speak_for_all_windows() -> None:
    random = np.random.default_rng(0)
    everywhere = random.beta(0.3, 5, 50_000)
    truth = random.random(50_000) < everywhere
    order = np.argsort(everywhere)
    chosen = np.concatenate([random.permutation(50_000)[:400], order[-2_000:][::4]])
    weights = speaks_for(everywhere[chosen], everywhere)
    assert weights.mean() == pytest.approx(1)
    share = float((weights * truth[chosen]).sum() / weights.sum())
    assert share == pytest.approx(float(truth.mean()), rel=0.35)
    assert truth[chosen].mean() > 3 * truth.mean()
