# SPDX-License-Identifier: Apache-2.0
"""Clips beside what was said of them by heads that had not learnt from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oido.models.model import AudioModel
from oido.training.embed import Embedded
from oido.training.embeddings import EmbeddedClips
from oido.training.judged import JudgedClips, JudgedWindows
from oido.training.pooling import clip_probabilities
from oido.training.selection import Selection
from oido.training.targets import BACKGROUND
from oido.training.thresholds import best_thresholds

__all__ = ["judged_on_test", "judged_out_of_fold"]


def judged_on_test(
    embedded: Embedded, test: NDArray[np.bool_], selection: Selection
) -> JudgedClips:
    held = embedded.clips.subset(test)
    scores = selection.head.scores(held.embeddings)
    probabilities = clip_probabilities(scores, held, selection.head.output)
    kept = tuple(clip for clip, is_test in zip(embedded.kept, test) if is_test)
    return judged_out_of_fold(Embedded(held, kept, ()), probabilities, None)


def judged_out_of_fold(
    embedded: Embedded,
    probabilities: NDArray[np.float32],
    folds: NDArray[np.int64] | None,
    model: AudioModel | None = None,
    windows: NDArray[np.float32] | None = None,
) -> JudgedClips:
    """Clips, truth and probabilities, the class for no event apart; windows f32[M, C] too."""
    clips = embedded.clips
    thresholds = best_thresholds(probabilities, clips.targets)
    events = [n for n, name in enumerate(clips.classes) if name != BACKGROUND or clips.multi_label]
    nothing = None if len(events) == len(clips.classes) else probabilities[:, -1]
    return JudgedClips(
        clips=embedded.kept,
        classes=tuple(clips.classes[n] for n in events),
        targets=clips.targets[:, events],
        probabilities=probabilities[:, events],
        thresholds=thresholds[events],
        multi_label=clips.multi_label,
        no_event=nothing,
        windows=None
        if windows is None or model is None
        else JudgedWindows(
            windows[:, events],
            clips.clip_index,
            _times(clips, model),
            no_event=None if nothing is None else windows[:, -1],
        ),
        splits=() if folds is None else tuple(f"fold {n + 1}" for n in folds),
    )


def _times(clips: EmbeddedClips, model: AudioModel) -> NDArray[np.float64]:
    """f64[M, 2]: start and end of each window in its clip, seconds."""
    windows = model.windows
    first = np.flatnonzero(np.diff(clips.clip_index, prepend=-1))[clips.clip_index]
    starts = (np.arange(len(first)) - first) * windows.hop_samples
    ends = starts + windows.window_samples
    return np.asarray(np.stack([starts, ends], axis=1) / windows.sample_rate_hz)
