# SPDX-License-Identifier: Apache-2.0
"""Worker processes that predict uploads: any plan, one recording after the other.

Processes and not threads: a decoder's native crash, or a file that keeps it busy for ever, costs
one request. The batch engine's pool (`oido.batch.process_pool`) has one plan for all; here each job
brings its own, and a worker keeps the classifiers that were asked for last.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import IO, Any, NamedTuple

from oido import errors
from oido.errors import OidoError
from oido.server.problems import Problem
from oido.server.worker import DONE, FATAL, HEADER, READY, Job, Setup

__all__ = ["WORKER_COMMAND", "PoolAnswer", "WorkerPool"]

WORKER_COMMAND = (sys.executable, "-m", "oido.server.worker")

_START_SECONDS = 120.0
_CRASH_TAIL_BYTES = 400
_STOPPED_FROM_OUTSIDE = frozenset({-signal.SIGTERM, -getattr(signal, "SIGKILL", signal.SIGTERM)})


class PoolAnswer(NamedTuple):
    """A worker's answer about one recording.

    rows: pieces of JSON text, complete if ``failure`` is None. failure: the kind of error, and its
    sentence.
    """

    rows: list[bytes]
    duration: float
    windows: int
    damaged_packets: int
    failure: Sequence[str] | None


class WorkerPool:
    """Runs jobs in worker processes, as many at a time as there are workers.

    most_waiting: jobs that wait for a worker; beyond them the pool is busy.
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

    async def start(self) -> None:
        """Start the workers; returns when they are ready. Raises the OidoError that prevents it."""
        for _ in range(self._count):
            self._idle.put_nowait(await self._new_worker())
        for worker in list(self._all):
            await worker.ready()

    async def run(self, job: Job) -> PoolAnswer:
        """Run one recording. Raises a Problem if no worker is free, or if its worker dies.

        Cancelled, it stops the worker: its client has gone.
        """
        if self._idle.empty() and self.waiting >= self._most_waiting:
            raise Problem.busy(f"{self.waiting} requests wait already; try again later")
        self.waiting += 1
        try:
            worker = await self._idle.get()
        finally:
            self.waiting -= 1
        sound = False
        try:
            if worker.has_ended:  # while it had nothing to do
                worker = await self._replaced(worker)
            await worker.ready()
            answer = await asyncio.wait_for(worker.run(job), self._timeout_seconds)
            sound = True
            return answer
        except asyncio.TimeoutError as error:
            raise Problem(
                504,
                "LimitError",
                f"{job.task.name}: hearing it took longer than {self._timeout_seconds:g} s, "
                "so it was stopped",
            ) from error
        except (EOFError, OSError) as error:
            raise await _died(worker, job.task.name) from error
        finally:
            # Shielded: whatever happens to this request, the pool keeps its number of workers.
            if sound:
                self._idle.put_nowait(worker)
            else:
                await asyncio.shield(asyncio.ensure_future(self._renew(worker)))

    async def close(self) -> None:
        """Stop every worker now, and wait until none is left."""
        for worker in list(self._all):
            await worker.close()
        self._all.clear()

    @property
    def process_ids(self) -> list[int]:
        """Of the workers that are there now."""
        return [worker.process_id for worker in self._all if not worker.has_ended]

    async def _renew(self, worker: _Worker) -> None:
        self._idle.put_nowait(await self._replaced(worker))

    async def _replaced(self, worker: _Worker) -> _Worker:
        self._on_restart()
        self._all.discard(worker)
        await worker.close()
        return await self._new_worker()

    async def _new_worker(self) -> _Worker:
        worker = await _Worker.start(self._command, self._setup)
        self._all.add(worker)
        return worker


class _Worker:
    """One process."""

    def __init__(self, process: asyncio.subprocess.Process, log: IO[bytes]) -> None:
        self._process, self._log = process, log
        self._is_ready = False

    @classmethod
    async def start(cls, command: Sequence[str], setup: Setup) -> _Worker:
        log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            # NumPy's own threads have nothing to do here, and each costs memory.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        worker = cls(process, log)
        with contextlib.suppress(OSError):  # it died at once: ready() raises the reason
            await worker._send(setup)
        return worker

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    @property
    def process_id(self) -> int:
        return self._process.pid

    async def ready(self) -> None:
        """Wait until the model is loaded. Raises the OidoError that prevents it."""
        if self._is_ready:
            return
        try:
            kind, content = await asyncio.wait_for(self._message(), _START_SECONDS)
        except (EOFError, OSError, asyncio.TimeoutError) as error:
            raise OidoError(f"a worker could not start: {await self.last_words()}") from error
        if kind == FATAL:
            error_facts = json.loads(content)
            raise getattr(errors, error_facts["kind"], OidoError)(error_facts["reason"])
        self._is_ready = kind == READY

    async def run(self, job: Job) -> PoolAnswer:
        """Raises EOFError or OSError if the process ends before it has answered."""
        await self._send(job)
        rows: list[bytes] = []
        while True:
            kind, content = await self._message()
            if kind == DONE:
                return PoolAnswer(rows, **json.loads(content))
            rows.append(content)

    async def close(self) -> None:
        """Kill the process; a worker keeps nothing that could be lost."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()
        self._log.close()

    async def last_words(self) -> str:
        """How the process ended, and the last line it wrote; it is killed if it has not ended."""
        code: int | None
        try:
            code = await asyncio.wait_for(self._process.wait(), 1.0)
        except asyncio.TimeoutError:
            return "it does not answer"
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _CRASH_TAIL_BYTES))
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return f"{how}: {lines[-1]}" if lines else how

    @property
    def was_stopped_from_outside(self) -> bool:
        return self._process.returncode in _STOPPED_FROM_OUTSIDE

    async def _send(self, item: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(pickle.dumps(item))
        await self._process.stdin.drain()

    async def _message(self) -> tuple[int, bytes]:
        assert self._process.stdout is not None
        kind, length = HEADER.unpack(await self._process.stdout.readexactly(HEADER.size))
        return kind, await self._process.stdout.readexactly(length)


async def _died(worker: _Worker, name: str) -> Problem:
    how = await worker.last_words()
    if worker.was_stopped_from_outside:
        reason = f"{name}: the process that heard it was stopped ({how.split(':')[0]}); try again"
        return Problem(503, "WorkerError", reason, headers={"Retry-After": "2"})
    reason = f"{name}: the decoder crashed ({how}); the file is damaged"
    return Problem(422, "CorruptAudioError", reason)
