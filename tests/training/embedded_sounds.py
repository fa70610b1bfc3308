# SPDX-License-Identifier: Apache-2.0
"""Made-up embeddings: classes are directions, and some windows of each clip are silent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oido.datasets.splits import group_numbers
from oido.training.embeddings import EmbeddedClips

SIZE = 40
SILENCE = np.full(SIZE, 0.5, np.float32)


def one_label_clips(
    embeddings: ArrayLike,
    clip_index: ArrayLike,
    labels: Sequence[str],
    *,
    weights: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    quiet: NDArray[np.float32] | None = None,
) -> EmbeddedClips:
    """Clips of one label each; by default each is its own group, and no window is padded."""
    windows = np.asarray(embeddings, np.float32)
    classes, index = np.unique(labels, return_inverse=True)
    return EmbeddedClips(
        windows,
        np.asarray(clip_index, np.int64),
        np.ones(len(windows)) if weights is None else np.asarray(weights, np.float64),
        np.eye(len(classes), dtype=np.float32)[index],
        tuple(str(name) for name in classes),
        np.arange(len(labels)) if groups is None else group_numbers(groups),
        np.full(len(labels), -1),
        quiet=quiet,
    )


def made_clips(
    per_class: int = 12,
    classes: int = 3,
    *,
    seed: int = 0,
    noise: float = 0.3,
    windows: int = 4,
    silent: int = 2,
    clips_per_group: int = 1,
) -> EmbeddedClips:
    """Clips of ``windows`` windows each, of which ``silent`` hold nothing."""
    random = np.random.default_rng(seed)
    rows, index, labels, groups = [], [], [], []
    for label in range(classes):
        for number in range(per_class):
            clip = len(labels)
            for window in range(windows):
                row = SILENCE + random.normal(0, 0.02, SIZE)
                if window >= silent:
                    row = row + random.normal(0, noise, SIZE)
                    row[4 * label : 4 * label + 4] += 1.5
                rows.append(np.maximum(row, 0))
                index.append(clip)
            labels.append(f"class {label}")
            groups.append(f"{label}-{number // clips_per_group}")
    return one_label_clips(rows, index, labels, groups=groups, quiet=SILENCE[None])


def made_tags(clips: int = 60, *, seed: int = 0, unknown: float = 0.0) -> EmbeddedClips:
    """Clips of three tags that come and go by themselves; a share of targets is not known."""
    random = np.random.default_rng(seed)
    targets = (random.random((clips, 3)) < 0.4).astype(np.float32)
    rows = SILENCE + random.normal(0, 0.2, (clips * 2, SIZE))
    for tag in range(3):
        rows[:, 4 * tag : 4 * tag + 4] += 1.5 * np.repeat(targets[:, tag], 2)[:, None]
    targets[random.random(targets.shape) < unknown] = np.nan
    return EmbeddedClips(
        np.maximum(rows, 0).astype(np.float32),
        np.repeat(np.arange(clips), 2),
        np.ones(clips * 2),
        targets,
        ("a", "b", "c"),
        np.arange(clips),
        np.full(clips, -1),
        multi_label=True,
        quiet=SILENCE[None],
    )
