# SPDX-License-Identifier: Apache-2.0
"""One stream: samples in, messages out, and a batch scheduler in between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from oido.batch.plan import make_plan
from oido.batch.recording import event_row
from oido.errors import EmptyAudioError, OidoError, OptionError
from oido.inference.block import Block
from oido.server.model_store import ServedModel
from oido.server.outbox import Outbox
from oido.server.problems import Problem, problem_of
from oido.server.protocol import STREAM_NAME, Header, text_of
from oido.signal.decode import AudioInfo
from oido.types import Event, Row
from oido.writers.base import seconds_of
from oido.writers.tables import record_of

__all__ = ["Session"]


class Session:
    """The predictions of one stream.

    ``push`` adds samples, and waits while the queue is full; ``end`` ends the stream; ``outbox``
    holds the messages to send; ``problem`` is why it failed, if it did.
    on_seconds: called with the seconds processed since the last call. Raises OptionError.
    """

    def __init__(
        self,
        header: Header,
        served: ServedModel,
        on_seconds: Callable[[float], None] = lambda _: None,
    ) -> None:
        calibrated = served.model.head.calibration is not None
        options = header.options
        if options["level"] == "events" and options["top"] is not None:
            raise OptionError("top is for windows: a stream's strongest events are never known")
        self._plan = make_plan(options, model=served.source, calibrated=calibrated)
        self._postprocessor = served.postprocessor(self._plan.selection, locale=self._plan.locale)
        self.windowing = served.windowing(self._plan.hop)
        self._segmenter = self._postprocessor.segmenter(self.windowing, self._plan.detection)
        self._loop = asyncio.get_running_loop()
        self._has_capacity = asyncio.Event()
        info = AudioInfo(STREAM_NAME, header.sample_rate_hz, header.channels, None, "pcm", "stream")
        self._stream = served.hub.open(
            info,
            self.windowing,
            self,
            transform=self._postprocessor.select,
            on_capacity=self._on_capacity,
        )
        self._on_seconds = on_seconds
        self.outbox = Outbox(self._loop, self.windowing)
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
            if self._stream.push(samples, timeout=0):
                self._pushed += len(samples)
                return True
            if self._stream.is_over:
                return False
            await self._has_capacity.wait()

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
            return text_of("error", **self.problem.body())
        samples, rate = self._stream.n_samples, self.windowing.sample_rate_hz
        return text_of(
            "end",
            reason=self.reason,
            time=seconds_of(samples / rate),
            windows=self._windows,
            dropped=self.outbox.dropped,
        )

    def _on_capacity(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nothing is pushed any more
            self._loop.call_soon_threadsafe(self._has_capacity.set)

    # Called by the scheduler's threads, one at a time:

    def blocks(self, blocks: list[Block]) -> None:
        """Receive predictions of more windows."""
        is_events = self._plan.level == "events"
        for block in blocks:
            for number, scores in enumerate(block.scores, start=block.first_window):
                if is_events:
                    self._send_events("rows", self._segmenter.push(scores[None]))
                    self._send_events("began", self._segmenter.begun())
                else:
                    self._send_window(number, scores)
                self._windows += 1
        n_samples = self._stream.n_samples
        self._on_seconds((n_samples - self._reported_samples) / self.windowing.sample_rate_hz)
        self._reported_samples = n_samples

    def ended(self, error: Exception | None) -> None:
        """The stream is over, by its end or by an error."""
        if error is None and self._plan.level == "events":
            self._send_events("rows", self._segmenter.flush(self._stream.n_samples))
        if isinstance(error, OidoError):
            # A stream that the server ends may be empty.
            if self.reason == "end" or not isinstance(error, EmptyAudioError):
                self.problem = problem_of(error)
        elif error is not None:  # a defect of ours must end one stream only
            reason = f"internal error, {type(error).__name__}: {error}"
            self.problem = Problem(500, "InternalError", reason)
        self.outbox.close()

    def _send_window(self, number: int, scores: Any) -> None:
        start, end = self.windowing.span(number)
        best = self._postprocessor.selector.categories(scores, self._plan.top)
        rows = [
            Row(STREAM_NAME, None, start, end, c.display_name, c.index, c.score, c.probability)
            for c in best
        ]
        self.outbox.push_window(number, self._rows_text(end, rows))

    def _send_events(self, kind: str, events: list[Event]) -> None:
        rows = [event_row(STREAM_NAME, None, event) for event in events]
        if rows:
            time = self._stream.n_samples / self.windowing.sample_rate_hz
            count = len(rows) if kind == "rows" else 0  # they come again when they are over
            self.outbox.push_events(self._rows_text(time, rows, kind), count)

    def _rows_text(self, time: float, rows: list[Row], kind: str = "rows") -> str:
        records = [record_of(row, self._plan.calibrated) for row in rows]
        return text_of(kind, time=seconds_of(time), rows=records)
