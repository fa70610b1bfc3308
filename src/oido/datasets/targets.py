# SPDX-License-Identifier: Apache-2.0
"""What is true of each clip, as the arrays that classifiers learn from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oido.datasets.dataset import Dataset
from oido.errors import OptionError

__all__ = ["BACKGROUND", "clip_targets", "group_numbers"]

BACKGROUND = "background"
"""The class of clips in which nothing is heard, beside classes that exclude each other."""


def clip_targets(data: Dataset) -> tuple[NDArray[np.float32], tuple[str, ...], bool]:
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


def group_numbers(data: Dataset) -> NDArray[np.int64]:
    """i64[K]: the source recording of each clip, by number."""
    groups = np.unique([clip.group for clip in data], return_inverse=True)[1]
    return np.asarray(groups, np.int64)
