# SPDX-License-Identifier: Apache-2.0
"""The worker process: ``python -m oido.server.worker``, jobs on its input, answers on its output.

It decodes untrusted files, so its output is trusted to be bytes and no more: a message
is a kind (1 byte), a length (4 bytes, big-endian) and so many bytes. Jobs come as pickles, from the
server. The first object in is a ``Setup``; then come ``Job``s, until the input ends. Out go:

- ``READY`` or ``FATAL`` (JSON: kind, reason; and the worker ends), once;
- for each job: ``ROWS`` (pieces of the JSON text that `oido classify --format json` would write)
  any number of times, then ``DONE`` (JSON: duration, windows, damaged_packets, failure, or null).
"""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import struct
import sys
from collections import OrderedDict
from dataclasses import replace
from typing import IO, Any, NamedTuple

from oido.batch.plan import Failure, FileSummary, Plan, Task
from oido.batch.recording import RecordingRun, make_classifier
from oido.errors import OidoError
from oido.inference.classifier import AudioClassifier
from oido.models.model import AudioModel, Precision
from oido.server.model_store import load_configured_model
from oido.writers.tables import JsonWriter

__all__ = ["DONE", "FATAL", "HEADER", "READY", "ROWS", "Job", "Setup", "main"]

HEADER = struct.Struct(">BI")
READY, FATAL, ROWS, DONE = range(4)

_KEPT_CLASSIFIERS = 4
"""Making one costs 10 ms and some memory; most clients send the same options again."""


class Setup(NamedTuple):
    """What every job has in common. memory_bytes: the address space that the worker may have."""

    models: tuple[str, ...]
    precision: Precision | None
    memory_bytes: int
    calibrations: tuple[str, ...] = ()


class Job(NamedTuple):
    """One recording to predict. plan.model is one of the setup's."""

    plan: Plan
    task: Task
    most_seconds: float
    most_rows: int


def main() -> int:
    """Serve jobs until the input ends."""
    # A stop of the server is the server's to handle: what is under way is still finished.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    jobs = sys.stdin.buffer
    messages = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        _Worker(jobs, messages).serve()
    except BrokenPipeError:
        return 1  # the server is gone
    return 0


class _Worker:
    def __init__(self, jobs: IO[bytes], messages: IO[bytes]) -> None:
        self._jobs, self._messages = jobs, messages
        self._models: dict[str, AudioModel] = {}
        self._classifiers: OrderedDict[Plan, AudioClassifier] = OrderedDict()

    def serve(self) -> None:
        setup: Setup = pickle.load(self._jobs)
        _limit_memory(setup.memory_bytes)
        try:
            for name in setup.models:
                self._models[name] = load_configured_model(
                    name, setup.precision, setup.calibrations
                )[0]
            # Made now, so that the first recording does not wait for it.
            self._classifier(Plan(model=setup.models[0], precision=setup.precision))
        except OidoError as error:
            self._send_json(FATAL, {"kind": type(error).__name__, "reason": str(error)})
            return
        self._send_json(READY, {})
        while True:
            try:
                job: Job = pickle.load(self._jobs)
            except EOFError:
                return
            self._send_json(DONE, self._run(job))

    def _run(self, job: Job) -> dict[str, Any]:
        task = job.task
        try:
            run = RecordingRun(self._classifier(job.plan), job.plan, task)
        except OidoError as error:
            return _done(Failure(type(error).__name__, str(error)), FileSummary(task.name))
        failure = None
        try:
            failure = self._rows(run, job)
        except BrokenPipeError:
            raise
        except MemoryError:
            reason = f"{task.name}: hearing it takes more memory than this server gives"
            failure = Failure("LimitError", reason)
        except Exception as error:
            # A defect of ours must cost one recording only, with enough detail to find it.
            reason = f"{task.name}: internal error, {type(error).__name__}: {error}"
            failure = Failure("InternalError", reason)
        return _done(failure or run.summary.failure, run.summary)

    def _rows(self, run: RecordingRun, job: Job) -> Failure | None:
        text = io.StringIO()
        writer = JsonWriter(text, job.plan.calibrated)
        n_rows = 0
        for rows in run.rows():
            n_rows += len(rows)
            if run.summary.duration > job.most_seconds:
                reason = f"{job.task.name}: is longer than {job.most_seconds:g} s"
                return Failure("LimitError", f"{reason}, the most that this server hears at once")
            if n_rows > job.most_rows:
                reason = f"{job.task.name}: the answer has more than {job.most_rows} rows"
                return Failure("LimitError", f"{reason}; ask for a smaller top or a longer hop")
            writer.write(rows)  # type: ignore[arg-type]  # a plan of labels makes no embeddings
            self._send(ROWS, _drain(text))
        writer.close()
        self._send(ROWS, _drain(text))
        return None

    def _classifier(self, plan: Plan) -> AudioClassifier:
        key = replace(plan, level="events", channel="mix", top=None, detection=Plan().detection)
        classifier = self._classifiers.get(key)
        if classifier is None:
            classifier = make_classifier(plan, self._models[plan.model])
            self._classifiers[key] = classifier
            if len(self._classifiers) > _KEPT_CLASSIFIERS:
                self._classifiers.popitem(last=False)
        self._classifiers.move_to_end(key)
        return classifier

    def _send_json(self, kind: int, message: dict[str, Any]) -> None:
        self._send(kind, json.dumps(message).encode())

    def _send(self, kind: int, content: bytes) -> None:
        self._messages.write(HEADER.pack(kind, len(content)))
        self._messages.write(content)
        self._messages.flush()


def _drain(text: io.StringIO) -> bytes:
    """Return and clear what was written since the last call."""
    content = text.getvalue().encode("utf-8", "replace")
    text.seek(0)
    text.truncate()
    return content


def _done(failure: Failure | None, summary: FileSummary) -> dict[str, Any]:
    return {
        "duration": summary.duration,
        "windows": summary.windows,
        "damaged_packets": summary.damaged_packets,
        "failure": None if failure is None else [failure.kind, failure.reason],
    }


def _limit_memory(memory_bytes: int) -> None:
    """A recording that makes a decoder ask for more gets a MemoryError, or ends this process."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


if __name__ == "__main__":
    sys.exit(main())
