# SPDX-License-Identifier: Apache-2.0
"""Counts from reviewed samples: how often the interval of 95 % holds the truth, and how wide it is.

    python benchmarks/counting.py                        500 draws of each scenario, some minutes
    python benchmarks/counting.py --draws 100 --only shares,rare

An archive is drawn anew each time: four sites, detections with scores, which of them are true. The
sample is stratified as `oido clips` draws it; `oido.evaluation.prevalence.count_true` says how many
are true, of all and at each site. Scenarios: sites alike; true shares that differ by site; scores
that are shifted by site, so that the same score means another probability there; both; rare and
nearly always true; fewer and more reviews; and windows, of which one in a hundred holds the sound.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from oido.evaluation.prevalence import count_true, halves_of, strata_of

_SITES = 4


@dataclass(frozen=True)
class Scenario:
    """shares: what is true at each site; shifts: of scores (logits) at each site."""

    name: str
    n: int
    reviews: int
    shares: tuple[float, ...]
    shifts: tuple[float, ...] = (0.0,) * _SITES
    in_halves: bool = False


_SHIFTED = (-0.75, -0.25, 0.25, 0.75)
SCENARIOS = (
    Scenario("alike", 2000, 100, (0.3,) * 4),
    Scenario("alike, 50 reviews", 2000, 50, (0.3,) * 4),
    Scenario("alike, 300 reviews", 2000, 300, (0.3,) * 4),
    Scenario("shares", 2000, 100, (0.1, 0.2, 0.4, 0.5)),
    Scenario("scores", 2000, 100, (0.3,) * 4, _SHIFTED),
    Scenario("shares and scores", 2000, 100, (0.1, 0.2, 0.4, 0.5), _SHIFTED),
    Scenario("shares far apart", 2000, 100, (0.2, 0.5, 0.9, 0.95)),
    Scenario("rare", 2000, 100, (0.05,) * 4),
    Scenario("rare, scores", 2000, 100, (0.05,) * 4, _SHIFTED),
    Scenario("nearly all", 2000, 100, (0.9, 0.95, 0.97, 0.9)),
    Scenario("few events", 300, 50, (0.3,) * 4),
    Scenario("windows (1 %)", 20_000, 200, (0.01,) * 4, in_halves=True),
    Scenario(
        "windows (shares and scores)", 20_000, 200, (0.002, 0.005, 0.01, 0.03), _SHIFTED, True
    ),
)


def drawn(scenario: Scenario, seed: int) -> tuple[bool, list[bool], float, list[float]]:
    """One archive: whether the truth is in the interval of all and of each site, and widths."""
    random = np.random.default_rng(seed)
    site = random.integers(0, _SITES, scenario.n)
    truth = random.random(scenario.n) < np.array(scenario.shares)[site]
    logits = random.normal(np.where(truth, 2.0, 0.0), 1.0) + np.array(scenario.shifts)[site]
    scores = 1 / (1 + np.exp(1 - logits))
    strata = (halves_of if scenario.in_halves else strata_of)(scores)
    groups = [np.flatnonzero(strata == number) for number in range(int(strata.max()) + 1)]
    each = scenario.reviews // len(groups)
    reviewed = np.concatenate([random.permutation(group)[:each] for group in groups])
    found = count_true(
        scores, site.tolist(), reviewed, truth[reviewed], in_halves=scenario.in_halves, seed=seed
    )
    of_sites = np.bincount(site, truth, _SITES)
    sites = [est.low <= of_sites[number] <= est.high for number, est in found.groups.items()]
    widths = [est.high - est.low for est in found.groups.values()]
    inside = found.total.low <= truth.sum() <= found.total.high
    return bool(inside), [bool(s) for s in sites], found.total.high - found.total.low, widths


def measured(scenario: Scenario, draws: int, pool: Any) -> tuple[float, float, float, float]:
    """Coverage of all and of sites, and the mean widths, as shares of the detections."""
    runs = list(pool.map(partial(drawn, scenario), range(draws), chunksize=10))
    inside, sites, width, widths = zip(*runs)
    return (
        float(np.mean(inside)),
        float(np.mean(np.concatenate(sites))),
        float(np.mean(width)) / scenario.n,
        float(np.mean(np.concatenate(widths))) * _SITES / scenario.n,
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--only", default="", help="scenarios by name, with commas")
    parser.add_argument("--jobs", type=int, default=None)
    arguments = parser.parse_args()
    wanted = {name.strip() for name in arguments.only.split(",") if name.strip()}
    started = time.perf_counter()
    print(f"{arguments.draws} draws each; inside the interval of 95 %, and its mean width")
    print(
        f"{'':28s} {'n':>6s} {'reviews':>7s}  "
        f"{'all':>6s} {'sites':>6s}  {'width':>6s} {'sites':>6s}"
    )
    coverages = []
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for scenario in SCENARIOS:
            if wanted and scenario.name not in wanted:
                continue
            inside, sites, width, widths = measured(scenario, arguments.draws, pool)
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
