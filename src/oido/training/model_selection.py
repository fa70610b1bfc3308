# SPDX-License-Identifier: Apache-2.0
"""Choosing a head by cross-validation inside the clips, and calibrating it there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from oido.arrays import F32, F64, I64
from oido.calibration.scaling import fit_slopes, log_losses
from oido.datasets.dataset import accuracy
from oido.datasets.splits import stratified_folds
from oido.errors import OptionError
from oido.messages import tr
from oido.parallel import ordered_map
from oido.params import available_cores
from oido.training.baselines import BASELINES
from oido.training.embeddings import EmbeddedClips, clip_probabilities
from oido.training.fit import (
    LinearOptions,
    MlpOptions,
    Prepared,
    Views,
    fit_linear,
    fit_mlp,
    one_thread,
    prepare,
)
from oido.training.head import EmbeddingHead, activate
from oido.training.weak_labels import parts_of_sources

LARGEST_FOLDS = 5
CLEARLY = 2.0
"""Standard errors by which another candidate must be better than the first."""

OnFit = Callable[[], None]
"""Called when one more fit is done, by any thread."""

_COPIES, _MOST_BYTES = 5, 2_000_000_000
"""Of the embeddings, that fitting a fold needs for a while; and of memory for all at once."""

_Found = TypeVar("_Found")


NEVER_HELD_OUT = -1
"""The fold of clips that are held out of none."""


def held_out_folds(folds: I64) -> list[int]:
    """The numbers of the folds that are held out, each once."""
    numbers: list[int] = np.unique(folds[folds != NEVER_HELD_OUT]).tolist()
    return numbers


def each_fold(
    function: Callable[[int], _Found], folds: I64, clips: EmbeddedClips, jobs: int | None
) -> Iterator[_Found]:
    """What ``function`` gives for each fold, in order; so many threads, as far as memory allows.

    A fold is fitted by one thread, so that how many there are changes nothing.
    """
    possible = _MOST_BYTES // (_COPIES * clips.embeddings.nbytes)
    numbers = held_out_folds(folds)
    workers = max(1, min(jobs or available_cores(), possible, len(numbers)))
    yield from ordered_map(function, numbers, workers)


@dataclass(frozen=True)
class Candidate:
    """One way to fit a head. least_clips: fewer of its rarest class, and it is not tried."""

    name: str
    options: LinearOptions | MlpOptions
    least_clips: int = 0


CANDIDATES = (
    Candidate("linear", LinearOptions()),
    Candidate("linear, weak penalty", LinearOptions(strength=100.0), least_clips=5),
    Candidate("one hidden layer", MlpOptions(), least_clips=15),
)
"""What is tried by default. The first is chosen unless another one is clearly better."""


class Judged(NamedTuple):
    """A row of the table: what one way of fitting does with clips that it has not seen.

    log_loss: nats per clip, after calibration. margin: how much less the log loss
    is than the first candidate's, in standard errors.
    """

    name: str
    accuracy: float
    log_loss: float
    margin: float


@dataclass(frozen=True, eq=False)
class ModelSelection:
    """The head that was chosen, fitted on all clips and calibrated.

    out_of_fold: f32[K, C], probabilities of each clip by heads that had not seen its fold, each
    fold calibrated on the others; None if there were too few sources to hold any back.
    windows_out_of_fold: f32[M, C], those of the clips' windows. folds: i64[K], `NEVER_HELD_OUT` for
    clips that every head has learnt from, because their class has no other source: they are not
    judged, and their rows are 0. slope: what the logits were multiplied by; 1 without out-of-fold
    clips. first_logits: f32[M, C or C + 1], of the first candidate out of fold, as fitted.
    """

    head: EmbeddingHead
    chosen: str
    slope: float
    table: tuple[Judged, ...]
    out_of_fold: F32 | None
    folds: I64 | None
    windows_out_of_fold: F32 | None = None
    first_logits: F32 | None = None


def count_fits(
    clips: EmbeddedClips,
    candidates: Sequence[Candidate] = CANDIDATES,
    *,
    seed: int = 0,
    thorough: bool = False,
) -> tuple[int, int]:
    """How many folds `select` has, 0 for none, and how often it calls ``on_fit``.

    thorough: `cross_validate`, too.
    """
    folds = _folds(clips, seed)
    if folds is None:
        return 0, 1
    n_folds = len(held_out_folds(folds))
    fits = n_folds * len(_tried(clips, candidates)) + 1
    if thorough:
        for fold in held_out_folds(folds):
            fits += count_fits(clips.subset(folds != fold), candidates, seed=seed)[1]
    return n_folds, fits


def select(
    clips: EmbeddedClips,
    candidates: Sequence[Candidate] = CANDIDATES,
    *,
    seed: int = 0,
    jobs: int | None = None,
    on_fit: OnFit = lambda: None,
) -> ModelSelection:
    """Try ``candidates`` on the folds of ``clips``, take one, fit it on all clips, calibrate it.

    Folds are the clips' own, or up to five that keep groups whole; a class of one source is learnt
    from in all of them. Another candidate than the
    first is chosen if its log loss is less by more than two standard errors over clips: with few
    clips, differences are chance, and the first is the safe one. The same clips and seed give the
    same head, bit for bit. Raises OptionError for fewer than two classes, or no candidate.
    """
    _check(clips, candidates)
    with one_thread():
        folds = _folds(clips, seed)
        if folds is None:
            head = _fit(clips, candidates[0], seed)
            on_fit()
            return ModelSelection(head, candidates[0].name, 1.0, (), None, None)
        tried = _tried(clips, candidates)
        logits = _held_out_logits(clips, folds, tried, seed, jobs, on_fit)
        # At one spread for all: calibration is drawn towards a slope of 1, and with few clips a
        # candidate of flat logits would seem the worse for it, however well it tells classes.
        held_out = (folds != NEVER_HELD_OUT)[clips.clip_index]
        of_classes = logits[:, held_out, : len(clips.classes)]
        spreads = np.maximum(of_classes.std(axis=(1, 2)), 1e-6)
        scales = spreads[0] / spreads
        logits *= scales[:, None, None]
        judged = [_calibrate_out_of_fold(clips, folds, each) for each in logits]
        first = judged[0].losses
        table = [_row(clips, folds, c.name, held, first) for c, held in zip(tried, judged)]
        best = min(
            (n for n in range(len(tried)) if n == 0 or table[n].margin > CLEARLY),
            key=lambda n: table[n].log_loss,
        )
        slope = float(scales[best]) * judged[best].slope
        head = _fit(clips, tried[best], seed).scaled(slope)
        on_fit()
    held = judged[best]
    return ModelSelection(
        head, tried[best].name, slope, tuple(table), held.clips, folds, held.windows, logits[0]
    )


def cross_validate(
    clips: EmbeddedClips,
    candidates: Sequence[Candidate] = CANDIDATES,
    *,
    seed: int = 0,
    jobs: int | None = None,
    on_fit: OnFit = lambda: None,
) -> tuple[F32, I64]:
    """f32[K, C] probabilities and i64[K] folds: nested cross-validation of all that `select` does.

    Each fold is judged by a head that was chosen, fitted and calibrated without it; folds are as in
    `ModelSelection`. Raises OptionError if fewer than two classes have two sources.
    """
    _check(clips, candidates)
    folds = _folds(clips, seed)
    if folds is None:
        raise OptionError(
            tr("two classes need clips of at least two sources, so that one is unseen")
        )
    probabilities = np.zeros(clips.targets.shape, np.float32)
    for fold in held_out_folds(folds):
        held_out = clips.subset(folds == fold)
        known = clips.subset(folds != fold)
        head = select(known, candidates, seed=seed, jobs=jobs, on_fit=on_fit).head
        scores = head.scores(held_out.embeddings)
        probabilities[folds == fold] = clip_probabilities(scores, held_out, head.output)
    return probabilities, folds


def _check(clips: EmbeddedClips, candidates: Sequence[Candidate]) -> None:
    if not candidates:
        raise OptionError(tr("give at least one candidate to choose from"))
    present = int((np.nansum(clips.targets, axis=0) > 0).sum())
    if present < (1 if clips.multi_label else 2):
        raise OptionError(
            tr(
                "a classifier needs clips of two classes or more, and these have "
                "{present}; add another class, 'background' for example",
                present=present,
            )
        )


def _folds(clips: EmbeddedClips, seed: int) -> I64 | None:
    """The clips' own folds if they can be used; else as many as the rarest class has sources.

    Sources that are all there is of a class are held out of none. None: nothing can be, or nothing
    that would be of two classes.
    """
    present = [column > 0 for column in clips.targets.T if np.nansum(column) > 0]
    sources = [np.unique(clips.groups[clip]) for clip in present]
    learnt = np.concatenate([clips.groups[:0], *(own for own in sources if len(own) == 1)])
    held_out = ~np.isin(clips.groups, learnt)
    counts = [len(own) for own in (np.setdiff1d(own, learnt) for own in sources) if len(own) > 1]
    are_there = np.nan_to_num(clips.targets[held_out]) > 0
    if not counts or not (are_there.any(axis=0) & ~are_there.all(axis=0)).any():
        return None
    folds = np.full(len(clips), NEVER_HELD_OUT, np.int64)
    several = [clip for clip, own in zip(present, sources) if len(own) > 1]
    # A class in two folds of its own is in two of all.
    if clips.folds.min() >= 0 and all(len(np.unique(clips.folds[clip])) > 1 for clip in several):
        folds[held_out] = clips.folds[held_out]
        # Of recordings of several classes, those of one source may have taken the others along.
        if len(held_out_folds(folds)) > 1:
            return folds
    count, part = min(LARGEST_FOLDS, *counts), clips.subset(held_out)
    if clips.weak is not None:  # of many labels each, of which the first says little
        folds[held_out] = parts_of_sources(part, count, seed)
    else:
        folds[held_out] = stratified_folds(part.labels, part.groups, count, seed)
    return folds


def _tried(clips: EmbeddedClips, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those for which there are enough clips of the rarest class; the first at least."""
    rarest = int(np.nansum(clips.targets, axis=0).min())
    return [c for c in candidates if c.least_clips <= rarest] or [candidates[0]]


def _fit(
    clips: EmbeddedClips, candidate: Candidate, seed: int, data: Prepared | None = None
) -> EmbeddingHead:
    if isinstance(candidate.options, MlpOptions):
        return fit_mlp(clips, candidate.options, seed, data)
    return fit_linear(clips, candidate.options, data)


def _held_out_logits(
    clips: EmbeddedClips,
    folds: I64,
    candidates: Sequence[Candidate],
    seed: int,
    jobs: int | None,
    on_fit: OnFit,
) -> F32:
    """f32[candidates, M, C]: for each window, by heads that were fitted without its fold; behind
    the classes the quiet, where heads tell it."""
    columns = len(clips.classes) + clips.fits_quiet
    shape = (len(candidates), len(clips.embeddings), columns)
    logits = np.zeros(shape, np.float32)

    def fit_without(fold: int) -> None:
        held_out = (folds == fold)[clips.clip_index]
        known = clips.subset(folds != fold)
        prepared: dict[Views, Prepared] = {}
        for number, candidate in enumerate(candidates):
            views = candidate.options.views
            if views not in prepared:
                prepared[views] = prepare(known, views)
            head = _fit(known, candidate, seed, prepared[views])
            of_head = head.logits(clips.embeddings[held_out])
            missing = ((0, 0), (0, columns - of_head.shape[1]))  # of one that takes no quiet
            logits[number, held_out] = np.pad(of_head, missing, constant_values=-np.inf)
            on_fit()

    for _ in each_fold(fit_without, folds, clips, jobs):
        pass
    return logits


class _HeldOut(NamedTuple):
    """Probabilities of clips f32[K, C] and windows f32[M, C], and log losses of those that were
    held out, f64[H].

    slope: the calibration on all of them, by logits of heads that have not seen them.
    """

    clips: F32
    windows: F32
    losses: F64
    slope: float


def _calibrate_out_of_fold(clips: EmbeddedClips, folds: I64, logits: F32) -> _HeldOut:
    """Predictions of clips out of fold, each fold with the slope of the others."""
    output, held_out, count = clips.output, folds != NEVER_HELD_OUT, len(clips.classes)
    probabilities = np.zeros(clips.targets.shape, np.float32)
    of_windows = np.zeros((len(logits), count), np.float32)
    masks = [folds == fold for fold in held_out_folds(folds)]
    *slopes, of_all = fit_slopes(
        lambda slope: clip_probabilities(
            activate(logits * np.float32(slope), output)[:, :count], clips, output
        ),
        clips.targets,
        output,
        [*(held_out & ~mask for mask in masks), held_out],
    )
    for mask, slope in zip(masks, slopes):
        windows = mask[clips.clip_index]
        scores = activate(logits[windows] * np.float32(slope), output)[:, :count]
        of_windows[windows] = scores
        probabilities[mask] = clip_probabilities(scores, clips.subset(mask), output)
    losses = log_losses(probabilities[held_out], clips.targets[held_out], output)
    return _HeldOut(probabilities, of_windows, losses, of_all)


def judge_baselines(
    clips: EmbeddedClips,
    folds: I64,
    *,
    seed: int = 0,
    jobs: int | None = None,
    on_fit: OnFit = lambda: None,
) -> dict[str, float]:
    """The accuracy of each of `BASELINES` on the same folds; for clips of one class each."""
    found = {name: np.zeros(clips.targets.shape, np.float32) for name in BASELINES}

    def fit_without(fold: int) -> None:
        known, unknown = clips.subset(folds != fold), clips.subset(folds == fold)
        for name, baseline in BASELINES.items():
            found[name][folds == fold] = baseline(known, unknown, seed)
            on_fit()

    for _ in each_fold(fit_without, folds, clips, jobs):
        pass
    known = folds != NEVER_HELD_OUT
    truth = clips.targets[known]
    return {name: accuracy(p[known], truth, multi_label=False) for name, p in found.items()}


def _row(clips: EmbeddedClips, folds: I64, name: str, held: _HeldOut, first: F64) -> Judged:
    gain = first - held.losses
    error = max(float(gain.std() / np.sqrt(len(gain))), 1e-12)
    known = folds != NEVER_HELD_OUT
    share = accuracy(held.clips[known], clips.targets[known], clips.multi_label)
    return Judged(name, share, float(held.losses.mean()), float(gain.mean()) / error)
