# SPDX-License-Identifier: Apache-2.0
"""Counts from reviewed samples: how often the interval of 95 % holds the truth, and how wide it is.

    python benchmarks/counting.py                        500 draws of each scenario, half an hour
    python benchmarks/counting.py --draws 100 --only "shares;rare, scores"

An archive is drawn anew each time: sites, detections with scores, which of them are true. The
sample is stratified as `oido clips` draws it; `oido.evaluation.prevalence.count_true` says how many
are true, of all and at each site. Scenarios differ in how scores are spread (normal, beta, skewed),
in how many are true (0.5 to 90 %), and in the number of sites and of reviews; some have sites that
differ in the true share, in their scores (the same score then means another probability), in how
well scores tell true from false, and in size. Windows are counted, too. Of a scenario with sites
that have no review, the column "sites" is of these. What is chosen in the model is chosen on seeds
0 to 119, so it is judged on others.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from oido.evaluation.prevalence import count_true, halves_of, strata_of


@dataclass(frozen=True)
class Scenario:
    """shares: what is true at each site; shifts: of scores (logits) there; separations: how far
    true scores are from false ones there; sizes: of sites. Of one value each site has that.
    unreviewed: so many sites, by chance, have no review."""

    name: str
    n: int
    reviews: int
    shares: tuple[float, ...]
    shifts: tuple[float, ...] = (0.0,)
    scores: str = "normal"
    in_halves: bool = False
    separations: tuple[float, ...] = (1.0,)
    sizes: tuple[float, ...] = (1.0,)
    unreviewed: int = 0


_APART = (0.1, 0.2, 0.4, 0.5)
_SHIFTED = (-0.75, -0.25, 0.25, 0.75)
_FEW = (0.002, 0.005, 0.01, 0.03)
_TWENTY = tuple(np.linspace(0.05, 0.6, 20).tolist())
_TWENTY_SHIFTED = tuple(np.random.default_rng(0).normal(0, 0.7, 20).tolist())
_TWENTY_SIZES = tuple((1 / np.arange(1, 21)).tolist())
SCENARIOS = (
    Scenario("alike", 2000, 100, (0.3,) * 4),
    Scenario("alike, 30 reviews", 2000, 30, (0.3,) * 4),
    Scenario("alike, 300 reviews", 2000, 300, (0.3,) * 4),
    Scenario("shares", 2000, 100, _APART),
    Scenario("scores", 2000, 100, (0.3,) * 4, _SHIFTED),
    Scenario("shares and scores", 2000, 100, _APART, _SHIFTED),
    Scenario("scores far apart", 2000, 100, (0.3,) * 4, (-2.0, -1.0, 1.0, 2.0)),
    Scenario("shares far apart", 2000, 100, (0.2, 0.5, 0.9, 0.95)),
    Scenario("separations", 2000, 100, (0.3,) * 4, separations=(0.3, 0.7, 1.0, 1.5)),
    Scenario("rare", 2000, 100, (0.05,) * 4),
    Scenario("rare, scores", 2000, 100, (0.05,) * 4, _SHIFTED),
    Scenario("very rare (0.5 %)", 4000, 200, (0.005,) * 4, _SHIFTED),
    Scenario("nearly all", 2000, 100, (0.9, 0.95, 0.97, 0.9)),
    Scenario("nearly all, scores", 2000, 100, (0.9,) * 4, _SHIFTED),
    Scenario("few events", 300, 50, (0.3,) * 4),
    Scenario("two sites", 2000, 60, (0.2, 0.6), (-1.0, 1.0), sizes=(1.0, 4.0)),
    Scenario("twenty sites", 4000, 300, _TWENTY, _TWENTY_SHIFTED, sizes=_TWENTY_SIZES),
    Scenario("twenty sites, 60 reviews", 4000, 60, _TWENTY, _TWENTY_SHIFTED, sizes=_TWENTY_SIZES),
    Scenario("beta", 2000, 100, _APART, _SHIFTED, "beta"),
    Scenario("beta, 30 reviews", 2000, 30, _APART, _SHIFTED, "beta"),
    Scenario("beta, rare", 2000, 100, (0.05,) * 4, _SHIFTED, "beta"),
    Scenario("skewed", 2000, 100, _APART, _SHIFTED, "skewed"),
    Scenario("skewed, rare", 2000, 100, (0.05,) * 4, _SHIFTED, "skewed"),
    Scenario("skewed, 60 % true", 2000, 200, (0.6,) * 4, _SHIFTED, "skewed"),
    Scenario("windows", 20_000, 200, (0.01,) * 4, in_halves=True),
    Scenario("windows, shares, scores", 20_000, 200, _FEW, _SHIFTED, in_halves=True),
    Scenario("windows, 20 %", 20_000, 100, _APART, _SHIFTED, in_halves=True),
    Scenario("windows, beta", 20_000, 200, (0.01,) * 4, _SHIFTED, "beta", in_halves=True),
    Scenario("windows, skewed", 20_000, 200, (0.01,) * 4, _SHIFTED, "skewed", in_halves=True),
    Scenario("windows, twenty sites", 20_000, 300, (0.02,) * 20, _TWENTY_SHIFTED, in_halves=True),
    Scenario("no review of a site", 2000, 100, _APART, _SHIFTED, unreviewed=1),
    Scenario("no review of 5 of twenty", 4000, 300, _TWENTY, _TWENTY_SHIFTED, unreviewed=5),
)


def scores_of(
    scenario: Scenario, site: np.ndarray, truth: np.ndarray, random: np.random.Generator
) -> np.ndarray:
    """Scores between 0 and 1, at each site shifted and as far apart as it is there."""

    def at_site(values: tuple[float, ...]) -> np.ndarray:
        return np.asarray(np.resize(values, len(scenario.shares))[site])

    apart = np.where(truth, at_site(scenario.separations), 0.0)
    if scenario.scores == "normal":
        logits = random.normal(2 * apart - 1, 1.0)
    elif scenario.scores == "beta":
        share = random.beta(2 + 3 * apart, 5 - 3 * apart)
        logits = np.log(share / (1 - share))
    else:
        logits = random.gamma(1 + 2 * apart, 1.0) - 2
    return np.asarray(1 / (1 + np.exp(-(logits + at_site(scenario.shifts)))))


def drawn(scenario: Scenario, seed: int) -> tuple[bool, list[bool], float, list[float]]:
    """One archive: whether the truth is in the interval of all and of each site, and widths."""
    # Other numbers for each scenario: what chance does to one, it must not do to all.
    random = np.random.default_rng((seed, SCENARIOS.index(scenario)))
    n_sites = len(scenario.shares)
    sizes = np.resize(scenario.sizes, n_sites)
    site = random.choice(n_sites, scenario.n, p=sizes / sizes.sum())
    truth = random.random(scenario.n) < np.array(scenario.shares)[site]
    scores = scores_of(scenario, site, truth, random)
    strata = (halves_of if scenario.in_halves else strata_of)(scores)
    groups = [np.flatnonzero(strata == number) for number in range(int(strata.max()) + 1)]
    each = scenario.reviews // len(groups)
    reviewed = np.concatenate([random.permutation(group)[:each] for group in groups])
    judged: Sequence[int] = range(n_sites)
    if scenario.unreviewed:
        judged = random.choice(n_sites, scenario.unreviewed, replace=False).tolist()
        reviewed = reviewed[~np.isin(site[reviewed], judged)]
    found = count_true(
        scores, site.tolist(), reviewed, truth[reviewed], in_halves=scenario.in_halves, seed=seed
    )
    of_sites = np.bincount(site, truth, n_sites)
    estimates = {number: found.groups[number] for number in judged if number in found.groups}
    sites = [est.low <= of_sites[number] <= est.high for number, est in estimates.items()]
    widths = [est.high - est.low for est in estimates.values()]
    inside = found.total.low <= truth.sum() <= found.total.high
    return bool(inside), [bool(s) for s in sites], found.total.high - found.total.low, widths


def measured(
    scenario: Scenario, first: int, draws: int, pool: Any
) -> tuple[float, float, float, float]:
    """Coverage of all and of sites, and the mean widths, as shares of the detections."""
    runs = list(pool.map(partial(drawn, scenario), range(first, first + draws), chunksize=10))
    inside, sites, width, widths = zip(*runs)
    return (
        float(np.mean(inside)),
        float(np.mean(np.concatenate(sites))),
        float(np.mean(width)) / scenario.n,
        float(np.mean(np.concatenate(widths))) * len(scenario.shares) / scenario.n,
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--only", default="", help="scenarios by name, with semicolons")
    parser.add_argument("--jobs", type=int, default=None)
    arguments = parser.parse_args()
    wanted = {name.strip() for name in arguments.only.split(";") if name.strip()}
    started = time.perf_counter()
    print(
        f"{arguments.draws} draws each, seeds from {arguments.first_seed}; inside the interval of "
        "95 %, and its mean width"
    )
    print(
        f"{'':28s} {'n':>6s} {'reviews':>7s}  "
        f"{'all':>6s} {'sites':>6s}  {'width':>6s} {'sites':>6s}"
    )
    coverages = []
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for scenario in SCENARIOS:
            if wanted and scenario.name not in wanted:
                continue
            inside, sites, width, widths = measured(
                scenario, arguments.first_seed, arguments.draws, pool
            )
            coverages.append(inside)
            print(
                f"{scenario.name:28s} {scenario.n:6d} {scenario.reviews:7d}  {inside:6.1%} "
                f"{sites:6.1%}  {width:6.1%} {widths:6.1%}",
                flush=True,
            )
    print(
        f"all: from {min(coverages):.1%} to {max(coverages):.1%}, mean {np.mean(coverages):.1%}; "
        f"{time.perf_counter() - started:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
