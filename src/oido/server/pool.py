# SPDX-License-Identifier: Apache-2.0
"""Worker processes that classify uploads, for a server: any plan, one recording after the other.

The batch engine's pool (`oido.batch.process_pool`) has one plan for all; here each job brings its
own, and a worker keeps the classifiers that were asked for last.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import pickle
import sys
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from oido.batch.worker import Fatal
from oido.batch.worker_process import CRASHED, WorkerProcess
from oido.errors import OidoError
from oido.messages import tr
from oido.server.problems import Problem
from oido.server.worker import DONE, FATAL, READY, Job, Setup, read_message

WORKER_COMMAND = (sys.executable, "-m", "oido.server.worker")

_START_SECONDS = 120.0

_PIPE_BYTES = 1 << 12
"""A pipe in which nothing waits accepts so much at once, whatever system it is."""

_MOST_MESSAGES = 4
"""Of one worker, on their way: it waits until they are taken, as an answer may be very large."""


class PoolAnswer(NamedTuple):
    """What came of one recording. failure: the kind of error, and its sentence."""

    duration: float
    windows: int
    damaged_packets: int
    gaps_seconds: float
    failure: Sequence[str] | None


class WorkerPool:
    """Classifies jobs in worker processes, as many at a time as there are workers.

    most_waiting: jobs that wait for a worker; beyond them the pool answers that it is busy.
    on_restart: called when a worker had to be replaced. Use ``start`` and ``close``.
    """

    def __init__(
        self,
        setup: Setup,
        workers: int,
        *,
        most_waiting: int = 32,
        timeout_seconds: float = 120.0,
        command: Sequence[str] = WORKER_COMMAND,
        on_restart: Callable[[], None] = lambda: None,
    ) -> None:
        self._setup, self._command = setup, tuple(command)
        self._timeout_seconds, self._on_restart = timeout_seconds, on_restart
        self._most_waiting, self.waiting = most_waiting, 0
        self._count = workers
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        self._all: set[_Worker] = set()
        self._is_stopping = False

    async def start(self) -> None:
        """Start the workers; returns when they are ready. Raises the OidoError that prevents it."""
        for _ in range(self._count):
            self._idle.put_nowait(self._new_worker())
        for worker in list(self._all):
            await worker.ready()

    async def classify(self, job: Job, write: Callable[[bytes], object]) -> PoolAnswer:
        """Classify one recording. Raises a Problem if nobody can, or its worker dies of it.

        write: called with pieces of the rows' JSON text, complete if there is no failure. What it
        raises, and being cancelled, stops the worker.
        """
        if self._is_stopping:
            raise Problem.busy(tr("the server is being stopped"))
        if self._idle.empty() and self.waiting >= self._most_waiting:
            raise Problem.busy(
                tr("{waiting} requests wait already; try again later", waiting=self.waiting)
            )
        self.waiting += 1
        try:
            worker = await self._idle.get()
        finally:
            self.waiting -= 1
        sound = False
        try:
            if worker.has_ended:  # while it had nothing to do
                worker = await self._replace(worker)
            await self._await_ready(worker, job.task.name)
            answer = await asyncio.wait_for(worker.classify(job, write), self._timeout_seconds)
            sound = True
            return answer
        except asyncio.TimeoutError as error:
            raise Problem(
                504,
                "LimitError",
                tr(
                    "{name}: hearing it took longer than {seconds:g} s, so it was stopped",
                    name=job.task.name,
                    seconds=self._timeout_seconds,
                ),
            ) from error
        except EOFError as error:
            raise _death_problem(worker, job.task.name) from error
        finally:
            # Shielded: whatever happens to this request, the pool keeps its number of workers.
            if sound:
                self._idle.put_nowait(worker)
            else:
                await asyncio.shield(asyncio.ensure_future(self._renew(worker)))

    def stop(self) -> None:
        """Take no more jobs, and start no more workers."""
        self._is_stopping = True

    def kill(self) -> None:
        """Stop, and end the processes without waiting for it; `close` must still follow."""
        self.stop()
        for worker in list(self._all):
            worker.kill()

    async def close(self) -> None:
        """Stop every worker now, and wait until none is left."""
        self.stop()
        for worker in list(self._all):
            await worker.close()
        self._all.clear()

    async def _await_ready(self, worker: _Worker, name: str) -> None:
        try:
            await worker.ready()
        except OidoError as error:  # no request's own fault
            raise _worker_problem(
                tr("{name}: {error}; try again", name=name, error=error)
            ) from error

    async def _renew(self, worker: _Worker) -> None:
        if self._is_stopping:  # a worker that is started now would outlive the server's end
            await worker.close()
        else:
            self._idle.put_nowait(await self._replace(worker))

    async def _replace(self, worker: _Worker) -> _Worker:
        self._on_restart()
        self._all.discard(worker)
        await worker.close()
        return self._new_worker()

    def _new_worker(self) -> _Worker:
        worker = _Worker(self._command, self._setup)
        self._all.add(worker)
        return worker


class _Worker(WorkerProcess):
    """One process, and a queue of its messages in the event loop."""

    def __init__(self, command: Sequence[str], setup: Setup) -> None:
        loop, self._is_ready = asyncio.get_running_loop(), False
        self._messages: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self._slots = threading.Semaphore(_MOST_MESSAGES)

        def on_message(message: tuple[int, bytes] | None) -> None:
            self._slots.acquire()
            with contextlib.suppress(RuntimeError):  # the loop is closed: the server is gone
                loop.call_soon_threadsafe(self._messages.put_nowait, message)

        super().__init__(command, setup, on_message, read_message)

    async def ready(self) -> None:
        """Wait until the model is loaded. Raises the OidoError that prevents it."""
        if self._is_ready:
            return
        try:
            kind, content = await asyncio.wait_for(self._message(), _START_SECONDS)
        except (EOFError, asyncio.TimeoutError) as error:
            raise OidoError(
                tr("a worker could not start: {last_words}", last_words=self.last_words)
            ) from error
        if kind == FATAL:
            raise Fatal(**json.loads(content)).error()
        self._is_ready = kind == READY

    async def classify(self, job: Job, write: Callable[[bytes], object]) -> PoolAnswer:
        """Raises EOFError if the process ends before it has answered."""
        content = pickle.dumps(job)
        if len(content) <= _PIPE_BYTES:  # it is idle, so its pipe is empty: no thread must wait
            self.send_pickled(content)
        else:
            await asyncio.to_thread(self.send_pickled, content)
        while True:
            kind, content = await self._message()
            if kind == DONE:
                return PoolAnswer(**json.loads(content))
            write(content)

    async def close(self) -> None:
        """Kill the process; a worker keeps nothing that could be lost."""
        self.kill()
        self._slots.release(_MOST_MESSAGES + 1)  # nobody waits for what it has said any more
        await asyncio.to_thread(self.join)

    async def _message(self) -> tuple[int, bytes]:
        message = await self._messages.get()
        self._slots.release()
        if message is None:
            raise EOFError
        return message


def _death_problem(worker: _Worker, name: str) -> Problem:
    if worker.was_killed:
        return _worker_problem(
            tr(
                "{name}: the process that heard it was stopped ({ending}); try again",
                name=name,
                ending=worker.ending,
            )
        )
    reason = tr("{name}: {reason}", name=name, reason=CRASHED.format(worker.last_words))
    return Problem(422, "CorruptAudioError", reason)


def _worker_problem(reason: str) -> Problem:
    return Problem(503, "WorkerError", reason, headers={"Retry-After": "2"})
