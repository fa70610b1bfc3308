# SPDX-License-Identifier: Apache-2.0
"""Learning one sound from a few answers: the head, what to ask next, what was learnt, when to stop.

Beside the answers stand windows that nobody has answered, drawn at random: nearly all of them are
without the sound, and so they count as a weak no (background). All is judged on held-out sources:
a clip by a head that has seen no clip of its recording.

Whoever answers is asked where the archive scores highest, so answers are no fair sample of it. An
answer speaks for the windows of the archive with about its score, and is weighted by how many they
are (post-stratification by score), so that the average precision is about that over the archive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.calibration.scaling import SigmoidFit, fit_sigmoids
from oido.datasets.dataset import class_weights
from oido.datasets.splits import stratified_folds
from oido.evaluation.bootstrap import Bootstrap, Estimate
from oido.evaluation.ranking_and_calibration import ranking_samples
from oido.inference.embedder import l2_normalized
from oido.training.embeddings import EmbeddedClips, clip_probabilities
from oido.training.fit import STRENGTH_OF_TAGS, Prepared, prepared_rows, solve_linear
from oido.training.head import Dense, EmbeddingHead, activate

Kind = Literal["top", "margin", "random"]


@dataclass(frozen=True)
class AskingRule:
    """What is asked next, and how heads are fitted meanwhile.

    top, margin, random: how many of ten questions are of the windows that score highest, of those
    nearest to the boundary, and of any. spread: how far likeness to what is asked in the same round
    counts against a window: 1 as much as all that candidates differ in, 0 not at all. background:
    the weight of all unanswered windows together, in answers for each answer.
    """

    top: int = 3
    margin: int = 7
    random: int = 0
    spread: float = 0.25
    background: float = 1.0


OURS = AskingRule()
"""Chosen by `benchmarks/loop.py` on one half of the sounds there, and judged on the other."""

BACKGROUND_WINDOWS = 400
FOLDS = 5
LEAST_ANSWERS, LEAST_RECORDINGS = 5, 2
"""Of yes and of no each, to judge by; and recordings with a yes."""

_POOL = 20
"""So many windows are looked at for each that is asked."""

_TOGETHER = 5
"""Answers next to each other by score that speak for the archive together."""

_SHORTEST_POINT = 10
_STOP_ANSWERS, _STOP_YES, _STOP_GAIN = 40, 10, 0.02


def choose_next(
    logits: F32,
    askable: Bools,
    count: int,
    *,
    vectors: Callable[[I64], F32],
    near: Callable[[int], I64],
    dice: np.random.Generator,
    rule: AskingRule = OURS,
) -> I64:
    """The numbers of the next windows to ask, up to ``count``, the first one first.

    logits: f32[N] of all windows of the archive. askable: bool[N], those that nobody answered.
    vectors: f32[n, D] of windows by their numbers. near: the windows that overlap one, itself among
    them; they are one place, and not asked in the same round.
    """
    left, kinds = askable.copy(), _kinds(rule, count)
    worth: dict[Kind, F32] = {"top": logits, "margin": -np.abs(logits)}
    pools = {
        kind: _largest(worth[kind], left, _POOL * count)
        if kind in worth
        else dice.permutation(np.flatnonzero(left))[: _POOL * count]
        for kind in dict.fromkeys(kinds)
    }
    values = {kind: _scaled(worth[kind][pools[kind]]) for kind in pools if kind in worth}
    rows = {kind: vectors(pools[kind]) for kind in values if rule.spread}
    directions = _directions(rows)
    chosen: list[int] = []
    units: list[F32] = []
    for kind in kinds:
        pool = pools[kind]
        free = np.flatnonzero(left[pool])
        if not len(free):
            continue
        best = int(free[0])
        if kind in directions:
            own = values[kind][free]
            if units:
                likeness = np.maximum(directions[kind][free] @ np.stack(units).T, 0).max(axis=1)
                own = own - rule.spread * likeness
            best = int(free[own.argmax()])
            units.append(directions[kind][best])
        chosen.append(int(pool[best]))
        left[near(chosen[-1])] = False
    return np.array(chosen, np.int64)


def _scaled(values: F32) -> F64:
    """f64[n], 0..1."""
    if not len(values):
        return np.zeros(0)
    low, high = float(values.min()), float(values.max())
    return (values.astype(np.float64) - low) / max(high - low, 1e-12)


def _kinds(rule: AskingRule, count: int) -> list[Kind]:
    """The kind of each question: the shares of the rule, evenly mixed."""
    shares: dict[Kind, int] = {"top": rule.top, "margin": rule.margin, "random": rule.random}
    whole, kinds = sum(shares.values()), list[Kind]()
    for number in range(1, count + 1):
        lack = {kind: share * number / whole - kinds.count(kind) for kind, share in shares.items()}
        kinds.append(max(lack, key=lambda kind: lack[kind]))
    return kinds


def _largest(values: F32, allowed: Bools, count: int) -> I64:
    """The numbers of the largest values that are allowed, largest first."""
    masked = np.where(allowed, values, -np.inf)
    count = min(count, int(allowed.sum()))
    found = np.argpartition(-masked, count - 1)[:count] if count else np.zeros(0, np.int64)
    return np.asarray(found[np.lexsort((found, -masked[found]))], np.int64)


def _directions(rows: Mapping[Kind, F32]) -> dict[Kind, F32]:
    """f32[n, D] of each kind's windows around the mean of all, of length 1."""
    if not any(len(each) for each in rows.values()):
        return {}
    least = min(float(each.min()) for each in rows.values() if len(each))
    features = {kind: np.sqrt(each) if least >= 0 else each for kind, each in rows.items()}
    centre = np.concatenate(list(features.values())).mean(axis=0)
    return {kind: l2_normalized(each - centre) for kind, each in features.items()}


class Unanswered(NamedTuple):
    """What is learnt from beside the answers: f32[B, D] windows of the archive, and f32[E, D]
    examples of the sound, which are not of it and never judged."""

    background: F32
    examples: F32


class JudgedAnswers(NamedTuple):
    """Probabilities f32[K] of answered clips by heads that had seen no clip of their recordings."""

    probabilities: F32
    folds: I64


class LearntPoint(NamedTuple):
    """With so many answers, the average precision over the archive, and its interval of 95 %."""

    answers: int
    average_precision: float
    low: float
    high: float


class AnswersFit:
    """A head fitted on answers, and how good it is on sources that it has not seen.

    clips: the K answers in the order in which they were given, targets of one class (multi_label).
    Fits take one thread each and the same answers give the same head.
    """

    def __init__(
        self, clips: EmbeddedClips, unanswered: Unanswered, rule: AskingRule = OURS
    ) -> None:
        self.clips = clips
        self._strength = STRENGTH_OF_TAGS
        rows, index, shares = clips.views
        extra = np.concatenate([unanswered.background, unanswered.examples])
        n_background, n_examples = len(unanswered.background), len(unanswered.examples)
        of_clips = class_weights(clips.targets, True, True)[:, 0]
        targets = np.concatenate(
            [clips.targets[index, 0], np.zeros(n_background), np.ones(n_examples)]
        )
        weak = rule.background * len(clips) / max(1, n_background)
        weights = np.concatenate(
            [of_clips[index] * shares, np.full(n_background, weak), np.ones(n_examples)]
        )
        self._clip_of_row = np.concatenate([index, np.full(len(extra), -1)])
        self._is_background = np.zeros(len(self._clip_of_row), np.bool_)
        self._is_background[len(rows) : len(rows) + n_background] = True
        everything = np.concatenate([rows, extra]).astype(np.float32)
        self._data: Prepared = prepared_rows(
            everything,
            targets[:, None].astype(np.float64),
            weights[:, None],
            bool(everything.min() >= 0),
            "sigmoid",
            len(clips) + n_background,
        )

    @property
    def head(self) -> EmbeddingHead:
        """Of all answers; its scores are not calibrated."""
        layer = self._data.layer(*solve_linear(self._data, self._strength))
        return EmbeddingHead(self.clips.classes, (layer,), "sigmoid", self._data.square_root)

    def folds(self, seed: int = 0) -> I64 | None:
        """i64[K]: parts of the answers that keep recordings whole; None if there are too few."""
        if any(lacking(self.clips)):
            return None
        yes = self.clips.targets[:, 0] > 0
        groups = self.clips.groups
        count = min(FOLDS, len(np.unique(groups[yes])), len(np.unique(groups)))
        return stratified_folds(yes.astype(np.int64), groups, count, seed)

    def held_out(self, folds: I64, first: int | None = None) -> JudgedAnswers | None:
        """All answers, by heads of the ``first`` answers of other folds; None: all of them.

        None where the heads of some fold would have no yes to learn from.
        """
        first = len(self.clips) if first is None else first
        of_answer = self._clip_of_row >= 0
        # The background weighs as much beside fewer answers as beside all.
        share = np.where(self._is_background, first / len(self.clips), 1.0)
        base = self._data.weights * share[:, None]
        scores = np.zeros((len(self.clips.embeddings), 1), np.float32)
        for fold in np.unique(folds):
            seen = ~of_answer | ((self._clip_of_row < first) & (folds[self._clip_of_row] != fold))
            weights = np.where(seen[:, None], base, 0.0)
            if not weights[self._data.targets > 0].any():
                return None
            some = self._data._replace(weights=weights)
            slopes, bias = solve_linear(some, self._strength)
            own = np.flatnonzero(folds[self.clips.clip_index] == fold)
            logits = self._data.x[own] @ slopes.astype(np.float32) + bias.astype(np.float32)
            scores[own] = activate(logits, "sigmoid")
        return JudgedAnswers(clip_probabilities(scores, self.clips, "sigmoid")[:, 0], folds)


class Lacking(NamedTuple):
    """What is missing to judge by: so many yes and no, and recordings with a yes."""

    yes: int
    no: int
    recordings: int


def lacking(clips: EmbeddedClips) -> Lacking:
    """All 0 where there is enough to hold recordings back."""
    yes = clips.targets[:, 0] > 0
    return Lacking(
        max(0, LEAST_ANSWERS - int(yes.sum())),
        max(0, LEAST_ANSWERS - int((~yes).sum())),
        max(0, LEAST_RECORDINGS - len(np.unique(clips.groups[yes]))),
    )


def archive_shares(answered: F32, archive: F32) -> F64:
    """f64[K]: for how many windows of the archive each answer speaks, by scores f32[K], f32[N].

    Answers in the order of their scores, five at a time, speak for all windows between half-way to
    the five above and half-way to those below; together for the whole archive.
    """
    order = np.argsort(-answered, kind="stable")
    groups = np.array_split(order, max(1, len(order) // _TOGETHER))
    lows = np.array([answered[group].min() for group in groups], np.float64)
    highs = np.array([answered[group].max() for group in groups], np.float64)
    borders = (lows[:-1] + highs[1:]) / 2  # falling
    counts = np.bincount(
        len(borders) - np.searchsorted(borders[::-1], archive, "right"), minlength=len(groups)
    )
    shares = np.ones(len(answered))
    for group, count in zip(groups, counts.tolist()):
        shares[group] = max(1.0, count / len(group))
    return shares


def weighted_precision(
    clips: EmbeddedClips, held: JudgedAnswers, shares: F64, bootstrap: Bootstrap
) -> Estimate:
    """The average precision over what the answers speak for."""
    present = clips.targets[:, 0] > 0
    once = shares[None].astype(np.float32)
    value = float(ranking_samples(present, held.probabilities, once)[0][0])
    samples = ranking_samples(present, held.probabilities, bootstrap.weights * once)[0]
    return bootstrap.percentiles(value, samples)


def learning_curve(fit: AnswersFit, shares: F64, seed: int = 0) -> list[LearntPoint]:
    """What all answers, the first half, the first quarter and so on have achieved, fewest first.

    Each point is judged on all answers, by heads that have seen none of their recordings, so that
    points are comparable although questions become harder. Empty where too little can be held back.
    """
    folds = fit.folds(seed)
    if folds is None:
        return []
    bootstrap = Bootstrap(fit.clips.groups, 1, seed)
    points: list[LearntPoint] = []
    size = len(fit.clips)
    while size >= _SHORTEST_POINT:
        held = fit.held_out(folds, size)
        if held is None:
            break
        found = weighted_precision(fit.clips, held, shares, bootstrap)
        if math.isnan(found.value):
            break
        points.append(LearntPoint(size, *found))
        size //= 2
    return points[::-1]


def is_enough(curve: Sequence[LearntPoint], positives: int) -> bool:
    """Whether asking may stop: twice as many answers have brought next to nothing."""
    if len(curve) < 2 or curve[-1].answers < _STOP_ANSWERS or positives < _STOP_YES:
        return False
    return curve[-1].average_precision - curve[-2].average_precision < _STOP_GAIN


def calibrated(fit: AnswersFit, folds: I64) -> tuple[EmbeddingHead, JudgedAnswers] | None:
    """The head of all answers, its scores probabilities; and those of held-out sources.

    Answers are chosen by their scores, not by what they turn out to be, and so the share of yes at
    a score is that of the archive. Each fold has the sigmoid of the others, the head that of all.
    None where heads of some fold would have no yes.
    """
    held = fit.held_out(folds)
    if held is None:
        return None
    clips, raw = fit.clips, held.probabilities[:, None]
    whole = fit_sigmoids(raw, clips.targets, clips.groups)
    found = np.zeros(len(raw), np.float32)
    for fold in np.unique(folds):
        own, others = folds == fold, folds != fold
        yes = clips.targets[others, 0] > 0
        mixed = 0 < int(yes.sum()) < len(yes)
        sigmoid = (
            fit_sigmoids(raw[others], clips.targets[others], clips.groups[others])
            if mixed and np.ptp(raw[others])
            else whole
        )
        found[own] = _through(sigmoid, raw[own])[:, 0]
    layer = fit.head.layers[0]
    slope, offset = np.float32(whole.slopes[0]), np.float32(whole.offsets[0])
    head = replace(fit.head, layers=(Dense(layer.weights * slope, layer.bias * slope + offset),))
    return head, JudgedAnswers(found, folds)


def _through(fit: SigmoidFit, scores: F32) -> F32:
    x = np.clip(scores.astype(np.float64), 1e-6, 1 - 1e-6)
    logits = fit.slopes * (np.log(x) - np.log1p(-x)) + fit.offsets
    return activate(logits.astype(np.float32), "sigmoid")
