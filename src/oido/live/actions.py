# SPDX-License-Identifier: Apache-2.0
"""What triggers do: the seam of all actions, and the threads that run them.

The monitor never waits for an action. Each has a thread and a short queue of its own; what does not
fit is dropped, and reported.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from oido.live.clips import AudioClip
from oido.live.source import OnMessage
from oido.live.triggers import TriggerState

__all__ = ["Action", "ActionError", "Message", "Runner", "TriggerName"]

_WAITING_MESSAGES, _WAITING_CLIPS = 64, 4
_RETRY_SECONDS = (1.0, 2.0, 4.0)


class TriggerName(NamedTuple):
    """Of a trigger that an action serves, before the first window; names: of its labels."""

    slug: str
    condition: str
    names: tuple[str, ...]


class Message(NamedTuple):
    """What an action gets: a change, or, with a clip, a sound that is over."""

    state: TriggerState
    clip: AudioClip | None = None


class ActionError(Exception):
    """An action failed; retry: whether it may work if it is tried again soon."""

    def __init__(self, reason: str, *, retry: bool) -> None:
        super().__init__(reason)
        self.retry = retry


class Action(ABC):
    """One thing to do. ``name`` is for messages, and holds no secrets.

    wants_off: it gets "off", too. wants_clip: it gets the clip, when it is complete, and
    nothing else.
    """

    name: str
    wants_off: bool = False
    wants_clip: bool = False

    def open(self, triggers: Sequence[TriggerName], on_message: OnMessage) -> None:  # noqa: B027
        """Get ready, before the first window. Raises an OidoError if it can never work."""

    @abstractmethod
    def do(self, message: Message) -> None:
        """Do it, in the action's own thread; within a minute. Raises ActionError."""

    def close(self) -> None:  # noqa: B027
        """Nothing more will come; must not take long."""


class Runner:
    """Runs one action in a thread of its own.

    A failure that may pass is tried again after 1, 2 and 4 s. A message that fails for good is
    reported once; then the next failures are only counted, until one message succeeds again.
    """

    def __init__(self, action: Action, on_message: OnMessage) -> None:
        self.action = action
        self._on_message = on_message
        capacity = _WAITING_CLIPS if action.wants_clip else _WAITING_MESSAGES
        self._waiting: queue.Queue[Message | None] = queue.Queue(capacity)
        self._stopping = threading.Event()
        self._under_way = False
        self.dropped = 0
        """Messages that the queue could not hold."""
        self.failed = 0
        """Messages that failed since the last that succeeded."""
        self._thread = threading.Thread(target=self._run, name="oido-action", daemon=True)

    def start(self, triggers: Sequence[TriggerName]) -> None:
        """Open the action. Raises an OidoError."""
        self.action.open(triggers, self._on_message)
        self._thread.start()

    def offer(self, message: Message) -> None:
        """Queue a message, if the action wants it; never waits."""
        if (message.clip is not None) != self.action.wants_clip:
            return
        if message.state.state == "off" and not (self.action.wants_off or message.clip):
            return
        try:
            self._waiting.put_nowait(message)
        except queue.Full:
            self.dropped += 1
            if self.dropped == 1:
                self._on_message(f"{self.action.name}: is too slow; what it cannot take is dropped")

    def close(self, deadline: float) -> None:
        """Finish what waits, without pauses, until ``deadline`` (of the monotonic clock)."""
        self._stopping.set()
        if self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._waiting.put(None, timeout=max(0.0, deadline - time.monotonic()))
            self._thread.join(max(0.0, deadline - time.monotonic()))
        left = self._waiting.qsize() + self._under_way
        if self._thread.is_alive() and left:
            self._on_message(
                f"{self.action.name}: did not end in time; {left} message(s) may be lost"
            )
        self.action.close()

    def _run(self) -> None:
        while (message := self._waiting.get()) is not None:
            self._under_way = True
            self._do(message)
            self._under_way = False

    def _do(self, message: Message) -> None:
        reason = self._attempt(message)
        name = self.action.name
        if reason is None:
            if self.failed:
                self._on_message(f"{name}: works again; {self.failed} message(s) were lost")
            self.failed = 0
            return
        self.failed += 1
        if self.failed == 1:
            self._on_message(f"{name}: {reason}; oido goes on, and tells when it works again")

    def _attempt(self, message: Message) -> str | None:
        """Why it failed for good; None if it succeeded."""
        for pause in (*_RETRY_SECONDS, None):
            try:
                self.action.do(message)
            except ActionError as error:
                if not error.retry or pause is None or self._stopping.is_set():
                    return str(error)
                self._stopping.wait(pause)
            except Exception as error:  # the thread must live on
                return f"failed ({type(error).__name__}: {error})"
            else:
                return None
        raise AssertionError
