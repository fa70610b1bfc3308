# SPDX-License-Identifier: Apache-2.0
"""A time limit for something that is done very often."""

from __future__ import annotations

import asyncio
import time

__all__ = ["Watch"]


class Watch:
    """Knows when something takes too long.

    A timeout for every message of every stream would cost more than the messages; so they only
    note when they ``begin`` and ``end``, and one task looks from time to time (`elapsed`).
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun: float | None = None

    def begin(self) -> None:
        """It begins now."""
        self._begun = time.monotonic()

    def end(self) -> None:
        """It is done."""
        self._begun = None

    async def elapsed(self) -> None:
        """Returns when it has taken longer than it may."""
        while True:
            begun = self._begun
            left = self._seconds if begun is None else begun + self._seconds - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(left)
