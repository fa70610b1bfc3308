# SPDX-License-Identifier: Apache-2.0
"""From the scores of windows to the probabilities of their clips, many clips at a time."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from oido.events.aggregation import POWER, confidence
from oido.training.embeddings import EmbeddedClips
from oido.training.head import OutputKind

__all__ = ["Pooling", "clip_probabilities"]

Pooling = Literal["confident-mean", "power-mean", "mean", "max"]


def clip_probabilities(
    scores: NDArray[np.float32],
    clips: EmbeddedClips,
    output: OutputKind,
    pooling: Pooling | None = None,
) -> NDArray[np.float32]:
    """f32[M, C] scores of the windows of ``clips`` → f32[K, C]; softmax rows sum to 1.

    - "confident-mean", the default of a softmax: exp(Σ w·c²·ln s / Σ w·c²), where c, 0..1, is how
      sure the window is: 1 + Σ s·ln s / ln C. Windows in which the head is undecided, as it is in
      silence, weigh next to nothing: a clip is what it is where something is heard;
    - "power-mean", the default of a sigmoid: (Σ w·s⁴ / Σ w)^¼, between the mean and the largest;
    - "mean" and "max": as `oido.events.aggregation`.

    A clip of a single window keeps that window's scores, whichever it is.
    """
    share = clips.window_shares[:, None]
    starts = np.flatnonzero(np.diff(clips.clip_index, prepend=-1))
    s = scores.astype(np.float64)
    pooling = pooling or ("confident-mean" if output == "softmax" else "power-mean")
    if pooling == "max":
        several = (np.bincount(clips.clip_index) > 1)[clips.clip_index]
        heard = np.where(several, clips.weights, 1)[:, None]
        pooled = np.maximum.reduceat(s * heard, starts, axis=0)
    elif pooling == "mean":
        pooled = np.add.reduceat(share * s, starts, axis=0)
    elif pooling == "power-mean":
        pooled = np.add.reduceat(share * s**POWER, starts, axis=0) ** (1 / POWER)
    else:
        logs = np.log(np.maximum(s, 1e-30))
        share = share * (confidence(s)[:, None] ** 2 + 1e-6)
        share = share / np.add.reduceat(share, starts, axis=0)[clips.clip_index]
        pooled = np.exp(np.add.reduceat(share * logs, starts, axis=0))
    if output == "softmax":
        pooled = pooled / np.maximum(pooled.sum(axis=1, keepdims=True), 1e-30)
    return pooled.astype(np.float32)
