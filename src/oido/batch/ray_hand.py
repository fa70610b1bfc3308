# SPDX-License-Identifier: Apache-2.0
"""What the Ray engine knows of each of its actors."""

from __future__ import annotations

import contextlib
import time
import uuid
from typing import Any

from oido._version import __version__
from oido.batch.ray_actor import crash_path
from oido.batch.units import Report, Unit

__all__ = ["Hand"]


class Hand:
    """An actor, and what it was given and has not handed over.

    pending: what it will say next; None: it has nothing to do. is_ready: it has loaded the model.
    life: of the process that has, because Ray starts the actor again by itself.
    """

    def __init__(self, actor_class: Any, order: bytes) -> None:
        self._name = uuid.uuid4().hex
        self.actor, self._order = actor_class.remote(self._name), order
        self.pending: Any = None
        self.is_ready = self.stalled = False
        self.life = ""
        self.unit: Unit | None = None
        self.given: dict[str, Unit] = {}
        self.heard_at = time.monotonic()
        self.died_at: float | None = None

    @property
    def is_busy(self) -> bool:
        """Something of a unit is still to come of it."""
        return self.died_at is not None or (self.is_ready and self.pending is not None)

    def prepare(self) -> None:
        """Have it load the model; Ray holds this back until the actor has a place."""
        self.is_ready = False
        prepare = self.actor.prepare.options(max_task_retries=-1)
        self.pending = prepare.remote(__version__, self._order)

    def forget(self) -> None:
        """Remove what an actor that was on this machine left behind when it was killed."""
        with contextlib.suppress(OSError):
            crash_path(self._name).unlink()

    def settle(self, report: Report) -> None:
        """What it has handed over is not with it any more."""
        if report.ranges and self.unit is not None:
            self.given.pop(self.unit.key, None)
        for finished in report.finished:
            for outcome in finished.outcomes:
                self.given.pop(outcome.unit.key, None)
        if report.ends_task:
            self.pending = None
