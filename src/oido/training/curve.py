# SPDX-License-Identifier: Apache-2.0
"""What half of the data would have given: is it worth recording more?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oido.training.embeddings import EmbeddedClips
from oido.training.extra import one_thread
from oido.training.fit import LinearOptions, fit_linear
from oido.training.pooling import clip_probabilities
from oido.training.verdict import CurvePoint

__all__ = ["LearningCurve", "learning_curve"]

_SHARES = (0.25, 0.5, 1.0)


LearningCurve = list[CurvePoint]


def learning_curve(
    clips: EmbeddedClips, folds: NDArray[np.int64] | None, *, seed: int = 0
) -> LearningCurve:
    """Accuracy with a quarter, half and all of the sources of each class; linear heads.

    Each fold is judged by heads of the others, and the deviation is that over folds; of several
    labels, the share of right yes and no.
    Empty without folds.
    """
    if folds is None:
        return []
    points = []
    with one_thread():
        for share in _SHARES:
            right, sizes = [], []
            for fold in np.unique(folds):
                part = _part(clips, folds != fold, share, np.random.default_rng(seed))
                if part is None:
                    break
                known = clips.subset(part)
                right.append(_accuracy(known, clips.subset(folds == fold)))
                sizes.append(float(np.nansum(known.targets) / len(clips.classes)))
            if right and len(right) == len(np.unique(folds)):
                mean, spread = float(np.mean(right)), float(np.std(right))
                points.append(CurvePoint(round(float(np.mean(sizes)), 1), mean, spread))
    return points


def _part(
    clips: EmbeddedClips, allowed: NDArray[np.bool_], share: float, dice: np.random.Generator
) -> NDArray[np.bool_] | None:
    """bool[K]: that share of the sources of each class, at least one; None if a class has none."""
    chosen: set[int] = set()
    for column in np.nan_to_num(clips.targets).T > 0:
        sources = np.unique(clips.groups[allowed & column])
        if not len(sources):
            return None
        count = max(1, round(len(sources) * share))
        chosen.update(int(s) for s in dice.permutation(sources)[:count])
    return np.asarray(allowed & np.isin(clips.groups, list(chosen)))


def _accuracy(known: EmbeddedClips, held_out: EmbeddedClips) -> float:
    head = fit_linear(known, LinearOptions())
    p = clip_probabilities(head.scores(held_out.embeddings), held_out, head.output)
    if not held_out.multi_label:
        return float((p.argmax(axis=1) == held_out.labels).mean())
    known_targets = ~np.isnan(held_out.targets)
    return float(((p >= 0.5) == (held_out.targets > 0))[known_targets].mean())
