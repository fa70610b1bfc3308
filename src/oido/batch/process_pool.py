# SPDX-License-Identifier: Apache-2.0
"""The local pool: worker processes, and tasks handed to them. No NumPy is loaded here.

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
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NamedTuple

from oido import errors
from oido.batch.plan import Failure, FileSummary, Plan, Task
from oido.batch.units import RunSpec
from oido.batch.worker import Done, Fatal, Ready, Rows

__all__ = [
    "STALL_SECONDS",
    "WORKER_COMMAND",
    "Crashed",
    "LocalPool",
    "NextTask",
    "WorkerProcess",
    "share_threads",
]

_CRASH_TAIL_BYTES = 400


class WorkerProcess:
    """One process, the task it works on, and a thread that brings its messages to the queue."""

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        plan: Plan | RunSpec,
        events: queue.SimpleQueue[tuple[WorkerProcess | None, Any]],
    ) -> None:
        self.number = number
        self._writes = isinstance(plan, RunSpec)
        self.task: Any = None
        self.is_ready = False
        self.stalled = False
        self.last_words = ""
        """How the process ended, after ``join``."""
        self.last_message_at = time.monotonic()
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

    def give(self, task: Any) -> None:
        """The next task; None: there is none for now."""
        self.task = task
        self.last_message_at = time.monotonic()
        if task is not None:
            self._send(task)

    def _send(self, item: Any) -> None:
        assert self._process.stdin is not None
        try:
            pickle.dump(item, self._process.stdin)
            self._process.stdin.flush()
        except OSError:
            pass  # it died: the listener tells, with what it said last

    def _listen(self, events: queue.SimpleQueue[tuple[WorkerProcess | None, Any]]) -> None:
        assert self._process.stdout is not None
        while True:
            try:
                message = pickle.load(self._process.stdout)
            except (EOFError, OSError, pickle.UnpicklingError, ValueError):
                break
            events.put((self, message))
        self._process.wait()
        events.put((self, None))

    @property
    def exit_code(self) -> int | None:
        """Of the process, if it has ended; minus the signal that ended it."""
        return self._process.returncode

    def _find_last_words(self) -> str:
        """How the process ended, and the last line it wrote."""
        code = self._process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        try:
            self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _CRASH_TAIL_BYTES))
            lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        except ValueError:
            lines = []
        return f"{how}: {lines[-1]}" if lines else how

    def end(self) -> None:
        """Have the process discard the files that it writes, and end; soon, if it can."""
        if self._writes and self.task is not None:
            self._process.terminate()
        else:
            self._process.kill()

    def wait(self, seconds: float) -> None:
        """For the end of the process, for so long."""
        self._listener.join(seconds)

    def stop(self) -> None:
        """Kill the process; what it was writing is of no use, but stays."""
        self._process.kill()

    def join(self) -> None:
        """Wait for the end of the process and of its listener."""
        self._process.wait()
        self._listener.join()
        self.last_words = self._find_last_words()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


STALL_SECONDS = 120.0
"""A worker that is silent for so long over one recording is taken for hung, and stopped."""

WORKER_COMMAND = (sys.executable, "-m", "oido.batch")

NextTask = Callable[[int], Any]
"""The number of a worker → what it is to do now, or None."""

_KILLED = frozenset({-9, -15})
_MOST_KILLS_AT_START = 20
"""Somebody kills workers before they can work: again and again, it is no accident."""

_DISCARD_SECONDS = 5.0
"""How long a worker that is to end may take to discard what it writes."""


class Crashed(NamedTuple):
    """The last message of a task whose worker died.

    killed: from outside, so that nothing is said of the recording.
    """

    reason: str
    killed: bool
    ends_task: bool = True


def _done(message: Any, task: Task) -> Rows | Done:
    """A crash as what comes of the recording."""
    if isinstance(message, Crashed):
        failure = Failure("CorruptAudioError", f"{task.name}: {message.reason}")
        return Done(FileSummary(task.name, failure=failure))
    result: Rows | Done = message
    return result


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
    OidoError of a plan that cannot be carried out. ``close`` (or leaving the ``with`` block) ends
    the workers, whatever they do.
    """

    def __init__(
        self,
        plan: Plan | RunSpec,
        workers: int,
        *,
        stall_seconds: float = STALL_SECONDS,
        command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._plan = plan
        self._stall_seconds = stall_seconds
        self._command = command
        self._events: queue.SimpleQueue[tuple[WorkerProcess | None, Any]] = queue.SimpleQueue()
        self._all: list[WorkerProcess] = []
        self._interrupted = self._closing = False
        self._numbers = self._kills_at_start = 0
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
        heard = self.serve(lambda _: waiting.popleft() if waiting else None)
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
                    _, task, message = next(heard)
                    if task is not None:
                        ready[task.number].append(_done(message, task))
            del ready[current.number]

    def serve(self, next_task: NextTask) -> Iterator[tuple[int, Any, Any]]:
        """``(worker, task, message)`` as they come; the last of a task is one that ``ends_task``.

        next_task: gives what the worker of this number is to do now, or None. It is asked again
        after each message, so that more may turn up on the way. It is over when nobody works and
        there is nothing to do. A task whose worker died ends with ``Crashed``, and so does None of
        a worker that died idle.
        """
        while True:
            for worker in self._workers:
                if worker.is_ready and worker.task is None:
                    worker.give(next_task(worker.number))
            if any(worker.is_ready for worker in self._workers) and all(
                worker.task is None for worker in self._workers
            ):
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
        worker.last_message_at = time.monotonic()
        if isinstance(message, Fatal):
            raise getattr(errors, message.kind, errors.OidoError)(message.reason)
        if isinstance(message, Ready):
            self.model_name, self.model_sha256 = message
            worker.is_ready = True
        elif message is None:
            return self._replace(worker)
        elif worker.task is not None:
            task = worker.task
            if message.ends_task:
                worker.task = None
            return worker.number, task, message
        return None

    def wait_until_ready(self) -> None:
        """Return when one worker has loaded the model: then ``model_name`` is known."""
        while not any(worker.is_ready for worker in self._workers):
            self._wait()

    def _replace(self, dead: WorkerProcess) -> tuple[int, Any, Any] | None:
        """A worker ended: it was stopped, or it crashed."""
        if dead not in self._workers:
            return None  # it was stopped because there was nothing for it to do
        self._workers.remove(dead)
        self._all.remove(dead)
        dead.join()
        killed = dead.exit_code in _KILLED
        self._kills_at_start += killed and not dead.is_ready
        if not dead.is_ready and (not killed or self._kills_at_start > _MOST_KILLS_AT_START):
            raise errors.OidoError(f"a worker could not start: {dead.last_words}")
        self._workers.append(self._new_worker())
        crash = Crashed(
            f"hearing it made no progress for {self._stall_seconds:g} s, so it was stopped"
            if dead.stalled
            else f"the decoder crashed ({dead.last_words}); the file is damaged",
            killed=killed and not dead.stalled,
        )
        # An idle worker may still have held what was to be written.
        return dead.number, dead.task, crash

    def _new_worker(self) -> WorkerProcess:
        self._numbers += 1
        worker = WorkerProcess(self._numbers, self._command, self._plan, self._events)
        self._all.append(worker)
        return worker

    def _stop_stalled(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.task is not None and now - worker.last_message_at > self._stall_seconds:
                worker.stalled = True
                worker.stop()

    def interrupt(self) -> None:
        """Make ``run`` raise KeyboardInterrupt between two messages; safe in a signal handler."""
        self._interrupted = True
        self._events.put((None, None))

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
            worker.stop()
        for worker in self._all:
            worker.join()
        self._workers, self._all = [], []

    def __enter__(self) -> LocalPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
