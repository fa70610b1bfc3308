# SPDX-License-Identifier: Apache-2.0
"""Windows of one source, from the threads that hear to the coroutine that takes them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from oido.aio.fed import FedStream
from oido.aio.thinning import ThinQueue
from oido.params import Windowing
from oido.reading import HeadReader
from oido.stream import Block
from oido.types import Category

__all__ = ["HeardWindow", "WindowQueue"]

_ROOM = 32
"""Windows that may wait."""


@dataclass(frozen=True)
class HeardWindow:
    """One window of a stream.

    start_time, end_time: seconds of the stream, which count samples and no clock. scores f32[C],
    raw; probabilities f32[C], None for a model without a calibration; embedding f32[D].
    hop: seconds from window to window as they are given now; it is coarser than what was asked for
    while whoever takes them is too slow. skipped: windows left out just before this one.
    """

    start_time: float
    end_time: float
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None
    embedding: NDArray[np.float32]
    hop: float
    skipped: int
    _reader: HeadReader = field(repr=False)

    def top(self, k: int | None = None) -> list[Category]:
        """The best ``k`` categories (None: all that the classifier's options leave)."""
        return self._reader.selector.categories(self.scores, k)


class _Heard:
    """A window as it waits."""

    __slots__ = ("block", "number", "row")

    def __init__(self, block: Block, row: int) -> None:
        self.block, self.row = block, row
        self.number = block.first_window + row


class WindowQueue:
    """A hub's sink for one source, read by one coroutine.

    A live source cannot wait: a taker that is too slow gets a coarser hop (`ThinQueue`). Another
    source waits instead. Set ``fed`` before anything is pushed.
    """

    fed: FedStream

    def __init__(self, reader: HeadReader, windowing: Windowing, *, is_live: bool) -> None:
        self._reader, self._windowing, self._is_live = reader, windowing, is_live
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: ThinQueue[_Heard] = ThinQueue(_ROOM)
        self._something = asyncio.Event()
        self._is_awaited = self._is_held = self._is_over = False
        self._error: Exception | None = None
        self._next_window = 0

    def blocks(self, blocks: list[Block]) -> None:
        """More windows were heard."""
        with self._lock:
            for block in blocks:
                for row in range(len(block.scores)):
                    heard = _Heard(block, row)
                    if self._is_live:
                        self._waiting.put(heard.number, heard)
                    else:
                        self._waiting.put_anyway(heard.number, heard)
            if not self._is_live and self._waiting.is_full and not self._is_held:
                self._is_held = True
                self.fed.hold()
            self._wake()

    def ended(self, error: Exception | None) -> None:
        """Nothing more will be heard."""
        with self._lock:
            self._is_over, self._error = True, error
            self._wake()

    async def next(self) -> HeardWindow | None:
        """The next window; None at the end. Raises what ended the source, after its windows."""
        while True:
            with self._lock:
                heard = self._waiting.pop()
                every = self._waiting.every
                is_over = self._is_over
                if heard is None and not is_over:
                    self._something.clear()
                    self._is_awaited = True
                released = self._is_held and not len(self._waiting)
                self._is_held = self._is_held and not released
            if released:
                self.fed.release()
            if heard is not None:
                return self._window(heard, every)
            if is_over:
                if self._error is not None:
                    raise self._error
                return None
            await self._something.wait()

    def _window(self, heard: _Heard, every: int) -> HeardWindow:
        block, row = heard.block, heard.row
        skipped, self._next_window = heard.number - self._next_window, heard.number + 1
        probabilities = self._reader.probabilities(block.scores[row])
        hop = every * self._windowing.hop_samples / self._windowing.sample_rate_hz
        start, end = (float(time) for time in block.times[row])
        return HeardWindow(
            start,
            end,
            block.scores[row],
            probabilities,
            block.embeddings[row],
            hop,
            skipped,
            self._reader,
        )

    def _wake(self) -> None:
        """Called with the lock."""
        if self._is_awaited:
            self._is_awaited = False
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody takes any more
                self._loop.call_soon_threadsafe(self._something.set)
