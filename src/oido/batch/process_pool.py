# SPDX-License-Identifier: Apache-2.0
"""The local pool: worker processes, and tasks handed to them. No NumPy is loaded here.

Many small files do not wait for each other's GIL, and messages come in the order of the tasks,
whatever finishes first.
"""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from oido import errors
from oido.batch.plan import Failure, FileSummary, Plan, Task
from oido.batch.units import Later, LoadedModel, RunSpec
from oido.batch.worker import Done, Fatal, Ready, Rows
from oido.batch.worker_process import CRASHED, STALLED, WORKER_COMMAND, WorkerProcess
from oido.messages import tr

if TYPE_CHECKING:
    from typing_extensions import Self


STALL_SECONDS = 120.0
"""A worker that is silent for so long over one recording counts as hung, and is stopped."""

NextTask = Callable[[int], Any]
"""The number of a worker → what it is to do now, or None."""

_MOST_KILLS_AT_START = 20
"""Somebody kills workers before they can work: again and again, it is no accident."""

_DISCARD_SECONDS = 5.0
"""How long a worker that is to end may take to discard what it writes."""


class Ticks:
    """Time as this process has lived it: a pause of its own counts as one tick and no more.

    Whoever is suspended with its workers (Ctrl-Z, a frozen container) has not heard of them for
    long, and it is not they who were silent.
    """

    LONGEST_SECONDS = 5.0

    def __init__(self) -> None:
        self._lived, self._looked_at = 0.0, time.monotonic()

    def now(self) -> float:
        """Seconds; to be asked for every second or so."""
        moment = time.monotonic()
        self._lived += min(moment - self._looked_at, self.LONGEST_SECONDS)
        self._looked_at = moment
        return self._lived


class _Worker(WorkerProcess):
    """One process, and the task it works on."""

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        setup: Plan | RunSpec,
        events: queue.SimpleQueue[tuple[_Worker | None, Any]],
        ticks: Ticks,
    ) -> None:
        self.number, self._writes_files = number, isinstance(setup, RunSpec)
        self.task: Any = None
        self.is_ready = self.stalled = False
        self._ticks, self.last_message_at = ticks, ticks.now()
        super().__init__(command, setup, lambda message: events.put((self, message)))

    def assign(self, task: Any) -> None:
        """The next task; None: there is none for now."""
        self.task, self.last_message_at = task, self._ticks.now()
        if task is not None:
            self.send(task)

    def end(self) -> None:
        """Have the process discard the files that it writes, and end; soon, if it can."""
        if self._writes_files and self.task is not None:
            self.terminate()
        else:
            self.kill()


class Crashed(NamedTuple):
    """The last message of a task whose worker died.

    killed: from outside, so that nothing is known against the recording.
    """

    reason: str
    killed: bool
    ends_task: bool = True


def share_threads(sizes_bytes: Sequence[int], jobs: int) -> list[int]:
    """Threads for each recording: all of them for one that would keep the others waiting.

    A recording larger than its fair share of the whole (total / jobs) would still be running when
    the other workers have nothing left to do.
    """
    total = sum(sizes_bytes)
    return [jobs if size * jobs > total else 1 for size in sizes_bytes]


class ProcessPool:
    """Worker processes that are served one task at a time, and replaced when they die.

    ``close`` (or leaving the ``with`` block) ends the workers, whatever they do. ``model_name`` and
    ``model_sha256`` are known from the first message on, and the ``labels`` that workers of an
    archive have.
    """

    def __init__(
        self,
        setup: Plan | RunSpec,
        workers: int,
        *,
        stall_seconds: float = STALL_SECONDS,
        command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._setup, self._stall_seconds, self._command = setup, stall_seconds, command
        self._events: queue.SimpleQueue[tuple[_Worker | None, Any]] = queue.SimpleQueue()
        self._all: list[_Worker] = []
        self._interrupted = self._closing = False
        self._numbers = self._kills_at_start = 0
        self._ticks = Ticks()
        # Started now, so that they load while the caller still looks for recordings.
        self._workers = [self._new_worker() for _ in range(workers)]
        self.model_name = self.model_sha256 = ""
        self.labels: tuple[str, ...] = ()

    @property
    def n_workers(self) -> int:
        """How many processes there are."""
        return len(self._workers)

    def start(self) -> LoadedModel:
        """Return when one worker has loaded the model, and which it is."""
        while not any(worker.is_ready for worker in self._workers):
            self._wait()
        return LoadedModel(self.model_name, self.model_sha256, self.labels)

    def serve(self, next_task: NextTask) -> Iterator[tuple[int, Any, Any]]:
        """``(worker, task, message)`` as they come; the last of a task is one that ``ends_task``.

        next_task: what the worker of this number is to do now, or None. It is asked again after
        each message, so that more may turn up on the way. It is over when nobody works and there is
        nothing to do, nor `Later`. A task whose worker died ends with ``Crashed``, and so does None
        of a worker that died idle. Raises the OidoError of a plan that cannot be carried out.
        """
        while True:
            waits = False
            for worker in self._workers:
                if worker.is_ready and worker.task is None:
                    task = next_task(worker.number)
                    waits |= isinstance(task, Later)
                    worker.assign(None if isinstance(task, Later) else task)
            is_idle = all(worker.task is None for worker in self._workers)
            if any(worker.is_ready for worker in self._workers) and is_idle and not waits:
                return
            message = self._wait()
            if message is not None:
                yield message

    def _wait(self) -> tuple[int, Any, Any] | None:
        """One message of any worker that is about its task."""
        if self._interrupted:
            raise KeyboardInterrupt
        try:
            worker, message = self._events.get(timeout=1.0)
        except queue.Empty:
            self._stop_stalled()
            return None
        if self._interrupted:
            raise KeyboardInterrupt  # which may have ended this worker, too: it has not crashed
        if worker is None:
            return None
        worker.last_message_at = self._ticks.now()
        if isinstance(message, Fatal):
            raise message.error()
        if isinstance(message, Ready):
            self.model_name, self.model_sha256, self.labels = message
            worker.is_ready = True
        elif message is None:
            return self._replace(worker)
        elif worker.task is not None:
            task = worker.task
            if message.ends_task:
                worker.task = None
            return worker.number, task, message
        return None

    def _replace(self, dead: _Worker) -> tuple[int, Any, Any] | None:
        """A worker ended: it was stopped, or it crashed."""
        if dead not in self._workers:
            return None  # it was stopped because there was nothing for it to do
        self._workers.remove(dead)
        self._all.remove(dead)
        last_words, killed = dead.last_words, dead.was_killed
        dead.join()
        self._kills_at_start += killed and not dead.is_ready
        if not dead.is_ready and (not killed or self._kills_at_start > _MOST_KILLS_AT_START):
            raise errors.OidoError(
                tr("a worker could not start: {last_words}", last_words=last_words)
            )
        self._workers.append(self._new_worker())
        crash = Crashed(
            STALLED.format(self._stall_seconds) if dead.stalled else CRASHED.format(last_words),
            killed=killed and not dead.stalled,
        )
        # An idle worker may still have held what was to be written.
        return dead.number, dead.task, crash

    def _new_worker(self) -> _Worker:
        self._numbers += 1
        worker = _Worker(self._numbers, self._command, self._setup, self._events, self._ticks)
        self._all.append(worker)
        return worker

    def _stop_stalled(self) -> None:
        now = self._ticks.now()
        for worker in self._workers:
            if worker.task is not None and now - worker.last_message_at > self._stall_seconds:
                worker.stalled = True
                worker.kill()

    def wake(self) -> None:
        """Have ``serve`` ask for tasks again; from any thread."""
        self._events.put((None, None))

    def interrupt(self) -> None:
        """Make the run raise KeyboardInterrupt between two messages; safe in a signal handler."""
        self._interrupted = True
        self.wake()

    def close(self) -> None:
        """Return when no worker is left: they are asked to end, and killed if they are slow.

        Called again while it waits, from a second interrupt, it kills at once.
        """
        if not self._closing:
            self._closing = True
            for worker in self._all:
                worker.end()
            deadline = time.monotonic() + _DISCARD_SECONDS
            for worker in self._all:
                worker.wait(max(0.0, deadline - time.monotonic()))
        for worker in self._all:
            worker.kill()
        for worker in self._all:
            worker.join()
        self._workers, self._all = [], []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class LocalPool(ProcessPool):
    """Rows of recordings: the pool of a Plan."""

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Rows | Done]]:
        """``(task, message)`` in the order of the tasks: any number of Rows, then one Done."""
        waiting = deque(tasks)
        ready: dict[int, deque[Rows | Done]] = {task.number: deque() for task in tasks}
        for surplus in self._workers[len(tasks) :]:
            surplus.kill()
        self._workers = self._workers[: len(tasks)]
        messages = self.serve(lambda _: waiting.popleft() if waiting else None)
        for current in tasks:
            finished = False
            while not finished:
                while ready[current.number] and not self._interrupted:
                    message = ready[current.number].popleft()
                    finished = isinstance(message, Done)
                    yield current, message
                if not finished:
                    if self._interrupted:
                        raise KeyboardInterrupt  # the workers may be through: no more will come
                    _, task, message = next(messages)
                    if isinstance(message, Crashed) and task is not None:
                        failure = Failure(
                            "CorruptAudioError",
                            tr("{name}: {reason}", name=task.name, reason=message.reason),
                        )
                        message = Done(FileSummary(task.name, failure=failure))
                    if task is not None:
                        ready[task.number].append(message)
            del ready[current.number]
