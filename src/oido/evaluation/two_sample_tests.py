# SPDX-License-Identifier: Apache-2.0
"""Do two sets of recordings come from one distribution? Permutation tests, exact at any size.

What is exchanged is whole source recordings; each counts once, however many stretches of it there
are. Folds, directions and ranks are made without looking at which set a recording is of: that makes
the tests exact. Every statistic is linear or quadratic in the labels "old" and "new", so that a
thousand permutations cost a few matrix products.

A classifier that tells new from old: D. Lopez-Paz, M. Oquab, "Revisiting Classifier Two-Sample
Tests", ICLR 2017. Maximum mean discrepancy: A. Gretton et al., "A Kernel Two-Sample Test", Journal
of Machine Learning Research 13, 2012. The largest of many statistics, so that at most a stated
share of comparisons names anything wrongly: P. Westfall, S. Young, "Resampling-Based Multiple
Testing", 1993.

Arrays: S stretches of K sources; features f64[S, d]; source i64[S], 0..K−1; labels f64[K, P], 1 for
new and 0 for old, the first column as it is and the others permuted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.datasets.splits import group_numbers
from oido.evaluation.bootstrap import Estimate

_FOLDS = 5
_DIRECTIONS = 64
_RIDGE = 0.1
_ROUNDING = 1e-9


def shuffled(new: Bools, rounds: int, seed: int) -> F64:
    """f64[K, 1 + rounds]: the labels of bool[K], and so many permutations of them."""
    dice = np.random.default_rng(seed)
    columns = [new.astype(np.float64)]
    columns += [dice.permutation(columns[0]) for _ in range(rounds)]
    return np.stack(columns, axis=1)


def principal(embeddings: F32) -> F64:
    """f64[S, ≤ 64] of f32[S, D]: along the directions in which they vary most."""
    x = embeddings - embeddings.mean(axis=0)
    covariance = (x.T @ x).astype(np.float64) / len(x)
    _, directions = np.linalg.eigh(covariance)
    return np.asarray(x @ directions[:, -_DIRECTIONS:], np.float64)


def separation(features: F64, source: I64, labels: F64, seed: int) -> tuple[F64, Estimate]:
    """How well a linear classifier tells new stretches from old, of recordings that it never heard.

    Gives the areas under ROC f64[P], and the first with its 95 % interval over recordings. The
    classifier is a ridge regression; five folds hold recordings out.
    """
    count = len(labels)
    weights = source_weights(source)
    folds = np.random.default_rng(seed).permutation(count) % min(_FOLDS, count)
    outputs = np.zeros((len(source), labels.shape[1]))
    for fold in range(min(_FOLDS, count)):
        train, test = folds[source] != fold, folds[source] == fold
        w = weights[train][:, None]
        centre = (features[train] * w).sum(axis=0) / w.sum()
        x = features[train] - centre
        gram = x.T @ (x * w)
        gram += np.eye(len(gram)) * max(_RIDGE * np.trace(gram) / len(gram), 1e-12)
        y = labels - labels[folds != fold].mean(axis=0)
        beta = np.linalg.solve(gram, x.T @ (w * y[source[train]]))  # f64[d, P]
        outputs[test] = (features[test] - centre) @ beta
    areas = _areas(_shares_below(outputs, weights), source, labels)
    return areas, _interval(outputs[:, 0], source, labels[:, 0], float(areas[0]), seed)


def mmd(features: F64, source: I64, labels: F64) -> F64:
    """f64[P]: the squared maximum mean discrepancy of recordings, unbiased.

    The kernel of two recordings is the mean, over pairs of their stretches, of a Gaussian one as
    wide as the median distance. Costs S² · 8 bytes.
    """
    squares = (features**2).sum(axis=1)
    kernel = np.maximum(squares[:, None] + squares - 2 * features @ features.T, 0)
    width = float(np.median(kernel[::7, ::7])) or 1.0
    np.exp(-kernel / width, out=kernel)
    kernel = _source_means(_source_means(kernel, source, len(labels)).T, source, len(labels))
    np.fill_diagonal(kernel, 0)
    new, old = labels, 1 - labels
    n, m = new.sum(axis=0), old.sum(axis=0)
    by_new, by_old = kernel @ new, kernel @ old
    within = (new * by_new).sum(axis=0) / (n * (n - 1)) + (old * by_old).sum(axis=0) / (m * (m - 1))
    return np.asarray(within - 2 * (new * by_old).sum(axis=0) / (n * m))


class Columns(NamedTuple):
    """Which of C columns moved. area: f64[C], how often a new stretch has a higher value than an
    old one, ties half. p: f64[C], of one so moved among C. largest: f64[P], the largest move."""

    area: F64
    p: F64
    largest: F64


def moved_columns(values: F64, source: I64, labels: F64) -> Columns:
    """Rank tests of the columns of f64[S, C], two-sided."""
    shares = _shares_below(values, source_weights(source))
    ranks = _source_means(shares, source, len(labels))  # f64[K, C]
    n = labels[:, 0].sum()
    spread = ranks.std(axis=0)
    moves = np.abs(labels.T @ (ranks - ranks.mean(axis=0)))  # f64[P, C]
    moves /= np.where(spread > 0, spread, 1) * np.sqrt(n * (len(labels) - n) / len(labels))
    moves[:, spread <= _ROUNDING] = 0
    largest = moves.max(axis=1) if moves.shape[1] else np.zeros(len(moves))
    p = (largest[:, None] >= moves[0] - _ROUNDING).mean(axis=0)
    areas = [_areas(shares[:, [c]], source, labels[:, :1])[0] for c in range(shares.shape[1])]
    return Columns(np.asarray(areas), p, largest)


def joint_p(statistics: list[F64]) -> tuple[float, list[float]]:
    """The p value of several statistics f64[P] together, and of each; larger is stranger.

    Together: how often the least of their p values is as small as it is in the first column.
    """
    each = np.stack([_share_as_large(values) for values in statistics])  # f64[n, P]
    least = each.min(axis=0)
    return float((least <= least[0] + _ROUNDING).mean()), [float(row[0]) for row in each]


def source_weights(source: I64) -> F64:
    """f64[S]: those of a source sum to 1."""
    return np.asarray(1 / np.bincount(source)[source])


def _source_means(values: F64, source: I64, count: int) -> F64:
    """f64[K, …] of f64[S, …]"""
    order = np.argsort(source, kind="stable")
    sizes = np.bincount(source, minlength=count)
    sums = np.add.reduceat(values[order], np.cumsum(sizes) - sizes, axis=0)
    return np.asarray(sums / sizes.reshape(-1, *[1] * (values.ndim - 1)))


def _shares_below(values: F64, weights: F64) -> F64:
    """f64[S, C]: the weighted share of a column below each value, half of what equals it."""
    shares = np.empty(values.shape)
    for column in range(values.shape[1]):
        _, inverse = np.unique(values[:, column], return_inverse=True)
        mass = np.bincount(inverse, weights) / weights.sum()
        shares[:, column] = (np.cumsum(mass) - mass / 2)[inverse]
    return shares


def _areas(shares: F64, source: I64, labels: F64) -> F64:
    """f64[P] of f64[S, P]: the areas under ROC that follow from shares in the whole.

    The mean share of the new is (n/2 + m · area) / (n + m), because all is n new and m old.
    """
    n = labels.sum(axis=0)
    m = len(labels) - n
    means = (_source_means(shares, source, len(labels)) * labels).sum(axis=0) / n
    return np.asarray(((n + m) * means - n / 2) / m)


def _interval(outputs: F64, source: I64, labels: F64, area: float, seed: int) -> Estimate:
    """The 2.5th and 97.5th percentile over recordings drawn again, new and old by themselves."""
    new = labels[source] > 0
    wins = np.sign(outputs[new][:, None] - outputs[~new]) / 2 + 0.5
    pairs = _source_means(wins, group_numbers(source[new]), int(labels.sum()))
    old = group_numbers(source[~new])
    pairs = _source_means(pairs.T, old, int((1 - labels).sum()))  # f64[m, n]
    dice = np.random.default_rng(seed)
    m, n = pairs.shape
    drawn_old, drawn_new = (dice.multinomial(k, np.full(k, 1 / k), 1_000) / k for k in (m, n))
    samples = ((drawn_old @ pairs) * drawn_new).sum(axis=1)
    low, high = np.quantile(samples, (0.025, 0.975))
    return Estimate(area, min(float(low), area), max(float(high), area))


def _share_as_large(values: F64) -> F64:
    """f64[P]: the share of all that are as large as each, or larger."""
    below = np.searchsorted(np.sort(values), values - _ROUNDING, side="left")
    return np.asarray(1 - below / len(values))
