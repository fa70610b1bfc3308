# SPDX-License-Identifier: Apache-2.0
"""One worker process, as its pool sees it. No NumPy is loaded here."""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import IO, Any

from oido.batch.plan import Plan
from oido.batch.units import Order

__all__ = ["WorkerProcess"]

_CRASH_TAIL_BYTES = 400


class WorkerProcess:
    """One process, the task it works on, and a thread that brings its messages to the queue."""

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        plan: Plan | Order,
        events: queue.SimpleQueue[tuple[WorkerProcess | None, Any]],
    ) -> None:
        self.number = number
        self._writes = isinstance(plan, Order)
        self.task: Any = None
        self.is_ready = False
        self.stalled = False
        self.last_words = ""
        """How the process ended, after ``join``."""
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

    def give(self, task: Any) -> None:
        """The next task; None: there is none for now."""
        self.task = task
        self.last_heard = time.monotonic()
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
