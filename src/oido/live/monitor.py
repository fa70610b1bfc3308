# SPDX-License-Identifier: Apache-2.0
"""A live source, window by window: scores, events as soon as they are over, triggers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.inference.classifier import AudioClassifier
from oido.live.rule_engine import RuleEngine
from oido.live.source import OnBlock
from oido.live.triggers import TriggerState
from oido.params import Detection
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.mixing import Channel
from oido.types import Event


class LiveUpdate(NamedTuple):
    """One more window, or, with scores None, the end.

    start_time, end_time: seconds of the stream. scores f32[C]; values f32[C]: the probabilities
    where there is a calibration. events: that are over now; begun: that are sure to come, each
    once; triggers: that went on or off. skipped: windows left out just before this one, because the
    model or the consumer is slower than the source; for events the window before stands for them.
    """

    start_time: float
    end_time: float
    scores: NDArray[np.float32] | None
    values: NDArray[np.float32] | None
    events: list[Event]
    triggers: list[TriggerState]
    skipped: int = 0
    begun: Sequence[Event] = ()


class LiveMonitor:
    """Classifies a reader's sound to its end, or until ``finish``.

        monitor = LiveMonitor(classifier, reader, Detection())
        for update in monitor: ...
        last = monitor.finish()

    on_block: gets each block before its windows. clock: the time of day of a moment of the stream;
    None: by when its sound comes.
    Everything runs in the thread that iterates.
    """

    def __init__(
        self,
        classifier: AudioClassifier,
        reader: AudioReader,
        detection: Detection,
        *,
        channel: Channel = "mix",
        on_block: OnBlock | None = None,
        clock: UtcClock | None = None,
    ) -> None:
        self.clock = clock or UtcClock()
        self.info: AudioInfo = reader.info
        self.rule_engine: RuleEngine | None = None
        """Set before iterating, if there are rules."""
        self._classifier, self._on_block = classifier, on_block
        self._detector = classifier.detector(detection)
        self._frames = self._windows = 0
        self._is_whole = False
        self._stream = classifier.stream(reader, channel=channel, jobs=1, batch_windows=1)
        self._stream.on_block = self._tap

    def __iter__(self) -> Iterator[LiveUpdate]:
        windowing, reader = self._classifier.windowing, self._classifier.postprocessor
        for block in self._stream:
            values = reader.decision_values(block.scores)
            recognised = reader.recognised_values(block)
            events = self._detector.push(block)
            for row, scores in enumerate(block.scores):
                window = block.first_window + row
                is_last = row == len(block.scores) - 1
                triggers = []
                if self.rule_engine is not None:
                    triggers = self.rule_engine.push(window, scores, recognised[row])
                self._windows = window + 1
                yield LiveUpdate(
                    *windowing.span(window),
                    scores,
                    values[row],
                    events if is_last else [],
                    triggers,
                    0 if row else block.skipped,
                    self._detector.begun() if is_last else (),
                )
        self._is_whole = True

    def finish(self) -> LiveUpdate:
        """What was still under way: at the end of the source, or when it is left. Once."""
        self._stream.close()
        windowing = self._classifier.windowing
        if self._is_whole:
            n_samples = self._stream.n_samples
        else:
            # Left in the middle: only samples all of whose windows are done count.
            n_samples = self._windows * windowing.hop_samples
        end = n_samples / windowing.sample_rate_hz
        events = self._detector.flush(n_samples)
        triggers = self.rule_engine.flush(end) if self.rule_engine is not None else []
        return LiveUpdate(end, end, None, None, events, triggers)

    def _tap(self, block: NDArray[np.float32]) -> None:
        self._frames += len(block)
        self.clock.update(self._frames / self.info.sample_rate_hz)
        if self.rule_engine is not None:
            self.rule_engine.push_audio(block)
        if self._on_block is not None:
            self._on_block(block)


_MEMORY_SECONDS = 30.0


class UtcClock:
    """Seconds of a live stream as the time of day.

    A sample was recorded before it came; those that came with the least delay are the best
    evidence. The least of the last half to whole minute counts, so that neither a slow sound card
    nor a clock that is set makes it wrong for long.
    """

    def __init__(self) -> None:
        self._least = self._before = float("inf")
        self._since = float("-inf")

    def update(self, stream_time: float, now: float | None = None) -> None:
        """The stream was there up to ``stream_time`` s at ``now`` (Unix time; None: now)."""
        now = time.time() if now is None else now
        if not 0.0 <= now - self._since < _MEMORY_SECONDS:
            self._before, self._least, self._since = self._least, float("inf"), now
        self._least = min(self._least, now - stream_time)

    def at(self, stream_time: float) -> datetime:
        """That moment in UTC. Only after something came."""
        offset = min(self._least, self._before)
        return datetime.fromtimestamp(stream_time + offset, timezone.utc)
