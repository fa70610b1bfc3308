# SPDX-License-Identifier: Apache-2.0
"""A coarser hop for live sources that are heard too slowly."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Coarsening"]

_FULL, _EMPTY = 0.5, 0.1
_PATIENCE_SECONDS, _CALM_SECONDS = 1.5, 30.0
_COARSEST = 32


class Coarsening:
    """Chooses windows by how much of the source waits: all, or every second, fourth … 32nd.

    When half of the source's room has been full for a second and a half, the hop is doubled; when
    hardly anything has waited for half a minute, it is halved. So what a server sends at once at
    the start, which is soon heard, changes nothing. clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_since: float | None = None
        self._empty_since: float | None = None
        self.every = 1

    def takes(self, window: int, fullness: float) -> bool:
        """Whether this window shall be heard; fullness: of the source's room, 0..1."""
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
