# SPDX-License-Identifier: Apache-2.0
"""What live sources share: gaps, reading that Ctrl-C can end, a view of passing samples, a clock.

Time goes on as silence where a source lost samples. What may block for long in C runs in a thread
that nobody joins. A tapped reader passes samples on as they come, and seconds of the stream become
the time of day.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from oido.signal.decode import AudioReader

__all__ = [
    "OnBlock",
    "OnGap",
    "OnMessage",
    "SourceGap",
    "TappedReader",
    "UtcClock",
    "ignore",
    "in_background",
    "iterate_in_background",
    "silence",
    "utc_text",
]

_PIECE_SECONDS = 0.5


class SourceGap(NamedTuple):
    """Silence stands in the stream from ``start_time`` on, for ``seconds``; reason: a few words."""

    start_time: float
    seconds: float
    reason: str


OnGap = Callable[[SourceGap], None]
"""Called by the thread that reads, when a gap is over."""

OnBlock = Callable[[NDArray[np.float32]], None]

OnMessage = Callable[[str], None]
"""Gets one sentence for the user; may be called by any thread, and must not wait long."""


def ignore(_: object) -> None:
    """A callback for those who do not want to know."""


def silence(frames: int, channels: int, rate_hz: int) -> Iterator[NDArray[np.float32]]:
    """Zeros f32[n, channels], ``frames`` in all, in pieces of half a second at most."""
    piece = max(1, int(_PIECE_SECONDS * rate_hz))
    while frames > 0:
        yield np.zeros((min(frames, piece), channels), np.float32)
        frames -= piece


_T = TypeVar("_T")

_TICK_SECONDS = 0.1


def in_background(work: Callable[[], _T]) -> _T:
    """What ``work`` returns or raises. An interrupt of the one that waits leaves it behind."""
    return next(iterate_in_background((work() for _ in range(1)), 1))


def iterate_in_background(items: Iterator[_T], capacity: int) -> Iterator[_T]:
    """The same items, from a thread; at most ``capacity`` of them wait. Errors come in order."""
    waiting: queue.Queue[tuple[_T] | BaseException | None] = queue.Queue(capacity)
    stopping = threading.Event()

    def enqueue(item: tuple[_T] | BaseException | None) -> None:
        while not stopping.is_set():
            try:
                waiting.put(item, timeout=_TICK_SECONDS)
            except queue.Full:
                continue
            return

    def pull() -> None:
        try:
            for item in items:
                enqueue((item,))
                if stopping.is_set():
                    return
        except BaseException as error:
            enqueue(error)
        else:
            enqueue(None)

    threading.Thread(target=pull, name="oido-background", daemon=True).start()
    try:
        while True:
            try:
                item = waiting.get(timeout=_TICK_SECONDS)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item[0]
    finally:
        stopping.set()


class TappedReader(AudioReader):
    """Another reader, each block of which goes to ``on_block`` just before it is used."""

    def __init__(
        self, reader: AudioReader, on_block: Callable[[NDArray[np.float32]], None]
    ) -> None:
        self._reader, self._on_block = reader, on_block
        self.info = reader.info

    @property
    def damaged_packets(self) -> int:  # type: ignore[override]
        return self._reader.damaged_packets

    @property
    def fullness(self) -> float:
        return self._reader.fullness

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Blocks f32[n, channels]."""
        for block in self._reader.blocks():
            self._on_block(block)
            yield block

    def close(self) -> None:
        """Close the reader inside."""
        self._reader.close()


_MEMORY_SECONDS = 30.0


class UtcClock:
    """Seconds of a live stream as the time of day.

    A sample was recorded before it came; those that came with the least delay are the best
    evidence. The least of the last half to whole minute counts, so that neither a slow sound card
    nor a clock that is set makes it wrong for long.
    """

    def __init__(self) -> None:
        self._least = self._before = float("inf")
        self._since = float("-inf")

    def update(self, stream_time: float, now: float | None = None) -> None:
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
