# SPDX-License-Identifier: Apache-2.0
"""One worker process, for the pools of a batch and of a server: started, reached, and ended.

Processes and not threads: a decoder's native crash, or a file that keeps it busy for ever, costs
one recording. A worker reads pickles from its standard input and writes messages to its standard
output; whatever native libraries print goes to a log, whose last line explains a crash. No NumPy is
loaded here.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any, NamedTuple

from oido.messages import tr

CRASHED = tr("the decoder crashed ({}); the file is damaged")
STALLED = tr("hearing it made no progress for {:g} s, so it was stopped")


def is_stall(reason: str) -> bool:
    """Whether a failure is such a silence: of the worker, and perhaps not of the recording."""
    return STALLED.partition("{")[0] in reason


_CRASH_TAIL_BYTES = 400
_KILLED = frozenset({-9, -15})


WORKER_COMMAND = (sys.executable, "-m", "oido.batch")
"""A worker of the local engine."""


class _Started(NamedTuple):
    """A process that runs, and what it and its libraries print."""

    process: subprocess.Popen[bytes]
    log: IO[bytes]

    @classmethod
    def by(cls, command: Sequence[str]) -> _Started:
        log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by join()
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # NumPy's own threads have nothing to do here, and each costs memory.
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
        return cls(process, log)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


_early: list[_Started] = []
"""The process of a worker that nobody has asked for yet."""


def start_early() -> None:
    """Start a local worker's process, which loads its libraries while this one still loads its own.

    The first worker that is made is that one; if there is none, it ends with this process.
    """
    started = _Started.by(WORKER_COMMAND)
    _early.append(started)
    atexit.register(lambda: started.end() if started in _early else None)


class WorkerProcess:
    """A process, and a thread that passes on its messages.

    setup: the first object that the worker reads. on_message: called by the thread with each
    message, and with None when the process has ended. read_message: one message of the stream, by
    default a pickle; raises EOFError at the end.
    """

    def __init__(
        self,
        command: Sequence[str],
        setup: Any,
        on_message: Callable[[Any], None],
        read_message: Callable[[IO[bytes]], Any] = pickle.load,
    ) -> None:
        self._on_message, self._read_message = on_message, read_message
        is_early = bool(_early) and tuple(command) == WORKER_COMMAND
        self._process, self._log = _early.pop() if is_early else _Started.by(command)
        self.send(setup)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def process_id(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def was_killed(self) -> bool:
        """Whether it was ended from outside, which says nothing of the recording."""
        return self._process.returncode in _KILLED

    @property
    def ending(self) -> str:
        """How the process ended: "signal 11" or "exit code 1"."""
        code = self._process.returncode
        return (
            f"signal {-code}"
            if code is not None and code < 0
            else tr("exit code {code}", code=code)
        )

    @property
    def last_words(self) -> str:
        """How the process ended, and the last line it wrote."""
        if not self.has_ended:
            return tr("it does not answer")
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _CRASH_TAIL_BYTES))
        lines = self._log.read().decode("utf-8", "replace").strip().splitlines()
        return f"{self.ending}: {lines[-1]}" if lines else self.ending

    def send(self, item: Any) -> None:
        """Give the worker an object; one that has died does not get it, and its end is reported."""
        self.send_pickled(pickle.dumps(item))

    def send_pickled(self, content: bytes) -> None:
        """The same of an object's pickle."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(content)
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with contextlib.suppress(EOFError, OSError, pickle.UnpicklingError, ValueError):
            while True:
                self._on_message(self._read_message(self._process.stdout))
        self._process.wait()
        self._on_message(None)

    def terminate(self) -> None:
        """Ask the process to end."""
        self._process.terminate()

    def kill(self) -> None:
        """End the process now."""
        self._process.kill()

    def wait(self, seconds: float | None = None) -> None:
        """For the end of the process, and of its messages."""
        self._reader.join(seconds)

    def join(self) -> None:
        """Wait for the end, then close everything."""
        self.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def serve_parent(serve: Callable[[IO[bytes], IO[bytes]], None]) -> int:
    """In the worker: run ``serve(tasks, messages)`` until it returns; the exit code.

    Ctrl-C reaches the whole process group, and so does the end of a terminal: the parent decides
    what is still to be done.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    messages = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # libraries may print, but not among messages
    try:
        serve(sys.stdin.buffer, messages)
    except BrokenPipeError:
        return 1  # the parent is gone
    return 0


def tasks_of(stream: IO[bytes]) -> Iterator[Any]:
    """In the worker: the objects that come, until the parent closes the stream."""
    while True:
        try:
            task = pickle.load(stream)
        except EOFError:
            return
        yield task
