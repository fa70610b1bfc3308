# SPDX-License-Identifier: Apache-2.0
"""A few threads that hear for all sources, windows of different sources in one batch.

No thread belongs to a source. Whenever enough samples of one wait, it stands in the queue; a thread
takes the sources that stand there, makes the patches of their windows side by side, runs the
network once for all of them, and hands each source what was heard of it.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import NamedTuple

from oido.inference.block import ScoreTransform, WorkItem
from oido.inference.predictor import BatchPredictor
from oido.inference.push_stream import BlockSink, PushStream
from oido.inference.stream import StreamFactory
from oido.params import Windowing
from oido.runtime.base import Outputs
from oido.signal.decode import AudioInfo
from oido.signal.mixing import Channel

__all__ = ["BatchScheduler"]

_MOST_AT_ONCE = 8
"""Sources per batch: more gain nothing, and the first of them waits for the last."""

_ROOM_SECONDS = 4.0


class _Due(NamedTuple):
    stream: PushStream
    work: WorkItem


class BatchScheduler:
    """Hears the sources of one model with so many threads. Raises ModelFormatError."""

    def __init__(self, listener: StreamFactory, threads: int) -> None:
        self._listener = listener
        self._due: queue.SimpleQueue[PushStream | None] = queue.SimpleQueue()
        # All made now, so that no stream waits for them.
        ears = [
            [BatchPredictor.of(network) for network in listener.networks] for _ in range(threads)
        ]
        self._threads = [
            threading.Thread(target=self._work, args=(own,), name=f"oido-hub-{n}", daemon=True)
            for n, own in enumerate(ears)
        ]
        for thread in self._threads:
            thread.start()

    def open(
        self,
        info: AudioInfo,
        windowing: Windowing,
        sink: BlockSink,
        *,
        channel: Channel = "mix",
        transform: ScoreTransform | None = None,
        batch_windows: int = 1,
        weighs: bool = False,
        capacity_seconds: float = _ROOM_SECONDS,
        on_capacity: Callable[[], None] = lambda: None,
    ) -> PushStream:
        """A source, which is then pushed.

        batch_windows: of it that are heard together; 1 gives each as soon as its last sample is
        there. weighs: as of `Pipeline`. Raises OptionError for a channel that is none.
        """
        pushed = self._listener.pushed(
            info,
            windowing,
            channel=channel,
            transform=transform,
            batch_windows=batch_windows,
            weighs=weighs,
        )
        return PushStream(
            info,
            pushed,
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

    def _work(self, ears: list[BatchPredictor]) -> None:
        while (streams := self._next()) is not None:
            self._hear(ears, streams)

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

    def _hear(self, ears: list[BatchPredictor], streams: list[PushStream]) -> None:
        works: list[_Due] = []
        living = []
        for stream in streams:
            try:
                works += [_Due(stream, work) for work in stream.turn()]
                living.append(stream)
            except Exception as error:
                stream.finish(error)
        try:
            heard = _outputs(ears, [due.work for due in works])
        except Exception as error:  # none of them can be heard, whoever's fault it is
            for stream in living:
                stream.finish(error)
            return
        failed = set()
        for due, outputs in zip(works, heard):
            if due.stream in failed:
                continue
            try:
                due.stream.take(due.work, outputs)
            except Exception as error:  # a defect must end one source only
                failed.add(due.stream)
                due.stream.finish(error)
        for stream in living:
            if stream not in failed:
                try:
                    stream.turn_is_over()
                except Exception as error:
                    stream.finish(error)


def _outputs(ears: list[BatchPredictor], works: list[WorkItem]) -> list[Outputs]:
    """What each network says of its work, in the order of the works."""
    found: dict[int, Outputs] = {}
    for branch, ear in enumerate(ears):
        numbers = [number for number, work in enumerate(works) if work.branch == branch]
        if numbers:
            found.update(zip(numbers, ear.hear([works[number] for number in numbers])))
    return [found[number] for number in range(len(works))]
