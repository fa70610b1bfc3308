# SPDX-License-Identifier: Apache-2.0
"""From blocks to events: frames, spans, and what is told of them, as soon as each is over.

A network that gives scores of the columns of its last image (`oido.models.tflite.framewise`) says
more of the time than its windows do: YAMNet's columns are 0.32 s long. Frames are half a column
(0.16 s), whatever the hop; the score of a frame is the mean over the windows that cover its centre,
of the column of each that covers it. Of other networks, a frame is a window's cell.

How near a frame is to what was taught is told of windows. In one of many seconds there is more than
what the frame holds, so there the nearest of the windows that cover it counts where a class is
sure; their mean counts elsewhere, so that a known sound does not vouch for what is beside it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from oido.arrays import F32, F64, I64
from oido.events.segmentation import Segmenter
from oido.events.spans import UNKNOWN, Span
from oido.inference.block import Block
from oido.params import Detection, Windowing
from oido.types import Event

SEVERAL_SOUNDS_SECONDS = 2.0
"""Windows whose columns cover as much, and more, hold more than one sound."""
SURE = 0.8


class FrameGrid:
    """Where the frames of a stream lie, in samples; columns: of each window, 0 for none.

    image_samples: what a window's columns cover together, from its start on.
    """

    def __init__(self, windowing: Windowing, columns: int, image_samples: int) -> None:
        self.windowing, self.columns = windowing, columns
        self.column_samples = image_samples // columns if columns else 0
        self.frame_samples = self.column_samples // 2 if columns else windowing.hop_samples
        covered = self.columns * self.column_samples
        self.holds_several = covered >= SEVERAL_SOUNDS_SECONDS * windowing.sample_rate_hz
        self._ends = np.array([0, self.frame_samples])

    def count(self, n_windows: int, n_samples: int) -> int:
        """Frames of a whole recording."""
        if not self.columns:
            return n_windows
        frame = self.frame_samples
        covered = (n_windows - 1) * self.windowing.hop_samples + self.columns * self.column_samples
        centres = -(-(covered - frame // 2) // frame)  # that a window covers
        return max(1, min(centres, -(-n_samples // frame)))

    def spans(self, first: int, count: int) -> I64:
        """Start and end in samples of frames that more will follow, i64[count, 2]."""
        if self.columns:
            starts = np.arange(first, first + count)[:, None] * self.frame_samples
            return np.asarray(starts + self._ends)
        cells = [self.windowing.cell(n, n + 2, 1 << 62) for n in range(first, first + count)]
        return np.array(cells, np.int64).reshape(-1, 2)

    def times(self, n_windows: int, n_samples: int) -> F64:
        """Start and end of every frame in seconds, f64[T, 2]; they tile the recording."""
        rate = self.windowing.sample_rate_hz
        if not self.columns:
            cells = [self.windowing.cell(n, n_windows, n_samples) for n in range(n_windows)]
            return np.array(cells, np.float64).reshape(-1, 2) / rate
        numbers = np.arange(self.count(n_windows, n_samples))
        spans = np.stack([numbers, numbers + 1], axis=1) * self.frame_samples
        spans[-1, 1] = n_samples  # the last frame answers for what is left
        return np.minimum(spans, n_samples) / rate


class FrameScores:
    """The scores of frames, as soon as no other window can cover them.

    In the padding of the last window, a frame may lie behind the end of the recording: those that
    only such a window covers come at the end. has_similarity: the last score is how near a window
    is to what was taught.
    """

    def __init__(self, grid: FrameGrid, *, has_similarity: bool = False) -> None:
        self._grid = grid
        self._takes_nearest = has_similarity and grid.holds_several
        self._first_window = self._next_frame = 0
        self._pending: F32 | None = None  # f32[n, columns, C], from window _first_window on
        self._n_classes = 0

    def push(self, framewise: F32, *, is_padded: bool = True) -> F32:
        """The next windows' columns f32[N, columns, C] → frames that are complete, f32[m, C].

        Of windows that have no columns, f32[N, 1, C]. is_padded: the last of them may be.
        """
        self._n_classes = framewise.shape[2]
        if not self._grid.columns:
            return framewise[:, 0]
        if self._pending is not None:
            framewise = np.concatenate([self._pending, framewise])
        self._pending = framewise
        grid, hop = self._grid, self._grid.windowing.hop_samples
        start = (self._first_window + len(framewise) - 1) * hop
        if is_padded:
            return self._frames(start // grid.frame_samples)
        # Those with a centre before the next window begins, and inside of this one.
        end = start + min(hop, grid.columns * grid.column_samples)
        return self._frames(-(-(end - grid.frame_samples // 2) // grid.frame_samples))

    def flush(self, n_samples: int) -> F32:
        """The recording ended after so many samples: the frames that are left, f32[m, C]."""
        if self._pending is None:
            return np.zeros((0, self._n_classes), np.float32)
        n_windows = self._first_window + len(self._pending)
        return self._frames(self._grid.count(n_windows, n_samples))

    def _frames(self, end: int) -> F32:
        """Frames from the next one to ``end``; windows that no later frame needs are dropped."""
        grid, hop = self._grid, self._grid.windowing.hop_samples
        assert self._pending is not None
        numbers = range(self._next_frame, max(self._next_frame, end))
        self._next_frame += len(numbers)
        image, pending = grid.columns * grid.column_samples, self._pending
        frames = np.zeros((len(numbers), pending.shape[2]), np.float32)
        # Frame by frame: most often there are three of them.
        for frame, number in enumerate(numbers):
            centre = number * grid.frame_samples + grid.frame_samples // 2
            covering, latest, nearest = 0, centre // hop, -np.inf
            for window in range(latest, latest - -(-image // hop), -1):
                row, inside = window - self._first_window, centre - window * hop
                if 0 <= row < len(pending) and inside < image:
                    part = pending[row, inside // grid.column_samples]
                    frames[frame] += part
                    nearest = max(nearest, part[-1]) if self._takes_nearest else nearest
                    covering += 1
            frames[frame] /= max(covering, 1)
            if self._takes_nearest and frames[frame, :-1].max() >= SURE:
                frames[frame, -1] = nearest
        needed = max(0, (self._next_frame * grid.frame_samples - image) // hop)
        dropped = min(max(0, needed - self._first_window), len(self._pending) - 1)
        self._pending = self._pending[dropped:]
        self._first_window += dropped
        return frames


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
            self._frames = FrameScores(self._grid, has_similarity=self._knows_unknown)
            self._segmenter = self._make_segmenter(self._grid)
            self._last = parts[:1]
        if block.skipped:
            parts = np.concatenate([*[self._last] * block.skipped, parts])
        self._last = parts[-1:]
        self._n_windows += len(parts)
        levels = np.zeros(0, np.float32) if block.levels is None else block.levels
        frames = self._frames.push(parts, is_padded=bool(block.weights[-1] < 1))
        return self._finished(self._segmenter.push(frames, levels))

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
