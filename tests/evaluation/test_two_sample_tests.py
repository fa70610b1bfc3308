# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from oido.evaluation.two_sample_tests import (
    joint_p,
    mmd,
    moved_columns,
    principal,
    separation,
    shuffled,
)

Floats = NDArray[np.float64]


def clustered(
    seed: int, new_shift: float = 0.0, sources: int = 24, width: int = 6
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Stretches of sources that each have a colour of their own; new ones have more stretches."""
    dice = np.random.default_rng(seed)
    new = np.arange(sources) >= sources // 2
    sizes = np.where(new, dice.integers(4, 9, sources), dice.integers(1, 3, sources))
    source = np.repeat(np.arange(sources), sizes)
    colour = dice.normal(size=(sources, width)) + new_shift * new[:, None]
    features = colour[source] + dice.normal(0, 0.5, (len(source), width))
    return features, source, shuffled(new, 199, seed)


def together(features: Floats, source: NDArray[np.int64], labels: Floats) -> float:
    areas, _ = separation(features, source, labels, 0)
    columns = moved_columns(features, source, labels)
    return joint_p([areas, mmd(features, source, labels), columns.largest])[0]


def test_the_false_alarm_rate_is_the_stated_one() -> None:
    found = [together(*clustered(seed)) < 0.05 for seed in range(200)]
    # Of 200 at 5 % each: 10 are expected, and 3 to 20 hold all but one in 500 such experiments.
    assert 3 <= sum(found) <= 20


def test_a_shift_is_found() -> None:
    assert all(together(*clustered(seed, new_shift=1.2)) < 0.05 for seed in range(10))


def test_stretches_of_one_source_are_no_evidence_by_themselves() -> None:
    found = [
        together(features, np.arange(len(source)), shuffled(source >= 12, 199, 0))
        for features, source, _ in (clustered(seed) for seed in range(30))
    ]
    assert sum(p < 0.05 for p in found) > 10  # what counting by source protects from


def test_the_area_is_that_of_pairs() -> None:
    features, source, labels = clustered(5, new_shift=0.3)
    column = np.round(features[:, :1], 1)  # with ties
    new = labels[source, 0] > 0
    weights = 1 / np.bincount(source)[source]
    wins = (column[new] > column[~new].T) + 0.5 * (column[new] == column[~new].T)
    expected = np.average(wins, weights=np.outer(weights[new], weights[~new]))
    assert moved_columns(column, source, labels).area[0] == pytest.approx(expected, abs=1e-12)


def test_the_area_of_single_stretches_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    dice = np.random.default_rng(1)
    values, new = dice.integers(0, 6, (40, 3)).astype(float), np.arange(40) >= 25
    found = moved_columns(values, np.arange(40), shuffled(new, 9, 0)).area
    assert found == pytest.approx([metrics.roc_auc_score(new, values[:, c]) for c in range(3)])


def test_the_separation_has_its_area_in_its_interval() -> None:
    features, source, labels = clustered(8, new_shift=1.0)
    areas, area = separation(features, source, labels, 0)
    assert area.value == areas[0]
    assert 0.5 < area.low < area.value < area.high <= 1
    assert np.median(areas[1:]) == pytest.approx(0.5, abs=0.1)


def test_the_discrepancy_is_the_one_of_the_definition() -> None:
    features, source, labels = clustered(2, new_shift=0.5, sources=10)
    squares = ((features[:, None] - features) ** 2).sum(axis=2)
    kernel = np.exp(-squares / np.median(squares[::7, ::7]))
    k = np.array(
        [[kernel[np.ix_(source == a, source == b)].mean() for b in range(10)] for a in range(10)]
    )

    def mean(first: range, second: range) -> float:
        return float(np.mean([k[a, b] for a in first for b in second if a != b]))

    old, new = range(5), range(5, 10)
    expected = mean(old, old) + mean(new, new) - 2 * mean(old, new)
    assert mmd(features, source, labels)[0] == pytest.approx(expected, abs=1e-12)


def test_only_the_column_that_moved_is_named() -> None:
    features, source, labels = clustered(4)
    features[:, 2] += 3.0 * labels[source, 0]
    columns = moved_columns(np.column_stack([features, np.ones(len(source))]), source, labels)
    assert np.flatnonzero(columns.p < 0.05).tolist() == [2]
    assert columns.area[2] > 0.9
    assert columns.area[6] == pytest.approx(0.5)  # a constant column
    assert columns.p[6] == 1


def test_principal_directions_keep_distances() -> None:
    x = np.random.default_rng(0).normal(size=(30, 12)).astype(np.float32)
    projected = principal(x)
    assert np.linalg.norm(projected[3] - projected[7]) == pytest.approx(
        float(np.linalg.norm(x[3] - x[7])), rel=1e-5
    )
