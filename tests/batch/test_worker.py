# SPDX-License-Identifier: Apache-2.0
"""The worker process itself: what goes in and out of its pipes, and how it ends."""

from __future__ import annotations

import os
import pickle
import queue
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from oido.batch.plan import Plan, Task
from oido.batch.process_pool import WORKER_COMMAND
from oido.batch.sources import find_sources
from oido.batch.units import Flush, RunSpec, Unit, WorkerReport
from oido.batch.worker import Done, Fatal, Ready, Rows
from oido.batch.worker_process import WorkerProcess
from oido.errors import ModelNotFoundError, OidoError
from tests.batch.archives import record


class Worker:
    """A worker that is running; ``next`` is its next message, None its end."""

    def __init__(self, setup: Any) -> None:
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.process = WorkerProcess(WORKER_COMMAND, setup, self._messages.put)

    def next(self) -> Any:
        return self._messages.get(timeout=120)


@contextmanager
def worker(setup: Any) -> Iterator[Worker]:
    started = Worker(setup)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.join()


def test_a_task_is_rows_and_then_what_came_of_it(tmp_path: Path) -> None:
    path = record(tmp_path / "a.wav", 3.0)
    with worker(Plan(level="clip", top=2)) as it:
        ready = it.next()
        assert isinstance(ready, Ready)
        assert (ready.model_name, len(ready.model_sha256)) == ("yamnet/classification", 64)
        for number, name in enumerate(("first", "again")):
            it.process.send(Task(number, path, name, name))
            rows = []
            while isinstance(message := it.next(), Rows):
                rows += message.rows
                assert 0 < message.duration <= 3.0
            assert isinstance(message, Done)
            assert (message.summary.name, message.summary.duration) == (name, 3.0)
            assert [row.file for row in rows] == [name, name]


def test_a_plan_that_cannot_be_carried_out_is_one_message_and_the_end() -> None:
    with worker(Plan(model="nowhere.tflite")) as it:
        fatal = it.next()
        assert isinstance(fatal, Fatal)
        error = fatal.error()
        assert isinstance(error, ModelNotFoundError)
        assert "nowhere.tflite: no such model file" in str(error)
        assert it.next() is None
        assert it.process.ending == "exit code 0"


def test_a_kind_of_error_that_nobody_knows_is_an_error_all_the_same() -> None:
    error = Fatal("FromALaterVersion", "why").error()
    assert type(error) is OidoError
    assert str(error) == "why"


def test_an_archives_worker_gives_reports_and_no_rows(tmp_path: Path) -> None:
    (source,) = find_sources([record(tmp_path / "a.wav")])
    with worker(RunSpec(Plan(), str(tmp_path / "out"), flush_seconds=3600)) as it:
        assert isinstance(it.next(), Ready)
        it.process.send(Unit(source))
        while not (report := it.next()).ends_task:
            assert isinstance(report, WorkerReport)
        assert report.finished == ()
        it.process.send(Flush())
        (finished,) = it.next().finished
        assert all((tmp_path / "out" / part.path).exists() for part in finished.parts)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a worker cannot be asked to end")
def test_one_that_is_asked_to_end_discards_what_it_writes(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).uniform(-0.2, 0.2, 16_000 * 1200)
    soundfile.write(tmp_path / "long.wav", sound, 16_000)
    (source,) = find_sources([str(tmp_path / "long.wav")])
    out = tmp_path / "out"
    with worker(RunSpec(Plan(), str(out))) as it:
        assert isinstance(it.next(), Ready)
        it.process.send(Unit(source, "range", windows=2_000, of=2))
        while not list(out.rglob("*.part")):
            assert isinstance(it.next(), WorkerReport)
        it.process.terminate()
        it.process.wait(60)
        assert it.process.was_killed  # as it was asked to, and not by a crash
    assert not [path for path in out.rglob("*") if path.is_file()]


def test_a_parent_that_goes_away_is_the_end(tmp_path: Path) -> None:
    import subprocess

    setup = pickle.dumps(Plan())
    done = subprocess.run(WORKER_COMMAND, input=setup, capture_output=True, timeout=120, check=True)
    assert isinstance(pickle.loads(done.stdout), Ready)
    assert sys.executable in WORKER_COMMAND
