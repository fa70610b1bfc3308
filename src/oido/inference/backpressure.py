# SPDX-License-Identifier: Apache-2.0
"""A coarser hop where windows come faster than they can be predicted, or consumed.

A live source that is too fast for the model is predicted at every second, fourth, … window
(`AdaptiveHop`); a consumer that is too slow gets fewer windows from its queue
(`DecimatingQueue`). Little waits, nothing grows without end, and what was left out is reported.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

_FULL, _EMPTY = 0.5, 0.1
_PATIENCE_SECONDS, _CALM_SECONDS = 1.5, 30.0


class AdaptiveHop:
    """Chooses windows by how much of the source waits: all, or every second, fourth … 32nd.

    When half of the source's buffer has been full for a second and a half, the hop is doubled; when
    hardly anything has waited for half a minute, it is halved. So what a server sends at once at
    the start, which is soon worked off, changes nothing. clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_since: float | None = None
        self._empty_since: float | None = None
        self.every = 1

    def selects(self, window: int, fullness: float) -> bool:
        """Whether this window is to be predicted; fullness: of the source's buffer, 0..1."""
        now = self._clock()
        self._full_since = _since(self._full_since, now, holds=fullness > _FULL)
        self._empty_since = _since(self._empty_since, now, holds=fullness < _EMPTY)
        if self._full_since is not None and now - self._full_since >= _PATIENCE_SECONDS:
            self.every, self._full_since = min(2 * self.every, _COARSEST), now
        if self._empty_since is not None and now - self._empty_since >= _CALM_SECONDS:
            self.every, self._empty_since = max(self.every // 2, 1), now
        return window % self.every == 0


def _since(before: float | None, now: float, *, holds: bool) -> float | None:
    if not holds:
        return None
    return now if before is None else before


_T = TypeVar("_T")

_COARSEST = 32
"""Of so many windows, one still goes to a consumer that takes hardly anything."""


class Dropped(NamedTuple):
    """Windows that were left out: the first and the last of them, and how many."""

    first: int
    last: int
    windows: int


class DecimatingQueue(Generic[_T]):
    """A queue that holds a few windows, whatever the consumer does.

    When it is full, only every second window is kept, those that wait included; then every fourth,
    up to every 32nd. When it empties, the hop becomes finer step by step. ``every`` is what it is
    now; ``dropped`` counts all that was left out. Whoever shares it between threads locks it.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: deque[tuple[int | None, _T]] = deque()  # window, or None: about no window
        self.every = 1
        self.dropped = 0
        self._since_full = 0
        self._dropped_windows: Dropped | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        return len(self._waiting) >= self._capacity

    def push(self, window: int, content: _T) -> None:
        """A window, by its number; they come in order."""
        self._make_finer()
        if self.is_full:
            self._make_coarser()
        if window % self.every or self.is_full:
            self._leave_out(window)
        else:
            self._waiting.append((window, content))

    def push_waiting(self, window: int, content: _T) -> None:
        """A window for which there is capacity, or else its producer will wait."""
        self._waiting.append((window, content))

    def push_other(self, content: _T, count: int) -> bool:
        """Something about no window; False: it was full, and it counts as so many."""
        if self.is_full:
            self.dropped += count
            return False
        self._waiting.append((None, content))
        return True

    def pop(self) -> _T | None:
        """The next; None: nothing waits."""
        return self._waiting.popleft()[1] if self._waiting else None

    def pop_dropped(self) -> Dropped | None:
        """What was left out since the last call; None: nothing."""
        dropped, self._dropped_windows = self._dropped_windows, None
        return dropped

    def _make_coarser(self) -> None:
        self.every = min(2 * self.every, _COARSEST)
        self._since_full = 0
        waiting, self._waiting = self._waiting, deque()
        for window, content in waiting:
            if window is not None and window % self.every:
                self._leave_out(window)
            else:
                self._waiting.append((window, content))

    def _make_finer(self) -> None:
        """After twice as many windows as fit, and with nothing pending, the hop is halved."""
        self._since_full += 1
        if self.every > 1 and self._since_full > 2 * self._capacity and not self._waiting:
            self.every //= 2
            self._since_full = 0

    def _leave_out(self, window: int) -> None:
        first, last, windows = self._dropped_windows or (window, window, 0)
        self._dropped_windows = Dropped(min(first, window), max(last, window), windows + 1)
        self.dropped += 1
