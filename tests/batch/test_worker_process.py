# SPDX-License-Identifier: Apache-2.0
"""One worker process: its messages, its end, and what explains it."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
from typing import Any

import pytest

from oido.batch import worker_process
from oido.batch.plan import Plan
from oido.batch.worker import Fatal
from oido.batch.worker_process import WORKER_COMMAND, WorkerProcess, start_early

ECHO = """
import pickle, sys
from oido.batch.worker_process import serve_parent, tasks_of

def serve(tasks, messages):
    for task in tasks_of(tasks):
        print("a library prints among the messages", flush=True)
        if task == "fail":
            raise SystemExit("out of ideas")
        pickle.dump(task, messages)
        messages.flush()

sys.exit(serve_parent(serve))
"""


def start(setup: Any) -> tuple[WorkerProcess, queue.SimpleQueue[Any]]:
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    return WorkerProcess([sys.executable, "-c", ECHO], setup, messages.put), messages


def test_objects_come_back_and_the_last_line_explains_the_end() -> None:
    worker, messages = start({"setup": 1})
    worker.send([2, 3])
    assert [messages.get(timeout=60) for _ in range(2)] == [{"setup": 1}, [2, 3]]
    assert worker.last_words == "it does not answer"
    worker.send("fail")
    assert messages.get(timeout=60) is None
    assert worker.last_words == "exit code 1: out of ideas"
    assert worker.has_ended
    assert not worker.was_killed
    worker.send("nobody reads this")
    worker.join()


def test_a_kill_from_outside_is_known_as_one() -> None:
    worker, messages = start("ready")
    assert messages.get(timeout=60) == "ready"
    worker.kill()
    assert messages.get(timeout=60) is None
    assert worker.was_killed
    assert worker.ending == "signal 9"
    worker.join()


def test_a_process_that_was_started_early_is_the_first_workers() -> None:
    start_early()
    early = worker_process._early[0].process.pid
    messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
    other = WorkerProcess([sys.executable, "-c", ECHO], "another command", messages.put)
    assert messages.get(timeout=60) == "another command"
    assert other.process_id != early
    worker = WorkerProcess(WORKER_COMMAND, Plan(model="no/such"), messages.put)
    assert worker.process_id == early
    assert isinstance(messages.get(timeout=60), Fatal)
    for each in (other, worker):
        each.kill()
        each.join()


SCRIPT = """
import sys
from oido.batch.worker_process import _early, start_early
start_early()
print(_early[0].process.pid)
"""


def test_one_that_nobody_needs_ends_with_its_process() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)
