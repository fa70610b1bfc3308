# SPDX-License-Identifier: Apache-2.0
"""Clips beside the predictions of heads that have not learnt from them, and the learning curve.

The curve shows what half of the data would have achieved: whether it is worth recording more.
"""

from __future__ import annotations

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.calibration.thresholds import best_thresholds
from oido.datasets.clip import BACKGROUND
from oido.datasets.dataset import accuracy
from oido.evaluation.predictions import ClipPredictions, JudgedWindows
from oido.evaluation.verdict import CurvePoint
from oido.models.model import AudioModel
from oido.params import Windowing
from oido.training.embed import Embedded
from oido.training.embeddings import EmbeddedClips, clip_probabilities
from oido.training.fit import LinearOptions, fit_linear, one_thread
from oido.training.head import activate
from oido.training.model_selection import NEVER_HELD_OUT, ModelSelection, OnFit, each_fold


def predictions_on_test(
    embedded: Embedded, test: Bools, selection: ModelSelection
) -> ClipPredictions:
    held = embedded.clips.subset(test)
    scores = selection.head.scores(held.embeddings)
    probabilities = clip_probabilities(scores, held, selection.head.output)
    kept = tuple(clip for clip, is_test in zip(embedded.kept, test) if is_test)
    return predictions_out_of_fold(Embedded(held, kept, ()), probabilities, None)


def predictions_out_of_fold(
    embedded: Embedded,
    probabilities: F32,
    folds: I64 | None,
    model: AudioModel | None = None,
    windows: F32 | None = None,
) -> ClipPredictions:
    """Clips, truth and probabilities, the class for no event apart; windows f32[M, C] too.

    folds: as of a `ModelSelection`; clips that were held out of none are left out.
    """
    if folds is not None and NEVER_HELD_OUT in folds:
        held_out = folds != NEVER_HELD_OUT
        if windows is not None:
            windows = windows[held_out[embedded.clips.clip_index]]
        kept = tuple(clip for clip, is_held in zip(embedded.kept, held_out) if is_held)
        embedded = Embedded(embedded.clips.subset(held_out), kept, embedded.left_out)
        probabilities, folds = probabilities[held_out], folds[held_out]
    clips = embedded.clips
    thresholds = best_thresholds(probabilities, clips.targets, clips.output)
    events = [n for n, name in enumerate(clips.classes) if name != BACKGROUND or clips.multi_label]
    nothing = None if len(events) == len(clips.classes) else probabilities[:, -1]
    return ClipPredictions(
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


def _times(clips: EmbeddedClips, model: AudioModel) -> F64:
    """f64[M, 2]: start and end of each window in its clip, seconds."""
    windowing = Windowing.from_seconds(model.windows, None)
    counts = np.bincount(clips.clip_index).tolist()
    return np.concatenate([windowing.times(0, count) for count in counts])


SHARES = (0.25, 0.5, 1.0)
"""Of the sources of each class, that the curve is drawn from."""

LearningCurve = list[CurvePoint]


def learning_curve(
    clips: EmbeddedClips,
    folds: I64 | None,
    *,
    seed: int = 0,
    out_of_fold: F32 | None = None,
    jobs: int | None = None,
    on_fit: OnFit = lambda: None,
) -> LearningCurve:
    """Accuracy with a quarter, half and all of the sources of each class; linear heads.

    Each fold is judged by heads of the others, and the deviation is that over folds; of several
    labels, the share of right yes and no. out_of_fold: f32[M, C], the logits of such heads of all
    sources, if they are known (`ModelSelection.first_logits`). Empty without folds.
    """
    if folds is None:
        return []

    def judge(fold: int) -> list[tuple[float, float] | None]:
        """For each share, accuracy and clips of a class; None where a class has no source."""
        held_out = clips.subset(folds == fold)
        found: list[tuple[float, float] | None] = []
        for share in SHARES:
            part = _part(clips, folds != fold, share, np.random.default_rng(seed))
            if part is None:
                found.append(None)
            else:
                known, logits = clips.subset(part), None
                if out_of_fold is not None and np.array_equal(part, folds != fold):
                    logits = out_of_fold[(folds == fold)[clips.clip_index]]
                size = float(np.nansum(known.targets) / len(clips.classes))
                found.append((_accuracy(known, held_out, logits), size))
            on_fit()
        return found

    with one_thread():
        judged = list(each_fold(judge, folds, clips, jobs))
    points = []
    for of_folds in zip(*judged):
        known = [each for each in of_folds if each is not None]
        if len(known) == len(judged):
            right, sizes = zip(*known)
            mean, spread = float(np.mean(right)), float(np.std(right))
            points.append(CurvePoint(round(float(np.mean(sizes)), 1), mean, spread))
    return points


def _part(
    clips: EmbeddedClips, allowed: Bools, share: float, dice: np.random.Generator
) -> Bools | None:
    """bool[K]: that share of the sources of each class, at least one; None if a class has none."""
    chosen: set[int] = set()
    for column in np.nan_to_num(clips.targets).T > 0:
        sources = np.unique(clips.groups[allowed & column])
        if not len(sources):
            return None
        count = max(1, round(len(sources) * share))
        chosen.update(int(s) for s in dice.permutation(sources)[:count])
    return np.asarray(allowed & np.isin(clips.groups, list(chosen)))


def _accuracy(known: EmbeddedClips, held_out: EmbeddedClips, logits: F32 | None) -> float:
    """logits: f32[M, C or C + 1] of the held-out windows by such a head, if they are known."""
    if logits is None:
        head = fit_linear(known, LinearOptions())
        logits = head.logits(held_out.embeddings)
    scores = activate(logits, known.output)[:, : len(known.classes)]
    p = clip_probabilities(scores, held_out, known.output)
    return accuracy(p, held_out.targets, held_out.multi_label)
