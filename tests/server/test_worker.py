# SPDX-License-Identifier: Apache-2.0
"""The process that hears uploads: its messages, and what it refuses."""

from __future__ import annotations

import io
import json
import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import oido
from oido.batch.plan import Plan, Task
from oido.batch.worker_process import WorkerProcess
from oido.models.registry import DEFAULT_MODEL
from oido.params import Selection
from oido.server.pool import WORKER_COMMAND
from oido.server.worker import DONE, FATAL, READY, ROWS, Job, Setup, read_message
from tests.server.uploading import flac, post


def test_a_recording_beyond_the_limits_is_refused(server: Any) -> None:
    bomb = flac(3600)
    assert len(bomb) < 4_000_000
    long = post(server, bomb)
    rows = post(server, flac(60), "?level=windows&top=521")

    assert (long.status_code, rows.status_code) == (413, 413)
    assert "longer than 90 s" in long.json()["message"]
    assert "more than 20000 rows" in rows.json()["message"]


class Worker:
    """``python -m oido.server.worker``, and its messages."""

    def __init__(self, setup: Setup) -> None:
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.process = WorkerProcess(WORKER_COMMAND, setup, self._messages.put, read_message)

    def next(self) -> tuple[int, Any]:
        kind, content = self._messages.get(timeout=120)
        return kind, content if kind == ROWS else json.loads(content)

    def answer(self, job: Job) -> tuple[bytes, dict[str, Any]]:
        """The rows' text, and what came of it."""
        self.process.send(job)
        text = b""
        while (message := self.next())[0] == ROWS:
            text += message[1]
        assert message[0] == DONE
        return text, message[1]


@pytest.fixture(scope="module")
def worker(own_cache: Path) -> Iterator[Worker]:
    started = Worker(Setup((DEFAULT_MODEL,), None, 4 << 30))
    assert started.next() == (READY, {})
    yield started
    started.process.kill()
    started.process.join()


def job(path: Path, plan: Plan, seconds: float = 60.0, rows: int = 1_000) -> Job:
    return Job(plan, Task(0, str(path), "my.flac", "my.flac"), seconds, rows)


def test_each_job_has_its_own_plan_and_one_text_of_json(
    worker: Worker, street: Path, classifier: oido.AudioClassifier
) -> None:
    result = classifier.classify(street)
    text, done = worker.answer(job(street, Plan(level="clip", top=2)))
    assert done == {
        "duration": 30.0,
        "windows": 62,
        "damaged_packets": 0,
        "gaps_seconds": 0.0,
        "failure": None,
    }
    assert [row["label"] for row in json.loads(text)] == [c.label for c in result.top(2)]
    text, _ = worker.answer(job(street, Plan()))
    assert [row["label"] for row in json.loads(text)] == [e.label for e in result.events()]


def test_a_short_answer_is_one_message_and_a_long_one_comes_in_pieces(
    worker: Worker, street: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long.flac"
    long.write_bytes(flac(95))  # four segments of 64 windows

    def n_messages(path: Path, **plan: Any) -> int:
        worker.process.send(job(path, Plan(**plan), 3600.0, 10**6))
        kinds = []
        while not kinds or kinds[-1] == ROWS:
            kinds.append(worker.next()[0])
        assert kinds[-1] == DONE
        return len(kinds) - 1

    assert n_messages(street) == 1
    assert n_messages(long) == 1
    assert n_messages(long, level="windows", top=521) > 3


def test_limits_stop_a_recording_and_the_worker_goes_on(worker: Worker, street: Path) -> None:
    for plan, limits, told in (
        (Plan(), {"seconds": 9.0}, "is longer than 9 s, the most that this server hears at once"),
        (Plan(level="windows", top=9), {"rows": 20}, "the answer has more than 20 rows"),
    ):
        _, done = worker.answer(job(street, plan, **limits))
        kind, reason = done["failure"]
        assert kind == "LimitError"
        assert told in reason
    assert worker.answer(job(street, Plan(level="clip", top=1)))[1]["failure"] is None


def test_what_goes_wrong_is_a_sentence_and_no_end(worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(b"RIFF, but no more")
    _, done = worker.answer(job(tmp_path / "upload", Plan()))
    assert done["failure"][0] == "UnknownFormatError"
    assert done["failure"][1].startswith("my.flac: ")
    wrong = Plan(selection=Selection(category_allowlist=("Meouw",)))
    _, done = worker.answer(job(tmp_path / "upload", wrong))
    assert done["failure"][0] == "UnknownLabelError"


def test_a_model_that_is_none_is_one_message_and_the_end() -> None:
    started = Worker(Setup(("nowhere.tflite",), None, 4 << 30))
    kind, content = started.next()
    assert kind == FATAL
    assert content["kind"] == "ModelNotFoundError"
    started.process.wait(60)
    started.process.join()
    assert started.process.ending == "exit code 0"


@pytest.mark.parametrize("content", [b"", b"\x02\0\0", b"\x02\0\0\0\x05abc"])
def test_a_message_of_the_server_that_is_cut_off_is_the_end(content: bytes) -> None:
    with pytest.raises(EOFError):
        read_message(io.BytesIO(content))
    assert read_message(io.BytesIO(b"\x02\0\0\0\x03abc" + content)) == (2, b"abc")
