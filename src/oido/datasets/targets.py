# SPDX-License-Identifier: Apache-2.0
"""What is true of each clip, as the arrays that classifiers learn from, and what clips weigh."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oido.arrays import F32, F64
from oido.datasets.clip import BACKGROUND
from oido.errors import OptionError

if TYPE_CHECKING:
    from oido.datasets.dataset import Dataset

__all__ = ["accuracy", "check_targets", "class_weights", "clip_targets"]


def clip_targets(data: Dataset) -> tuple[F32, tuple[str, ...], bool]:
    """Targets f32[K, C], the C classes, and whether a clip may have several of them, or none.

    Raises OptionError if a class has the name that clips without one get.
    """
    targets = data.targets()
    if data.multi_label or np.isnan(targets).any():
        return targets, data.classes, True
    empty = targets.sum(axis=1) == 0
    if not empty.any():
        return targets, data.classes, False
    if BACKGROUND in data.classes:
        raise OptionError(f"{BACKGROUND!r} is a class and the name of clips without one")
    with_background = np.column_stack([targets, empty]).astype(np.float32)
    return with_background, (*data.classes, BACKGROUND), False


def check_targets(targets: F32, multi_label: bool) -> None:
    """Raise OptionError unless they are 1, 0 or NaN, and each row has one 1 without multi_label."""
    known = targets[~np.isnan(targets)]
    if not np.isin(known, (0, 1)).all():
        raise OptionError("targets are 1, 0, or NaN where nobody knows")
    if not multi_label and (len(known) != targets.size or (targets.sum(axis=1) != 1).any()):
        raise OptionError("each clip has one class; several need multi_label")


def accuracy(scores: F32 | F64, targets: F32, multi_label: bool) -> float:
    """The share of clips whose best class is theirs, or of known labels on their side of 0.5.

    scores, targets: [K, C].
    """
    if not multi_label:
        return float((scores.argmax(axis=1) == targets.argmax(axis=1)).mean())
    known = ~np.isnan(targets)
    return float(((scores >= 0.5) == (targets > 0))[known].mean())


def class_weights(targets: F32, multi_label: bool, balance: bool) -> F64:
    """f64[K, C]: what each clip weighs for each class; mean about 1, 0 where nothing is known.

    balance: a class weighs the same however many clips it has; with several labels, clips that
    have a rare class are raised by the root of its rarity.
    """
    known = ~np.isnan(targets)
    weights = known.astype(np.float64)
    if not balance:
        return weights
    present = np.nan_to_num(targets) > 0
    positive, negative = present.sum(axis=0), (known & ~present).sum(axis=0)
    if multi_label:
        ratio = np.sqrt(np.maximum(negative, 1) / np.maximum(positive, 1))
        return np.asarray(weights * np.where(present, ratio, 1))
    share = len(targets) / (np.count_nonzero(positive) * np.maximum(positive, 1))
    return np.asarray(weights * share[present.argmax(axis=1)][:, None])
