# SPDX-License-Identifier: Apache-2.0
"""The classifier for programs with an event loop: many sources, heard side by side."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

from oido.errors import OptionError
from oido.inference.async_io import AnySource, SampleSource, WindowQueue, open_source
from oido.inference.block import Block
from oido.inference.classifier import AudioClassifier
from oido.inference.live_stream import StreamWindow
from oido.inference.result import ClassificationResult
from oido.inference.scheduler import BatchScheduler, BlockSink, PushStream
from oido.messages import tr
from oido.models.model import AudioModel
from oido.options import check
from oido.params import Hop, Windowing
from oido.signal.decode import AudioSource
from oido.signal.mixing import Channel

_BATCH_WINDOWS = 8
"""Of one recording; so that a long one does not hold live streams back."""

_RECORDINGS_PER_THREAD = 4
"""That are decoded at the same time; others wait."""


class AsyncAudioClassifier:
    """Tells what is heard in many recordings and streams at once.

        async with oido.AsyncAudioClassifier() as classifier:
            result = await classifier.classify("street.m4a")
            async for window in classifier.stream(samples_as_they_come, 16_000):
                print(window.start_time, window.top(1)[0].label)

    model: as `AudioClassifier` takes it, or an `AudioClassifier`, whose options then count.
    jobs: threads that hear, for all sources together; None is one per core.

    All sources share one model, and windows of different sources are heard in one batch; scores are
    those of `AudioClassifier`, to the last bit. One event loop uses it, from ``async with`` to its
    end; what is still open then, ends. Raises ModelError or OptionError.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | AudioModel | AudioClassifier = "yamnet/classification",
        *,
        jobs: int | None = None,
    ) -> None:
        check("jobs", jobs)
        if not isinstance(model, AudioClassifier):
            model = AudioClassifier(model, jobs=jobs)
        self._classifier, self._jobs = model, jobs or model.jobs
        self._scheduler: BatchScheduler | None = None
        self._decoding = asyncio.Semaphore(_RECORDINGS_PER_THREAD * self._jobs)
        self._open: set[PushStream] = set()

    def __repr__(self) -> str:
        state = "not open" if self._scheduler is None else f"{len(self._open)} streams open"
        return f"<AsyncAudioClassifier {self._classifier.model.name}: {state}>"

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of the score columns."""
        return self._classifier.labels

    async def __aenter__(self) -> AsyncAudioClassifier:
        loop = asyncio.get_running_loop()
        self._scheduler = await loop.run_in_executor(
            None, BatchScheduler, self._classifier.model, self._jobs
        )
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all that is open, and the threads."""
        scheduler, self._scheduler = self._scheduler, None
        if scheduler is None:
            return
        for stream in list(self._open):
            stream.finish(OptionError(tr("the classifier was closed")))
        await asyncio.get_running_loop().run_in_executor(None, scheduler.close)

    async def classify(
        self, source: AudioSource, sample_rate: int | None = None, *, channel: Channel = "mix"
    ) -> ClassificationResult:
        """Hear one recording to its end; as `AudioClassifier.classify`. Raises AudioError."""
        async with self._decoding:
            whole = _Whole()
            samples = await open_source(source, sample_rate)
            stream = self._start(
                samples,
                self._classifier.windowing,
                whole,
                channel=channel,
                batch_windows=_BATCH_WINDOWS,
                measures_loudness=True,
            )
            try:
                await whole.is_over.wait()
            finally:
                self._stop(stream, samples)
        if whole.error is not None:
            raise whole.error
        gaps = samples.gaps_seconds
        return self._classifier.result_of(
            samples.info,
            stream.n_samples,
            samples.damaged_packets,
            whole.blocks_so_far,
            gaps,
            (*samples.notes, *stream.sums.findings(samples.info.sample_rate_hz, gaps)),
            channel,
        )

    async def stream(
        self,
        source: AnySource,
        sample_rate: int | None = None,
        *,
        hop: Hop = None,
        channel: Channel = "mix",
        live: bool | None = None,
    ) -> AsyncIterator[StreamWindow]:
        """Each window of a source as soon as it was heard, in flat memory.

        source: as for `classify`; or an opened `AudioReader`; or an asynchronous iterable of
            arrays, int16, int32 or float in [-1, 1], with its ``sample_rate`` in Hz.
        hop: seconds between windows; None is the classifier's.
        live: whether the source cannot wait. A taker that is too slow then gets a coarser hop, and
            each window says so (``hop``, ``skipped``); at the most 32 windows wait. Else the source
            waits. None: iterables, and readers without an end, are live.

        Raises AudioError, after the windows of what came before it.
        """
        windowing = self._classifier.windowing
        if hop is not None:
            windowing = Windowing.from_seconds(self._classifier.model.windows, hop)
        samples = await open_source(source, sample_rate)
        is_live = samples.is_live if live is None else live
        reader = self._classifier.postprocessor
        queue = WindowQueue(reader, windowing, is_live=is_live)
        stream = self._start(samples, windowing, queue, channel=channel, transform=reader.select)
        try:
            while (window := await queue.next()) is not None:
                yield window
        finally:
            self._stop(stream, samples)

    def _start(
        self, source: SampleSource, windowing: Windowing, sink: BlockSink, **options: Any
    ) -> PushStream:
        """Open a fed stream, and let the samples come."""
        loop, capacity = asyncio.get_running_loop(), asyncio.Event()

        def on_capacity() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody pushes any more
                loop.call_soon_threadsafe(capacity.set)

        try:
            stream = self._running().open(
                source.info, windowing, sink, on_capacity=on_capacity, **options
            )
        except BaseException:
            source.stop()
            raise
        if isinstance(sink, WindowQueue):
            sink.stream = stream
        self._open.add(stream)
        source.start(stream, capacity)
        return stream

    def _running(self) -> BatchScheduler:
        if self._scheduler is None:
            raise OptionError(tr("use it inside `async with AsyncAudioClassifier(...)`"))
        return self._scheduler

    def _stop(self, stream: PushStream, source: SampleSource) -> None:
        self._open.discard(stream)
        stream.close()
        source.stop()


class _Whole:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.blocks_so_far: list[Block] = []
        self.error: Exception | None = None
        self.is_over = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def blocks(self, blocks: list[Block]) -> None:
        self.blocks_so_far += blocks

    def ended(self, error: Exception | None) -> None:
        self.error = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self.is_over.set)
