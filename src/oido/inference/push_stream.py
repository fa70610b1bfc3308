# SPDX-License-Identifier: Apache-2.0
"""A source that is pushed, and heard by the threads of a hub."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from oido.errors import InvalidSamplesError
from oido.inference.block import Block, WorkItem
from oido.inference.pipeline import Pipeline
from oido.params import Windowing
from oido.runtime.base import Outputs
from oido.signal.decode import AudioInfo

__all__ = ["BlockSink", "PushStream"]

_TURN_SECONDS = 1.0
"""Of sound that one source may have heard before others have their turn."""


class BlockSink(Protocol):
    """Takes what is heard, in the hub's threads: in order, and one call at a time."""

    def blocks(self, blocks: list[Block]) -> None:
        """More windows, heard."""

    def ended(self, error: Exception | None) -> None:
        """There will be no more; error: why, if this is not how it should end."""


class PushStream:
    """One source of a hub (`BatchScheduler.open`); may be pushed by any thread.

        fed = hub.open(info, windowing, sink)
        fed.push(samples); ...; fed.end()

    room_seconds: of audio that may wait to be heard; memory never grows beyond this and one push.
    on_room: called when a push that found no room may be tried again, or nothing more is wanted:
    for those who may not wait inside ``push``.
    """

    def __init__(
        self,
        info: AudioInfo,
        pushed: Pipeline,
        sink: BlockSink,
        schedule: Callable[[PushStream], None],
        *,
        capacity_seconds: float,
        on_capacity: Callable[[], None],
    ) -> None:
        self.info = info
        self._pushed, self._sink, self._schedule = pushed, sink, schedule
        self._on_room = on_capacity
        rate = info.sample_rate_hz
        self._room_frames = max(1, int(capacity_seconds * rate))
        self._turn_frames = max(1, int(_TURN_SECONDS * rate))
        self._changed = threading.Condition()
        self._blocks: deque[NDArray[np.float32]] = deque()
        self._frames = 0
        """Of those that wait."""
        self._wake_frames = pushed.missing_frames()
        self._refused = self._is_held = False
        self._is_scheduled = False
        """In the hub's queue, or in the hands of one of its threads."""
        self._ended = self._closed = self._flushed = False
        self._error: Exception | None = None

    @property
    def windowing(self) -> Windowing:
        return self._pushed.windowing

    @property
    def n_samples(self) -> int:
        """Samples heard so far, at the model's rate."""
        return self._pushed.n_samples

    @property
    def waiting_seconds(self) -> float:
        """Seconds of audio that were pushed and not yet taken."""
        return self._frames / self.info.sample_rate_hz

    @property
    def is_over(self) -> bool:
        """Whether nothing more is taken: it has ended, or nobody wants it any more."""
        return self._ended or self._closed

    def push(self, samples: NDArray[Any], timeout: float | None = None) -> bool:
        """Bring the next samples, int16, int32 or float in [-1, 1], [n] or [n, channels].

        timeout: seconds to wait for room; None waits as long as it takes, 0 not at all. Samples
        find room if any is left, so a single push may be longer than all of it.

        Returns whether they were taken; if not, there was no room in time, or they come after the
        end (``is_over``). Raises InvalidSamplesError for another dtype or shape.
        """
        block = self._as_block(samples)
        with self._changed:
            if timeout != 0:
                self._changed.wait_for(lambda: self.is_over or self._has_room(), timeout)
            if self.is_over or not self._has_room():
                self._refused = True
                return False
            if len(block):
                self._blocks.append(block)
                self._frames += len(block)
                self._schedule_if_due()
            return True

    def end(self, error: Exception | None = None) -> None:
        """No more samples will come; ``error`` is why, if this is not how it should end."""
        with self._changed:
            if not self.is_over:
                self._ended, self._error = True, error
                self._schedule_if_due()
            self._changed.notify_all()
        self._tell_if_refused()

    def close(self) -> None:
        """Nothing more is wanted: what waits is forgotten, and the sink is told no more.

        A call of the sink may still be under way.
        """
        self._closed = True
        self.finish(None)

    def hold(self) -> None:
        """Hear nothing for now: the sink has no room. What is pushed waits."""
        with self._changed:
            self._is_held = True

    def release(self) -> None:
        """Go on."""
        with self._changed:
            self._is_held = False
            self._schedule_if_due()

    def finish(self, error: Exception | None) -> None:
        """It is over now, and so the sink is told, once."""
        with self._changed:
            was_over, self._closed = self._closed, True
            self._blocks.clear()
            self._frames = 0
            self._changed.notify_all()
        self._tell_if_refused()
        if not was_over:
            self._sink.ended(error)

    # What follows is called by the hub's threads, one at a time.

    def turn(self) -> list[WorkItem]:
        """The next work, of what waits; none if there is not enough of it."""
        works: list[WorkItem] = []
        while not works and not self._flushed:
            block, ended = self._taken()
            if block is not None:
                works = self._pushed.push(block)
                damage = self._pushed.damage
                if damage is not None:
                    self._error, self._flushed = damage, True
                    works += self._pushed.flush(damaged=True)
            elif ended:
                self._flushed = True
                works = self._pushed.flush(damaged=self._error is not None)
            else:
                break
        self._tell_if_refused()
        return works

    def take(self, work: WorkItem, outputs: Outputs) -> None:
        """What the network said of a work."""
        self._tell(self._pushed.take(work, outputs))

    def turn_is_over(self) -> None:
        """All work of the turn was taken."""
        if self._flushed:
            self._tell(self._pushed.rest())
            self.finish(self._error)
            return
        with self._changed:
            self._wake_frames = self._pushed.missing_frames()
            self._is_scheduled = False
            self._schedule_if_due()

    def _tell(self, blocks: list[Block]) -> None:
        if blocks and not self._closed:
            self._sink.blocks(blocks)

    def _taken(self) -> tuple[NDArray[np.float32] | None, bool]:
        """Up to a second of what waits; or None, and whether this is the end."""
        with self._changed:
            if not self._blocks:
                return None, self._ended
            pieces = [self._blocks.popleft()]
            frames = len(pieces[0])
            while self._blocks and frames < self._turn_frames:
                pieces.append(self._blocks.popleft())
                frames += len(pieces[-1])
            block = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
            if frames > self._turn_frames:
                self._blocks.appendleft(block[self._turn_frames :])
                block = block[: self._turn_frames]
            self._frames -= len(block)
            self._changed.notify_all()
        return block, False

    def _schedule_if_due(self) -> None:
        """Called with the lock."""
        if self._is_scheduled or self._is_held or self._flushed or self._closed:
            return
        enough = self._frames >= self._wake_frames or not self._has_room()
        if enough or self._ended:
            self._is_scheduled = True
            self._schedule(self)

    def _tell_if_refused(self) -> None:
        if self._refused:
            self._refused = False
            self._on_room()

    def _has_room(self) -> bool:
        return self._frames < self._room_frames

    def _as_block(self, samples: NDArray[Any]) -> NDArray[np.float32]:
        block = samples if samples.ndim != 1 else samples[:, None]
        name, channels = self.info.name, self.info.channels
        if block.ndim != 2 or block.shape[1] != channels:
            raise InvalidSamplesError(
                f"{name}: samples must be [n, {channels}], not {samples.shape}"
            )
        if samples.dtype in (np.int16, np.int32):
            scale = np.float32(-1.0 / np.iinfo(samples.dtype).min)
            return block.astype(np.float32) * scale
        if samples.dtype.kind != "f":
            raise InvalidSamplesError(
                f"{name}: samples must be int16, int32 or float, not {samples.dtype}"
            )
        # A copy, because a microphone's buffer will soon hold the next samples.
        return block.astype(np.float32)
