# SPDX-License-Identifier: Apache-2.0
"""Worker processes for uploads: one that dies, stalls or is left costs one request."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from oido.batch.plan import Plan, Task
from oido.errors import ModelNotFoundError, OidoError
from oido.models.registry import DEFAULT_MODEL
from oido.server.pool import _MOST_MESSAGES, WorkerPool, _Worker
from oido.server.worker import Job, Setup
from tests.asynchronous import run_async
from tests.server.uploading import flac, post


@pytest.mark.parametrize(
    ("number", "status", "kind"),
    [(signal.SIGKILL, 503, "WorkerError"), (signal.SIGSEGV, 422, "CorruptAudioError")],
)
def test_a_worker_that_dies_costs_one_request(
    server: Any,
    eventually: Callable[[Callable[[], bool]], None],
    number: int,
    status: int,
    kind: str,
) -> None:
    before = server.metric("oido_worker_restarts_total")
    with ThreadPoolExecutor(1) as pool:
        # Long enough to be killed midway: 8,000 windows.
        answer = pool.submit(post, server, flac(80, is_work=True), "?hop=0.01&name=x.flac")
        eventually(lambda: bool(server.uploads()))
        (worker,) = server.workers()
        eventually(lambda: _is_reading(worker, server.uploads()))
        os.kill(worker, number)
        died = answer.result()
    after = post(server, flac(1), "?level=clip")

    assert (died.status_code, died.json()["error"]) == (status, kind)
    assert died.json()["message"].startswith("x.flac: ")
    assert (after.status_code, after.json()[0]["label"]) == (200, "Silence")
    assert server.metric("oido_worker_restarts_total") == before + 1
    assert server.workers() != [worker]
    assert server.uploads() == []


def _is_reading(worker: int, uploads: list[Path]) -> bool:
    opened = [
        os.readlink(entry) for entry in Path(f"/proc/{worker}/fd").iterdir() if entry.exists()
    ]
    return any(str(upload) in opened for upload in uploads)


def test_a_client_that_goes_away_frees_its_worker(
    server: Any, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    before = server.metric("oido_worker_restarts_total")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{server.address}/v1/classify?hop=0.01", content=flac(80, is_work=True), timeout=1.0
        )

    eventually(lambda: server.uploads() == [])
    assert post(server, flac(1), "?level=clip").status_code == 200
    assert server.metric("oido_worker_restarts_total") == before + 1


@pytest.mark.slow
def test_a_slow_upload_a_slow_worker_and_a_full_queue(start_server: Any, eventually: Any) -> None:
    # Long enough for a second of audio also where other programs compute, once a worker is there.
    limits = {"upload_seconds": 2.0, "timeout_seconds": 2.0, "header_seconds": 0.5, "waiting": 1}
    with start_server(limits=limits) as server:
        gate = threading.Event()

        def slow() -> Iterator[bytes]:
            yield b"RIFF"
            gate.wait(10)
            yield b"more"

        late = post(server, slow())
        gate.set()
        recording = flac(900, is_work=True)  # made once, so that all come at the same time
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(lambda _: post(server, recording, "?hop=0.01"), range(3)))
        host, port = server.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as silent:
            silent.settimeout(10)
            silent.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127")
            assert silent.recv(10) == b""  # closed by the server
        with socket.create_connection((host, int(port))) as endless:
            endless.settimeout(10)
            endless.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 200_000)
            assert endless.recv(100).startswith(b"HTTP/1.1 400")
        eventually(lambda: post(server, flac(1)).status_code == 200)

    assert (late.status_code, late.json()["error"]) == (408, "LimitError")
    statuses = sorted(answer.status_code for answer in answers)
    assert set(statuses) == {503, 504}
    busy = next(answer for answer in answers if answer.status_code == 503)
    assert (busy.json()["error"], busy.headers["retry-after"]) == ("BusyError", "2")


def test_a_worker_waits_until_what_it_said_is_taken() -> None:
    """An answer may be very large; and a worker that waits can still be closed."""
    code = (
        "import sys, struct, pickle\n"
        "pickle.load(sys.stdin.buffer)\n"
        "out = sys.stdout.buffer\n"
        "out.write(struct.pack('>BI', 0, 0))\n"
        "while True: out.write(struct.pack('>BI', 2, 100_000) + bytes(100_000))\n"
    )

    async def work() -> tuple[int, bool]:
        worker = _Worker((sys.executable, "-c", code), Setup((DEFAULT_MODEL,), None, 4 << 30))
        await worker.ready()
        for _ in range(3):
            await worker._message()
        while worker._messages.qsize() < _MOST_MESSAGES:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        waiting = worker._messages.qsize()
        await worker.close()
        return waiting, worker.has_ended

    assert run_async(work()) == (_MOST_MESSAGES, True)


def test_workers_that_are_killed_again_and_again_cost_503s(
    server: Any, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    """Also those that are still starting: none of it is an error of the server's own."""
    ended, recording = threading.Event(), flac(1)

    def kill() -> None:
        while not ended.wait(0.1):
            for worker in server.workers():
                with contextlib.suppress(OSError):
                    os.kill(worker, signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    try:
        answers = []
        deadline = time.monotonic() + 90
        # A quick machine answers between two kills.
        while len(answers) < 6 or not any(answer.status_code == 503 for answer in answers):
            assert time.monotonic() < deadline, "none was refused"
            answers.append(post(server, recording, "?level=clip&name=x.flac"))
    finally:
        ended.set()
        killing.join()
    assert {answer.status_code for answer in answers} <= {200, 503}
    refused = [answer for answer in answers if answer.status_code == 503]
    assert {answer.json()["error"] for answer in refused} == {"WorkerError"}
    assert all(answer.json()["message"].startswith("x.flac: ") for answer in refused)
    assert all(answer.headers["retry-after"] for answer in refused)
    eventually(lambda: post(server, recording, "?level=clip").status_code == 200)


def processes_of(pool: WorkerPool) -> list[int]:
    """Of the workers that are there now."""
    return [worker.process_id for worker in pool._all if not worker.has_ended]


def test_a_worker_that_cannot_start_says_why() -> None:
    async def start(setup: Setup, *command: str) -> None:
        pool = WorkerPool(setup, 1, **({"command": command} if command else {}))
        try:
            await pool.start()
        finally:
            workers = list(pool._all)
            await pool.close()
            assert [worker.has_ended for worker in workers] == [True]

    with pytest.raises(ModelNotFoundError, match=r"nowhere\.tflite: no such model file"):
        run_async(start(Setup(("nowhere.tflite",), None, 4 << 30)))
    code = "import sys; sys.stdin.buffer.read(1); sys.exit('out of ideas')"
    dies = (sys.executable, "-c", code)
    with pytest.raises(OidoError, match="a worker could not start: exit code 1: out of ideas"):
        run_async(start(Setup((DEFAULT_MODEL,), None, 4 << 30), *dies))


def test_an_idle_worker_that_ended_is_replaced_and_the_job_done(street: Path) -> None:
    restarts: list[int] = []
    rows: list[bytes] = []

    async def work() -> tuple[Any, list[int], list[int]]:
        setup = Setup((DEFAULT_MODEL,), None, 4 << 30)
        pool = WorkerPool(setup, 1, on_restart=lambda: restarts.append(1))
        await pool.start()
        before = processes_of(pool)
        os.kill(before[0], signal.SIGKILL)
        while processes_of(pool):
            await asyncio.sleep(0.01)
        task = Task(0, str(street), "street.flac", "street.flac")
        answer = await pool.classify(Job(Plan(level="clip", top=1), task, 60.0, 100), rows.append)
        after = processes_of(pool)
        await pool.close()
        return answer, before, after

    answer, before, after = run_async(work())
    assert (answer.failure, answer.duration, answer.windows) == (None, 30.0, 62)
    assert json.loads(b"".join(rows))[0]["file"] == "street.flac"
    assert len(after) == 1
    assert after != before
    assert restarts == [1]
