# SPDX-License-Identifier: Apache-2.0
"""Clips as heads see them: the embeddings of their windows, and what is known of each clip.

Scores of windows are pooled to probabilities of clips, many clips at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oido.arrays import F32, F64, I64, Bools
from oido.datasets.dataset import check_targets
from oido.errors import OptionError
from oido.events.aggregation import POWER, telling
from oido.heads import OutputKind, no_event_columns
from oido.messages import tr


@dataclass(frozen=True, eq=False)
class FurtherWindows:
    """N windows of changed copies of clips: heads are fitted on them, and never judged by them.

    embeddings: f32[N, D]. clip_index: i64[N], the clip that each was made of, never falling.
    weights: f64[N], the share of each that is not padding, 0..1. beside: i64[N], the source
    recording (a group of the clips) that was mixed in, −1 for none: where that is held out, the
    window is too.
    """

    embeddings: F32
    clip_index: I64
    weights: F64
    beside: I64


@dataclass(frozen=True, eq=False)
class EmbeddedClips:
    """K clips of M windows in all; every array is checked, and must not be changed.

    embeddings: f32[M, D]. clip_index: i64[M], the clip of each window, 0..K−1, never falling; each
    clip has a window. weights: f64[M], the share of each window that is not padding, 0..1.
    targets: f32[K, C], 1 for a class that is in the clip, 0 for one that is not, NaN where nobody
    knows; without ``multi_label``, each row has exactly one 1 and is 0 elsewhere.
    classes: the C names. groups: i64[K], the source recording, whose clips never stand on both
    sides of a split. folds: i64[K], splits that came with the data; −1 where there are none.
    quiet: f32[Q, D], what the model makes of windows in which nothing is heard
    (`quiet_waveforms`), or None if it is not known.
    extra: windows of changed copies of the clips, or None; a clip may have none.
    own_size: how many of the D numbers, the first, are the network's own embedding; what other
    layers say is behind them. None: all. weak: bool[K], clips whose labels are somewhere in them,
    and not throughout (`oido.training.weak_labels`), which needs ``multi_label``; None: no clip.

    Raises OptionError for arrays that do not fit each other, or are not finite.
    """

    embeddings: F32
    clip_index: I64
    weights: F64
    targets: F32
    classes: tuple[str, ...]
    groups: I64
    folds: I64
    multi_label: bool = False
    quiet: F32 | None = None
    extra: FurtherWindows | None = None
    own_size: int | None = None
    weak: Bools | None = None

    def __post_init__(self) -> None:
        windows, clips = len(self.embeddings), len(self.targets)
        if self.embeddings.ndim != 2 or not windows or not clips:
            raise OptionError(tr("there is nothing to learn from: give at least one clip"))
        if len(self.clip_index) != windows or len(self.weights) != windows:
            raise OptionError(
                tr("{windows} windows need as many clip numbers and weights", windows=windows)
            )
        steps = np.diff(self.clip_index, prepend=-1, append=clips)
        if steps.min() < 0 or steps.max() > 1 or steps[0] != 1 or steps[-1] != 1:
            raise OptionError(
                tr("windows must be in the order of their clips, each clip having one")
            )
        if self.targets.shape != (clips, len(self.classes)):
            raise OptionError(
                tr(
                    "{clips} clips of {n_classes} classes need as many targets",
                    clips=clips,
                    n_classes=len(self.classes),
                )
            )
        if len(self.groups) != clips or len(self.folds) != clips:
            raise OptionError(tr("{clips} clips need as many groups and folds", clips=clips))
        if not np.isfinite(self.embeddings).all():
            raise OptionError(tr("embeddings must be finite; leave out the clips that are not"))
        check_targets(self.targets, self.multi_label)
        if self.quiet is not None and self.quiet.shape[1:] != self.embeddings.shape[1:]:
            raise OptionError(tr("quiet must be embeddings of the same model"))
        if self.extra is not None:
            _check_extra(self.extra, self.embeddings.shape[1], clips)
        if self.weak is not None and (len(self.weak) != clips or not self.multi_label):
            raise OptionError(
                tr("weak labels need a yes or no for each of {clips} clips, and tags", clips=clips)
            )

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def output(self) -> OutputKind:
        """What makes scores of logits: one class out of all, or each by itself."""
        return "sigmoid" if self.multi_label else "softmax"

    @property
    def fits_quiet(self) -> bool:
        """Whether heads get a logit of the quiet: of one class each, and none of no event."""
        return self.quiet is not None and not self.multi_label and not self.no_events.any()

    @property
    def no_events(self) -> Bools:
        """bool[C]: the classes that were taught as the absence of events."""
        absences = np.zeros(len(self.classes), bool)
        absences[no_event_columns(self.classes)] = True
        return absences

    @property
    def labels(self) -> I64:
        """i64[K]: the class of each clip; of several, the first."""
        return np.asarray(np.nan_to_num(self.targets).argmax(axis=1), np.int64)

    @cached_property
    def window_shares(self) -> F64:
        """f64[M]: how much of its clip each window is; those of one clip sum to 1.

        A clip that is all padding has nothing else to go by: its windows count alike.
        """
        count = len(self)
        sums = np.bincount(self.clip_index, self.weights, count)[self.clip_index]
        windows = np.bincount(self.clip_index, minlength=count)[self.clip_index]
        safe = np.where(sums > 0, sums, 1)
        return np.where(sums > 0, self.weights / safe, 1 / windows)

    @cached_property
    def means(self) -> F32:
        """f32[K, D]: the mean embedding of each clip, padding weighing nothing."""
        return self.clip_means(self.embeddings)

    def clip_means(self, rows: F32) -> F32:
        """f32[M, n], a row for each window → f32[K, n], as `means`."""
        shares = self.window_shares[:, None].astype(np.float32)
        return np.add.reduceat(rows * shares, self.starts, axis=0)

    @cached_property
    def maxima(self) -> F32:
        """f32[K, D]: the largest value of each dimension in each clip."""
        return np.maximum.reduceat(self.embeddings, self.starts, axis=0)

    @cached_property
    def views(self) -> tuple[F32, I64, F64]:
        """What heads are fitted on: f32[V, D] embeddings, i64[V] clips, f64[V] weights.

        Each clip is seen window by window and as a whole, by its mean; the weights of all the
        views of a clip sum to 1. The mean of windows is what a longer window would give, so
        a head that knows both does not mind how long its window is. Changed copies are not here:
        see `views_and_copies`.
        """
        several = np.flatnonzero(np.bincount(self.clip_index) > 1)
        halves = np.ones(len(self))
        halves[several] = 0.5
        return (
            np.concatenate([self.embeddings, self.means[several]]),
            np.concatenate([self.clip_index, several]),
            np.concatenate([self.window_shares * halves[self.clip_index], halves[several]]),
        )

    def views_and_copies(self, share: float) -> tuple[F32, I64, F64]:
        """`views`, and behind them the windows of changed copies, if there are any.

        share: how much of a clip's weight its copies have together, 0..1; a clip without copies
        gives nothing away. The weights of each clip still sum to 1.
        """
        rows, index, weights = self.views
        extra = self.extra
        if extra is None or not share:
            return rows, index, weights
        audible = np.maximum(extra.weights, 1e-3)  # a copy that is all padding is still one
        sums = np.bincount(extra.clip_index, audible, len(self))
        of_copies = np.where(sums > 0, share, 0)
        return (
            np.concatenate([rows, extra.embeddings]),
            np.concatenate([index, extra.clip_index]),
            np.concatenate(
                [weights * (1 - of_copies[index]), share * audible / sums[extra.clip_index]]
            ),
        )

    @cached_property
    def own(self) -> EmbeddedClips:
        """The same clips by the network's own embedding alone."""
        size, extra, quiet = self.own_size, self.extra, self.quiet
        if size in (None, self.embeddings.shape[1]):
            return self
        return replace(
            self,
            embeddings=self.embeddings[:, :size],
            quiet=None if quiet is None else quiet[:, :size],
            extra=None if extra is None else replace(extra, embeddings=extra.embeddings[:, :size]),
        )

    def subset(self, clips: ArrayLike) -> EmbeddedClips:
        """Some clips, by a mask bool[K] or by rising numbers; classes stay as they are."""
        chosen = np.asarray(clips)
        mask = chosen if chosen.dtype == bool else np.isin(np.arange(len(self)), chosen)
        windows = mask[self.clip_index]
        numbers = np.cumsum(mask) - 1
        return replace(
            self,
            embeddings=self.embeddings[windows],
            clip_index=numbers[self.clip_index[windows]].astype(np.int64),
            weights=self.weights[windows],
            targets=self.targets[mask],
            groups=self.groups[mask],
            folds=self.folds[mask],
            extra=None if self.extra is None else self._copies_of(mask, self.extra),
            weak=None if self.weak is None else self.weak[mask],
        )

    def _copies_of(self, mask: Bools, extra: FurtherWindows) -> FurtherWindows:
        """The windows of kept clips in which nothing is mixed that is not kept."""
        alone = (extra.beside < 0) | np.isin(extra.beside, self.groups[mask])
        kept = mask[extra.clip_index] & alone
        numbers = np.cumsum(mask) - 1
        return FurtherWindows(
            extra.embeddings[kept],
            numbers[extra.clip_index[kept]].astype(np.int64),
            extra.weights[kept],
            extra.beside[kept],
        )

    @property
    def starts(self) -> NDArray[np.intp]:
        """intp[K]: the first window of each clip."""
        return np.flatnonzero(np.diff(self.clip_index, prepend=-1))


def _check_extra(extra: FurtherWindows, size: int, clips: int) -> None:
    count = len(extra.embeddings)
    if extra.embeddings.shape != (count, size) or not np.isfinite(extra.embeddings).all():
        raise OptionError(tr("windows of copies must be finite embeddings of the same model"))
    if {len(extra.clip_index), len(extra.weights), len(extra.beside)} != {count}:
        raise OptionError(
            tr("{count} windows of copies need as many clip numbers and weights", count=count)
        )
    if count and (np.diff(extra.clip_index).min(initial=0) < 0 or extra.clip_index[0] < 0):
        raise OptionError(tr("windows of copies must be in the order of their clips"))
    if count and extra.clip_index[-1] >= clips:
        raise OptionError(tr("windows of copies must be of one of the {clips} clips", clips=clips))


def clip_probabilities(scores: F32, clips: EmbeddedClips, output: OutputKind) -> F32:
    """f32[M, C] scores of the windows of ``clips`` → f32[K, C]; softmax rows sum to 1.

    - of a softmax the "confident-mean" (`oido.events.aggregation`): windows in which the head is
      undecided, or sure of background or the quiet, weigh next to nothing: a clip is what it is
      where there is sound;
    - of a sigmoid the "power-mean": (Σ w·s⁴ / Σ w)^¼, between the mean and the largest;
    - where labels are weak, "max": a minute holds what one of its windows does.

    A clip of a single window keeps that window's scores, those of a softmax made to sum to 1.
    """
    share, starts = clips.window_shares[:, None], clips.starts
    s = scores.astype(np.float64)
    if clips.weak is not None:
        several = np.bincount(clips.clip_index)[clips.clip_index] > 1
        w = np.where(several, clips.weights, 1.0)[:, None]
        return np.asarray(np.maximum.reduceat(w * s, starts, axis=0), np.float32)
    if output == "sigmoid":
        powers = np.add.reduceat(share * s**POWER, starts, axis=0)
        return np.asarray(powers ** (1 / POWER), np.float32)
    share = share * telling(s, clips.no_events)[:, None]
    share = share / np.add.reduceat(share, starts, axis=0)[clips.clip_index]
    logs = np.log(np.maximum(s, 1e-30))
    pooled = np.exp(np.add.reduceat(share * logs, starts, axis=0))
    sums = np.maximum(pooled.sum(axis=1, keepdims=True), 1e-30)
    return np.asarray(pooled / sums, np.float32)
