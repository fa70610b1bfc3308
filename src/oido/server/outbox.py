# SPDX-License-Identifier: Apache-2.0
"""Messages waiting to be sent to a stream's client: few, and for a limited time."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

from oido.inference.backpressure import DecimatingQueue
from oido.params import Windowing
from oido.server.protocol import text_of

__all__ = ["Outbox", "Watchdog"]

_CAPACITY = 32
"""Messages that may wait."""


class Outbox:
    """Messages of one stream, from the prediction threads to the task that sends them.

    A client that reads them too slowly gets a coarser hop (`DecimatingQueue`), and a "dropped"
    message that says so. At the level of events, the events that do not fit are left out, and
    counted. Nothing ever waits for the client but these few messages.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, windowing: Windowing) -> None:
        self._loop, self._windowing = loop, windowing
        self._lock = threading.Lock()
        self._waiting: DecimatingQueue[str] = DecimatingQueue(_CAPACITY)
        self._something = asyncio.Event()
        self._is_awaited = False
        self._closed = False
        self._announced_every = 1
        self._events_gone = 0

    @property
    def dropped(self) -> int:
        """Windows or events that were left out, all in all."""
        return self._waiting.dropped

    def push_window(self, number: int, text: str) -> None:
        """The rows of a window, in order of the windows."""
        with self._lock:
            self._waiting.push(number, text)
            self._wake()

    def push_events(self, text: str, events: int) -> None:
        """A message about events; events: how many are lost if the queue is full."""
        with self._lock:
            if not self._waiting.push_other(text, events):
                self._events_gone += events
            self._wake()

    def close(self) -> None:
        """There will be no more; those that wait are still sent."""
        with self._lock:
            self._closed = True
            self._wake()

    async def next(self) -> str | None:
        """The next message to send; None: there is no more. Called by the loop's thread alone."""
        while True:
            with self._lock:
                notice = self._notice() or self._waiting.pop()
                if notice is not None or self._closed:
                    return notice
                self._something.clear()
                self._is_awaited = True
            await self._something.wait()

    def _notice(self) -> str | None:
        """A message about what was left out, when the hop changes and at the end."""
        w = self._windowing
        if self._events_gone:
            count, self._events_gone = self._events_gone, 0
            return text_of("dropped", events=count)
        every, ended = self._waiting.every, self._closed and not self._waiting
        if every == self._announced_every and not ended:
            return None
        gone = self._waiting.pop_dropped()
        if gone is None and every == self._announced_every:
            return None
        self._announced_every = every
        hop = round(every * w.hop_seconds, 6)
        if gone is None:
            return text_of("dropped", windows=0, hop=hop)
        return text_of(
            "dropped",
            windows=gone.windows,
            start_time=round(w.span(gone.first)[0], 6),
            end_time=round(w.span(gone.last)[1], 6),
            hop=hop,
        )

    def _wake(self) -> None:
        """Called with the lock; a loop that does not wait is not woken, which costs a lot."""
        if self._is_awaited:
            self._is_awaited = False
            with contextlib.suppress(RuntimeError):  # the loop is closed: nothing is sent any more
                self._loop.call_soon_threadsafe(self._something.set)


class Watchdog:
    """Notices when something is too slow.

    A timeout for every message of every stream would cost more than the messages; so they only
    note when they ``begin`` and ``end``, and one task looks from time to time (`wait_elapsed`).
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

    async def wait_elapsed(self) -> None:
        """Return when the time limit has passed."""
        while True:
            begun = self._begun
            left = self._seconds if begun is None else begun + self._seconds - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(left)
