# SPDX-License-Identifier: Apache-2.0
"""Heads that are taught by whole clips: attention and multiple instances over windows.

A clip is a bag of windows, and its label is of the bag. *Attention* (Ilse, Tomczak and Welling,
Attention-based deep multiple instance learning, 2018) learns beside the head which windows count:
the logits of a clip are a mean of its windows', by weights that are a softmax of a linear function
of each window. *Soft maximum* takes the logarithm of the mean of the windows' exponentials, class
by class. Both are fitted like oido's linear head (the same features, penalty, balance and silent
example), and calibrated like it; `evidence.py` sets them beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from oido.calibration.scaling import fit_slopes
from oido.datasets.dataset import class_weights
from oido.datasets.splits import stratified_folds
from oido.training.embeddings import EmbeddedClips
from oido.training.fit import STRENGTH, LinearOptions, prepare
from oido.training.head import activate

Pooling = Literal["attention", "soft maximum"]
F32 = NDArray[np.float32]


class Bags(NamedTuple):
    """x: f32[M, q], features of windows; clips: i64[M]; quiet: f32[M], ln of the share of sound."""

    x: torch.Tensor
    clips: torch.Tensor
    quiet: torch.Tensor
    count: int

    @classmethod
    def of(cls, features: F32, clips: NDArray[np.int64], shares: NDArray[np.float64]) -> Bags:
        """Of rows in the order of their clips."""
        quiet = np.log(np.maximum(shares, 1e-6)).astype(np.float32)
        tensors = (torch.from_numpy(np.ascontiguousarray(a)) for a in (features, clips, quiet))
        return cls(*tensors, int(clips.max()) + 1)

    def softmax(self, values: torch.Tensor) -> torch.Tensor:
        """f32[M] or f32[M, C] → shares that sum to 1 in each clip; windows of padding have none."""
        values = values + (self.quiet if values.ndim == 1 else self.quiet[:, None])
        powers = torch.exp(values - values.max())
        sums = torch.zeros((self.count, *powers.shape[1:])).index_add(0, self.clips, powers)
        return powers / sums.clamp_min(1e-30)[self.clips]

    def sums(self, values: torch.Tensor) -> torch.Tensor:
        """f32[M, C] → f32[K, C]."""
        return torch.zeros((self.count, values.shape[1])).index_add(0, self.clips, values)


def fit_bags(
    clips: EmbeddedClips, options: LinearOptions, pooling: Pooling
) -> Callable[[EmbeddedClips], F32]:
    """A head of whole clips; gives what makes logits f32[K, C] of others."""
    data = prepare(clips, options)
    windows = len(clips.embeddings)
    n_quiet = 0 if clips.quiet is None else len(clips.quiet)
    # The windows, and the quiet.
    rows = np.concatenate([data.x[:windows], data.x[len(data.x) - n_quiet :]])
    index = np.concatenate([clips.clip_index, len(clips) + np.arange(n_quiet)])
    shares = np.concatenate([clips.weights, np.ones(n_quiet)])
    bags = Bags.of(rows.astype(np.float32), index, shares)
    size, count = rows.shape[1], len(clips.classes)
    targets = np.concatenate([clips.targets, np.full((n_quiet, count), 1 / count)])
    of_clips = class_weights(clips.targets, False, options.balance).mean(axis=1)
    weights = np.concatenate(
        [of_clips, np.full(n_quiet, options.quiet * len(clips) / max(1, n_quiet))]
    )
    wanted, weighed = (torch.from_numpy(a.astype(np.float32)) for a in (targets, weights))
    total, strength = float(weights.sum()), options.strength or STRENGTH

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        head = torch.from_numpy(flat.astype(np.float32)).requires_grad_()
        logits = _logits(bags, head, size, count, pooling)
        losses = -(wanted * torch.log_softmax(logits, dim=1)).sum(dim=1) * weighed
        penalty = 0.5 / strength * (head.square().sum() - head[-count:].square().sum())
        value = (losses.sum() + penalty) / total
        value.backward()
        assert head.grad is not None
        return float(value.detach()), head.grad.numpy().astype(np.float64)

    start = np.zeros(size * count + size + count)
    limits = {"maxiter": 150, "gtol": 1e-5, "ftol": 1e-6}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=limits).x
    head = torch.from_numpy(found.astype(np.float32))

    def logits_of(others: EmbeddedClips) -> F32:
        seen = np.sqrt(np.maximum(others.embeddings, 0)) if data.square_root else others.embeddings
        features = ((seen - data.centre) @ data.basis).astype(np.float32)
        bags = Bags.of(features, others.clip_index, others.weights)
        with torch.no_grad():
            return _logits(bags, head, size, count, pooling).numpy()

    return logits_of


def _logits(
    bags: Bags, head: torch.Tensor, size: int, count: int, pooling: Pooling
) -> torch.Tensor:
    """f32[K, C]. head: weights [q · C], of the attention [q], bias [C]."""
    weights, attention = head[: size * count].reshape(size, count), head[size * count :][:size]
    logits = bags.x @ weights + head[-count:]
    if pooling == "attention":
        return bags.sums(bags.softmax(bags.x @ attention)[:, None] * logits)
    shares = bags.softmax(torch.zeros(len(bags.x)))[:, None]
    top = logits.max()
    return torch.log(bags.sums(shares * torch.exp(logits - top)).clamp_min(1e-30)) + top


def out_of_fold(
    clips: EmbeddedClips, options: LinearOptions, pooling: Pooling, seed: int
) -> tuple[F32, float]:
    """f32[K, C] probabilities, each fold calibrated on the others; and the slope of all."""
    count = min(5, *(len(np.unique(clips.groups[column > 0])) for column in clips.targets.T))
    if count < 2:
        return clips.targets, 1.0  # nothing can be held back
    folds = stratified_folds(clips.labels, clips.groups, count, seed)
    logits = np.zeros(clips.targets.shape, np.float32)
    for fold in range(count):
        logits_of = fit_bags(clips.subset(folds != fold), options, pooling)
        logits[folds == fold] = logits_of(clips.subset(folds == fold))
    masks = [folds == fold for fold in range(count)]
    *slopes, of_all = fit_slopes(
        lambda slope: activate(logits * np.float32(slope), "softmax"),
        clips.targets,
        "softmax",
        [*(~mask for mask in masks), np.ones(len(clips), np.bool_)],
    )
    found = np.zeros_like(logits)
    for mask, slope in zip(masks, slopes):
        found[mask] = activate(logits[mask] * np.float32(slope), "softmax")
    return found, of_all


def judged_by(
    known: EmbeddedClips,
    unknown: EmbeddedClips,
    options: LinearOptions,
    pooling: Pooling,
    seed: int,
) -> F32:
    """f32[K, C]: probabilities of clips by a head that was taught and calibrated on others."""
    _, slope = out_of_fold(known, options, pooling, seed)
    logits = fit_bags(known, options, pooling)(unknown)
    return activate(logits * np.float32(slope), "softmax")
