# SPDX-License-Identifier: Apache-2.0
"""Sites that a reviewed sample does not speak for, because they sound otherwise.

What was reviewed is compared with each site's own detections at the same scores, by the embeddings
that the archive keeps: a permutation test over recordings, and how well a linear classifier tells
the two apart where it was not fitted. A site is named only if both say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from oido.arrays import F32, I64
from oido.datasets.splits import group_numbers
from oido.evaluation.drift import CLEAR, LEAST_RECORDINGS
from oido.evaluation.prevalence import halves_of, strata_of
from oido.evaluation.two_sample_tests import mmd, principal, separation, shuffled
from oido.results.query_text import quoted
from oido.results.results import Results
from oido.results.window_scores import ScoredWindows, embedding_batches

_MOST_SITES = 50
_OF_EACH = 200
"""Detections of a site, and of the sample, that are compared."""

_LEVEL = 0.01
"""Of all sites together: this share of samples that speak for all name one."""

_ENOUGH = 10
"""So many reviews of its own speak for a site."""

_ROUNDS = 999


def unlike_sample(
    results: Results, found: ScoredWindows, reviewed: I64, *, in_halves: bool = False, seed: int = 0
) -> tuple[str, ...]:
    """Sites with few reviews whose detections differ from the reviewed ones at like scores.

    found: all detections, with a column ``key_site``; reviewed: i64[m], numbers of them. None where
    the archive keeps no embeddings, where there is one site, or with few recordings.
    """
    sites = np.array([str(site) for site in found.columns["key_site"]])
    names = np.unique(sites)
    if not 2 <= len(names) <= _MOST_SITES or not _has_embeddings(results):
        return ()
    strata = (halves_of if in_halves else strata_of)(found.scores)
    random = np.random.default_rng(seed)
    chosen: dict[str, tuple[I64, I64]] = {}
    for name in names:
        if (sites[reviewed] == name).sum() >= _ENOUGH:
            continue
        sample = reviewed[sites[reviewed] != name]
        own = _alike(strata, np.flatnonzero(sites == name), sample, random)
        chosen[name] = own, random.permutation(sample)[:_OF_EACH]
    if not chosen:
        return ()
    numbers = np.unique(np.concatenate([np.concatenate(pair) for pair in chosen.values()]))
    vectors = _embeddings(results, found, numbers)
    files = found.columns["file"]
    unlike = []
    for name, pair in chosen.items():
        new, old = ([n for n in group.tolist() if n in vectors] for group in pair)
        if _differ(
            [files[n] for n in old],
            [files[n] for n in new],
            [vectors[n] for n in old],
            [vectors[n] for n in new],
            _LEVEL / len(names),
            seed,
        ):
            unlike.append(name)
    return tuple(unlike)


def _alike(strata: I64, own: I64, sample: I64, random: np.random.Generator) -> I64:
    """Of a site's detections as many of each stratum as the sample has, as far as there are any."""
    found = []
    for stratum in np.unique(strata[sample]):
        group = own[strata[own] == stratum]
        share = float((strata[sample] == stratum).mean())
        found.append(random.permutation(group)[: max(1, round(_OF_EACH * share))])
    return np.concatenate(found) if found else own[:0]


def _differ(
    old_files: Sequence[str],
    new_files: Sequence[str],
    old: Sequence[F32],
    new: Sequence[F32],
    level: float,
    seed: int,
) -> bool:
    counts = len({*old_files}), len({*new_files})
    if min(counts) < LEAST_RECORDINGS:
        return False
    source = np.concatenate([group_numbers(old_files), group_numbers(new_files) + counts[0]])
    labels = shuffled(np.arange(sum(counts)) >= counts[0], _ROUNDS, seed)
    features = principal(np.stack([*old, *new]))
    values = mmd(features, source, labels)
    if (values >= values[0]).mean() > max(level, 1 / (_ROUNDS + 1)):
        return False
    _, area = separation(features, source, labels[:, :1], seed)
    return area.value >= CLEAR


def _has_embeddings(results: Results) -> bool:
    return bool(results.sql("SELECT 1 AS one FROM embeddings LIMIT 1").num_rows)


def _embeddings(results: Results, found: ScoredWindows, numbers: I64) -> dict[int, F32]:
    """The embedding of the window in the middle of each detection that has one."""
    columns: dict[str, list[Any]] = {name: found.columns[name] for name in _PLACE}
    values = ", ".join(
        f"({n}, {quoted(columns['file'][n])}, "
        f"{'NULL' if columns['channel'][n] is None else columns['channel'][n]}, "
        f"{(columns['start_time'][n] + columns['end_time'][n]) / 2!r})"
        for n in numbers.tolist()
    )
    if not values:
        return {}
    condition = (
        f"JOIN (VALUES {values}) AS wanted(nth, of_file, of_channel, of_time) ON file = of_file "
        "AND channel IS NOT DISTINCT FROM of_channel AND start_time <= of_time "
        "AND end_time >= of_time"
    )
    nearest: dict[int, tuple[float, F32]] = {}
    distance = "abs((start_time + end_time) / 2 - of_time) AS distance"
    for plain, vectors in embedding_batches(results, ["nth", distance], condition):
        for nth, far, vector in zip(plain["nth"], plain["distance"], vectors):
            if nth not in nearest or far < nearest[nth][0]:
                nearest[nth] = far, vector
    return {nth: vector for nth, (_, vector) in nearest.items()}


_PLACE = ("file", "channel", "start_time", "end_time")
