# SPDX-License-Identifier: Apache-2.0
"""Spans of classes with their evidence, and which of those at one time are told.

The evidence of a class over some frames, its *pooled* score, is the mean of the frames' odds
s / (1 − s), as a score again: a few sure frames count for more than many that hesitate.

There is one row for each sound. Of spans where one shares half of the other's time or more:

1. one that is more general than another goes: "Dog" is told, not "Animal", unless its score is
   more than five times as high: then the specific one goes;
2. of unrelated ones, those go that are weaker than half of the strongest;
3. siblings of the same time that are both still there, because neither is twice as strong, are
   told as their parent, if its evidence holds.

What goes stands in ``also`` of what it made room for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from oido.arrays import F32, F64, Bools

NEAR = 0.5
"""The share of the strongest's score that an unrelated one needs. 1: the strongest alone."""

HOLDS = 0.2
"""The share of a more general one's score that a specific one needs to stand for it."""

SHARED = 0.5
"""Of a span's length, what another must cover to stand for it."""

_LARGEST_SCORE = 1 - 1 / 1024

UNKNOWN = -1
"""The index of a span that is none of the classes; ``also`` tells what it scored highest as."""


Values = Callable[[F32], F32]
"""Scores f32[..., C] → what is compared with thresholds, f32[..., C]."""


def pooled(odds: F64) -> F64:
    """Mean odds as scores again."""
    return np.asarray(odds / (1 + odds))


def odds_of(scores: F32) -> F64:
    """s / (1 − s), at most 1023: the models' scores are no surer than that."""
    limited = np.minimum(scores.astype(np.float64), _LARGEST_SCORE)
    return np.asarray(limited / (1 - limited))


class FramePool:
    """The evidence of frames from a first one on, which may become more; each is added once.

    A live view asks with every window what is heard in a stretch, which may be half a minute long.
    n: frames so far. active: bool[n, C], in which of them each class goes on.
    """

    def __init__(self, first: int, values: Values, off: F32) -> None:
        self.first, self.n = first, 0
        self._values, self._off = values, off
        self._sums: F64 = np.zeros((0, len(off)))  # of odds; one row, or none
        self.active: Bools = np.zeros((0, len(off)), bool)

    def extend(self, scores: F32) -> None:
        """All frames so far, f32[n, C]: those that were there before, and perhaps more."""
        new, self.n = scores[self.n :], len(scores)
        if not len(new):
            return
        # NumPy adds up rows one by one, so these are its sums of all at once, to the last bit; but
        # a single column it adds up in pairs.
        rows = odds_of(scores if len(self._off) == 1 else new)
        if len(rows) < len(scores):
            rows = np.concatenate([self._sums, rows])
        self._sums = np.add.reduce(rows, axis=0, keepdims=True)
        self.active = np.concatenate([self.active, self._values(new) >= self._off])

    @property
    def means(self) -> F64:
        """Of the odds of each class, f64[C]; there must be a frame."""
        return np.asarray(self._sums[0] / self.n)


@dataclass
class Span:
    """One class in some time: what may become an event. Times are samples.

    odds: the sum of those of its frames. outside: whether frames outside of stretches belong to it;
    seen: the number of outside frames when it was last heard. also: columns that it stands for.
    """

    index: int
    start: int
    end: int
    odds: float
    n_frames: int
    seen: int = 0
    outside: bool = False
    also: dict[int, None] = field(default_factory=dict)

    @property
    def score(self) -> float:
        mean = self.odds / self.n_frames
        return mean / (1 + mean)

    def join(self, later: Span) -> None:
        """Go on with another one of the same class."""
        self.end, self.seen = later.end, later.seen
        self.odds, self.n_frames = self.odds + later.odds, self.n_frames + later.n_frames
        self.also |= later.also


@dataclass(frozen=True)
class Kinship:
    """Of each class: the columns of all classes above it, and of those right above it."""

    ancestors: tuple[frozenset[int], ...]
    parents: tuple[frozenset[int], ...]


class Choice:
    """keeps_all: nothing goes."""

    def __init__(self, kinship: Kinship, keeps_all: bool = False) -> None:
        self._kinship, self._keeps_all = kinship, keeps_all

    def choose(self, spans: Sequence[Span], strength: Callable[[Span], float]) -> list[Span]:
        """Those that are told, strongest first."""
        strengths = {id(span): strength(span) for span in spans}

        def known(span: Span) -> float:
            return strengths[id(span)]

        ordered = sorted(spans, key=known, reverse=True)
        kept = [span for span in ordered if self.stays(span, ordered, known)]
        return kept if self._keeps_all else self._without_ties(kept, ordered)

    def stays(self, span: Span, others: Sequence[Span], strength: Callable[[Span], float]) -> bool:
        """Whether a span is told beside others; if not, it is noted in what stands for it."""
        if self._keeps_all:
            return True
        length, ancestors = span.end - span.start, self._kinship.ancestors
        stays = True
        for other in others:
            common = min(span.end, other.end) - max(span.start, other.start)
            if other is span or common < SHARED * length:
                continue
            own, its = strength(span), strength(other)
            if span.index in ancestors[other.index]:
                goes = its >= HOLDS * own
            elif other.index in ancestors[span.index]:
                goes = own < HOLDS * its
            else:
                goes = own < NEAR * its
            if goes:
                other.also[span.index] = None
                stays = False
        return stays

    def _without_ties(self, kept: list[Span], spans: Sequence[Span]) -> list[Span]:
        """Each group of siblings as their parent; all strongest first."""
        parents = self._kinship.parents
        chosen: list[Span] = []
        while kept:
            best, *kept = kept
            same = [s for s in spans if (s.start, s.end) == (best.start, best.end)]
            for parent in (s for s in same if s.index in parents[best.index]):
                tied = [s for s in kept if s in same and parent.index in parents[s.index]]
                if tied:
                    kept = [s for s in kept if s not in tied]
                    parent.also |= dict.fromkeys(s.index for s in (best, *tied))
                    for s in (best, *tied):
                        parent.also |= {index: None for index in s.also if index != parent.index}
                    best = parent
                    break
            chosen.append(best)
        return chosen
