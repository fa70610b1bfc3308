# SPDX-License-Identifier: Apache-2.0
"""The raw scores that a model gives to labelled clips, and what is fitted on them.

Sigmoids and thresholds are fitted on some clips and judged on others, which were held out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.calibration.risk_control import Guarantee, guaranteed_thresholds
from oido.calibration.scaling import fit_sigmoids
from oido.calibration.thresholds import Alarms, ThresholdTarget, aimed_thresholds
from oido.datasets.clip import Clip, LeftOut
from oido.datasets.dataset import Dataset
from oido.datasets.splits import folds_to_judge_by, group_numbers
from oido.evaluation.evaluate import Progress, predict_clips
from oido.evaluation.predictions import ClipPredictions, JudgedWindows
from oido.events.calibration import Calibrator
from oido.heads import NON_EVENTS, ScoreCalibration
from oido.inference.classifier import AudioClassifier
from oido.models.model import AudioModel


@dataclass(frozen=True, eq=False)
class LabelledScores:
    """K clips, M windows of them, and C classes, which are some of the model's labels.

    columns: where the classes are among the model's labels. scores: f32[K, C], raw. targets:
    f32[K, C], 1, 0, or NaN where it is unknown. windows: f32[M, C], raw; clip_index: i64[M].
    hours: f64[K], the length of each clip, to within half a hop.
    """

    clips: tuple[Clip, ...]
    classes: tuple[str, ...]
    columns: tuple[int, ...]
    scores: F32
    targets: F32
    windows: F32
    clip_index: I64
    hours: F64
    multi_label: bool = False

    def __len__(self) -> int:
        return len(self.clips)

    @cached_property
    def groups(self) -> I64:
        """i64[K]: numbers of the source recordings, from 0."""
        return group_numbers([clip.group for clip in self.clips])

    def subset(self, chosen: Bools) -> LabelledScores:
        """The clips that are chosen, bool[K], and their windows."""
        kept = chosen[self.clip_index]
        numbers = np.cumsum(chosen) - 1
        return replace(
            self,
            clips=tuple(clip for clip, is_chosen in zip(self.clips, chosen) if is_chosen),
            scores=self.scores[chosen],
            targets=self.targets[chosen],
            windows=self.windows[kept],
            clip_index=numbers[self.clip_index[kept]],
            hours=self.hours[chosen],
        )


def score_clips(
    model: AudioModel,
    dataset: Dataset,
    *,
    head: str | None = None,
    progress: Progress | None = None,
) -> tuple[LabelledScores, tuple[LeftOut, ...]]:
    """Raw scores of every clip by a head of the model, and the clips that could not be decoded.

    Any calibration that the model has is ignored. Classes are as for `oido.evaluation.evaluate`; a
    label of the model that is in `NON_EVENTS` is a class too, of clips without any event. Raises
    OptionError for a label that the model does not have, and if no clip can be decoded.
    """
    chosen = model.head_named(head)
    heads = [replace(h, calibration=None) if h is chosen else h for h in model.heads]
    classifier = AudioClassifier(replace(model, heads=tuple(heads)), head=chosen.name)
    judged, left_out = predict_clips(classifier, dataset, progress=progress)
    windows = judged.windows
    assert windows is not None
    assert windows.times is not None
    labels = classifier.labels
    scores, targets, of_windows = judged.probabilities, judged.targets, windows.probabilities
    classes = judged.classes
    silent = [x for x in labels if x.casefold() in NON_EVENTS and x not in classes]
    if judged.no_event is not None and windows.no_event is not None and len(silent) == 1:
        classes = (*classes, silent[0])
        scores = np.column_stack([scores, judged.no_event])
        targets = np.column_stack([targets, _no_event(judged)])
        of_windows = np.column_stack([of_windows, windows.no_event])
    hop = classifier.windowing.hop_seconds
    found = LabelledScores(
        clips=judged.clips,
        classes=classes,
        columns=tuple(labels.index(name) for name in classes),
        scores=scores,
        targets=targets,
        windows=of_windows,
        clip_index=windows.clip_index,
        hours=_hours(len(judged), windows, hop),
        multi_label=dataset.multi_label,
    )
    return found, left_out


def _no_event(judged: ClipPredictions) -> F32:
    """f32[K]: 1 for clips without an event, 0 for others, NaN where it is unknown."""
    values = [0.0 if c.labels else 1.0 if c.complete else np.nan for c in judged.clips]
    return np.array(values, np.float32)


def _hours(count: int, windows: JudgedWindows, hop_seconds: float) -> F64:
    """f64[K]: up to the last window's end, less half a hop, which on average is padding."""
    assert windows.times is not None
    ends = np.zeros(count)
    np.maximum.at(ends, windows.clip_index, windows.times[:, 1])
    return np.asarray((ends - hop_seconds / 2) / 3600)


Wish = ThresholdTarget | Guarantee
"""How thresholds are chosen."""


@dataclass(frozen=True, eq=False)
class FittedScores:
    """calibration: of all L labels of the head. thresholds: f64[L], NaN for a label without one.

    Of the C classes that were labelled: notes, why one was pooled, or ""; reached: bool[C],
    whether the target can be reached on the clips that the thresholds were chosen on.
    """

    calibration: ScoreCalibration
    thresholds: F64
    notes: tuple[str, ...]
    reached: Bools


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Probabilities and decisions of sigmoids and thresholds fitted without each clip's recording.

    probabilities: f32[K, C]. detected: bool[K, C], at the threshold. decided: bool[K, C], where
    there was one. alarms: i64[K, C], stretches of windows that reach it. folds: i64[K].
    """

    probabilities: F32
    detected: Bools
    decided: Bools
    alarms: I64
    folds: I64


def fit(labelled: LabelledScores, size: int, wish: Wish, *, partly: bool = False) -> FittedScores:
    """size: how many labels the head has; those without clips get the pooled sigmoid and no
    threshold, because nothing is known of their false alarms.

    partly: leave out the thresholds of classes with too few recordings for a guarantee, instead of
    raising OptionError.
    """
    fitted = fit_sigmoids(labelled.scores, labelled.targets, labelled.groups)
    calibration = fitted.calibration(labelled.columns, size)
    probabilities = _apply(calibration, labelled.columns, labelled.scores)
    columns = list(labelled.columns)
    thresholds = np.full(size, np.nan)
    if isinstance(wish, Guarantee):
        can = _eligible(wish, labelled, partly)
        reached = np.array([name in can for name in labelled.classes])
        if reached.any():
            chosen = np.flatnonzero(reached)
            thresholds[[columns[c] for c in chosen]] = guaranteed_thresholds(
                wish,
                tuple(labelled.classes[c] for c in chosen),
                probabilities[:, chosen],
                labelled.targets[:, chosen],
                labelled.groups,
            )
        return FittedScores(calibration, thresholds, fitted.notes, reached)
    alarms = None
    if wish.kind == "false-alarms-per-hour":
        windows = _apply(calibration, labelled.columns, labelled.windows)
        alarms = Alarms(windows, labelled.clip_index, labelled.hours)
    aimed = aimed_thresholds(wish, probabilities, labelled.targets, fitted.is_pooled, alarms)
    thresholds[columns] = aimed.values
    return FittedScores(calibration, thresholds, fitted.notes, aimed.reached)


def hold_out(labelled: LabelledScores, size: int, wish: Wish, seed: int = 0) -> HeldOut:
    """Every clip judged by a fit on other recordings: k folds, whole recordings in each.

    Raises OptionError if there are too few recordings to hold any out.
    """
    folds = folds_to_judge_by(labelled.clips, seed)
    shape = labelled.scores.shape
    probabilities = np.zeros(shape, np.float32)
    detected, decided = np.zeros(shape, bool), np.zeros(shape, bool)
    alarms = np.zeros(shape, np.int64)
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        if not held.any():
            continue
        fitted = fit(labelled.subset(~held), size, wish, partly=True)
        thresholds = fitted.thresholds[list(labelled.columns)].astype(np.float32)
        unseen = _apply(fitted.calibration, labelled.columns, labelled.scores[held])
        probabilities[held] = unseen
        detected[held] = unseen >= thresholds
        decided[held] = ~np.isnan(thresholds)
        part = labelled.subset(held)
        windows = _apply(fitted.calibration, labelled.columns, part.windows)
        alarms[held] = _stretches(windows >= thresholds, part.clip_index, len(part))
    return HeldOut(probabilities, detected, decided, alarms, folds)


def _apply(calibration: ScoreCalibration, columns: Sequence[int], scores: F32) -> F32:
    """Probabilities f32[N, C] of scores f32[N, C] of these columns."""
    some = replace(calibration, sigmoids=tuple(calibration.sigmoids[c] for c in columns))
    return Calibrator(some).apply(scores)


def _stretches(detected: Bools, clip_index: I64, count: int) -> I64:
    """i64[K, C] of windows bool[M, C], in order of clips and time."""
    same = np.append(False, clip_index[1:] == clip_index[:-1])
    begins = detected & ~(np.roll(detected, 1, axis=0) & same[:, None])
    found = np.zeros((count, detected.shape[1]), np.int64)
    np.add.at(found, clip_index, begins)
    return found


def _eligible(wish: Guarantee, labelled: LabelledScores, partly: bool) -> set[str]:
    """Classes that a guarantee can be asked for: those that have clips of its kind at all."""
    wanted = 1.0 if wish.kind == "fnr" else 0.0
    least = wish.least_recordings if partly else 1
    return {
        name
        for name, column in zip(labelled.classes, labelled.targets.T)
        if len(np.unique(labelled.groups[column == wanted])) >= least
    }
