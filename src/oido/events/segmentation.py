# SPDX-License-Identifier: Apache-2.0
"""From scores to events: when each label starts and ends.

For each label by itself:

1. A *run* is a longest stretch of neighbouring windows that all score at least the off threshold.
2. A run is an *event* if at least one of its windows scores at least the on threshold
   (hysteresis: the weaker edges of a sound belong to it, a weak sound alone does not count).
3. Events of one label that are ``merge_gap`` seconds apart or less become one.
4. Then events shorter than ``min_duration`` are dropped.

An event starts and ends with the cells of its windows (`Windowing.cell`): windows overlap, and each
answers only for the hop around its centre. Its score is the highest one inside. Where there is a
calibration, "score" in these rules means the probability.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oido.arrays import F32, Bools
from oido.events.calibration import Calibrator
from oido.params import Detection, Windowing
from oido.types import Event


@dataclass
class _Run:
    """Windows first to last, both included; the highest value among them, and the score of it.

    The value is what thresholds are compared with: the probability where there is a calibration,
    else the score.
    """

    first: int
    last: int
    peak: float
    score: float


class Segmenter:
    """Turns the scores of successive windows into events, as soon as each is over.

    on: f32[C], the threshold of each class; allowed: bool[C], the classes that may make events.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        windowing: Windowing,
        detection: Detection,
        on: F32,
        allowed: Bools,
        display_names: tuple[str, ...] | None = None,
        calibrator: Calibrator | None = None,
    ) -> None:
        self._calibrator = calibrator
        self._labels = labels
        self._display_names = display_names or labels
        self._windowing = windowing
        self._on = on
        self._off = (on * np.float32(detection.off_ratio)).astype(np.float32)
        self._allowed = allowed
        # Whole samples, so that a limit of exactly an event's length keeps it. Longer than any
        # recording is as good as endless.
        longest = min(detection.merge_gap, 1e9), min(detection.min_duration, 1e9)
        self._gap_samples, self._shortest_samples = (
            round(seconds * windowing.sample_rate_hz) for seconds in longest
        )
        self._n_windows = 0
        self._runs: dict[int, _Run] = {}
        self._waiting: dict[int, _Run] = {}
        self._announced: set[int] = set()

    def push(self, scores: F32) -> list[Event]:
        """Take f32[N, C], the next N windows; give the events that are over, by start time."""
        before = self._n_windows
        self._n_windows += len(scores)
        done: list[tuple[int, _Run]] = []
        values = scores if self._calibrator is None else self._calibrator.apply(scores)
        for row, index in zip(*np.nonzero((values >= self._off) & self._allowed)):
            window, value = before + int(row), float(values[row, index])
            self._extend(int(index), _Run(window, window, value, float(scores[row, index])), done)
        for index, run in list(self._runs.items()):
            if run.last < self._n_windows - 1:
                self._close(index, done)
        for index, run in list(self._waiting.items()):
            # A run that is still open may join; any other starts at the next window or later.
            start = self._runs[index].first if index in self._runs else self._n_windows
            if self._gap(run, start) > self._gap_samples:
                done.append((index, self._waiting.pop(index)))
        self._announced.difference_update(index for index, _ in done)
        return self._events(done, n_samples=None)

    def begun(self) -> list[Event]:
        """The events that are sure to come, though they are not over, each told once.

        Their end is that of the last window so far, and their score the highest so far. For live
        sources: they are told with the first window that makes them events, and long enough.
        """
        found = []
        for index, run in self._runs.items():
            if index in self._announced or run.peak < self._on[index]:
                continue
            earlier = self._waiting.get(index)
            joins = earlier is not None and self._gap(earlier, run.first) <= self._gap_samples
            whole = _joined(earlier, run) if joins and earlier is not None else run
            found += self._events([(index, whole)], n_samples=None)
        self._announced.update(event.label_index for event in found)
        return sorted(found, key=lambda e: (e.start_time, e.label_index))

    def flush(self, n_samples: int) -> list[Event]:
        """The recording ended after this many samples: give the events that were still open."""
        done: list[tuple[int, _Run]] = []
        for index in list(self._runs):
            self._close(index, done)
        done.extend(self._waiting.items())
        self._waiting = {}
        return self._events(done, n_samples)

    def _extend(self, index: int, window: _Run, done: list[tuple[int, _Run]]) -> None:
        run = self._runs.get(index)
        if run is not None and run.last < window.first - 1:
            self._close(index, done)
            run = None
        self._runs[index] = window if run is None else _joined(run, window)

    def _close(self, index: int, done: list[tuple[int, _Run]]) -> None:
        run = self._runs.pop(index)
        if run.peak < self._on[index]:
            return
        earlier = self._waiting.pop(index, None)
        if earlier is not None:
            if self._gap(earlier, run.first) <= self._gap_samples:
                run = _joined(earlier, run)
            else:
                done.append((index, earlier))
        self._waiting[index] = run

    def _gap(self, run: _Run, next_window: int) -> int:
        return (next_window - run.last - 1) * self._windowing.hop_samples

    def _events(self, done: list[tuple[int, _Run]], n_samples: int | None) -> list[Event]:
        rate = self._windowing.sample_rate_hz
        # While the recording goes on, the end of a closed event lies before its (unknown) end.
        samples = n_samples if n_samples is not None else 1 << 62
        windows = self._n_windows if n_samples is not None else self._n_windows + 1
        events = []
        for index, run in done:
            start = self._windowing.cell(run.first, windows, samples)[0]
            end = self._windowing.cell(run.last, windows, samples)[1]
            if end - start >= self._shortest_samples:
                label, name = self._labels[index], self._display_names[index]
                times = start / rate, end / rate
                probability = None if self._calibrator is None else run.peak
                events.append(Event(label, index, *times, run.score, probability, name))
        return sorted(events, key=lambda e: (e.start_time, e.label_index))


def _joined(first: _Run, second: _Run) -> _Run:
    higher = first if first.peak >= second.peak else second
    return _Run(first.first, second.last, higher.peak, higher.score)
