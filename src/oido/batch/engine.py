# SPDX-License-Identifier: Apache-2.0
"""The seam between an archive's run and the workers of its units: one machine, or many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from oido.batch.prefetch import Prefetch
from oido.batch.process_pool import Crashed, ProcessPool
from oido.batch.units import Flush, Later, LoadedModel, RunSpec, Unit, WorkerReport

if TYPE_CHECKING:
    from typing_extensions import Self

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


Messages = Iterator[tuple[Unit | None, WorkerReport | Lost]]


class Engine(Protocol):
    """Has units done by workers, each of which holds an `UnitWorker` and serves one at a time.

    The workers write the parts; only reports come back. What a worker was assigned and has not
    reported as finished or as ranges is ``Lost`` when it dies. A worker that finds nothing to do
    gets `Flush`, once.
    """

    @property
    def n_workers(self) -> int:
        """How many work side by side by now."""

    def start(self) -> LoadedModel:
        """Return when the model is loaded, and which it is. Raises OidoError."""

    def run(self, next_unit: NextUnit) -> Messages:
        """Reports and losses as they come; over when there is nothing to do, and nobody works.

        After each one the caller may have more to do: ``next_unit`` is asked again.
        """

    def interrupt(self) -> None:
        """Make ``run`` raise KeyboardInterrupt soon; safe in a signal handler."""

    def close(self) -> None:
        """End the workers; those of this machine are asked to discard what they write."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Assigned(dict[str, Unit]):
    """The units, by key, that a worker was assigned and has not handed over."""

    def next(self, next_unit: Callable[[], Unit | Later | None]) -> Unit | Flush | Later | None:
        """What the worker is to do now; None: it has nothing to do, nor to write."""
        unit = next_unit()
        if isinstance(unit, Later):
            return unit
        if unit is not None:
            self[unit.key] = unit
            return unit
        return Flush() if self else None

    def settle(self, unit: Unit | None, report: WorkerReport) -> None:
        """Remove what a report on this unit hands over."""
        if unit is not None and (report.ranges or report.sample is not None):
            self.pop(unit.key, None)
        for finished in report.finished:
            for outcome in finished.outcomes:
                self.pop(outcome.unit.key, None)

    def lose(self, unit: Unit | None, reason: str, killed: bool) -> Lost:
        """All of it, when the worker died over this unit."""
        under_way = self.pop(unit.key, None) if unit else None
        return Lost(under_way, tuple(self.values()), reason, killed)


class LocalEngine(ProcessPool):
    """Worker processes on this machine; the next remote recordings are fetched meanwhile."""

    def __init__(self, spec: RunSpec, workers: int, **options: Any) -> None:
        super().__init__(spec, workers, **options)
        self._prefetch = Prefetch(self.wake, spec.split_seconds)

    def run(self, next_unit: NextUnit) -> Messages:
        assigned: dict[int, Assigned] = {}
        next_there = partial(self._prefetch.next, next_unit)

        def next_task(number: int) -> Unit | Flush | Later | None:
            return assigned.setdefault(number, Assigned()).next(next_there)

        for number, task, message in self.serve(next_task):
            unit = task if isinstance(task, Unit) else None
            if unit is not None and message.ends_task:
                self._prefetch.release(unit)
            if isinstance(message, Crashed):
                lost = assigned.pop(number, Assigned())
                yield unit, lost.lose(unit, message.reason, message.killed)
            else:
                assigned[number].settle(unit, message)
                yield unit, message

    def close(self) -> None:
        self._prefetch.cancel()
        super().close()
        self._prefetch.close()


class InlineEngine(Engine):
    """All in this process, one unit after the other; for tests, and for a debugger.

    A recording whose decoder crashes takes this process with it.
    """

    n_workers = 1

    def __init__(self, spec: RunSpec) -> None:
        from oido.batch.unit_worker import UnitWorker

        self._worker = UnitWorker(spec)
        self._interrupted = False

    def start(self) -> LoadedModel:
        worker = self._worker
        return LoadedModel(worker.model_name, worker.model_sha256, worker.labels)

    def run(self, next_unit: NextUnit) -> Messages:
        flushed = False
        while True:
            unit = next_unit()
            if unit is None and flushed:
                return
            flushed = unit is None
            for report in self._worker.serve(Flush() if unit is None else unit):
                if self._interrupted:
                    raise KeyboardInterrupt
                yield unit, report

    def interrupt(self) -> None:
        self._interrupted = True

    def close(self) -> None:
        """Nothing to stop."""
