# SPDX-License-Identifier: Apache-2.0
"""The worker process: ``python -m oido.batch``, tasks on its input, messages on its output.

Both are pickles, one after the other. The first object in is the Plan; then come Tasks, until the
input ends. Out go these messages:

- ``Ready(model_name, model_sha256, labels)``, once, or ``Fatal(kind, reason)`` (and the worker
  ends);
- for each task: ``Rows(rows, duration)`` any number of times, then ``Done(summary)``.

For an archive the first object is a RunSpec, tasks are Units or Flush, and messages are
WorkerReports; rows go to Parquet here and not through the pipe (`oido.batch.unit_worker`). SIGTERM
ends such a worker after it has discarded the files that it was writing.
"""

from __future__ import annotations

import os
import pickle
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any, NamedTuple, Protocol

from oido import errors
from oido.batch.plan import Failure, FileSummary, Plan, Task
from oido.batch.units import RunSpec, WorkerReport
from oido.batch.worker_process import serve_parent, tasks_of
from oido.messages import text_of
from oido.types import AnyRow


class Ready(NamedTuple):
    """The model is loaded."""

    model_name: str
    model_sha256: str
    labels: tuple[str, ...] = ()


class Fatal(NamedTuple):
    """The plan cannot be carried out for any recording."""

    kind: str
    reason: str

    def error(self) -> errors.OidoError:
        """The error of that kind, for the parent to raise."""
        error: errors.OidoError = getattr(errors, self.kind, errors.OidoError)(self.reason)
        return error


class Rows(NamedTuple):
    """Rows of the task under way, and its seconds that are done so far."""

    rows: list[AnyRow]
    duration: float
    ends_task: bool = False


class Done(NamedTuple):
    """The task under way is over."""

    summary: FileSummary
    ends_task: bool = True


Message = Ready | Fatal | Rows | Done | WorkerReport


class _Terminated(BaseException):
    """SIGTERM: raised wherever the worker is, so that what it writes is discarded on the way."""


def _terminate(*_: object) -> None:
    raise _Terminated


def main() -> int:
    """Serve tasks until the input ends."""
    try:
        return serve_parent(_serve)
    except _Terminated:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)  # ended as it was asked to, and not by a crash
        return 0


def _serve(tasks: IO[bytes], messages: IO[bytes]) -> None:
    def send(message: Message) -> None:
        pickle.dump(message, messages, protocol=pickle.HIGHEST_PROTOCOL)
        messages.flush()

    import oido.batch.recording  # noqa: F401  # which may take longer than the setup to come

    try:
        setup: Plan | RunSpec = pickle.load(tasks)
    except EOFError:
        return  # nobody had anything to do
    try:
        worker = _make_server(setup)
        if isinstance(setup, RunSpec):
            signal.signal(signal.SIGTERM, _terminate)
        send(Ready(worker.model_name, worker.model_sha256, worker.labels))
        for task in tasks_of(tasks):
            for message in worker.serve(task):
                send(message)
    except errors.OidoError as error:
        send(Fatal(type(error).__name__, text_of(error)))


class _Server(Protocol):
    """What a worker process does with a task."""

    model_name: str
    model_sha256: str
    labels: tuple[str, ...]

    def serve(self, task: Any) -> Iterator[Message]: ...


def _make_server(setup: Plan | RunSpec) -> _Server:
    if isinstance(setup, RunSpec):
        from oido.batch.unit_worker import UnitWorker

        return UnitWorker(setup)
    return _RowServer(setup)


class _RowServer:
    """Sends rows as they are known; its parent has no use for labels."""

    labels: tuple[str, ...] = ()

    def __init__(self, plan: Plan) -> None:
        from oido.batch.recording import make_classifier

        self._plan, self._classifier = plan, make_classifier(plan)
        self.model_name = self._classifier.model.name
        self.model_sha256 = self._classifier.model.sha256

    def serve(self, task: Task) -> Iterator[Message]:
        from oido.batch.recording import RecordingRun, of_its_week

        classifier = of_its_week(self._classifier, self._plan, task.name)
        run = RecordingRun(classifier, self._plan, task)
        try:
            for rows in run.rows():
                yield Rows(rows, run.summary.duration)
            summary = run.summary
        except Exception as error:
            summary = replace(run.summary, failure=Failure.internal(task.name, error))
        yield Done(summary)
