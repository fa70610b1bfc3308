# SPDX-License-Identifier: Apache-2.0
"""From framewise scores and levels to events: one row for each sound, from when to when.

1. In a *stretch* of sound (`oido.events.stretches`) a class is heard if its pooled score there
   reaches its threshold, and the event has the stretch's times. Where its frames that reach the off
   threshold fill less than a third of a stretch of 3 s or more, its runs of such frames are events
   of their own, if each one's pooled score reaches the threshold.
2. *Outside* of stretches, a run of neighbouring frames that reach the off threshold is an event if
   its pooled score reaches the threshold. The windows of frames nearer than 0.96 s to a stretch
   hear that, too: such frames are nobody's evidence, and a run may go on behind them, if it is one
   stretch and not several; it goes on with a stretch's event of its class as well, and with the
   next part of a stretch that was cut.
3. *Silence* is nobody's evidence, whatever a network says of it, and parts what is before from
   what is behind; but for the classes that are the absence of events.
4. *One row for each sound*: of events that share most of their time, those go that are more general
   than another (`Choice`), and those that are unrelated and weaker than half of the strongest.
5. Of a model that knows what it was taught, stretches less like that than its own threshold are
   *unknown*, whatever their scores, and so are frames outside.
   What is over is told when nothing that still goes on could make room for it any more, which is
   after twice its time at the most: so that ``also`` is the same whenever frames come.
6. Events of one label that are ``merge_gap`` seconds apart or less become one; then those shorter
   than ``min_duration`` are dropped.

Where there is a calibration, the pooled score's probability is compared with the thresholds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np

from oido.arrays import F32, F64, I64, Bools
from oido.events.spans import SHARED, UNKNOWN, Choice, FramePool, Span, Values, odds_of, pooled
from oido.events.stretches import SilenceFinder, Stretch, StretchFinder
from oido.params import LEVELS_PER_SECOND

MARGIN_SECONDS = 0.96
LEAST_SHARE, LONG_SECONDS = 1 / 3, 3.0


class FrameTimes(Protocol):
    """Where frames lie, in samples, whatever follows them."""

    def spans(self, first: int, count: int) -> I64:
        """Start and end of frames, i64[count, 2]."""


class Segmenter:
    """Turns the frames and levels of a stream into spans of classes, as soon as each is over.

    on, off: f32[C]; allowed: bool[C], the classes that may make events; absences: bool[C], those
    that silence is evidence of. sample_rate_hz: of times.
    least_similarity: of a model whose frames have a column more, how near they are to what it was
    taught; below, all is unknown.
    """

    def __init__(
        self,
        times: FrameTimes,
        sample_rate_hz: int,
        values: Values,
        on: F32,
        off: F32,
        allowed: Bools,
        absences: Bools,
        choice: Choice,
        least_similarity: float | None = None,
    ) -> None:
        self._least_similarity = least_similarity
        self._times, self._values, self._choice = times, values, choice
        self._on, self._off, self._allowed, self._absences = on, off, allowed, absences
        self._level_samples = sample_rate_hz // LEVELS_PER_SECOND
        self._margin = round(MARGIN_SECONDS * sample_rate_hz)
        self._long = round(LONG_SECONDS * sample_rate_hz)
        self._finder, self._silence_finder = StretchFinder(), SilenceFinder()
        self._silences: list[tuple[int, float]] = []  # that may matter, in samples
        width = len(on) + (least_similarity is not None)
        self._frames = np.zeros((0, width), np.float32)
        self._first_frame = 0  # of _frames
        self._spans_of_frames = times.spans(0, 0)  # i64[T, 2], of _frames
        self._next_start = int(times.spans(0, 1)[0, 0])  # of the first of _frames, come or to come
        self._pool = FramePool(0, values, off)  # of the stretch that was asked for last
        self._n_outside = 0  # outside frames so far
        self._stretch_start = self._stretch_end = -self._margin  # of the last one that was judged
        self._spans: dict[int, Span] = {}
        self._recent: list[Span] = []
        self._held: list[Span] = []  # that are over, but others may still go for them
        self._ready: list[Span] = []

    def push(self, frames: F32, levels: F32) -> list[Span]:
        """The next frames' scores f32[T, C or C + 1] and levels f32[n]; the spans that are over."""
        if len(frames):
            spans = self._times.spans(self._first_frame + len(self._frames), len(frames))
            self._spans_of_frames = np.concatenate([self._spans_of_frames, spans])
            self._frames = np.concatenate([self._frames, frames])
        self._finder.push(levels)
        self._silence_finder.push(levels)
        level = self._level_samples
        self._silences = [
            (first * level, np.inf if end is None else end * level)
            for first, end in self._silence_finder.found()
        ]
        self._advance(at_end=False)
        known = [self._next_start, *(span.end for span in self._spans.values())]
        self._silence_finder.drop_until(min(known) // level)
        return self._pop_ready()

    def flush(self) -> list[Span]:
        """The stream is over: the spans that are left."""
        self._finder.flush()
        self._advance(at_end=True)
        for index in list(self._spans):
            self._close(index)
        return self._pop_ready()

    def earliest_start(self, index: int) -> int:
        """No later span of this class begins before, in samples."""
        known = (*self._held, *self._spans.values())
        starts = [span.start for span in known if span.index == index]
        return min(starts, default=self._next_start)

    def begun(self) -> list[Span]:
        """What is heard in the stretch or the runs that are not over, as far as can be told now."""
        open_spans = [span for span in self._spans.values() if self._holds(span)]
        found = [replace(span) for span in (*self._held, *open_spans)]
        first = self._finder.open_from
        if first is not None and self._finder.n_known > first:
            found += self._in_stretch(Stretch(first, self._finder.n_known))
        return [span for span in found if span.index != UNKNOWN]

    def _pop_ready(self) -> list[Span]:
        ready, held = self._ready, self._held
        self._ready, self._held = [], []
        for span in held:  # those of one class in order
            if self._awaits(span) or any(other.index == span.index for other in self._held):
                self._held.append(span)
            else:
                # Whoever gets it may change it; here it is still compared with.
                ready.append(replace(span, also=dict(span.also)))
        return ready

    def _awaits(self, span: Span) -> bool:
        """Whether one that goes on could still go for this one."""
        return any(
            span.end - max(span.start, other.start)
            >= SHARED * (max(span.end, other.end) - other.start)
            for other in self._spans.values()
            if other.outside and other.start < span.end
        )

    def _advance(self, at_end: bool) -> None:
        level = self._level_samples
        while self._finder.closed:
            stretch = self._finder.closed[0]
            if not at_end and self._end_of_frames() < stretch.end * level:
                break
            self._finder.closed.popleft()
            self._outside_until(stretch.first * level - self._margin)
            self._judge(stretch)
        else:
            known = self._finder.n_known * level
            if at_end:
                known = self._end_of_frames() + self._margin
            elif self._finder.open_from is not None:
                known = min(known, self._finder.open_from * level)
            self._outside_until(known - self._margin)
            first = self._finder.open_from
            if first is not None and self._finder.n_known > first:
                start = first * level
                if self._end_of_frames() >= start - self._margin:
                    self._close_before(start)
            elif not at_end and self._finder.open_from is None:
                self._close_stretches(self._finder.n_known * level)

    def _end_of_frames(self) -> int:
        """Up to where frames are there."""
        return int(self._spans_of_frames[-1, 1]) if len(self._frames) else 0

    def _outside_until(self, end: int) -> None:
        """Judge the frames that lie outside up to here, and drop what no stretch needs."""
        spans = self._spans_of_frames
        used = int(np.searchsorted(spans[:, 1], end, side="right"))
        if not used:
            return
        outside = np.flatnonzero(spans[:used, 0] >= self._stretch_end + self._margin)
        if len(outside):
            self._extend(self._frames[outside], spans[outside])
        self._first_frame += used
        self._frames, self._spans_of_frames = self._frames[used:], spans[used:]
        left = spans[used:] if used < len(spans) else self._times.spans(self._first_frame, 1)
        self._next_start = int(left[0, 0])

    def _extend(self, frames: F32, spans: I64) -> None:
        """More frames outside of stretches."""
        rows, columns = np.nonzero(self._active(frames))
        odds = odds_of(frames[rows, columns])
        before, number = self._n_outside, -1
        for frame, index, own in zip(rows.tolist(), columns.tolist(), odds.tolist()):
            if number != before + frame:
                number = before + frame
                self._close_unless_seen(number)
                start, end = spans[frame].tolist()
            for begin, stop in self._sounding(index, start, end):
                span = Span(index, begin, stop, own, 1, number + 1, True)
                if (open_span := self._continued(index, begin)) is None:
                    self._spans[index] = span
                else:
                    open_span.join(span)
                    open_span.outside = True
        self._n_outside = before + len(frames)
        self._close_unless_seen(self._n_outside)

    def _sounding(self, index: int, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of this time that may be evidence of a class: those that are not silent."""
        parts = []
        for silence, sound in () if self._absences[index] else self._silences:
            if silence < end and start < sound:
                parts.append((start, silence))
                start = int(min(sound, end))
        return [(a, b) for a, b in (*parts, (start, end)) if a < b]

    def _continued(self, index: int, start: int) -> Span | None:
        """The open span of a class that goes on up to here; one that silence ended is closed."""
        span = self._spans.get(index)
        if span is not None and self._is_silent_between(span, start):
            self._close(index)
            return None
        return span

    def _is_silent_between(self, span: Span, start: int) -> bool:
        """Whether there is silence between a span and what begins here."""
        is_between = any(span.end <= silence <= start for silence, _ in self._silences)
        return is_between and not self._absences[span.index]

    def _close_unless_seen(self, number: int) -> None:
        """Close what the last frames before this outside frame did not go on with."""
        over = [span for span in self._spans.values() if span.seen < number]
        for span in sorted(over, key=lambda s: s.seen):
            self._close(span.index)

    def _judge(self, stretch: Stretch) -> None:
        """Open the spans of a stretch, or go on with those that it is a part of."""
        start = stretch.first * self._level_samples
        spans = self._in_stretch(stretch)
        self._close_before(start)
        self._stretch_start, self._stretch_end = start, stretch.end * self._level_samples
        for span in sorted(spans, key=lambda s: s.start):
            if span.index == UNKNOWN:
                self._ready.append(span)
                continue
            open_span = self._continued(span.index, span.start)
            is_same = open_span is not None and (open_span.outside or open_span.end == start)
            if open_span is not None and is_same:
                open_span.join(span)
                continue
            if open_span is not None:
                self._close(span.index)
            self._spans[span.index] = span

    def _close_before(self, start: int) -> None:
        """Close what a stretch that begins here cannot go on with.

        A run that the stretch before did not go on with is over, too: among sounds that follow each
        other closely there may be no frame outside for minutes.
        """
        for index, span in list(self._spans.items()):
            if span.end < (self._stretch_start if span.outside else start):
                self._close(index)

    def _close_stretches(self, known: int) -> None:
        """Close the spans of stretches that nothing can go on with, whatever is to come.

        The next frame that may lie outside, up to where levels are known, has none of their
        classes: if it does lie outside, they are over, and if it is near to a new stretch, which
        must begin behind them, too.
        """
        waiting = [index for index, span in self._spans.items() if not span.outside]
        if not waiting:
            return
        times = self._spans_of_frames
        may_lie = (times[:, 0] >= self._stretch_end + self._margin) & (times[:, 1] <= known)
        if not may_lie.any():
            return
        frame = int(np.argmax(may_lie))
        active = self._active(self._frames[frame : frame + 1])[0]
        start = int(times[frame, 0])
        spans = [self._spans[index] for index in waiting if active[index]]
        if all(self._is_silent_between(span, start) for span in spans):
            for index in waiting:
                self._close(index)

    def _in_stretch(self, stretch: Stretch) -> list[Span]:
        """What is heard in a stretch, of which all frames are there."""
        start, end = stretch.first * self._level_samples, stretch.end * self._level_samples
        times = self._spans_of_frames
        first = int(np.searchsorted(times[:, 1], start, side="right"))
        within = slice(first, int(np.searchsorted(times[:, 0], end, side="left")))
        frames, times = self._frames[within], times[within]
        if not len(frames):
            return []
        is_similar = self._least_similarity is None or (
            float(frames[:, -1].mean()) >= self._least_similarity
        )
        frames, _ = self._split(frames)
        pool = self._pool_of(self._first_frame + first, frames)
        values = self._values(pooled(pool.means).astype(np.float32)[None])[0]
        if not is_similar:
            best = int(np.argmax(np.where(self._allowed, values, -1)))
            total = float(odds_of(frames[:, best]).sum())
            return [Span(UNKNOWN, start, end, total, len(frames), also={best: None})]
        columns = np.flatnonzero((values >= self._on) & self._allowed)
        odds = odds_of(frames[:, columns])
        found = []
        for number, index in enumerate(columns.tolist()):
            active = pool.active[:, index]
            if end - start >= self._long and active.mean() < LEAST_SHARE:
                found += self._runs(index, active, odds[:, number], times)
            else:
                total = float(odds[:, number].sum())
                found.append(Span(index, start, end, total, len(frames), self._n_outside))
        chosen = self._choice.choose(found, self._strength)
        for span in chosen:
            span.start, span.end = max(span.start, start), min(span.end, end)
        return chosen

    def _pool_of(self, first: int, scores: F32) -> FramePool:
        """Of the frames from this number on, f32[n, C]: the last one, if it goes on."""
        if self._pool.first != first or self._pool.n > len(scores):
            self._pool = FramePool(first, self._values, self._off)
        self._pool.extend(scores)
        return self._pool

    def _active(self, frames: F32) -> Bools:
        """Which classes go on in frames outside of stretches, bool[T, C]."""
        frames, similar = self._split(frames)
        return np.asarray((self._values(frames) >= self._off) & self._allowed & similar[:, None])

    def _split(self, frames: F32) -> tuple[F32, Bools]:
        """Scores f32[T, C], and which frames are like what was taught, bool[T]."""
        if self._least_similarity is None:
            return frames, np.ones(len(frames), bool)
        return frames[:, :-1], frames[:, -1] >= self._least_similarity

    def _runs(self, index: int, active: Bools, odds: F64, times: I64) -> list[Span]:
        """The runs of a class's frames whose evidence holds."""
        edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
        runs = [
            Span(
                index,
                int(times[first, 0]),
                int(times[end - 1, 1]),
                float(odds[first:end].sum()),
                int(end - first),
                self._n_outside,
            )
            for first, end in zip(edges[::2], edges[1::2])
        ]
        return [run for run in runs if self._holds(run)]

    def _strength(self, span: Span) -> float:
        """The value that is compared with thresholds."""
        scores = np.zeros((1, len(self._on)), np.float32)
        scores[0, span.index] = span.score
        return float(self._values(scores)[0, span.index])

    def _holds(self, span: Span) -> bool:
        return self._strength(span) >= float(self._on[span.index])

    def _close(self, index: int) -> None:
        """A span is over: it is an event if its evidence holds, and nothing stands for it."""
        span = self._spans.pop(index)
        if not self._holds(span):
            return
        others = [s for s in (*self._spans.values(), *self._recent) if self._holds(s)]
        if not span.outside or self._choice.stays(span, others, self._strength):
            self._held.append(span)
        self._recent.append(span)
        # Those that can still cover enough of one that goes on: in a day of rain, few.
        self._recent = [s for s in self._recent if self._awaits(s)]
