# SPDX-License-Identifier: Apache-2.0
"""The container's clock against the samples: where they disagree, silence is inserted or sound cut.

Sound that begins later than the picture, a stretch in which nothing was sent, and packets that
could not be decoded shift nothing behind them. One rule for files, pipes and addresses.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import av

_TOLERANCE_SECONDS = 0.005
"""Clocks of containers count in milliseconds, or in 1/90 of one, and are rounded."""

_PLAIN_SECONDS = 0.1
_PLAIN_FRAMES = 2
_SLIGHT_SECONDS = 0.4
"""A plain step is believed when one more frame agrees, a slight one when all frames of so long do.
The clocks of Vorbis and of cameras tremble, and come back; what is lost does not."""

_MOST_MISSING_SECONDS = 3600.0
_MOST_MISSING_IN_ALL_SECONDS = 86_400.0
_MOST_OVERLAP_SECONDS = 30.0
_RESTART_SECONDS = 1.0
_MOST_PADDED_FRAMES = 2
_ROUNDED_SECONDS = 0.002

EARLIEST_SECONDS = 0.005
_LONGEST_DELAY_SECONDS = 0.3
_LATE_SECONDS = 0.1
_DAMAGED_SECONDS = 10.0


Timed = tuple[Any, float, float]
"""A frame; seconds of silence to insert before it, or, negative, of its beginning to cut, which
were there already; seconds of padding to cut from its end. (A tuple: there are many.)"""


def timed(
    frames: Iterable[Any],
    zero: float | None,
    *,
    end: float | None = None,
    length: float | None = None,
    may_overlap: bool = True,
    damaged: Callable[[], int] = lambda: 0,
) -> Iterator[Timed]:
    """The frames of a track (PyAV), none left out, with what their clock says.

    zero: the container's time of sample 0, in seconds; None: that of the first frame. end: the
    container's time at which the track ends; up to two frames of padding behind it are cut, and a
    longer rest is sound that the header does not know. length: the seconds that the header
    promises; a step to within them is believed, however long it is. may_overlap: whether a clock
    that goes back repeats what was there; if not, another recording begins. damaged: how many
    packets could not be decoded so far; behind one, a slight step is believed at once.

    A clock that jumps back to its beginning, or far, began anew: then nothing is missing.
    """
    clock = _Clock(zero, length, may_overlap, damaged)
    return clock.run(frames) if end is None else _without_padding(clock, frames, end)


def _without_padding(clock: _Clock, frames: Iterable[Any], end: float) -> Iterator[Timed]:
    late: list[Timed] = []
    for item in clock.run(frames):
        if clock.expected is None or clock.expected <= end:
            yield item
            continue
        late.append((item[0], item[1], clock.expected - _own_end(item[0], end)))
        if len(late) > _MOST_PADDED_FRAMES:
            end = math.inf
            yield from ((frame, missing, 0.0) for frame, missing, _ in late)
            late = []
    yield from late


def _own_end(frame: Any, end: float) -> float:
    """Where a frame ends by its packet, if the track may end there: headers count in thousandths
    of a second, and packets in samples."""
    if not frame.duration or frame.pts is None:
        return end
    own = float((frame.pts + frame.duration) * frame.time_base)
    return own if abs(own - end) <= _ROUNDED_SECONDS else end


class _Clock:
    """expected: the container's time of the next sample; None before any is known."""

    def __init__(
        self,
        zero: float | None,
        length: float | None,
        may_overlap: bool,
        damaged: Callable[[], int],
    ) -> None:
        self._zero, self._length, self._damaged = zero, length, damaged
        self._may_overlap = may_overlap
        self.expected: float | None = None
        self._tick = 0.0
        self._inserted = 0.0
        self._damaged_before = 0

    def run(self, frames: Iterable[Any]) -> Iterator[Timed]:
        waiting: list[Any] = []  # frames whose time disagrees
        for frame in frames:
            pts = frame.pts
            if not waiting and self.expected is not None and pts is not None:
                # Nearly all of them: what `_step` and `_passed` do, without the calls.
                if -_TOLERANCE_SECONDS <= pts * self._tick - self.expected <= _TOLERANCE_SECONDS:
                    self.expected += frame.samples / frame.sample_rate
                    yield frame, 0.0, 0.0
                    continue
            elif not waiting and abs(self._step(frame)) <= _TOLERANCE_SECONDS:
                yield self._passed(frame)
                continue
            waiting.append(frame)
            yield from self._settle(waiting)
        while waiting:
            yield from self._settle(waiting, is_end=True)

    def _step(self, frame: Any, ahead: float = 0.0) -> float:
        """How much later than expected a frame is, with so many seconds of others before it."""
        pts = frame.pts
        if pts is None:
            return 0.0
        self._tick = self._tick or float(frame.time_base)
        now: float = pts * self._tick
        if self.expected is None:
            # A track that begins before the container does has nothing to be cut.
            self.expected = now if self._zero is None else min(now, self._zero)
            self._zero = self.expected
        return now - self.expected - ahead

    def _passed(self, frame: Any, missing: float = 0.0) -> Timed:
        if self.expected is not None:
            self.expected += missing + frame.samples / frame.sample_rate
        return frame, missing, 0.0

    def _settle(self, waiting: list[Any], *, is_end: bool = False) -> Iterator[Timed]:
        """Give out the waiting frames of which it is clear what their clock means."""
        while waiting:
            steps, ahead = [], 0.0
            for frame in waiting:
                if frame.pts is not None:  # one without a time says neither yes nor no
                    steps.append(self._step(frame, ahead))
                ahead += frame.samples / frame.sample_rate
            first, least = (steps[0], min(steps, key=abs)) if steps else (0.0, 0.0)
            is_one_way = all(step > 0 for step in steps) or all(step < 0 for step in steps)
            is_plain = abs(first) >= _PLAIN_SECONDS or self._damaged() > self._damaged_before
            is_clear = (is_plain and len(steps) >= _PLAIN_FRAMES) or (
                len(waiting) >= _PLAIN_FRAMES and ahead >= _SLIGHT_SECONDS
            )
            if not is_one_way or abs(least) <= _TOLERANCE_SECONDS:
                missing = 0.0  # it trembled, and came back
            elif is_clear or (is_end and is_plain):
                missing = self._believed(least)
                self._damaged_before = self._damaged()
            elif is_end:
                missing = 0.0
            else:
                return
            yield self._passed(waiting.pop(0), missing)
            # What is left is judged anew, by where it stands now.
            while waiting and abs(self._step(waiting[0])) <= _TOLERANCE_SECONDS:
                yield self._passed(waiting.pop(0))

    def _believed(self, step: float) -> float:
        """The seconds that are missing, negative those to cut; 0 where the clock began anew."""
        zero, expected = self._zero or 0.0, self.expected or 0.0
        now = expected + step
        if step > 0:
            is_promised = self._length is not None and now <= zero + self._length
            total = self._inserted + step
            if (step <= _MOST_MISSING_SECONDS or is_promised) and (
                total <= _MOST_MISSING_IN_ALL_SECONDS
            ):
                self._inserted = total
                return step
        elif step >= -_RESTART_SECONDS or (
            self._may_overlap and step >= -_MOST_OVERLAP_SECONDS and now >= zero + _RESTART_SECONDS
        ):
            return step
        self.expected = now
        return 0.0


def clock_zero(container: Any) -> float | None:
    """The container's time at which its recording begins, by the earliest of its tracks; None
    without a clock."""
    if container.start_time is None:
        return None
    zero = float(container.start_time) / av.time_base
    # Its first frames were damaged; a piece cut out of a long one begins much later.
    return 0.0 if container.format.name == "flac" and 0 < zero < _DAMAGED_SECONDS else zero


def decoder_delay(
    stream: Any, first_pts: int | None, frame: Any, damaged: int, zero: float
) -> float:
    """Seconds by which the first frame is later than the first packet, because the decoder of
    Vorbis and Windows Media keeps what is in it for itself; 0 for a track that begins later than
    the container, at zero: there the frame's own time counts."""
    if first_pts is None or frame.pts is None or damaged:
        return 0.0
    if stream.start_time is not None and first_pts < stream.start_time:
        return 0.0  # priming, of which the container tells
    if float(first_pts * frame.time_base) - zero > _LATE_SECONDS:
        return 0.0
    delay = float((frame.pts - first_pts) * frame.time_base)
    return delay if 0.0 < delay < _LONGEST_DELAY_SECONDS else 0.0


def track_end(container: Any, stream: Any, first_pts: int | None) -> float | None:
    """The container's time at which a track ends, where that is exact: of MP4 and QuickTime files
    that tell of their priming, too, which comes before the start. first_pts: of the first packet.
    """
    if "mp4" not in container.format.name or not stream.duration or stream.start_time is None:
        return None
    if first_pts is None or first_pts >= stream.start_time:
        return None
    start = float(stream.start_time * stream.time_base)
    apples = str(container.metadata.get("iTunSMPB", "")).split()
    if len(apples) > 3 and stream.sample_rate:
        with contextlib.suppress(ValueError):
            return start + int(apples[3], 16) / int(stream.sample_rate)
    return start + float(stream.duration * stream.time_base)
