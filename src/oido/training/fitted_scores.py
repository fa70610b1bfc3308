# SPDX-License-Identifier: Apache-2.0
"""Sigmoids and thresholds of labelled scores, and what they say of clips that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.events.calibration import Calibrator
from oido.heads import ScoreCalibration
from oido.training.aims import Aim, Alarms, aimed_thresholds
from oido.training.clip import Clip
from oido.training.given import fold_names, held_out
from oido.training.guarantee import Guarantee, guaranteed_thresholds
from oido.training.labelled_scores import LabelledScores
from oido.training.platt import fit_sigmoids
from oido.training.splits import fold_numbers

__all__ = ["FittedScores", "HeldOut", "Wish", "fit", "folds_of", "hold_out"]

Wish = Aim | Guarantee
"""What thresholds are chosen by."""

_FOLDS = 5


@dataclass(frozen=True, eq=False)
class FittedScores:
    """calibration: of all L labels of the head. thresholds: f64[L], NaN for a label without one.

    Of the C classes that were labelled: notes, why one was pooled, or ""; reached: bool[C],
    whether what was wished can be reached on the clips that the thresholds were chosen on.
    """

    calibration: ScoreCalibration
    thresholds: NDArray[np.float64]
    notes: tuple[str, ...]
    reached: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What was said of each clip by sigmoids and thresholds that were fitted without its recording.

    probabilities: f32[K, C]. detected: bool[K, C], at the threshold. decided: bool[K, C], where
    there was one. alarms: i64[K, C], stretches of windows that reach it. folds: i64[K].
    """

    probabilities: NDArray[np.float32]
    detected: NDArray[np.bool_]
    decided: NDArray[np.bool_]
    alarms: NDArray[np.int64]
    folds: NDArray[np.int64]


def fit(labelled: LabelledScores, size: int, wish: Wish, *, partly: bool = False) -> FittedScores:
    """size: how many labels the head has; those without clips take the sigmoid that others share,
    and no threshold: nobody counted how often they are reported wrongly.

    partly: leave out the thresholds of classes with too few recordings for a guarantee, which is
    else an error. Raises OptionError.
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
    folds = folds_of(labelled.clips, seed)
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
        said = _apply(fitted.calibration, labelled.columns, labelled.scores[held])
        probabilities[held] = said
        detected[held] = said >= thresholds
        decided[held] = ~np.isnan(thresholds)
        part = labelled.subset(held)
        windows = _apply(fitted.calibration, labelled.columns, part.windows)
        alarms[held] = _stretches(windows >= thresholds, part.clip_index, len(part))
    return HeldOut(probabilities, detected, decided, alarms, folds)


def folds_of(clips: Sequence[Clip], seed: int) -> NDArray[np.int64]:
    """i64[K]: the fold in which each clip is held out; given ones are kept. Raises OptionError."""
    given = [clip.fold for clip in clips]
    groups = len({clip.group for clip in clips})
    if groups < 2:
        raise OptionError(
            "all clips are of one recording, and none could be held out to judge by; add recordings"
        )
    if fold_names(given) and not held_out(given):
        return fold_numbers(clips, None, seed, keep_given=True)[0]
    return fold_numbers(clips, min(_FOLDS, groups), seed, keep_given=False)[0]


def _apply(
    calibration: ScoreCalibration, columns: Sequence[int], scores: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Probabilities f32[N, C] of scores f32[N, C] of these columns."""
    some = replace(calibration, sigmoids=tuple(calibration.sigmoids[c] for c in columns))
    return Calibrator(some).apply(scores)


def _stretches(
    heard: NDArray[np.bool_], clip_index: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """i64[K, C] of windows bool[M, C], in order of clips and time."""
    same = np.append(False, clip_index[1:] == clip_index[:-1])
    begins = heard & ~(np.roll(heard, 1, axis=0) & same[:, None])
    found = np.zeros((count, heard.shape[1]), np.int64)
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
