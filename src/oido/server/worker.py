# SPDX-License-Identifier: Apache-2.0
"""The worker process: ``python -m oido.server.worker``, jobs on its input, answers on its output.

It decodes what strangers sent, so nothing that it sends is trusted to be more than bytes: a message
is a kind (1 byte), a length (4 bytes, big-endian) and so many bytes. Jobs come as pickles, from the
server. The first object in is a ``Setup``; then come ``Job``s, until the input ends. Out go:

- ``READY`` or ``FATAL`` (JSON: kind, reason; and the worker ends), once;
- for each job: ``ROWS`` (pieces of the JSON text that `oido classify --format json` would write)
  any number of times, then ``DONE`` (JSON: the members of `oido.server.pool.PoolAnswer`).
"""

from __future__ import annotations

import io
import json
import pickle
import signal
import struct
import sys
from dataclasses import replace
from functools import lru_cache, partial
from typing import IO, Any, NamedTuple

from oido.batch.plan import Failure, FileSummary, Plan, Task
from oido.batch.recording import RecordingRun, make_classifier
from oido.batch.worker_process import serve_parent, tasks_of
from oido.errors import OidoError
from oido.inference.classifier import AudioClassifier
from oido.messages import tr
from oido.models.model import AudioModel, Precision
from oido.server.evidence import EvidenceRow, EvidenceRows, EvidenceWriter
from oido.server.model_store import load_configured_model
from oido.writers.tables import JsonWriter

_HEADER = struct.Struct(">BI")
READY, FATAL, ROWS, DONE = range(4)

_PIECE_CHARACTERS = 1 << 16
"""Of rows that are sent together: a short recording's answer is one message."""

_KEPT_CLASSIFIERS = 4
"""Making one costs 10 ms and some memory; most clients send the same options again."""


class Setup(NamedTuple):
    """What every job has in common. memory_bytes: the address space that the worker may have."""

    models: tuple[str, ...]
    precision: Precision | None
    memory_bytes: int
    calibrations: tuple[str, ...] = ()


class Job(NamedTuple):
    """One recording to classify. plan.model is one of the setup's.

    framewise: not None for windows with what events are made of (`oido.server.evidence`).
    """

    plan: Plan
    task: Task
    most_seconds: float
    most_rows: int
    framewise: float | None = None


def read_message(stream: IO[bytes]) -> tuple[int, bytes]:
    """In the server: the next message, its kind and content. Raises EOFError at the end."""
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise EOFError
    kind, length = _HEADER.unpack(header)
    content = stream.read(length)
    if len(content) < length:
        raise EOFError
    return kind, content


def main() -> int:
    """Serve jobs until the input ends."""
    # A stop of the server is the server's to handle: what is under way is still finished.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return serve_parent(lambda jobs, messages: _Worker(messages).serve(jobs))


class _Worker:
    def __init__(self, messages: IO[bytes]) -> None:
        self._messages = messages
        self._models: dict[str, AudioModel] = {}
        self._classifiers = lru_cache(_KEPT_CLASSIFIERS)(
            lambda plan: make_classifier(plan, self._models[plan.model])
        )

    def serve(self, jobs: IO[bytes]) -> None:
        setup: Setup = pickle.load(jobs)
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
        for job in tasks_of(jobs):
            self._send_json(DONE, self._classify(job))

    def _classify(self, job: Job) -> dict[str, Any]:
        run, failure = None, None
        try:
            classifier, make_rows = self._classifier(job.plan), None
            if job.framewise is not None:
                make_rows = partial(
                    EvidenceRows, job.plan, classifier, job.task.name, job.framewise
                )
            run = RecordingRun(classifier, job.plan, job.task, make_rows)
            failure = self._send_rows(run, job)
        except BrokenPipeError:
            raise
        except OidoError as error:
            failure = Failure.of(error)
        except MemoryError:
            reason = tr(
                "{name}: hearing it takes more memory than this server gives", name=job.task.name
            )
            failure = Failure("LimitError", reason)
        except Exception as error:
            failure = Failure.internal(job.task.name, error)
        summary = FileSummary(job.task.name) if run is None else run.summary
        failure = failure or summary.failure
        return {
            "duration": summary.duration,
            "windows": summary.windows,
            "damaged_packets": summary.damaged_packets,
            "gaps_seconds": summary.gaps_seconds,
            "failure": failure and [failure.kind, failure.reason],
        }

    def _send_rows(self, run: RecordingRun, job: Job) -> Failure | None:
        text = io.StringIO()
        make_writer = JsonWriter if job.framewise is None else EvidenceWriter
        writer = make_writer(text, job.plan.calibrated)
        n_rows = 0
        for rows in run.rows():
            n_rows += sum(row.size if isinstance(row, EvidenceRow) else 1 for row in rows)
            if run.summary.duration > job.most_seconds:
                reason = tr(
                    "{name}: is longer than {seconds:g} s, the most that this server hears at once",
                    name=job.task.name,
                    seconds=job.most_seconds,
                )
                return Failure("LimitError", reason)
            if n_rows > job.most_rows:
                reason = (
                    tr(
                        "{name}: the answer has more than {count} rows; ask for a smaller top or "
                        "a longer hop",
                        name=job.task.name,
                        count=job.most_rows,
                    )
                    if job.framewise is None
                    else tr(
                        "{name}: the answer has more than {count} rows; ask for a smaller top, a "
                        "longer hop or a higher framewise",
                        name=job.task.name,
                        count=job.most_rows,
                    )
                )
                return Failure("LimitError", reason)
            writer.write(rows)  # type: ignore[arg-type]  # a plan of labels makes no embeddings
            if text.tell() >= _PIECE_CHARACTERS:
                self._send(ROWS, _drain(text))
                self._messages.flush()
        writer.close()
        self._send(ROWS, _drain(text))  # and goes with what comes next
        return None

    def _classifier(self, plan: Plan) -> AudioClassifier:
        detection = Plan().detection
        key = replace(plan, level="events", channel="mix", top=None, detection=detection)
        return self._classifiers(key)

    def _send_json(self, kind: int, message: dict[str, Any]) -> None:
        self._send(kind, json.dumps(message).encode())
        self._messages.flush()

    def _send(self, kind: int, content: bytes) -> None:
        self._messages.write(_HEADER.pack(kind, len(content)))
        self._messages.write(content)


def _drain(text: io.StringIO) -> bytes:
    """What was written since the last time."""
    content = text.getvalue().encode("utf-8", "replace")
    text.seek(0)
    text.truncate()
    return content


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
