# SPDX-License-Identifier: Apache-2.0
"""Labelled clips beside a model's predictions: all that is needed to judge it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32, F64, I64, Bools
from oido.datasets.clip import Clip
from oido.datasets.splits import group_numbers
from oido.errors import OptionError
from oido.messages import tr

UNKNOWN = -1
"""In `ClipPredictions.truth`: it is not known of every class whether it is in the clip."""


@dataclass(frozen=True, eq=False)
class JudgedWindows:
    """The M windows of those clips, each clip with one or more.

    probabilities: f32[M, C], of the kind that the clips have. clip_index: i64[M], the clip of each.
    times: f64[M, 2], start and end in seconds from the start of the clip, or None. targets:
    f32[M, C] as those of clips; None takes what is known of the whole clip for all its windows.
    no_event: f32[M], as in `ClipPredictions`.
    """

    probabilities: F32
    clip_index: I64
    times: F64 | None = None
    targets: F32 | None = None
    no_event: F32 | None = None


@dataclass(frozen=True, eq=False)
class ClipPredictions:
    """K clips, what is true of them, and the predictions of models that had not seen them.

    clips: where they are, and of which group; groups are what chance is estimated from.
    classes: the C names, of events only. targets: f32[K, C], 1 for a class that is in the clip, 0
    for one that is not, NaN where nobody knows; all 0 where no event is heard.
    probabilities: f32[K, C], or raw scores of 0..1 if not ``calibrated``. thresholds: f32[C], a
    class counts as heard from there on (``>=``).
    scores: f32[K, C], the raw scores that the probabilities were made from, or None.
    no_event: f32[K], what a model that has a class for it ("background") gave to no event, or None.
    splits: by which part of the data each clip was judged; empty if there was no such part.

    Raises OptionError for arrays that do not fit each other.
    """

    clips: tuple[Clip, ...]
    classes: tuple[str, ...]
    targets: F32
    probabilities: F32
    thresholds: F32
    multi_label: bool = False
    calibrated: bool = True
    scores: F32 | None = None
    no_event: F32 | None = None
    windows: JudgedWindows | None = None
    splits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count, shape = len(self.clips), (len(self.clips), len(self.classes))
        if not count or not self.classes:
            raise OptionError(
                tr("there is nothing to judge by: give at least one clip and one class")
            )
        if len(set(self.classes)) != len(self.classes):
            raise OptionError(tr("a class is named twice"))
        _require("targets", self.targets, shape, unknown=True)
        _require("probabilities", self.probabilities, shape)
        _require("thresholds", self.thresholds, shape[1:])
        _require("scores", self.scores, shape)
        _require("no_event", self.no_event, shape[:1])
        if self.splits and len(self.splits) != count:
            raise OptionError(tr("{count} clips need as many splits, or none", count=count))
        _require_targets(self.targets, self.multi_label)
        if self.windows is not None:
            self._check_windows(self.windows)

    def _check_windows(self, windows: JudgedWindows) -> None:
        count = len(windows.clip_index)
        shape = (count, len(self.classes))
        if not count or not np.isin(windows.clip_index, np.arange(len(self.clips))).all():
            raise OptionError(
                tr("windows must be of clips 0 to {n_clips}", n_clips=len(self.clips) - 1)
            )
        if (windows.no_event is None) != (self.no_event is None):
            raise OptionError(tr("no_event is needed of windows where it is known of clips"))
        _require(tr("probabilities of windows"), windows.probabilities, shape)
        _require(tr("times of windows"), windows.times, (count, 2))
        _require(tr("no_event of windows"), windows.no_event, shape[:1])
        _require(tr("targets of windows"), windows.targets, shape, unknown=True)
        if windows.targets is not None:
            _require_targets(windows.targets, self.multi_label)

    def __len__(self) -> int:
        return len(self.clips)

    @cached_property
    def groups(self) -> I64:
        """i64[K]: numbers of the source recordings, from 0."""
        return group_numbers([clip.group for clip in self.clips])

    @cached_property
    def known(self) -> Bools:
        """bool[K, C]: whether it is known if the class is in the clip."""
        return ~np.isnan(self.targets)

    @cached_property
    def detected(self) -> Bools:
        """bool[K, C]: which classes reach their threshold."""
        return self.probabilities >= self.thresholds

    @cached_property
    def truth(self) -> I64:
        """i64[K]: the class of each clip, C for no event, `UNKNOWN`; without ``multi_label``."""
        return classes_of(self.targets)

    @cached_property
    def decided(self) -> I64:
        """i64[K]: the one class that the model names, or C for no event (`names_one`)."""
        return self.names_one(self.probabilities, self.no_event)

    def names_one(self, probabilities: F32, no_event: F32 | None) -> I64:
        """i64[N] of f32[N, C]: the class with the largest value, the first of equal ones.

        "No event" is an answer only where the data have clips without one, or the model has a class
        for it. The answer is then the largest among the classes that reach their threshold, if it
        is larger than that of ``no_event``, and else no event.
        """
        nothing = len(self.classes)
        if self.no_event is None and not (self.truth == nothing).any():
            return np.asarray(probabilities.argmax(axis=1), np.int64)
        values = np.where(probabilities >= self.thresholds, probabilities, -np.inf)
        best = np.asarray(values.argmax(axis=1), np.int64)
        least = np.full(len(values), -np.inf) if no_event is None else no_event
        return np.where(values.max(axis=1) > least, best, nothing)


def classes_of(targets: F32) -> I64:
    """i64[N] of f32[N, C] with at most one 1 in a row: its column, C if all is 0, or `UNKNOWN`."""
    named = np.where(np.nansum(targets, axis=1) > 0, np.nan_to_num(targets).argmax(axis=1), -1)
    named = np.where(named < 0, targets.shape[1], named)
    return np.asarray(np.where(np.isnan(targets).any(axis=1), UNKNOWN, named), np.int64)


def _require(
    name: str, values: NDArray[np.floating] | None, shape: tuple[int, ...], unknown: bool = False
) -> None:
    if values is None:
        return
    if values.shape != shape:
        raise OptionError(
            tr(
                "{name} must be {shape}, not {shape_2}",
                name=name,
                shape=list(shape),
                shape_2=list(values.shape),
            )
        )
    if not unknown and not np.isfinite(values).all():
        raise OptionError(tr("{name} must be finite", name=name))


def _require_targets(targets: F32, multi_label: bool) -> None:
    if not np.isin(targets[~np.isnan(targets)], (0, 1)).all():
        raise OptionError(tr("targets are 1, 0, or NaN where nobody knows"))
    if not multi_label and (np.nansum(targets, axis=1) > 1).any():
        raise OptionError(tr("a clip has several classes; that needs multi_label"))
