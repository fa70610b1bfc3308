# SPDX-License-Identifier: Apache-2.0
"""A recording in the place of a live source, to rehearse triggers on it.

It comes in blocks as short as those of a microphone, as fast as they are predicted, with the time
of day of when it was recorded. Everything else is what happens live: windows, sounds, cool-downs
and clips count in seconds of the stream. Actions are only named, or done without a message lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from oido.arrays import F32
from oido.live.actions import Message, Runner, TriggerName
from oido.live.monitor import UtcClock
from oido.messages import tr
from oido.signal.decode import AudioReader

_BLOCK_SECONDS = 0.05
"""As a microphone's."""


class ReplayReader(AudioReader):
    """Gives a recording's sound in short blocks: clips are cut from what came last."""

    def __init__(self, reader: AudioReader) -> None:
        self._reader, self.info = reader, reader.info
        self.damaged_packets = 0

    def blocks(self) -> Iterator[F32]:
        most = max(1, int(_BLOCK_SECONDS * self.info.sample_rate_hz))
        for block in self._reader.blocks():
            for start in range(0, len(block), most):
                yield block[start : start + most]
        self.damaged_packets = self._reader.damaged_packets
        self.gaps_seconds = self._reader.gaps_seconds

    def tags(self) -> dict[str, str]:
        return self._reader.tags()

    def close(self) -> None:
        self._reader.close()


class RecordingClock(UtcClock):
    """The time of day of a recording that began at ``began``."""

    def __init__(self, began: datetime) -> None:
        super().__init__()
        self._began = began

    def update(self, stream_time: float, now: float | None = None) -> None:
        """When its samples are read is of no meaning."""

    def at(self, stream_time: float) -> datetime:
        return self._began + timedelta(seconds=stream_time)


class WaitingRunner(Runner):
    """Does everything: the recording waits where an action is slower, until it is interrupted."""

    waits = True

    def _enqueue(self, message: Message) -> None:
        try:
            super()._enqueue(message)
        except KeyboardInterrupt:
            self.waits = False  # what is told of the end must not wait again
            raise


class DryRunner(Runner):
    """Says what the action would get, and never opens it."""

    def start(self, triggers: Sequence[TriggerName]) -> None:
        pass

    def _enqueue(self, message: Message) -> None:
        state, clip = message
        if clip is None:
            when = state.start_time if state.state == "on" else state.end_time
            what = tr(
                "{state} for {condition!r} at {when:.2f} s",
                state=state.state,
                condition=state.condition,
                when=when,
            )
        else:
            what = tr(
                "{seconds:.2f} s of sound from {start_time:.2f} s on",
                seconds=clip.seconds,
                start_time=clip.start_time,
            )
        self._on_message(tr("{name}: would get {what}", name=self.action.name, what=what))

    def close(self, deadline: float) -> None:
        pass
