# SPDX-License-Identifier: Apache-2.0
"""From blocks to events: frames, spans, and what is told of them, as soon as each is over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from oido.arrays import F32
from oido.events.segmentation import UNKNOWN, Segmenter, Span
from oido.inference.block import Block
from oido.inference.framewise import FrameGrid, FrameScores
from oido.params import Detection, Windowing
from oido.types import Event

MakeSegmenter = Callable[[FrameGrid], Segmenter]
MakeEvent = Callable[[Span, float, float], Event]
"""A span, its start and its end in seconds → an event."""


class EventDetector:
    """Finds the events of one stream, whose blocks come in order.

    image_samples: as of `FrameGrid`. detection: of it, ``merge_gap`` and ``min_duration`` are
    applied here; ``unknown`` tells such stretches, too. knows_unknown: blocks have similarities.
    Windows that a live source left out are taken to be as the one before.
    """

    def __init__(
        self,
        windowing: Windowing,
        image_samples: int,
        detection: Detection,
        segmenter: MakeSegmenter,
        event: MakeEvent,
        *,
        knows_unknown: bool = False,
    ) -> None:
        self._knows_unknown, self._reports_unknown = knows_unknown, detection.unknown
        self.n_unknown = 0
        """Stretches so far that are unlike all that was taught."""
        self._windowing, self._image_samples = windowing, image_samples
        self._make_segmenter, self._make_event = segmenter, event
        # Whole samples, so that a limit of exactly an event's length keeps it. Longer than any
        # recording is as good as endless.
        longest = min(detection.merge_gap, 1e9), min(detection.min_duration, 1e9)
        self._gap, self._shortest = (
            round(seconds * windowing.sample_rate_hz) for seconds in longest
        )
        self._n_windows = 0
        self._last: F32 | None = None  # the parts of the window before
        self._waiting: dict[int, Span] = {}
        self._announced: set[tuple[int, int]] = set()

    def push(self, block: Block) -> list[Event]:
        """The next windows; gives the events that are over, by start time."""
        parts = block.scores[:, None] if block.framewise is None else block.framewise
        if self._knows_unknown:
            assert block.similarities is not None
            similar = np.broadcast_to(block.similarities[:, None, None], (*parts.shape[:2], 1))
            parts = np.concatenate([parts, similar], axis=2)
        if self._last is None:
            columns = 0 if block.framewise is None else parts.shape[1]
            self._grid = FrameGrid(self._windowing, columns, self._image_samples)
            self._frames = FrameScores(self._grid)
            self._segmenter = self._make_segmenter(self._grid)
            self._last = parts[:1]
        if block.skipped:
            parts = np.concatenate([*[self._last] * block.skipped, parts])
        self._last = parts[-1:]
        self._n_windows += len(parts)
        levels = np.zeros(0, np.float32) if block.levels is None else block.levels
        return self._finished(self._segmenter.push(self._frames.push(parts), levels))

    def flush(self, n_samples: int) -> list[Event]:
        """The recording ended after this many samples: the events that were still open."""
        if self._last is None:
            return []
        frames = self._frames.flush(n_samples)
        spans = self._segmenter.push(frames, np.zeros(0, np.float32)) + self._segmenter.flush()
        # The last frame answers for all that is left.
        last = self._grid.count(self._n_windows, n_samples) - 1
        end = int(self._grid.spans(last, 1)[0, 1])
        for span in spans:
            span.end = n_samples if span.end >= end else span.end
        return self._finished(spans, n_samples)

    def begun(self) -> list[Event]:
        """What is heard now and not over, each told once: how it looks so far.

        For live sources. Its end is that of what is known; what it will be called, and whether its
        evidence holds to the end, is told when it is over.
        """
        if self._last is None:
            return []
        new = [
            span
            for span in self._segmenter.begun()
            if (span.index, span.start) not in self._announced
        ]
        self._announced |= {(span.index, span.start) for span in new}
        return self._events(new)

    def _finished(self, spans: list[Span], n_samples: int | None = None) -> list[Event]:
        """Spans that will not change any more, those of one class that are near as one."""
        done: list[Span] = []
        self.n_unknown += sum(span.index == UNKNOWN for span in spans)
        if not self._reports_unknown:
            spans = [span for span in spans if span.index != UNKNOWN]
        for span in sorted(spans, key=lambda s: s.start):
            earlier = self._waiting.get(span.index)
            if earlier is not None and span.start - earlier.end <= self._gap:
                earlier.join(span)
                continue
            if earlier is not None:
                done.append(earlier)
            self._waiting[span.index] = span
        for index, span in list(self._waiting.items()):
            next_start = self._segmenter.earliest_start(index)
            if n_samples is not None or next_start - span.end > self._gap:
                done.append(self._waiting.pop(index))
        if n_samples is not None:
            for span in done:
                span.start, span.end = min(span.start, n_samples), min(span.end, n_samples)
        self._announced = {
            (index, start)
            for index, start in self._announced
            if start >= self._segmenter.earliest_start(index)
        }
        return self._events([s for s in done if s.end - s.start >= max(self._shortest, 1)])

    def _events(self, spans: list[Span]) -> list[Event]:
        rate = self._windowing.sample_rate_hz
        events = [self._make_event(span, span.start / rate, span.end / rate) for span in spans]
        return sorted(events, key=lambda e: (e.start_time, e.label_index))
