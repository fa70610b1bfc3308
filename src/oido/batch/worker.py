# SPDX-License-Identifier: Apache-2.0
"""The worker process: ``python -m oido.batch``, tasks on its input, messages on its output.

Both are pickles, one after the other. The first object in is the Plan; then come Tasks, until the
input ends. Out go these messages:

- ``Ready(model_name, model_sha256)`` or ``Fatal(kind, reason)`` (and the worker ends), once;
- for each task: ``Rows(rows, duration)`` any number of times, then ``Done(summary)``.

Native libraries (decoders above all) may write to the terminal or crash: the worker's own standard
output is set aside for the messages, and a crash costs the task under way and nothing else.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
from dataclasses import replace
from typing import IO, Any, NamedTuple

from oido.batch.plan import Failure, FileSummary, Plan
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


class Done(NamedTuple):
    """The task under way is over."""

    summary: FileSummary


Message = Ready | Fatal | Rows | Done


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
    return 0


def _serve(tasks: IO[bytes], messages: IO[bytes]) -> None:
    from oido.errors import OidoError

    def send(message: Message) -> None:
        pickle.dump(message, messages, protocol=pickle.HIGHEST_PROTOCOL)
        messages.flush()

    plan: Plan = pickle.load(tasks)
    try:
        from oido.batch.hearing import Hearing, make_classifier

        classifier = make_classifier(plan)
    except OidoError as error:
        send(Fatal(type(error).__name__, str(error)))
        return
    send(Ready(classifier.model.name, classifier.model.sha256))
    while (task := _next(tasks)) is not None:
        hearing = Hearing(classifier, plan, task)
        try:
            for rows in hearing.rows():
                send(Rows(rows, hearing.summary.duration))
            summary = hearing.summary
        except BrokenPipeError:
            raise
        except Exception as error:
            # A defect of ours: it must cost one recording, and must say enough to be found.
            reason = f"{task.name}: internal error, {type(error).__name__}: {error}"
            summary = replace(hearing.summary, failure=Failure("InternalError", reason))
        send(Done(summary))


def _next(tasks: IO[bytes]) -> Any:
    try:
        return pickle.load(tasks)
    except EOFError:
        return None
