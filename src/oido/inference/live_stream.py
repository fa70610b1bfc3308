# SPDX-License-Identifier: Apache-2.0
"""Streams that are pushed from plain Python: in the caller's own thread, or by a queue.

`LiveStream` answers each chunk with the windows that it completes, and no thread is in it.
`LiveQueue` accepts chunks at once and calls back from a thread, as MediaPipe's ``classify_async``
does. Both give the scores and the events of `AudioClassifier.classify`, whatever the chunks are.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from oido.arrays import F32
from oido.errors import OptionError
from oido.inference.block import Block
from oido.inference.detector import EventDetector
from oido.inference.pipeline import Pipeline
from oido.inference.postprocess import HeadPostprocessor
from oido.inference.predictor import PredictorPool
from oido.inference.scheduler import BatchScheduler
from oido.messages import tr
from oido.models.model import AudioModel
from oido.params import Windowing
from oido.signal.decode import AudioInfo
from oido.signal.decode.readers import as_block
from oido.signal.mixing import Channel, Mono
from oido.types import Category, Event

if TYPE_CHECKING:
    from typing_extensions import Self

_CAPACITY_SECONDS = 30.0
"""Of sound that may wait in a queue; then whoever brings more waits, too."""

_MOST_KEPT = 10_000
"""Events that nobody asks for, of a stream that may go on for days."""


@dataclass(frozen=True, repr=False)
class StreamWindow:
    """One window of a stream.

    start_time, end_time: seconds of the stream, which count samples and no clock. scores f32[C],
    raw; probabilities f32[C], None for a model without a calibration; embedding f32[D].
    hop: seconds from window to window as they come now; it is coarser than what was asked for
    while their consumer is too slow. skipped: windows left out just before this one.
    """

    start_time: float
    end_time: float
    scores: F32
    probabilities: F32 | None
    embedding: F32
    hop: float
    skipped: int
    _reader: HeadPostprocessor = field(repr=False)

    @classmethod
    def of(
        cls, block: Block, row: int, reader: HeadPostprocessor, *, hop: float, skipped: int = 0
    ) -> StreamWindow:
        """A row of a block."""
        start, end = (float(time) for time in block.times[row])
        scores = block.scores[row]
        probabilities = reader.probabilities(scores)
        return cls(start, end, scores, probabilities, block.embeddings[row], hop, skipped, reader)

    def top(self, k: int | None = None) -> list[Category]:
        """The best ``k`` categories (None: all that the classifier's options leave)."""
        return self._reader.selector.categories(self.scores, k)

    def __repr__(self) -> str:
        best = ", ".join(f"{c.display_name} {c.score:.2f}" for c in self.top(3))
        return f"<window {self.start_time:.2f}–{self.end_time:.2f} s: {best}>"


class _Output:
    """Blocks of one stream as windows, and the events in them."""

    def __init__(
        self, reader: HeadPostprocessor, windowing: Windowing, detector: EventDetector
    ) -> None:
        self._reader, self._hop, self._detector = reader, windowing.hop_seconds, detector
        self._over: deque[Event] = deque(maxlen=_MOST_KEPT)
        self._begun: deque[Event] = deque(maxlen=_MOST_KEPT)

    def push(self, block: Block) -> list[StreamWindow]:
        self._over += self._detector.push(block)
        self._begun += self._detector.begun()
        rows = range(len(block.scores))
        return [StreamWindow.of(block, row, self._reader, hop=self._hop) for row in rows]

    def flush(self, n_samples: int) -> None:
        self._over += self._detector.flush(n_samples)

    def pop_events(self) -> list[Event]:
        return _popped(self._over)

    def pop_begun(self) -> list[Event]:
        return _popped(self._begun)


def _popped(events: deque[Event]) -> list[Event]:
    every = list(events)
    events.clear()
    return every


class _Input:
    """Chunks of one stream, checked before anything of them is used."""

    def __init__(self, info: AudioInfo, channel: Channel) -> None:
        self.info, self.channel = info, channel
        self.n_frames = 0
        self._check(as_block(info.name, [[0.0] * info.channels]))  # is there such a channel?

    def push(self, samples: Any) -> F32:
        block = as_block(self.info.name, samples, self.info.channels)
        self._check(block)
        self.n_frames += len(block)
        return block

    def _check(self, block: F32) -> None:
        mono = Mono(self.info, self.channel, self.n_frames, keeps_sums=False)
        mono.push(block)
        if mono.damage is not None:
            raise mono.damage


class LiveStream:
    """A stream that is pushed, chunk by chunk (`AudioClassifier.live`); for one thread at a time.

        with classifier.live(sample_rate=16_000) as live:
            for chunk in microphone:
                for window in live.push(chunk):
                    print(window.start_time, window.top(1))
                print(live.events())
            live.flush()

    A chunk that is refused (InvalidSamplesError says why) leaves the stream as it was.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        channel: Channel,
        predictors: PredictorPool,
        reader: HeadPostprocessor,
        detector: EventDetector,
    ) -> None:
        self.info = pipeline.info
        self._pipeline, self._predictors = pipeline, predictors
        self._input = _Input(pipeline.info, channel)
        self._output = _Output(reader, pipeline.windowing, detector)
        self._state = ""

    def push(self, samples: Any) -> list[StreamWindow]:
        """The next samples → the windows that they complete, often none.

        samples: int16, int32 or float in [-1, 1], [n] or [n, channels], of any length. Raises
        InvalidSamplesError, or OptionError after the end.
        """
        self._refuse_after_the_end()
        pipeline = self._pipeline
        windows = []
        for item in pipeline.push(self._input.push(samples)):
            outputs = self._predictors.predict(item)
            for block in pipeline.collect(item, outputs, pipeline.loudness(item)):
                windows += self._output.push(block)
        return windows

    def flush(self) -> list[StreamWindow]:
        """The end of the stream → the windows that are left, padded with silence."""
        self._refuse_after_the_end()
        self._state = tr("has ended")
        pipeline = self._pipeline
        if not self._input.n_frames:
            return []
        windows = []
        for item in pipeline.flush():
            outputs = self._predictors.predict(item)
            for block in pipeline.collect(item, outputs, pipeline.loudness(item)):
                windows += self._output.push(block)
        for block in pipeline.finish():
            windows += self._output.push(block)
        self._output.flush(pipeline.n_samples)
        return windows

    def events(self) -> list[Event]:
        """The events that are over, and were not in an earlier answer.

        After ``flush``, together they are those of `ClassificationResult.events`.
        """
        return self._output.pop_events()

    def begun(self) -> list[Event]:
        """What is sounding and not over, each once: how it looks so far.

        Its end is that of what is known; its label, and whether it lasts, is sure when it is over.
        """
        return self._output.pop_begun()

    def close(self) -> None:
        """Drop what was not flushed; nothing can be pushed any more."""
        self._state = self._state or tr("is closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return _stream_text("live stream", self._input)

    def _refuse_after_the_end(self) -> None:
        if self._state:
            raise OptionError(
                tr("this stream {state}; begin another: classifier.live(...)", state=self._state)
            )


OnWindow = Callable[[StreamWindow, int], object]
"""Gets a window, and the time of its start in milliseconds of whoever pushes."""

OnEvent = Callable[[Event], object]


class LiveQueue:
    """A stream that is pushed without waiting (`AudioClassifier.live_queue`); any thread may push.

        def show(window, timestamp_ms):
            print(timestamp_ms, window.top(1))

        with classifier.live_queue(show, sample_rate=16_000) as live:
            for chunk in microphone:
                live.classify_async(chunk)

    A thread of its own predicts, and calls ``on_window`` for each window, in order, and
    ``on_event`` for each event that is over. An error of theirs ends the stream, and is raised by
    what is called next.
    """

    def __init__(
        self,
        model: AudioModel,
        info: AudioInfo,
        channel: Channel,
        windowing: Windowing,
        reader: HeadPostprocessor,
        detector: EventDetector,
        on_window: OnWindow,
        on_event: OnEvent | None,
    ) -> None:
        self.info, self._input = info, _Input(info, channel)
        self._output = _Output(reader, windowing, detector)
        self._on_window, self._on_event = on_window, on_event
        self._pushing = threading.Lock()
        self._times: deque[tuple[float, int]] = deque([(0.0, 0)])
        """Seconds of the stream where a chunk begins, and its time in milliseconds."""
        self._last_ms = -1
        self._over = threading.Event()
        self._worker = -1
        """The thread that predicts."""
        self._error: Exception | None = None
        self._is_closed = False
        self._scheduler = BatchScheduler(model, 1)
        self._stream = self._scheduler.open(
            info,
            windowing,
            self,
            capacity_seconds=_CAPACITY_SECONDS,
            channel=channel,
            transform=reader.select,
        )

    def classify_async(self, samples: Any, timestamp_ms: int | None = None) -> None:
        """Bring the next samples, as to `LiveStream.push`; returns before they are predicted.

        timestamp_ms: of the first of them, greater than that of the chunk before; None goes on
        from there. Only where half a minute of sound waits already, this waits, too. Raises
        InvalidSamplesError, OptionError, or what a callback has raised.
        """
        self._refuse_callbacks()
        with self._pushing:
            if self._is_closed:
                raise OptionError(
                    tr("this queue is closed; begin another: classifier.live_queue(...)")
                )
            self._raise_error()
            start = self._input.n_frames / self.info.sample_rate_hz
            last_start, last_ms = self._times[-1]
            expected = last_ms + round(1000 * (start - last_start))
            time_ms = expected if timestamp_ms is None else _whole_ms(timestamp_ms)
            if timestamp_ms is not None and time_ms <= self._last_ms:
                raise OptionError(
                    tr(
                        "timestamp_ms must grow from chunk to chunk, and {time_ms} "
                        "follows {last_ms}",
                        time_ms=time_ms,
                        last_ms=self._last_ms,
                    )
                )
            block = self._input.push(samples)
            self._last_ms = time_ms
            if time_ms != expected or not start:
                self._times.append((start, time_ms))
            if not self._stream.push(block):
                self._over.wait()  # a callback's error ended it, and is about to be here
            self._raise_error()

    def close(self) -> None:
        """The end of the stream: returns when everything is predicted and called back."""
        self._refuse_callbacks()
        with self._pushing:
            is_first, self._is_closed = not self._is_closed, True
        if not is_first:
            return
        if self._input.n_frames:
            self._stream.end()
            self._over.wait()
        else:
            self._stream.close()
        self._scheduler.close()
        self._raise_error()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is not None:  # what waits is of no use any more
            self._is_closed = True
            self._stream.close()
            self._scheduler.close()
            return
        self.close()

    def __repr__(self) -> str:
        return _stream_text("live queue", self._input)

    def _refuse_callbacks(self) -> None:
        if threading.get_ident() == self._worker:
            raise OptionError(
                tr("a callback cannot push to its own queue or close it: it would wait for itself")
            )

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    # What follows is called by the thread that predicts, as a `BlockSink`.

    def blocks(self, blocks: list[Block]) -> None:
        """More windows."""
        self._worker = threading.get_ident()
        for block in blocks:
            for window in self._output.push(block):
                self._on_window(window, self._time_ms(window.start_time))
        self._call_events()

    def ended(self, error: Exception | None) -> None:
        """There will be no more."""
        try:
            if error is None:
                self._output.flush(self._stream.n_samples)
                self._call_events()
        except Exception as raised:
            error = raised
        self._error = error
        self._over.set()

    def _call_events(self) -> None:
        for event in self._output.pop_events():
            if self._on_event is not None:
                self._on_event(event)

    def _time_ms(self, start_time: float) -> int:
        while len(self._times) > 1 and self._times[1][0] <= start_time:
            self._times.popleft()
        chunk_start, time_ms = self._times[0]
        return time_ms + round(1000 * (start_time - chunk_start))


def _whole_ms(timestamp_ms: Any) -> int:
    try:
        if not isinstance(timestamp_ms, bool) and int(timestamp_ms) == timestamp_ms >= 0:
            return int(timestamp_ms)
    except (TypeError, ValueError, OverflowError):
        pass
    raise OptionError(
        tr(
            "timestamp_ms must be a whole number from 0, not {timestamp_ms!r}",
            timestamp_ms=timestamp_ms,
        )
    )


def _stream_text(what: str, pushed: _Input) -> str:
    info = pushed.info
    seconds = pushed.n_frames / info.sample_rate_hz
    channels = "mono" if info.channels == 1 else f"{info.channels} channels"
    return f"<{what}, {info.sample_rate_hz} Hz, {channels}: {seconds:.2f} s so far>"
