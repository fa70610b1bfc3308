# SPDX-License-Identifier: Apache-2.0
"""The worker process: ``python -m oido.batch``, tasks on its input, messages on its output.

Both are pickles, one after the other. The first object in is the Plan; then come Tasks, until the
input ends. Out go these messages:

- ``Ready(model_name, model_sha256)``, once, or ``Fatal(kind, reason)`` (and the worker ends);
- for each task: ``Rows(rows, duration)`` any number of times, then ``Done(summary)``.

For an archive the first object is an Order, tasks are Units or Flush, and messages are
Reports; rows go to Parquet here and not through the pipe (`oido.batch.unit_worker`).

SIGTERM ends a worker of an archive after it has discarded the files that it was writing.

Native libraries (decoders above all) may write to the terminal or crash: the worker's own standard
output is set aside for the messages, and a crash costs the task under way and nothing else.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any, NamedTuple, Protocol

from oido.batch.plan import Failure, FileSummary, Plan, Task
from oido.batch.units import RunSpec, WorkerReport
from oido.types import AnyRow

__all__ = ["Done", "Fatal", "Ready", "Rows", "main"]


class Ready(NamedTuple):
    """The model is loaded."""

    model_name: str
    model_sha256: str


class Fatal(NamedTuple):
    """The plan cannot be carried out for any recording."""

    kind: str
    reason: str


class Rows(NamedTuple):
    """Rows of the task under way, and how many seconds of it have been heard so far."""

    rows: list[AnyRow]
    duration: float
    ends_task: bool = False


class Done(NamedTuple):
    """The task under way is over."""

    summary: FileSummary
    ends_task: bool = True


Message = Ready | Fatal | Rows | Done | WorkerReport


class _Ended(BaseException):
    """SIGTERM: raised wherever the worker is, so that what it writes is discarded on the way."""


def _end(*_: object) -> None:
    raise _Ended


def main() -> int:
    """Serve tasks until the input ends."""
    # Ctrl-C reaches the whole process group: the parent decides what is still to be done.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks = sys.stdin.buffer
    messages = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        _serve(tasks, messages)
    except BrokenPipeError:
        return 1  # the parent is gone
    except _Ended:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)  # ended as it was asked to, and not by a crash
    return 0


def _serve(tasks: IO[bytes], messages: IO[bytes]) -> None:
    from oido.errors import OidoError, OutputError

    def send(message: Message) -> None:
        pickle.dump(message, messages, protocol=pickle.HIGHEST_PROTOCOL)
        messages.flush()

    order: Plan | RunSpec = pickle.load(tasks)
    try:
        worker = _archivist(order) if isinstance(order, RunSpec) else _Hearer(order)
    except OidoError as error:
        send(Fatal(type(error).__name__, str(error)))
        return
    if isinstance(order, RunSpec):
        signal.signal(signal.SIGTERM, _end)
    send(Ready(worker.model_name, worker.model_sha256))
    while (task := _next(tasks)) is not None:
        try:
            for message in worker.serve(task):
                send(message)
        except OutputError as error:
            send(Fatal(type(error).__name__, str(error)))
            return


class _Server(Protocol):
    """What a worker process does with a task."""

    model_name: str
    model_sha256: str

    def serve(self, task: Any) -> Iterator[Message]: ...


def _archivist(order: RunSpec) -> _Server:
    from oido.batch.unit_worker import UnitWorker

    return UnitWorker(order)


class _Hearer:
    """Sends rows as they are heard."""

    def __init__(self, plan: Plan) -> None:
        from oido.batch.recording import make_classifier

        self._plan, self._classifier = plan, make_classifier(plan)
        self.model_name = self._classifier.model.name
        self.model_sha256 = self._classifier.model.sha256

    def serve(self, task: Task) -> Iterator[Message]:
        from oido.batch.recording import RecordingRun

        hearing = RecordingRun(self._classifier, self._plan, task)
        try:
            for rows in hearing.rows():
                yield Rows(rows, hearing.summary.duration)
            summary = hearing.summary
        except Exception as error:
            # A defect of ours: it must cost one recording, and must say enough to be found.
            reason = f"{task.name}: internal error, {type(error).__name__}: {error}"
            summary = replace(hearing.summary, failure=Failure("InternalError", reason))
        yield Done(summary)


def _next(tasks: IO[bytes]) -> Any:
    try:
        return pickle.load(tasks)
    except EOFError:
        return None
