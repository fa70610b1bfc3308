# SPDX-License-Identifier: Apache-2.0
"""Counts from reviewed samples: the truth lies in the interval about as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from oido.errors import OptionError
from oido.evaluation.prevalence import Counted, count_true, strata_of


def world(
    random: np.random.Generator, n: int, shares: list[float], shift: float = 0.0
) -> tuple[np.ndarray, list[int], np.ndarray]:
    """Scores, sites and truth of events; at each site another share is true.

    shift: by how much (logits) the scores of the last site are above those of the first.
    """
    site = random.integers(0, len(shares), n)
    truth = random.random(n) < np.array(shares)[site]
    scores = random.normal(np.where(truth, 2.0, 0.0), 1.0)
    scores += shift * (site / max(1, len(shares) - 1) - 0.5)
    return 1 / (1 + np.exp(1 - scores)), site.tolist(), truth


def sample(random: np.random.Generator, scores: np.ndarray, count: int) -> np.ndarray:
    """As many from each stratum."""
    strata = strata_of(scores)
    each = [np.flatnonzero(strata == number) for number in range(int(strata.max()) + 1)]
    return np.concatenate([random.choice(g, count // len(each), replace=False) for g in each])


def counted(
    seed: int, n: int, count: int, shares: list[float], shift: float = 0.0
) -> tuple[Counted[int], np.ndarray]:
    random = np.random.default_rng(seed)
    scores, sites, truth = world(random, n, shares, shift)
    reviewed = sample(random, scores, count)
    result = count_true(scores, sites, reviewed, truth[reviewed], seed=seed)
    return result, np.bincount(sites, truth)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shares", "shift"),
    [
        ([0.3] * 4, 0.0),
        ([0.1, 0.2, 0.4, 0.5], 0.0),
        ([0.05] * 4, 0.0),
        ([0.9, 0.95, 0.97, 0.9], 0.0),
        ([0.1, 0.2, 0.4, 0.5], 2.0),
    ],
    ids=["alike", "shares", "rare", "nearly all", "shares and scores"],
)
def test_the_interval_covers_the_truth_as_often_as_it_says(
    shares: list[float], shift: float
) -> None:
    inside = []
    for seed in range(100):
        result, truth = counted(seed, 1500, 100, shares, shift)
        inside.append(result.total.low <= truth.sum() <= result.total.high)
    # 95 %, less three standard errors of 100 draws.
    assert np.mean(inside) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 100)


def test_more_reviews_narrow_it_and_all_of_them_leave_no_doubt() -> None:
    widths = []
    for count in (50, 200, 800):
        result, _ = counted(1, 2000, count, [0.3, 0.4])
        widths.append(result.total.high - result.total.low)
        assert result.reviewed == count
    assert widths[0] > 1.5 * widths[1] > 2 * widths[2]
    random = np.random.default_rng(0)
    scores, sites, truth = world(random, 300, [0.4, 0.1])
    known = count_true(scores, sites, np.arange(300), truth)
    assert known.total.low == known.total.high == truth.sum()
    assert known.more_reviews == 0
    assert {name: each.value for name, each in known.groups.items()} == dict(
        enumerate(np.bincount(sites, truth))
    )


def test_groups_add_up_and_share_is_of_all() -> None:
    result, _ = counted(3, 1000, 100, [0.2, 0.5, 0.8])
    assert sum(each.value for each in result.groups.values()) == pytest.approx(result.total.value)
    assert result.share.value == pytest.approx(result.total.value / 1000)
    assert result.occupied.value == 3


def test_a_site_of_its_own_kind_is_named() -> None:
    random = np.random.default_rng(5)
    scores, sites, truth = world(random, 3000, [0.5, 0.5, 0.5])
    truth[np.array(sites) == 2] = False  # something else sounds alike there
    reviewed = sample(random, scores, 300)
    assert count_true(scores, sites, reviewed, truth[reviewed]).apart == (2,)
    fair, _ = counted(6, 3000, 300, [0.5, 0.5, 0.5])
    assert fair.apart == ()
    # The one in the middle is no more apart than any other.
    spread, _ = counted(7, 3000, 300, [0.1, 0.5, 0.9])
    assert 1 not in spread.apart


def test_of_a_site_that_nobody_reviewed_less_is_known() -> None:
    random = np.random.default_rng(2)
    scores, sites, truth = world(random, 3000, [0.2, 0.4, 0.4, 0.6])
    site = np.array(sites)
    reviewed = sample(random, scores, 300)
    reviewed = reviewed[site[reviewed] != 1]
    result = count_true(scores, sites, reviewed, truth[reviewed])
    widths = {name: each.high - each.low for name, each in result.groups.items()}
    assert widths[1] > 1.5 * max(widths[0], widths[2], widths[3])
    assert result.groups[1].low <= truth[site == 1].sum() <= result.groups[1].high
    assert 1 not in result.apart


def test_a_site_that_nobody_reviewed_is_as_the_others_whose_scores_are_shifted() -> None:
    off = []
    for seed in range(6):
        random = np.random.default_rng(seed)
        scores, sites, truth = world(random, 4000, [0.3] * 12, shift=3.0)
        site = np.array(sites)
        reviewed = sample(random, scores, 300)
        reviewed = reviewed[site[reviewed] != 0]  # the site of the lowest scores
        found = count_true(scores, sites, reviewed, truth[reviewed], seed=seed).groups[0]
        assert found.low <= truth[site == 0].sum() <= found.high
        off.append(found.value / (site == 0).sum() - 0.3)
    # Its scores alone would say that one in twelve is true there.
    assert abs(np.mean(off)) < 0.1


def test_strata_are_those_of_sql_and_few_events_are_fewer_strata() -> None:
    scores = np.random.default_rng(0).random(23)
    sizes = np.bincount(strata_of(scores))
    assert sizes.tolist() == [3, 3, 3, 2, 2, 2, 2, 2, 2, 2]
    assert (np.diff(strata_of(np.sort(scores))) >= 0).all()
    assert strata_of(np.array([0.3, 0.1])).tolist() == [1, 0]


@pytest.mark.parametrize("is_true", [True, False])
def test_one_review_says_little(is_true: bool) -> None:
    scores = np.linspace(0.1, 0.9, 50)
    result = count_true(scores, ["a"] * 50, np.array([25]), np.array([is_true]))
    assert result.total.high - result.total.low > 20
    assert (result.share.value > 0.5) is is_true


def test_none_is_refused() -> None:
    with pytest.raises(OptionError, match="no detection was reviewed"):
        count_true(np.array([0.5]), ["a"], np.array([], int), np.array([], bool))
