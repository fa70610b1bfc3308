# SPDX-License-Identifier: Apache-2.0
"""The seam between an archive's run and the workers that hear it: one machine, or many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from oido.batch.process_pool import STALL_SECONDS, Crashed, LocalPool
from oido.batch.units import Flush, RunSpec, Unit, WorkerReport

__all__ = ["Engine", "LocalEngine", "Lost", "NextUnit"]

NextUnit = Callable[[], Unit | None]
"""What is to be done now, or None: nothing for now."""


class Lost(NamedTuple):
    """A worker died, and what it had not handed over as `Finished` is lost with it.

    under_way: the unit it worked on, which may be why; others: those that it had only to write.
    reason: what it died of. killed: from outside, which says nothing of the recording.
    """

    under_way: Unit | None
    others: tuple[Unit, ...]
    reason: str
    killed: bool


class Engine(Protocol):
    """Has units done by workers, each of which holds an `UnitWorker` and serves one at a time.

    The workers write the parts; only reports come back. What a worker was given and has not
    reported as finished or as ranges is ``Lost`` when it dies. A worker that finds nothing to do
    is given `Flush`, once.
    """

    def start(self) -> tuple[str, str]:
        """Return when the model is loaded: its name and its SHA-256. Raises OidoError."""
        ...

    def run(self, next_unit: NextUnit) -> Iterator[tuple[Unit | None, WorkerReport | Lost]]:
        """Reports and losses as they come; over when there is nothing to do, and nobody works.

        After each one the caller may have more to do: ``next_unit`` is asked again.
        """
        ...

    def interrupt(self) -> None:
        """Make ``run`` raise KeyboardInterrupt soon; safe in a signal handler."""
        ...

    def close(self) -> None:
        """End the workers; those of this machine are asked to discard what they write."""
        ...


class LocalEngine:
    """Worker processes on this machine."""

    def __init__(
        self, order: RunSpec, workers: int, *, stall_seconds: float = STALL_SECONDS
    ) -> None:
        self._pool = LocalPool(order, workers, stall_seconds=stall_seconds)
        self._given: dict[int, dict[str, Unit]] = {}

    def start(self) -> tuple[str, str]:
        """As `Engine.start`."""
        self._pool.wait_until_ready()
        return self._pool.model_name, self._pool.model_sha256

    def run(self, next_unit: NextUnit) -> Iterator[tuple[Unit | None, WorkerReport | Lost]]:
        """As `Engine.run`."""
        for number, task, message in self._pool.serve(lambda n: self._next(n, next_unit)):
            unit = task if isinstance(task, Unit) else None
            given = self._given.setdefault(number, {})
            if isinstance(message, Crashed):
                del self._given[number]
                under_way = given.pop(unit.key, None) if unit else None
                others = tuple(given.values())
                yield unit, Lost(under_way, others, message.reason, message.killed)
                continue
            if message.ranges and unit is not None:
                given.pop(unit.key, None)
            for finished in message.finished:
                for outcome in finished.outcomes:
                    given.pop(outcome.unit.key, None)
            yield unit, message

    def _next(self, number: int, next_unit: NextUnit) -> Unit | Flush | None:
        given = self._given.setdefault(number, {})
        unit = next_unit()
        if unit is not None:
            given[unit.key] = unit
            return unit
        return Flush() if given else None

    def interrupt(self) -> None:
        """As `Engine.interrupt`."""
        self._pool.interrupt()

    def close(self) -> None:
        """As `Engine.close`."""
        self._pool.close()

    def __enter__(self) -> LocalEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
