# SPDX-License-Identifier: Apache-2.0
"""Where the samples of a fed stream come from: a reader, or an asynchronous iterable."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.aio.fed import FedStream
from oido.errors import InvalidSamplesError
from oido.signal.decode import AudioInfo, AudioReader, AudioSource, open_audio
from oido.signal.decode.base import check_shape

__all__ = ["AnySource", "SampleSource", "opened"]

AnySource = AudioSource | AudioReader | AsyncIterable[NDArray[Any]]
"""What `AudioClassifier.classify` takes, an opened reader, or arrays as they come."""


class SampleSource(ABC):
    """Brings the samples of one source to a fed stream. is_live: it cannot wait."""

    info: AudioInfo
    is_live: bool

    @property
    def damaged_packets(self) -> int:
        """Pieces that could not be decoded and were left out so far."""
        return 0

    @abstractmethod
    def start(self, fed: FedStream, room: asyncio.Event) -> None:
        """Begin; room: set when a push that found no room may be tried again."""

    @abstractmethod
    def stop(self) -> None:
        """Nothing more is wanted; the fed stream is closed already."""


async def opened(source: AnySource, sample_rate: int | None) -> SampleSource:
    """Open a source. Raises AudioError, or OptionError."""
    if isinstance(source, AsyncIterable):
        samples = aiter(source)
        return _Coming(samples, await anext(samples, None), sample_rate)
    if isinstance(source, AudioReader):
        return _Pulled(source, is_live=source.info.frames is None)
    loop = asyncio.get_running_loop()
    reader = await loop.run_in_executor(None, open_audio, source, sample_rate)
    return _Pulled(reader, is_live=False)


class _Pulled(SampleSource):
    """A reader, read by a thread of its own, which waits where there is no room."""

    def __init__(self, reader: AudioReader, *, is_live: bool) -> None:
        self.info, self.is_live = reader.info, is_live
        self._reader = reader
        self._thread: threading.Thread | None = None

    @property
    def damaged_packets(self) -> int:
        return self._reader.damaged_packets

    def start(self, fed: FedStream, room: asyncio.Event) -> None:
        # Nobody joins it: a reader that waits for a pipe may wait for ever.
        self._thread = threading.Thread(
            target=self._pull, args=(fed,), name="oido-source", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        if self._thread is None:
            self._reader.close()

    def _pull(self, fed: FedStream) -> None:
        error: Exception | None = None
        try:
            with self._reader:
                for block in self._reader.blocks():
                    if not fed.push(block):
                        return
        except Exception as raised:  # whatever it is, who takes the windows must learn of it
            error = raised
        fed.end(error)


class _Coming(SampleSource):
    """Arrays that come one by one; the first tells how many channels there are."""

    is_live = True

    def __init__(
        self,
        samples: AsyncIterator[NDArray[Any]],
        first: NDArray[Any] | None,
        sample_rate: int | None,
    ) -> None:
        if sample_rate is None:
            raise InvalidSamplesError("<stream>: say sample_rate, in Hz")
        self._samples, self._first = samples, np.zeros(0, np.float32) if first is None else first
        channels = 1 if self._first.ndim == 1 else self._first.shape[-1]
        check_shape("<stream>", sample_rate, channels)
        self.info = AudioInfo("<stream>", sample_rate, channels, None, "samples", "stream")
        self._task: asyncio.Task[None] | None = None

    def start(self, fed: FedStream, room: asyncio.Event) -> None:
        self._task = asyncio.create_task(self._push_all(fed, room))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _push_all(self, fed: FedStream, room: asyncio.Event) -> None:
        error: Exception | None = None
        try:
            if not await _pushed(fed, room, self._first):
                return
            async for samples in self._samples:
                if not await _pushed(fed, room, samples):
                    return
        except Exception as raised:  # whatever it is, who takes the windows must learn of it
            error = raised
        fed.end(error)


async def _pushed(fed: FedStream, room: asyncio.Event, samples: NDArray[Any]) -> bool:
    """Push when there is room; False: nothing more is wanted."""
    while True:
        room.clear()
        if fed.push(samples, timeout=0):
            return True
        if fed.is_over:
            return False
        await room.wait()
