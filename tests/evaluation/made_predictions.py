# SPDX-License-Identifier: Apache-2.0
"""Made-up judgements: classes by chance, probabilities that know something of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from oido.datasets.clip import Clip
from oido.evaluation.predictions import ClipPredictions

__all__ = ["judged", "random_judged"]


def judged(
    targets: Any,
    probabilities: Any,
    *,
    classes: Sequence[str] = ("owl", "wren", "robin", "crow"),
    groups: Sequence[str] | None = None,
    threshold: float = 0.5,
    **rest: Any,
) -> ClipPredictions:
    """Clips of these arrays; each is its own group unless groups are given."""
    rows = np.asarray(targets, np.float32)
    names = groups or [f"source {n}" for n in range(len(rows))]
    return ClipPredictions(
        tuple(Clip(f"{n}.wav", group=str(name)) for n, name in enumerate(names)),
        tuple(classes[: rows.shape[1]]),
        rows,
        np.asarray(probabilities, np.float32),
        np.full(rows.shape[1], threshold, np.float32),
        **rest,
    )


def random_judged(
    clips: int = 120,
    classes: int = 3,
    *,
    seed: int = 0,
    background: bool = False,
    multi_label: bool = False,
    clips_per_group: int = 1,
    steps: int = 0,
    skill: float = 2.0,
    **rest: Any,
) -> ClipPredictions:
    """steps: probabilities are rounded to so many, so that there are ties."""
    random = np.random.default_rng(seed)
    if multi_label:
        targets = (random.random((clips, classes)) < 0.4).astype(np.float32)
    else:
        labels = random.integers(0, classes + background, clips)
        targets = np.eye(classes + background, dtype=np.float32)[labels, :classes]
    logits = random.normal(size=targets.shape) + skill * (targets - 0.5)
    probabilities = 1 / (1 + np.exp(-2 * logits))
    if steps:
        probabilities = np.round(probabilities * steps) / steps
    groups = [f"source {n // clips_per_group}" for n in range(clips)]
    names = [f"class {n}" for n in range(classes)]
    return judged(
        targets, probabilities, classes=names, groups=groups, multi_label=multi_label, **rest
    )
