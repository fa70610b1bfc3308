# SPDX-License-Identifier: Apache-2.0
"""The two ends of a stream in an event loop: samples in from a source, windows out to a coroutine.

Samples come from a reader or an asynchronous iterable; windows come from the threads that run the
model.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.inference.backpressure import DecimatingQueue
from oido.inference.block import Block
from oido.inference.live_stream import StreamWindow
from oido.inference.postprocess import HeadPostprocessor
from oido.inference.scheduler import PushStream
from oido.params import Windowing
from oido.signal.decode import AudioInfo, AudioReader, AudioSource, open_audio
from oido.signal.decode.readers import as_block, stream_info

AnySource = AudioSource | AudioReader | AsyncIterable[NDArray[Any]]
"""What `AudioClassifier.classify` takes, an opened reader, or arrays as they come."""


class SampleSource(ABC):
    """Pushes the samples of one source into a stream. is_live: it cannot wait."""

    info: AudioInfo
    is_live: bool

    @property
    def damaged_packets(self) -> int:
        """Pieces that could not be decoded and were left out so far."""
        return 0

    @property
    def gaps_seconds(self) -> float:
        """Of silence that stands where the source's clock goes on without sound."""
        return 0.0

    @property
    def notes(self) -> tuple[str, ...]:
        """How the source was read, where that is not plain."""
        return ()

    @abstractmethod
    def start(self, stream: PushStream, capacity: asyncio.Event) -> None:
        """Begin; capacity: set when a refused push may be tried again."""

    @abstractmethod
    def stop(self) -> None:
        """Nothing more is wanted; the stream is closed already."""


async def open_source(source: AnySource, sample_rate: int | None) -> SampleSource:
    """Open a source. Raises AudioError, or OptionError."""
    if isinstance(source, AsyncIterable):
        samples = aiter(source)
        return _IterableSource(samples, await anext(samples, None), sample_rate)
    if isinstance(source, AudioReader):
        return _ReaderSource(source, is_live=source.info.frames is None)
    loop = asyncio.get_running_loop()
    reader = await loop.run_in_executor(None, open_audio, source, sample_rate)
    return _ReaderSource(reader, is_live=False)


class _ReaderSource(SampleSource):
    """A reader, read by a thread of its own, which waits while the stream is full."""

    def __init__(self, reader: AudioReader, *, is_live: bool) -> None:
        self.info, self.is_live = reader.info, is_live
        self._reader = reader
        self._thread: threading.Thread | None = None

    @property
    def damaged_packets(self) -> int:
        return self._reader.damaged_packets

    @property
    def gaps_seconds(self) -> float:
        return self._reader.gaps_seconds

    @property
    def notes(self) -> tuple[str, ...]:
        return self._reader.notes

    def start(self, stream: PushStream, capacity: asyncio.Event) -> None:
        # Nobody joins it: a reader that waits for a pipe may wait for ever.
        self._thread = threading.Thread(
            target=self._pull, args=(stream,), name="oido-source", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        if self._thread is None:
            self._reader.close()

    def _pull(self, stream: PushStream) -> None:
        error: Exception | None = None
        try:
            with self._reader:
                for block in self._reader.blocks():
                    if not stream.push(block):
                        return
        except Exception as raised:  # whatever it is, the consumer of the windows gets it
            error = raised
        stream.end(error)


_STREAM = "<stream>"


class _IterableSource(SampleSource):
    """Arrays that come one by one; the first tells how many channels there are."""

    is_live = True

    def __init__(
        self,
        samples: AsyncIterator[NDArray[Any]],
        first: NDArray[Any] | None,
        sample_rate: int | None,
    ) -> None:
        self._samples = samples
        self._first = as_block(_STREAM, np.zeros(0, np.float32) if first is None else first)
        info = stream_info(_STREAM, sample_rate, self._first.shape[1])
        self.info = info._replace(decoder="stream")
        self._task: asyncio.Task[None] | None = None

    def start(self, stream: PushStream, capacity: asyncio.Event) -> None:
        self._task = asyncio.create_task(self._push_all(stream, capacity))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _push_all(self, stream: PushStream, capacity: asyncio.Event) -> None:
        error: Exception | None = None
        try:
            if not await _push_when_possible(stream, capacity, self._first):
                return
            async for samples in self._samples:
                if not await _push_when_possible(stream, capacity, samples):
                    return
        except Exception as raised:  # whatever it is, the consumer of the windows gets it
            error = raised
        stream.end(error)


async def _push_when_possible(
    stream: PushStream, capacity: asyncio.Event, samples: NDArray[Any]
) -> bool:
    """Push when there is capacity; False: nothing more is wanted."""
    while True:
        capacity.clear()
        if stream.push(samples, timeout=0):
            return True
        if stream.is_over:
            return False
        await capacity.wait()


_CAPACITY = 32
"""Windows that may wait."""


class WindowQueue:
    """The sink of one source, read by one coroutine.

    A live source cannot wait: a consumer that is too slow gets a coarser hop (`DecimatingQueue`).
    Another source waits instead. Set ``stream`` before anything is pushed.
    """

    stream: PushStream

    def __init__(self, reader: HeadPostprocessor, windowing: Windowing, *, is_live: bool) -> None:
        self._reader, self._windowing, self._is_live = reader, windowing, is_live
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: DecimatingQueue[tuple[Block, int]] = DecimatingQueue(_CAPACITY)
        self._something = asyncio.Event()
        self._is_awaited = self._is_held = self._is_over = False
        self._error: Exception | None = None
        self._next_window = 0

    def blocks(self, blocks: list[Block]) -> None:
        """More windows."""
        with self._lock:
            for block in blocks:
                for row in range(len(block.scores)):
                    push = self._waiting.push if self._is_live else self._waiting.push_waiting
                    push(block.first_window + row, (block, row))
            if not self._is_live and self._waiting.is_full and not self._is_held:
                self._is_held = True
                self.stream.hold()
            self._wake()

    def ended(self, error: Exception | None) -> None:
        """There will be no more."""
        with self._lock:
            self._is_over, self._error = True, error
            self._wake()

    async def next(self) -> StreamWindow | None:
        """The next window; None at the end. Raises what ended the source, after its windows."""
        while True:
            with self._lock:
                window = self._waiting.pop()
                every = self._waiting.every
                is_over = self._is_over
                if window is None and not is_over:
                    self._something.clear()
                    self._is_awaited = True
                released = self._is_held and not len(self._waiting)
                self._is_held = self._is_held and not released
            if released:
                self.stream.release()
            if window is not None:
                return self._window(*window, every)
            if is_over:
                if self._error is not None:
                    raise self._error
                return None
            await self._something.wait()

    def _window(self, block: Block, row: int, every: int) -> StreamWindow:
        number = block.first_window + row
        skipped, self._next_window = number - self._next_window, number + 1
        hop = every * self._windowing.hop_seconds
        return StreamWindow.of(block, row, self._reader, hop=hop, skipped=skipped)

    def _wake(self) -> None:
        """Called with the lock."""
        if self._is_awaited:
            self._is_awaited = False
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._something.set)
