# SPDX-License-Identifier: Apache-2.0
"""Which of the classes that are heard at one time are told: one row for each sound.

Of spans where one shares half of the other's time or more:

1. one that is more general than another goes: "Dog" is told, not "Animal", unless its score is
   more than five times as high: then the specific one goes;
2. of unrelated ones, those go that are weaker than half of the strongest;
3. siblings of the same time that are both still there, because neither is twice as strong, are
   told as their parent, if its evidence holds.

What goes stands in ``also`` of what it made room for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

NEAR = 0.5
"""The share of the strongest's score that an unrelated one needs. 1: the strongest alone."""

HOLDS = 0.2
"""The share of a more general one's score that a specific one needs to stand for it."""

SHARED = 0.5
"""Of a span's length, what another must cover to stand for it."""


@dataclass(frozen=True)
class Kinship:
    """Of each class: the columns of all classes above it, and of those right above it."""

    ancestors: tuple[frozenset[int], ...]
    parents: tuple[frozenset[int], ...]


class Timed(Protocol):
    """A class in some time, as `Choice` sees it."""

    index: int
    start: int
    end: int
    also: dict[int, None]


T = TypeVar("T", bound=Timed)


class Choice:
    """keeps_all: nothing goes."""

    def __init__(self, kinship: Kinship, keeps_all: bool = False) -> None:
        self._kinship, self._keeps_all = kinship, keeps_all

    def choose(self, spans: Sequence[T], strength: Callable[[T], float]) -> list[T]:
        """Those that are told, strongest first."""
        strengths = {id(span): strength(span) for span in spans}

        def known(span: T) -> float:
            return strengths[id(span)]

        ordered = sorted(spans, key=known, reverse=True)
        kept = [span for span in ordered if self.stays(span, ordered, known)]
        return kept if self._keeps_all else self._without_ties(kept, ordered)

    def stays(self, span: T, others: Sequence[T], strength: Callable[[T], float]) -> bool:
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

    def _without_ties(self, kept: list[T], spans: Sequence[T]) -> list[T]:
        """Each group of siblings as their parent; all strongest first."""
        parents = self._kinship.parents
        chosen: list[T] = []
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
