# SPDX-License-Identifier: Apache-2.0
"""Made sounds as labelled recordings for YAMNet; and made scores of labelled clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oido.calibration.data import LabelledScores
from oido.datasets.clip import Clip
from tests.training.taught_sounds import make_sounds

__all__ = ["YAMNET_LABELS", "labelled_sounds", "made_scores"]

YAMNET_LABELS = {"beep": "Beep, bleep", "click": "Clicking", "hiss": "Hiss"}


def labelled_sounds(folder: Path, each: int = 6) -> Path:
    """A table of made sounds with YAMNet's own labels."""
    make_sounds(folder / "sounds", each=each, seconds=1.5)
    rows = [
        f'sounds/{kind}/{kind}-{number}.wav,"{label}"'
        for kind, label in YAMNET_LABELS.items()
        for number in range(each)
    ]
    table = folder / "clips.csv"
    table.write_text("\n".join(["file,label", *rows, ""]), encoding="utf-8")
    return table


def made_scores(
    clips: int = 400, classes: int = 4, *, seed: int = 0, clips_per_group: int = 1, windows: int = 3
) -> LabelledScores:
    """Scores that promise too little: σ(logit − 3), the logit being what targets are drawn by."""
    dice = np.random.default_rng(seed)
    logits = dice.normal(-1, 3, (clips, classes))
    targets = (dice.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    names = tuple(f"class {n}" for n in range(classes))
    scores = (1 / (1 + np.exp(3 - logits))).astype(np.float32)
    share = dice.uniform(0.2, 1, (clips, windows, 1))
    return LabelledScores(
        tuple(
            Clip(
                f"{n}.wav",
                tuple(names[c] for c in np.flatnonzero(row)),
                group=f"source {n // clips_per_group}",
            )
            for n, row in enumerate(targets)
        ),
        names,
        tuple(range(1, classes + 1)),
        scores,
        targets,
        (scores[:, None] * share).astype(np.float32).reshape(-1, classes),
        np.repeat(np.arange(clips), windows),
        np.full(clips, windows / 3600),
        multi_label=True,
    )
