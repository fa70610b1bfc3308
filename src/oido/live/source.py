# SPDX-License-Identifier: Apache-2.0
"""What live sources share: gaps, and reading that Ctrl-C can end.

Time goes on as silence where a source lost samples. What may block for long in C runs in a thread
that nobody joins.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timezone
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

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


def enqueue(waiting: queue.Queue[_T], item: _T, stopping: threading.Event) -> bool:
    """Wait for a place in the queue; False: nobody wants more."""
    while not stopping.is_set():
        with suppress(queue.Full):
            waiting.put(item, timeout=_TICK_SECONDS)
            break
    return not stopping.is_set()


def iterate_in_background(items: Iterator[_T], capacity: int) -> Iterator[_T]:
    """The same items, from a thread; at most ``capacity`` of them wait. Errors come in order."""
    waiting: queue.Queue[tuple[_T] | BaseException | None] = queue.Queue(capacity)
    stopping = threading.Event()

    def pull() -> None:
        try:
            for item in items:
                if not enqueue(waiting, (item,), stopping):
                    return
        except BaseException as error:
            enqueue(waiting, error, stopping)
        else:
            enqueue(waiting, None, stopping)

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


def utc_text(moment: datetime) -> str:
    """ISO 8601 with milliseconds and Z: 2026-05-01T12:03:05.120Z."""
    return moment.astimezone(timezone.utc).isoformat(timespec="milliseconds")[:-6] + "Z"
