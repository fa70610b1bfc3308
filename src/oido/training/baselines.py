# SPDX-License-Identifier: Apache-2.0
"""What a head must beat: the plain ways to classify clips by their embeddings.

Each takes clips of one label each to learn from, and clips to judge, and gives f32[K, C]
probabilities of the latter, clip by clip; rows sum to 1. Logistic regression is for clips of
several labels, too: one of each class against the others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.datasets.splits import training_extra
from oido.errors import OptionError
from oido.inference.embedder import l2_normalized
from oido.messages import tr
from oido.training.embeddings import EmbeddedClips
from oido.training.fit import Adam
from oido.training.head import activate


def majority(known: EmbeddedClips, unknown: EmbeddedClips, seed: int = 0) -> F32:
    """The shares of the classes among ``known``, for every clip: the best without its sound.

    Of classes with the same share, the first is the answer.
    """
    shares = known.targets.sum(axis=0) / len(known)
    return np.tile(shares, (len(unknown), 1)).astype(np.float32)


def nearest_centroid(known: EmbeddedClips, unknown: EmbeddedClips, seed: int = 0) -> F32:
    """By the cosine to each class's mean embedding; the softmax of ten times the cosine."""
    labels = _labels(known)
    cosines = np.full((len(unknown), len(known.classes)), -10.0)
    rows = l2_normalized(unknown.means)
    for label in np.unique(labels):
        centroid = l2_normalized(known.means[labels == label]).mean(axis=0, keepdims=True)
        cosines[:, label] = (rows @ l2_normalized(centroid).T)[:, 0]
    return activate((10 * cosines).astype(np.float32), "softmax")


def model_maker(
    known: EmbeddedClips,
    unknown: EmbeddedClips,
    seed: int = 0,
    *,
    epochs: int = 5,
    noise: float = 0.2,
) -> F32:
    """TensorFlow Lite Model Maker's recipe for audio: the mean embedding, one dense softmax.

    Adam with steps of 0.001, batches of 32, Glorot's uniform start, Gaussian noise of standard
    deviation ``noise`` added to each embedding; Keras's defaults elsewhere. 5 epochs by
    default.
    """
    random = np.random.default_rng(seed)
    features, labels = known.means.astype(np.float64), _labels(known)
    size, count = features.shape[1], len(known.classes)
    limit = np.sqrt(6 / (size + count))
    parameters = [random.uniform(-limit, limit, (size, count)), np.zeros(count)]
    adam = Adam(parameters)
    for _ in range(epochs):
        order = random.permutation(len(features))
        for start in range(0, len(order), 32):
            rows = order[start : start + 32]
            x = features[rows] + random.normal(0, noise, (len(rows), size))
            slope = activate((x @ parameters[0] + parameters[1]).astype(np.float32), "softmax")
            slope[np.arange(len(rows)), labels[rows]] -= 1
            slope /= len(rows)
            adam.update([x.T @ slope, slope.sum(axis=0)], 1e-3)
    logits = unknown.means @ parameters[0] + parameters[1]
    return activate(logits.astype(np.float32), "softmax")


def logistic(
    known: EmbeddedClips, unknown: EmbeddedClips, seed: int = 0, *, standardize: bool = False
) -> F32:
    """scikit-learn's logistic regression as it comes, on the mean and the maximum of windows.

    standardize: give each of the 2 · D features mean 0 and variance 1 first.
    """
    x = np.concatenate([known.means, known.maxima], axis=1).astype(np.float64)
    y = np.concatenate([unknown.means, unknown.maxima], axis=1).astype(np.float64)
    if standardize:
        centre, spread = x.mean(axis=0), x.std(axis=0)
        spread[spread < 1e-9] = 1
        x, y = (x - centre) / spread, (y - centre) / spread
    rows, others = _in_span(x, y)
    if known.multi_label:
        return _one_against_rest(rows, others, known.targets)
    labels = known.labels
    found = np.unique(labels)
    logits = np.full((len(others), len(known.classes)), -30.0)
    if len(found) == 1:
        logits[:, found] = 0
    else:
        weights, bias = _regression(rows, labels)
        if len(weights) == 1:  # of two classes, scikit-learn keeps the second
            weights = np.concatenate([-weights, weights]) / 2
            bias = np.concatenate([-bias, bias]) / 2
        logits[:, found] = others @ weights.T + bias
    return activate(logits.astype(np.float32), "softmax")


def _one_against_rest(rows: F32, others: F32, targets: F32) -> F32:
    """f32[K, C], by the clips of which each class is known; a class always or never there: as often
    as it was."""
    logits = np.zeros((len(others), targets.shape[1]))
    for column, wanted in enumerate(targets.T):
        here = ~np.isnan(wanted)
        present = wanted[here] > 0
        if present.any() and not present.all():
            weights, bias = _regression(rows[here], present)
            logits[:, column] = others @ weights[0] + bias
        else:
            logits[:, column] = np.log((present.sum() + 0.5) / ((~present).sum() + 0.5))
    return activate(logits.astype(np.float32), "sigmoid")


def _regression(rows: F32, labels: I64 | Bools) -> tuple[F64, F64]:
    with training_extra():
        from sklearn.linear_model import LogisticRegression
    model = LogisticRegression(max_iter=1000).fit(rows, labels)
    return np.asarray(model.coef_), np.asarray(model.intercept_)


def _in_span(x: F64, y: F64) -> tuple[F32, F32]:
    """Both in coordinates of the space that the rows of ``x`` span: [K, r] and [N, r].

    A turn of the axes, and weights that are drawn towards 0 have nothing outside of that space: the
    same regression of fewer features, where there are more features than clips.
    """
    if len(x) < x.shape[1]:
        values, vectors = np.linalg.eigh(x @ x.T)
        kept = values > max(float(values[-1]), 1e-30) * 1e-10
        basis = x.T @ (vectors[:, kept] / np.sqrt(values[kept]))
        x, y = x @ basis, y @ basis
    return x.astype(np.float32), y.astype(np.float32)


def _labels(clips: EmbeddedClips) -> I64:
    if clips.multi_label:
        raise OptionError(tr("the baselines are for clips of one label each"))
    return clips.labels


Baseline = Callable[[EmbeddedClips, EmbeddedClips, int], F32]

BASELINES: dict[str, Baseline] = {
    tr("majority class"): majority,
    tr("nearest centroid"): nearest_centroid,
    tr("Model Maker, 5 epochs"): model_maker,
    tr("Model Maker, 50 epochs"): partial(model_maker, epochs=50),
    tr("logistic, mean + max"): logistic,
    tr("logistic, mean + max, standardized"): partial(logistic, standardize=True),
}
"""Every baseline by its name in tables."""
