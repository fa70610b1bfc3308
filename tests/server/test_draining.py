# SPDX-License-Identifier: Apache-2.0
"""The server's end, whatever is under way: bounded, with exit code 0, an answer for each request.

"Bounded" is a limit far beyond what the server itself promises, for machines under load.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("websockets")
from websockets.sync.client import connect

from tests.server.clients import HEADER, messages, opened
from tests.server.uploading import flac

_BOUND_SECONDS = 90

_LONG = "?level=clip&hop=0.01"
"""Of 900 s of silence: 90,000 windows, more than anybody waits for here."""

Eventually = Callable[[Callable[[], bool]], None]


def post_long(server: Any) -> httpx.Response:
    return httpx.post(
        f"{server.address}/v1/classify{_LONG}", content=flac(900, is_work=True), timeout=300
    )


def raw(server: Any, receive_bytes: int | None = None) -> socket.socket:
    host, port = server.address.removeprefix("http://").split(":")
    sock = socket.socket()
    if receive_bytes is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.settimeout(20)
    sock.connect((host, int(port)))
    return sock


def ended(server: Any, *signals: int) -> int:
    """The exit code after these signals."""
    for number in signals:
        server.process.send_signal(number)
        time.sleep(0.2)
    code: int = server.process.wait(_BOUND_SECONDS)
    return code


def has_gone(process_id: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True


def assert_all_is_cleaned(server: Any, workers: list[int], eventually: Eventually) -> None:
    assert list(server.folder.glob("oido-serve-*")) == []
    eventually(lambda: all(has_gone(worker) for worker in workers))
    assert "Traceback" not in (server.folder / "stderr").read_text()


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGTERM, signal.SIGTERM)],
    ids=["SIGTERM", "SIGINT", "twice"],
)
def test_more_uploads_than_workers_get_their_answer_or_a_503(
    start_server: Any, eventually: Eventually, signals: tuple[int, ...]
) -> None:
    # A second signal ends what a first one would still wait for.
    limits = {"timeout_seconds": 300, "drain_seconds": 600 if len(signals) > 1 else 2}
    with start_server(limits=limits) as server, ThreadPoolExecutor(4) as pool:
        workers = server.workers()
        requests = [pool.submit(post_long, server) for _ in range(4)]
        eventually(lambda: len(server.uploads()) == 4)
        assert ended(server, *signals) == 0

        for answer in (request.result() for request in requests):
            assert (answer.status_code, answer.json()["error"]) == (503, "BusyError")
            assert answer.json()["message"] == "the server is being stopped"
        assert_all_is_cleaned(server, workers, eventually)


@pytest.mark.slow
def test_whatever_clients_do_meanwhile(start_server: Any, eventually: Eventually) -> None:
    """Slow headers, slow bodies, answers and messages that are not read, streams of all kinds."""
    limits = {"drain_seconds": 2}
    with start_server(limits=limits) as server, contextlib.ExitStack() as stack:
        workers = server.workers()
        head = b"POST /v1/classify%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n"
        slow_body = stack.enter_context(raw(server))
        slow_body.sendall(head % (b"", 100_000) + b"R")
        half_headers = stack.enter_context(raw(server))
        half_headers.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127")
        kept = stack.enter_context(raw(server))
        kept.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert kept.recv(1000).startswith(b"HTTP/1.1 200")
        unread = stack.enter_context(raw(server, 4096))
        recording = flac(300, is_work=True)
        wide = b"?level=windows&top=50&name=" + b"%E2%82%AC" * 255  # 27 MB of rows
        unread.sendall(head % (wide, len(recording)) + recording)
        mute = stack.enter_context(connect(server.stream_address))
        good = stack.enter_context(opened(server, HEADER))
        assert json.loads(good.recv(timeout=20))["type"] == "ready"
        eventually(lambda: server.metric("oido_upload_audio_seconds_total") >= 300)
        eventually(lambda: len(server.uploads()) == 1)
        assert ended(server, signal.SIGTERM) == 0

        assert slow_body.recv(1000).startswith(b"HTTP/1.1 503")
        assert messages(good)[-1]["reason"] == "shutdown"
        messages(mute)
        assert_all_is_cleaned(server, workers, eventually)


def test_a_request_that_comes_while_others_are_awaited_is_refused(
    start_server: Any, eventually: Eventually
) -> None:
    limits = {"timeout_seconds": 300, "drain_seconds": 600}
    with start_server(limits=limits) as server, ThreadPoolExecutor(2) as pool:
        with raw(server) as late:
            late.sendall(b"GET /v1/models HTTP/1.1\r\n")
            request = pool.submit(post_long, server)
            eventually(lambda: bool(server.uploads()))
            server.process.send_signal(signal.SIGTERM)
            eventually(lambda: is_refused(server))
            late.sendall(b"Host: 127.0.0.1\r\n\r\n")
            answer = late.recv(1000)
        assert ended(server, signal.SIGTERM) == 0
        assert answer.startswith(b"HTTP/1.1 503")
        assert request.result().status_code == 503


def is_refused(server: Any) -> bool:
    try:
        raw(server).close()
    except ConnectionError:
        return True
    return False


def test_a_signal_while_it_starts(tmp_path: Path, eventually: Eventually) -> None:
    """Workers take seconds to load their models; nobody waits for them."""
    script = Path(__file__).with_name("start_server.py")
    process = subprocess.Popen(
        [sys.executable, str(script), json.dumps({"workers": 2})],
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "stderr").open("w"),
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    eventually(lambda: bool(children.read_text().split()))
    workers = [int(number) for number in children.read_text().split()]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=_BOUND_SECONDS)
    assert process.returncode == 0
    assert "Traceback" not in (tmp_path / "stderr").read_text()
    assert list(tmp_path.glob("oido-serve-*")) == []
    eventually(lambda: all(has_gone(worker) for worker in workers))


def test_workers_that_are_stopped_do_not_hold_the_end_up(
    start_server: Any, eventually: Eventually
) -> None:
    with start_server(limits={"drain_seconds": 1}) as server, ThreadPoolExecutor(1) as pool:
        workers = server.workers()
        request: Future[httpx.Response] = pool.submit(post_long, server)
        eventually(lambda: bool(server.uploads()))
        os.kill(workers[0], signal.SIGSTOP)
        assert ended(server, signal.SIGTERM) == 0
        assert request.result().status_code == 503
        assert_all_is_cleaned(server, workers, eventually)
