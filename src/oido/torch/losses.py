# SPDX-License-Identifier: Apache-2.0
"""The loss of windows, for training, and of clips, for choosing the best epoch.

Clips are evaluated with the slope of the logits that fits best (temperature scaling, Guo et al.
2017): how confident a network is changes from epoch to epoch, whatever it has learnt.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from oido.arrays import F32, F64, I64
from oido.datasets.dataset import accuracy

__all__ = ["NEUTRAL_WEIGHT", "Verdict", "evaluate_clips", "window_loss"]

NEUTRAL_WEIGHT = 0.1
"""What a window of silence weighs in training, beside one with sound."""

_SLOPES = np.geomspace(0.25, 4.0, 33)
_CLIPS_OF_PRIOR = 4
"""A slope of 2 or 1/2 needs more evidence than this many clips."""


def window_loss(
    logits: Tensor, targets: Tensor, weights: Tensor, multi_label: bool, smoothing: float
) -> Tensor:
    """The mean cross entropy of f32[N, C] logits; targets f32[N, C], 0..1; weights f32[N, C].

    smoothing: how much of each target is spread evenly, which keeps scores from running to 0 and 1.
    """
    if multi_label:
        soft = targets * (1 - smoothing) + smoothing / 2
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, soft, reduction="none"
        )
        return (losses * weights).sum() / weights.sum().clamp_min(1e-6)
    soft = targets * (1 - smoothing) + smoothing / targets.shape[1]
    losses = -(soft * torch.log_softmax(logits, dim=1)).sum(dim=1)
    of_window = weights.mean(dim=1)
    return (losses * of_window).sum() / of_window.sum().clamp_min(1e-6)


class Verdict(NamedTuple):
    """log_loss: −ln of the scores of the true classes, a mean over clips, or over all known labels
    of a multi-label network; with logits times ``slope``, where it is least.

    accuracy: as `oido.datasets.dataset.accuracy`.
    """

    log_loss: float
    accuracy: float
    slope: float


def evaluate_clips(
    logits: Tensor, clips: I64, weights: F64, targets: F32, multi_label: bool
) -> Verdict:
    """Of clips, by f32[M, C] logits of windows, their clips and f64[M] weights; targets f32[K, C].

    The score of a clip is the mean of its windows'. The slope is drawn towards 1 by few clips.
    """
    best = None
    for slope in _SLOPES:
        scores = _clip_scores(logits * slope, clips, weights, multi_label)
        loss = _log_loss(scores, targets, multi_label)
        drawn = loss + _CLIPS_OF_PRIOR / len(targets) * float(np.log2(slope)) ** 2
        if best is None or drawn < best[0]:
            best = drawn, Verdict(loss, accuracy(scores, targets, multi_label), float(slope))
    assert best is not None
    return best[1]


def _clip_scores(logits: Tensor, clips: I64, weights: F64, multi_label: bool) -> F64:
    scores = torch.sigmoid(logits) if multi_label else torch.softmax(logits, dim=1)
    weighted = scores.cpu().numpy().astype(np.float64) * weights[:, None]
    sums = np.zeros((int(clips.max()) + 1, weighted.shape[1]))
    np.add.at(sums, clips, weighted)
    return np.asarray(sums / np.bincount(clips, weights)[:, None])


def _log_loss(scores: F64, targets: F32, multi_label: bool) -> float:
    p = np.clip(scores, 1e-6, 1 - 1e-6)
    if not multi_label:
        return float(-(np.log(p) * targets).sum(axis=1).mean())
    return float(-np.nanmean(targets * np.log(p) + (1 - targets) * np.log1p(-p)))
