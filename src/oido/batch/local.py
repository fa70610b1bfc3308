# SPDX-License-Identifier: Apache-2.0
"""The local engine: a pool of worker processes. No NumPy is loaded here.

Processes and not threads: a decoder's native crash then costs one recording, and many small files
do not wait for each other's GIL. Messages come in the order of the tasks, whatever finishes first.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import IO, Any

from oido import errors
from oido.batch.plan import Failure, FileSummary, Plan, Task
from oido.batch.worker import Done, Fatal, Ready, Rows

__all__ = ["STALL_SECONDS", "WORKER_COMMAND", "LocalPool", "share_threads"]

STALL_SECONDS = 120.0
"""A worker that is silent for so long over one recording is taken for hung, and stopped."""

WORKER_COMMAND = (sys.executable, "-m", "oido.batch")

_CRASH_TAIL_BYTES = 400


def share_threads(sizes_bytes: Sequence[int], jobs: int) -> list[int]:
    """Threads for each recording: all of them for one that would keep the others waiting.

    A recording larger than its fair share of the whole (total / jobs) would still be running when
    the other workers have nothing left to do.
    """
    total = sum(sizes_bytes)
    return [jobs if size * jobs > total else 1 for size in sizes_bytes]


class LocalPool:
    """Hears tasks in worker processes.

    ``run`` yields ``(task, message)`` in the order of the tasks: any number of ``Rows``, then one
    ``Done``. ``model_name`` and ``model_sha256`` are known from the first message on. Raises the
    OidoError of a plan that cannot be carried out. ``close`` (or leaving the ``with`` block) stops
    the workers at once.
    """

    def __init__(
        self,
        plan: Plan,
        workers: int,
        *,
        stall_seconds: float = STALL_SECONDS,
        command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._plan = plan
        self._stall_seconds = stall_seconds
        self._command = command
        self._events: queue.SimpleQueue[tuple[_Worker | None, Any]] = queue.SimpleQueue()
        self._all: list[_Worker] = []
        self._interrupted = False
        # Started now, so that they load while the caller still looks for recordings.
        self._workers = [self._new_worker() for _ in range(workers)]
        self.model_name = ""
        self.model_sha256 = ""

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Rows | Done]]:
        """Hear every task; yield its messages in the order of the tasks."""
        waiting = deque(tasks)
        ready: dict[int, deque[Rows | Done]] = {task.number: deque() for task in tasks}
        for surplus in self._workers[len(tasks) :]:
            surplus.stop()
        self._workers = self._workers[: len(tasks)]
        for current in tasks:
            finished = False
            while not finished:
                while ready[current.number] and not self._interrupted:
                    message = ready[current.number].popleft()
                    finished = isinstance(message, Done)
                    yield current, message
                if not finished:
                    self._wait(waiting, ready)
            del ready[current.number]

    def _wait(self, waiting: deque[Task], ready: dict[int, deque[Rows | Done]]) -> None:
        """Take one message of any worker, and keep every worker busy."""
        if self._interrupted:
            raise KeyboardInterrupt
        try:
            worker, message = self._events.get(timeout=1.0)
        except queue.Empty:
            self._stop_stalled()
            return
        if worker is None:
            return
        worker.last_heard = time.monotonic()
        if isinstance(message, Fatal):
            raise getattr(errors, message.kind, errors.OidoError)(message.reason)
        if isinstance(message, Ready):
            self.model_name, self.model_sha256 = message
            worker.is_ready = True
        elif message is None:
            self._replace(worker, waiting, ready)
            return
        elif worker.task is not None:
            ready[worker.task.number].append(message)
            if isinstance(message, Done):
                worker.task = None
        if worker.is_ready and worker.task is None:
            worker.give(waiting.popleft() if waiting else None)

    def _replace(
        self, dead: _Worker, waiting: deque[Task], ready: dict[int, deque[Rows | Done]]
    ) -> None:
        """A worker ended: by itself when there was nothing left to do, or it crashed."""
        if dead not in self._workers:
            return  # it was stopped because there was nothing for it to do
        self._workers.remove(dead)
        if not dead.is_ready:
            raise errors.OidoError(f"a worker could not start: {dead.last_words()}")
        if dead.task is None:
            return
        name = dead.task.name
        reason = (
            f"{name}: hearing it made no progress for {self._stall_seconds:g} s, so it was stopped"
            if dead.stalled
            else f"{name}: the decoder crashed ({dead.last_words()}); the file is damaged"
        )
        summary = FileSummary(name, failure=Failure("CorruptAudioError", reason))
        ready[dead.task.number].append(Done(summary))
        if waiting:
            self._workers.append(self._new_worker())

    def _new_worker(self) -> _Worker:
        worker = _Worker(self._command, self._plan, self._events)
        self._all.append(worker)
        return worker

    def _stop_stalled(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.task is not None and now - worker.last_heard > self._stall_seconds:
                worker.stalled = True
                worker.stop()

    def interrupt(self) -> None:
        """Make ``run`` raise KeyboardInterrupt between two messages; safe in a signal handler."""
        self._interrupted = True
        self._events.put((None, None))

    def close(self) -> None:
        """Stop every worker now, and wait until none is left."""
        for worker in self._all:
            worker.stop()
        for worker in self._all:
            worker.join()
        self._workers, self._all = [], []

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Worker:
    """One process, the task it works on, and a thread that brings its messages to the queue."""

    def __init__(
        self,
        command: Sequence[str],
        plan: Plan,
        events: queue.SimpleQueue[tuple[_Worker | None, Any]],
    ) -> None:
        self.task: Task | None = None
        self.is_ready = False
        self.stalled = False
        self.last_heard = time.monotonic()
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by join()
        self._process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            # NumPy's own threads have nothing to do here, and each costs memory.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        self._send(plan)
        self._listener = threading.Thread(target=self._listen, args=(events,), daemon=True)
        self._listener.start()

    def give(self, task: Task | None) -> None:
        """The next task; None: there is none, so the worker may end."""
        self.task = task
        self.last_heard = time.monotonic()
        if task is not None:
            self._send(task)
        elif self._process.stdin is not None:
            self._process.stdin.close()

    def _send(self, item: Plan | Task) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(item, self._process.stdin)
            self._process.stdin.flush()
        except OSError:
            pass  # it died: the listener tells, with what it said last

    def _listen(self, events: queue.SimpleQueue[tuple[_Worker | None, Any]]) -> None:
        assert self._process.stdout is not None
        while True:
            try:
                message = pickle.load(self._process.stdout)
            except (EOFError, OSError, pickle.UnpicklingError, ValueError):
                break
            events.put((self, message))
        self._process.wait()
        events.put((self, None))

    def last_words(self) -> str:
        """How the process ended, and the last line it wrote."""
        code = self._process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        try:
            self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _CRASH_TAIL_BYTES))
            lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        except ValueError:
            lines = []
        return f"{how}: {lines[-1]}" if lines else how

    def stop(self) -> None:
        """Kill the process; a worker keeps nothing that could be lost."""
        self._process.kill()

    def join(self) -> None:
        """Wait for the end of the process and of its listener."""
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
