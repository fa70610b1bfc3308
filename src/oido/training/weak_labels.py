# SPDX-License-Identifier: Apache-2.0
"""Weak labels: which windows of a long recording hold what its label names.

A label of a minute may name a sound of a second. If every window were learnt as that sound, a head
would learn the place more than the sound. Instead windows are chosen by the model itself, as in
multiple-instance learning (Andrews, Tsochantaridis and Hofmann, Support vector machines for
multiple-instance learning, 2003): a classifier is fitted, the windows that stand out choose
themselves, and it is fitted anew. A recording's windows are chosen by classifiers that have not
seen its source, so that none is chosen for the sound of its place. What stands out is measured by
recordings that are known to be without the class, and by the recording's own other windows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.datasets.splits import group_numbers, spread
from oido.training.embeddings import EmbeddedClips

WEAK_FROM_SECONDS = 30.0
"""Recordings as long as this hold what their labels name somewhere, unless somebody says else."""

ROUNDS = 3
_PARTS = 3
"""Of the sources, each judged by a classifier of the others."""

_STANDS_OUT, _ORDINARY = 0.99, 0.9
"""Shares of the windows without a class: a window that scores above the first holds it, one below
the second does not; what lies between is no evidence."""

_LEAST_WITHOUT = 10
"""Windows without a class that it takes to say what is ordinary."""

FitLogits = Callable[[F64, F64], F32]
"""Targets and weights f64[V, C] of views → logits f32[V, C] by a classifier that is fitted so."""


def choose_windows(
    clips: EmbeddedClips, index: I64, targets: F64, weights: F64, of_clips: F64, fit: FitLogits
) -> tuple[F64, F64]:
    """Targets and weights f64[V, C] of views, as they are learnt where labels are weak.

    The views are the M windows of the clips, other views of the clips, and whatever else is learnt.
    index: the clips of all but the last of these. of_clips: f64[K, C], what each clip weighs.
    """
    weak = np.zeros(len(clips), np.bool_) if clips.weak is None else clips.weak
    windows = np.flatnonzero(weak[clips.clip_index])
    targets, weights = targets.copy(), weights.copy()
    weights[: len(index)][weak[index]] = 0  # the mean of a minute says little of a second
    count = min(_PARTS, len(np.unique(clips.groups)))
    parts = parts_of_sources(clips, count, 0)
    held_out = [parts == part for part in range(count)]
    chosen = clips.targets[clips.clip_index].astype(np.float64)
    for number in range(ROUNDS + 1):
        if number:
            chosen = _chosen(clips, _logits(clips, index, targets, weights, held_out, fit))
        targets[windows] = np.nan_to_num(chosen[windows])
        weights[windows] = _window_weights(clips, chosen, of_clips)[windows]
    return targets, weights


def parts_of_sources(clips: EmbeddedClips, count: int, seed: int) -> I64:
    """i64[K]: a part 0..count−1 of each clip, sources whole, each class in several if it can be."""
    groups = group_numbers(clips.groups)
    present = np.nan_to_num(clips.targets) > 0
    counts = np.zeros((int(groups.max()) + 1, len(clips.classes) + 1), np.int64)
    np.add.at(counts, groups, np.column_stack([present, ~present.any(axis=1)]))
    free = np.full(len(counts), -1, np.int64)
    return spread(counts, [1 / count] * count, seed, free)[groups]


def _logits(
    clips: EmbeddedClips,
    index: I64,
    targets: F64,
    weights: F64,
    held_out: list[Bools],
    fit: FitLogits,
) -> F32:
    """f32[M, C]: of each window by a classifier that has not learnt from its source.

    A class that nobody else has is judged by a classifier of all.
    """
    count = len(clips.clip_index)
    present = np.nan_to_num(clips.targets) > 0
    logits = np.zeros((count, len(clips.classes)), np.float32)
    lone = np.zeros(logits.shape, np.bool_)  # of classes that no other source has
    for part in held_out:
        others = (present & ~part[:, None]).any(axis=0)
        mask = part[clips.clip_index]
        lone[mask] = present.any(axis=0) & ~others
        if others.any():
            known = weights.copy()
            known[: len(index)][part[index]] = 0
            logits[mask] = fit(targets, known)[:count][mask]
    if lone.any():
        logits[lone] = fit(targets, weights)[:count][lone]
    return logits


def _chosen(clips: EmbeddedClips, logits: F32) -> F64:
    """f64[M, C]: 1 for a window that holds the class, 0 for one that does not, NaN: no evidence."""
    of_clips = clips.targets[clips.clip_index]  # f32[M, C]
    chosen = of_clips.astype(np.float64)
    best = np.maximum.reduceat(logits, clips.starts, axis=0)[clips.clip_index]
    usual = _medians(logits, clips)[clips.clip_index]
    for number in range(logits.shape[1]):
        values, present = logits[:, number], of_clips[:, number] > 0
        without = values[of_clips[:, number] == 0]
        if len(without) < _LEAST_WITHOUT:
            continue
        high, low = np.quantile(without, [_STANDS_OUT, _ORDINARY])
        stands_out = values >= np.maximum(high, (best + usual)[:, number] / 2)
        stands_out |= values >= best[:, number]
        found = np.where(stands_out, 1.0, np.where(values < low, 0.0, np.nan))
        chosen[present, number] = found[present]
    return chosen


def _medians(logits: F32, clips: EmbeddedClips) -> F32:
    """f32[K, C]: of the windows of each clip."""
    ends = [*clips.starts[1:].tolist(), len(logits)]
    parts = [logits[start:end] for start, end in zip(clips.starts.tolist(), ends)]
    return np.stack([np.median(part, axis=0) for part in parts]).astype(np.float32)


def _window_weights(clips: EmbeddedClips, chosen: F64, of_clips: F64) -> F64:
    """f64[M, C]: the windows of a clip that hold a class weigh as the clip, and so do those that do
    not hold it."""
    share = np.maximum(clips.weights, 1e-3)[:, None]
    found = np.zeros(chosen.shape)
    known = (of_clips > 0).astype(np.float64)
    for holds, of_clip in ((chosen > 0, of_clips), (chosen == 0, known)):
        mass = np.where(holds, share, 0.0)
        sums = np.add.reduceat(mass, clips.starts, axis=0)[clips.clip_index]
        shares = np.divide(mass, sums, out=np.zeros_like(mass), where=sums > 0)
        found += shares * of_clip[clips.clip_index]
    return found
