# SPDX-License-Identifier: Apache-2.0
"""One stream: samples in, messages out, and a batch scheduler in between.

Of the messages few wait for the client, and for a limited time.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

from oido.batch.plan import make_plan
from oido.errors import EmptyAudioError, OidoError, OptionError
from oido.inference.backpressure import DecimatingQueue
from oido.inference.block import Block
from oido.inference.postprocess import event_row
from oido.messages import language, tr
from oido.params import Windowing
from oido.server.evidence import evidence_of, framewise_floor
from oido.server.model_store import ServedModel
from oido.server.problems import Problem, problem_of
from oido.server.protocol import STREAM_NAME, Header, WindowText, text_of, window_bytes
from oido.signal.decode import AudioInfo
from oido.types import Event
from oido.writers.base import seconds_of
from oido.writers.tables import record_of

_CAPACITY = 32
"""Messages that may wait."""


class Session:
    """The predictions of one stream.

    ``push`` adds samples, and waits while the queue is full; ``end`` ends the stream; ``outbox``
    holds the messages to send; ``problem`` is why it failed, if it did.
    on_seconds: called with the seconds processed since the last call. calls: into the loop, shared
    with other streams. Raises OptionError.
    """

    def __init__(
        self,
        header: Header,
        served: ServedModel,
        on_seconds: Callable[[float], None] = lambda _: None,
        calls: LoopCalls | None = None,
    ) -> None:
        calibrated = served.model.head.calibration is not None
        options = header.options
        if options["level"] == "events" and options["top"] is not None:
            raise OptionError(tr("top is for windows: a stream's strongest events are never known"))
        self._floor = framewise_floor(options)
        self._is_binary = header.results == "binary"
        if self._is_binary and (options["level"] != "windows" or self._floor is not None):
            raise OptionError(
                tr("binary results are for windows, without framewise: leave one out")
            )
        self._plan = make_plan(options, model=served.source, calibrated=calibrated)
        self._postprocessor = served.postprocessor(self._plan.selection, locale=self._plan.locale)
        self.display_names = names = self._postprocessor.selector.display_names
        self._window_text = WindowText(names, self._plan.calibrated)
        self.windowing = Windowing.from_seconds(served.model.windows, self._plan.hop)
        self._detector = self._postprocessor.detector(
            self.windowing, served.model.image_samples, self._plan.detection
        )
        self._calls = calls or LoopCalls(asyncio.get_running_loop())
        self._has_capacity = asyncio.Event()
        info = AudioInfo(STREAM_NAME, header.sample_rate_hz, header.channels, None, "pcm", "stream")
        self._stream = served.hub.open(
            info,
            self.windowing,
            self,
            transform=self._postprocessor.select,
            on_capacity=self._on_capacity,
            measures_levels=self._plan.level == "events",
        )
        self._on_seconds = on_seconds
        self.outbox = Outbox(self._calls, self.windowing)
        self.problem: Problem | None = None
        self.reason = "end"
        self._windows = 0
        self._pushed = self._reported_samples = 0

    @property
    def seconds(self) -> float:
        """Seconds of sound that were pushed."""
        return self._pushed / self._stream.info.sample_rate_hz

    async def push(self, samples: NDArray[Any]) -> bool:
        """Add samples, waiting while the queue is full. False: the stream is over."""
        while True:
            self._has_capacity.clear()
            if self.push_now(samples):
                return True
            if self._stream.is_over:
                return False
            await self._has_capacity.wait()

    def push_now(self, samples: NDArray[Any]) -> bool:
        """Add samples, or do not: the queue is full, or the stream is over."""
        if not self._stream.push(samples, timeout=0):
            return False
        self._pushed += len(samples)
        return True

    def end(self, reason: str = "end") -> None:
        """End the stream: what is queued is still predicted, and then the outbox closes."""
        self.reason = reason
        self._stream.end()

    def abandon(self) -> None:
        """Drop the stream; its client has gone."""
        self._stream.close()

    def last_message(self) -> str:
        """The message after all others."""
        if self.problem is not None:
            return text_of("error", **self.problem.body(language()))
        samples, rate = self._stream.n_samples, self.windowing.sample_rate_hz
        return text_of(
            "end",
            reason=self.reason,
            time=seconds_of(samples / rate),
            windows=self._windows,
            dropped=self.outbox.dropped,
        )

    def _on_capacity(self) -> None:
        self._calls.call(self._has_capacity.set)

    # Called by the scheduler's threads, one at a time:

    def blocks(self, blocks: list[Block]) -> None:
        """Receive predictions of more windows."""
        is_events = self._plan.level == "events"
        for block in blocks:
            if is_events:
                self._send_events("rows", self._detector.push(block))
                self._send_events("began", self._detector.begun())
            else:
                for position in range(len(block.scores)):
                    self._send_window(block, position)
            self._windows += len(block.scores)
        n_samples = self._stream.n_samples
        self._on_seconds((n_samples - self._reported_samples) / self.windowing.sample_rate_hz)
        self._reported_samples = n_samples

    def ended(self, error: Exception | None) -> None:
        """The stream is over, by its end or by an error."""
        if error is None and self._plan.level == "events":
            self._send_events("rows", self._detector.flush(self._stream.n_samples))
        if isinstance(error, OidoError):
            # A stream that the server ends may be empty.
            if self.reason == "end" or not isinstance(error, EmptyAudioError):
                self.problem = problem_of(error)
        elif error is not None:  # a defect of ours must end one stream only
            kind = type(error).__name__
            reason = tr("internal error, {kind}: {error}", kind=kind, error=error)
            self.problem = Problem(500, "InternalError", reason)
        self.outbox.close()

    def _send_window(self, block: Block, position: int) -> None:
        number, scores = block.first_window + position, block.scores[position]
        best, probabilities = self._postprocessor.selector.best(scores, self._plan.top)
        row_values = (
            best,
            scores[best].tolist(),
            None if probabilities is None else probabilities[best].tolist(),
        )
        span = self.windowing.span(number)
        if self._is_binary:
            self.outbox.push_window(number, window_bytes(span, *row_values))
            return
        more = {} if self._floor is None else evidence_of(block, position, self._floor)
        self.outbox.push_window(number, self._window_text.text(span, *row_values, more))

    def _send_events(self, kind: str, events: list[Event]) -> None:
        rows = [event_row(STREAM_NAME, None, event) for event in events]
        if rows:
            time = self._stream.n_samples / self.windowing.sample_rate_hz
            count = len(rows) if kind == "rows" else 0  # they come again when they are over
            records = [record_of(row, self._plan.calibrated) for row in rows]
            text = text_of(kind, time=seconds_of(time), rows=records)
            self.outbox.push_events(text, count)


class LoopCalls:
    """Calls from other threads into a loop, which is woken once for all that come together."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], object]] = deque()
        self._is_woken = False

    def call(self, function: Callable[[], object]) -> None:
        """Call it in the loop's thread, soon; by any thread."""
        self._waiting.append(function)
        if not self._is_woken:
            self._is_woken = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        # First: what is added from here on is either seen below, or wakes the loop again.
        self._is_woken = False
        while self._waiting:
            self._loop.call_soon(self._waiting.popleft())


class Wire(Protocol):
    """What can send a message at once, if it is writable."""

    @property
    def is_writable(self) -> bool: ...

    def write_text(self, text: str) -> None: ...

    def write_bytes(self, content: bytes) -> None: ...


class Outbox:
    """Messages of one stream, from the prediction threads to the task that sends them.

    A ``wire`` gets at once what comes while the task waits, which so is woken for what remains.

    A client that reads them too slowly gets a coarser hop (`DecimatingQueue`), and a "dropped"
    message that says so. At the level of events, the events that do not fit are left out, and
    counted. Nothing ever waits for the client but these few messages.
    """

    wire: Wire | None = None

    def __init__(self, calls: LoopCalls, windowing: Windowing) -> None:
        self._calls, self._windowing = calls, windowing
        self._lock = threading.Lock()
        self._waiting: DecimatingQueue[str | bytes] = DecimatingQueue(_CAPACITY)
        self._something = asyncio.Event()
        self._is_awaited = False
        self._closed = False
        self._announced_every = 1
        self._events_gone = 0

    @property
    def dropped(self) -> int:
        """Windows or events that were left out, all in all."""
        return self._waiting.dropped

    def push_window(self, number: int, message: str | bytes) -> None:
        """The rows of a window, in order of the windows."""
        with self._lock:
            self._waiting.push(number, message)
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

    async def next(self) -> str | bytes | None:
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
            self._calls.call(self._on_something)

    def _on_something(self) -> None:
        """Something came while `next` waits: write it, as far as nobody must wait for that."""
        while self.wire is not None and self.wire.is_writable:
            with self._lock:
                message = self._notice() or self._waiting.pop()
                if message is None and not self._closed:
                    self._is_awaited = True
                    return
            if message is None:
                break
            if isinstance(message, str):
                self.wire.write_text(message)
            else:
                self.wire.write_bytes(message)
        self._something.set()
