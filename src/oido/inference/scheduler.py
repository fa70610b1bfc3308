# SPDX-License-Identifier: Apache-2.0
"""Sources that are pushed, and a few threads that predict for all of them together.

No thread belongs to a source. Whenever enough samples of one are pending, it is queued; a thread
takes the sources that are queued, makes the patches of their windows side by side, runs the network
once for all of them, and hands each source its outputs.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oido.arrays import F32
from oido.inference.block import Block, WorkItem
from oido.inference.pipeline import Pipeline, PipelineOptions
from oido.inference.predictor import BatchPredictor, networks_of
from oido.models.model import AudioModel
from oido.params import Windowing
from oido.runtime.base import Outputs
from oido.signal.decode import AudioInfo
from oido.signal.decode.readers import as_block
from oido.signal.level import SoundSums

if TYPE_CHECKING:
    from typing_extensions import Unpack

_TURN_SECONDS = 1.0
"""Of sound of one source that is predicted before others have their turn."""


class BlockSink(Protocol):
    """Receives blocks in the scheduler's threads: in order, and one call at a time."""

    def blocks(self, blocks: list[Block]) -> None:
        """More windows."""

    def ended(self, error: Exception | None) -> None:
        """There will be no more; error: why, if this is not how it should end."""


class PushStream:
    """One source of a scheduler (`BatchScheduler.open`); may be pushed by any thread.

        stream = scheduler.open(info, windowing, sink)
        stream.push(samples); ...; stream.end()

    capacity_seconds: of audio that may be pending; memory never grows beyond this and one push.
    on_capacity: called when a refused push may be tried again, or the stream is over: for those who
    may not wait inside ``push``.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        sink: BlockSink,
        schedule: Callable[[PushStream], None],
        *,
        capacity_seconds: float,
        on_capacity: Callable[[], None],
    ) -> None:
        self.info = info = pipeline.info
        self._pipeline, self._sink, self._schedule = pipeline, sink, schedule
        self._on_capacity = on_capacity
        rate = info.sample_rate_hz
        self._capacity_frames = max(1, int(capacity_seconds * rate))
        self._turn_frames = max(1, int(_TURN_SECONDS * rate))
        self._changed = threading.Condition()
        self._blocks: deque[F32] = deque()
        self._frames = 0
        """Of those that wait."""
        self._wake_frames = pipeline.missing_frames()
        self._refused = self._is_held = False
        self._is_scheduled = False
        """In the scheduler's queue, or in the hands of one of its threads."""
        self._ended = self._closed = self._flushed = False
        self._error: Exception | None = None

    @property
    def n_samples(self) -> int:
        """Samples so far, at the model's rate."""
        return self._pipeline.n_samples

    @property
    def sums(self) -> SoundSums:
        """Of the sound so far."""
        return self._pipeline.sums

    @property
    def waiting_seconds(self) -> float:
        """Seconds of audio that were pushed and are still pending."""
        return self._frames / self.info.sample_rate_hz

    @property
    def is_over(self) -> bool:
        """Whether pushes are refused for good: it has ended, or was closed."""
        return self._ended or self._closed

    def push(self, samples: NDArray[Any], timeout: float | None = None) -> bool:
        """Bring the next samples, int16, int32 or float in [-1, 1], [n] or [n, channels].

        timeout: seconds to wait for capacity; None waits as long as it takes, 0 not at all. Any
        capacity that is left accepts a whole push, however long.

        Returns whether they were accepted; if not, there was no capacity in time, or they come
        after the end (``is_over``). Raises InvalidSamplesError for another dtype or shape.
        """
        block = as_block(self.info.name, samples, self.info.channels)
        with self._changed:
            if timeout != 0:
                self._changed.wait_for(lambda: self.is_over or self._has_capacity(), timeout)
            if self.is_over or not self._has_capacity():
                self._refused = True
                return False
            if len(block):
                self._blocks.append(block)
                self._frames += len(block)
                self._schedule_if_due()
            return True

    def end(self, error: Exception | None = None) -> None:
        """No more samples will come; ``error`` is why, if this is not how it should end."""
        with self._changed:
            if not self.is_over:
                self._ended, self._error = True, error
                self._schedule_if_due()
            self._changed.notify_all()
        self._notify_if_refused()

    def close(self) -> None:
        """Discard queued audio; the sink gets no further calls, but one may be under way."""
        self._closed = True
        self.finish(None)

    def hold(self) -> None:
        """Pause: the sink is full. What is pushed stays pending."""
        with self._changed:
            self._is_held = True

    def release(self) -> None:
        """Go on."""
        with self._changed:
            self._is_held = False
            self._schedule_if_due()

    def finish(self, error: Exception | None) -> None:
        """End now; the sink's ``ended`` is called, once."""
        with self._changed:
            was_over, self._closed = self._closed, True
            self._blocks.clear()
            self._frames = 0
            self._changed.notify_all()
        self._notify_if_refused()
        if not was_over:
            self._sink.ended(error)

    # What follows is called by the scheduler's threads, one at a time.

    def turn(self) -> list[WorkItem]:
        """The next work, of what is pending; none if there is not enough of it."""
        items: list[WorkItem] = []
        while not items and not self._flushed:
            block, ended = self._next_block()
            if block is not None:
                items = self._pipeline.push(block)
                damage = self._pipeline.damage
                if damage is not None:
                    self._error, self._flushed = damage, True
                    items += self._pipeline.flush(damaged=True)
            elif ended:
                self._flushed = True
                items = self._pipeline.flush(damaged=self._error is not None)
            else:
                break
        self._notify_if_refused()
        return items

    def collect(self, item: WorkItem, outputs: Outputs) -> None:
        """Hand on the outputs of an item."""
        loudness = self._pipeline.loudness(item)
        self._deliver(self._pipeline.collect(item, outputs, loudness))

    def turn_is_over(self) -> None:
        """All work of the turn was collected."""
        if self._flushed:
            self._deliver(self._pipeline.finish())
            self.finish(self._error)
            return
        with self._changed:
            self._wake_frames = self._pipeline.missing_frames()
            self._is_scheduled = False
            self._schedule_if_due()

    def _deliver(self, blocks: list[Block]) -> None:
        if blocks and not self._closed:
            self._sink.blocks(blocks)

    def _next_block(self) -> tuple[F32 | None, bool]:
        """Up to a second of what is pending; or None, and whether this is the end."""
        with self._changed:
            if not self._blocks:
                return None, self._ended
            pieces = [self._blocks.popleft()]
            frames = len(pieces[0])
            while self._blocks and frames < self._turn_frames:
                pieces.append(self._blocks.popleft())
                frames += len(pieces[-1])
            block = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            if frames > self._turn_frames:
                self._blocks.appendleft(block[self._turn_frames :])
                block = block[: self._turn_frames]
            self._frames -= len(block)
            self._changed.notify_all()
        return block, False

    def _schedule_if_due(self) -> None:
        """Called with the lock."""
        if self._is_scheduled or self._is_held or self._flushed or self._closed:
            return
        enough = self._frames >= self._wake_frames or not self._has_capacity()
        if enough or self._ended:
            self._is_scheduled = True
            self._schedule(self)

    def _notify_if_refused(self) -> None:
        if self._refused:
            self._refused = False
            self._on_capacity()

    def _has_capacity(self) -> bool:
        return self._frames < self._capacity_frames


_MOST_AT_ONCE = 16
"""Sources per batch. What is not the network costs a sixth less than with 8, because the network
drives all else out of the processor's cache; more gain little, and the first waits for the last."""

_CAPACITY_SECONDS = 4.0


class _EndedByErrors:
    """An error in the block is the end of these sources, and of no other."""

    __slots__ = ("_streams",)

    def __init__(self, *streams: PushStream) -> None:
        self._streams = streams

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        for stream in self._streams:
            stream.finish(error)
        return True


class BatchScheduler:
    """Predicts for all sources of one model by so many threads. Raises ModelFormatError."""

    def __init__(self, model: AudioModel, threads: int) -> None:
        self._model = model
        self._due: queue.SimpleQueue[PushStream | None] = queue.SimpleQueue()
        # All made now, so that no stream waits for them.
        predictors = [
            [BatchPredictor(network) for network in networks_of(model)] for _ in range(threads)
        ]
        self._threads = [
            threading.Thread(target=self._work, args=(own,), name=f"oido-hub-{n}", daemon=True)
            for n, own in enumerate(predictors)
        ]
        for thread in self._threads:
            thread.start()

    def open(
        self,
        info: AudioInfo,
        windowing: Windowing,
        sink: BlockSink,
        *,
        capacity_seconds: float = _CAPACITY_SECONDS,
        on_capacity: Callable[[], None] = lambda: None,
        **options: Unpack[PipelineOptions],
    ) -> PushStream:
        """A source, which is then pushed; options: of its `Pipeline`."""
        return PushStream(
            Pipeline(self._model, info, windowing, **options),
            sink,
            self._due.put,
            capacity_seconds=capacity_seconds,
            on_capacity=on_capacity,
        )

    def close(self) -> None:
        """End the threads, after what they have to do. What is still open is left as it is."""
        for _ in self._threads:
            self._due.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, predictors: list[BatchPredictor]) -> None:
        while (streams := self._next()) is not None:
            self._predict(predictors, streams)

    def _next(self) -> list[PushStream] | None:
        """A fair share of those that stand in the queue; None: there will be no more."""
        first = self._due.get()
        if first is None:
            return None
        streams = [first]
        share = min(_MOST_AT_ONCE, 1 + self._due.qsize() // len(self._threads))
        while len(streams) < share:
            try:
                stream = self._due.get_nowait()
            except queue.Empty:
                break
            if stream is None:
                self._due.put(None)  # another thread's, or this one's next
                break
            streams.append(stream)
        return streams

    def _predict(self, predictors: list[BatchPredictor], streams: list[PushStream]) -> None:
        work: list[tuple[PushStream, WorkItem]] = []
        for stream in streams:
            with _EndedByErrors(stream):
                work += [(stream, item) for item in stream.turn()]
        outputs: list[Outputs] = []
        with _EndedByErrors(*streams):  # whoever's fault it is that they cannot be predicted
            outputs = _outputs(predictors, [item for _, item in work])
        for (stream, item), found in zip(work, outputs):
            with _EndedByErrors(stream):
                stream.collect(item, found)
        for stream in streams:
            with _EndedByErrors(stream):
                stream.turn_is_over()


def _outputs(predictors: list[BatchPredictor], items: list[WorkItem]) -> list[Outputs]:
    """The outputs of each network, in the order of the items."""
    outputs: dict[int, Outputs] = {}
    for branch, predictor in enumerate(predictors):
        numbers = [number for number, item in enumerate(items) if item.branch == branch]
        if numbers:
            outputs.update(zip(numbers, predictor.predict([items[number] for number in numbers])))
    return [outputs[number] for number in range(len(items))]
