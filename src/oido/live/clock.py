# SPDX-License-Identifier: Apache-2.0
"""From seconds of the stream to the time of day."""

from __future__ import annotations

import time
from datetime import datetime, timezone

__all__ = ["UtcClock", "utc_text"]

_MEMORY_SECONDS = 30.0


class UtcClock:
    """Tells when, by the wall clock, a moment of a live stream was.

    A sample cannot have been heard after it came; the samples that came with the least delay tell
    best. The least of the last half to whole minute counts, so that neither a slow sound card nor a
    clock that is set makes it wrong for long.
    """

    def __init__(self) -> None:
        self._least = self._before = float("inf")
        self._since = float("-inf")

    def came(self, stream_time: float, now: float | None = None) -> None:
        """The stream was there up to ``stream_time`` s at ``now`` (Unix time; None: now)."""
        now = time.time() if now is None else now
        if not 0.0 <= now - self._since < _MEMORY_SECONDS:
            self._before, self._least, self._since = self._least, float("inf"), now
        self._least = min(self._least, now - stream_time)

    def at(self, stream_time: float) -> datetime:
        """That moment in UTC. Only after something came."""
        offset = min(self._least, self._before)
        return datetime.fromtimestamp(stream_time + offset, timezone.utc)


def utc_text(moment: datetime) -> str:
    """ISO 8601 with milliseconds and Z: 2026-05-01T12:03:05.120Z."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds")[:-6] + "Z"
