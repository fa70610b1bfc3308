# SPDX-License-Identifier: Apache-2.0
"""A few threads that predict for all sources, windows of different sources in one batch.

No thread belongs to a source. Whenever enough samples of one are pending, it is queued; a thread
takes the sources that are queued, makes the patches of their windows side by side, runs the network
once for all of them, and hands each source its outputs.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from oido.inference.block import WorkItem
from oido.inference.pipeline import Pipeline, PipelineOptions
from oido.inference.predictor import BatchPredictor, networks_of
from oido.inference.push_stream import BlockSink, PushStream
from oido.models.model import AudioModel
from oido.params import Windowing
from oido.runtime.base import Outputs
from oido.signal.decode import AudioInfo

if TYPE_CHECKING:
    from typing_extensions import Unpack


_MOST_AT_ONCE = 8
"""Sources per batch: more gain nothing, and the first of them waits for the last."""

_CAPACITY_SECONDS = 4.0


class _Due(NamedTuple):
    stream: PushStream
    item: WorkItem


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
        items: list[_Due] = []
        living = []
        for stream in streams:
            try:
                items += [_Due(stream, item) for item in stream.turn()]
                living.append(stream)
            except Exception as error:
                stream.finish(error)
        try:
            outputs_of_items = _outputs(predictors, [due.item for due in items])
        except Exception as error:  # none of them can be predicted, whoever's fault it is
            for stream in living:
                stream.finish(error)
            return
        failed = set()
        for due, outputs in zip(items, outputs_of_items):
            if due.stream in failed:
                continue
            try:
                due.stream.collect(due.item, outputs)
            except Exception as error:  # a defect must end one source only
                failed.add(due.stream)
                due.stream.finish(error)
        for stream in living:
            if stream not in failed:
                try:
                    stream.turn_is_over()
                except Exception as error:
                    stream.finish(error)


def _outputs(predictors: list[BatchPredictor], items: list[WorkItem]) -> list[Outputs]:
    """The outputs of each network, in the order of the items."""
    outputs: dict[int, Outputs] = {}
    for branch, predictor in enumerate(predictors):
        numbers = [number for number, item in enumerate(items) if item.branch == branch]
        if numbers:
            outputs.update(zip(numbers, predictor.predict([items[number] for number in numbers])))
    return [outputs[number] for number in range(len(items))]
