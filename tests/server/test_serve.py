# SPDX-License-Identifier: Apache-2.0
"""From the address to the graceful end, also by https and wss with a certificate of its own."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from oido.errors import OptionError
from oido.server.settings import Settings
from tests.server.clients import HEADER, messages, opened

pytest.importorskip("starlette")


def test_recordings_and_streams_over_tls(
    start_server: Any, pem: tuple[Path, Path], street: Path
) -> None:
    trusting = ssl.create_default_context(cafile=str(pem[0]))
    with start_server(certificate=str(pem[0]), key=str(pem[1])) as server:
        assert server.address.startswith("https://127.0.0.1:")
        rows = httpx.post(
            f"{server.address}/v1/classify",
            content=street.read_bytes(),
            verify=trusting,
            timeout=60,
        )
        with connect(server.stream_address, ssl=trusting) as socket_:
            socket_.send(json.dumps(HEADER))
            ready = json.loads(socket_.recv(timeout=10))
        with pytest.raises(httpx.HTTPError):
            httpx.get(server.address.replace("https", "http") + "/healthz")

    assert len(rows.json()) > 3
    assert ready["type"] == "ready"


def test_a_wrong_certificate_is_told(pem: tuple[Path, Path], tmp_path: Path) -> None:
    from oido.server.app import create_app
    from oido.server.serve import serve

    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("no certificate")
    for certificate, key in ((nonsense, pem[1]), (tmp_path / "nowhere.pem", None), (pem[0], None)):
        settings = Settings(port=0, certificate=str(certificate), key=key and str(key))
        with pytest.raises(OptionError, match="certificate"):
            serve(create_app(settings), settings, pytest.fail)
    with pytest.raises(OptionError, match="certificate"):
        Settings(key=str(pem[1]))


def test_sigterm_ends_streams_with_a_message_and_finishes_requests(
    start_server: Any, street: Any
) -> None:
    with start_server() as server, ThreadPoolExecutor(2) as pool, opened(server, HEADER) as socket_:
        socket_.recv(timeout=10)
        socket_.send(bytes(64_000))
        request = pool.submit(
            httpx.post,
            f"{server.address}/v1/classify?hop=0.08",
            content=street.read_bytes(),
            timeout=60,
        )
        while not server.uploads():
            time.sleep(0.01)
        stopping = pool.submit(server.stop)
        found = messages(socket_)
        code = socket_.close_code
        answer = request.result()

        assert stopping.result() == 0
        assert [m["type"] for m in found] == ["rows"] * 4 + ["end"]
        assert (found[-1]["reason"], found[-1]["time"], code) == ("shutdown", 2.0, 1001)
        assert answer.status_code == 200
        assert len(answer.json()) > 3
        assert list(server.folder.glob("oido-serve-*")) == []


def test_a_port_that_is_taken_is_told() -> None:

    from oido.server.serve import _listener

    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OptionError, match="choose another --host or --port"):
            _listener("127.0.0.1", port).listen()


def healthy(server: Any, **more: Any) -> bool:
    return httpx.get(f"{server.address}/healthz", timeout=8, **more).status_code == 200


@pytest.fixture
def crowd(start_server: Any) -> Iterator[Callable[[Any, int], None]]:
    """Opens connections that say nothing."""
    with contextlib.ExitStack() as stack:

        def join(server: Any, count: int) -> None:
            host, port = server.address.partition("://")[2].split(":")
            for _ in range(count):
                stack.enter_context(socket.create_connection((host, int(port)), timeout=8))

        yield join


def test_more_connections_than_descriptors_leave_it_well(
    start_server: Any, crowd: Callable[[Any, int], None], street: Path
) -> None:
    with start_server(descriptors=300) as server:
        crowd(server, 400)
        assert healthy(server)
        rows = httpx.post(
            f"{server.address}/v1/classify?level=clip", content=street.read_bytes(), timeout=60
        )
        assert rows.status_code == 200
        assert server.log == ""


def test_more_handshakes_than_descriptors_leave_it_well(
    start_server: Any, crowd: Callable[[Any, int], None], pem: tuple[Path, Path]
) -> None:
    trusting = ssl.create_default_context(cafile=str(pem[0]))
    with start_server(descriptors=300, certificate=str(pem[0]), key=str(pem[1])) as server:
        crowd(server, 400)
        assert healthy(server, verify=trusting)
        assert server.log == ""


def test_too_few_descriptors_are_told_at_once(start_server: Any) -> None:
    with pytest.raises(AssertionError, match="may open 100 files"), start_server(descriptors=100):
        pass


def test_clients_that_leave_amid_answers_are_not_logged(
    start_server: Any, pem: tuple[Path, Path]
) -> None:
    trusting = ssl.create_default_context(cafile=str(pem[0]))
    with start_server(certificate=str(pem[0]), key=str(pem[1])) as server:
        for _ in range(10):
            with opened(server, {**HEADER, "hop": 0.08}, ssl=trusting) as client:
                client.recv(timeout=10)
                for _ in range(40):
                    client.send(bytes(32_000))
                client.socket.shutdown(socket.SHUT_WR)  # without a word of TLS
                messages(client)
        deadline = time.monotonic() + 20
        while "oido_streams_total{" not in metrics_of(server, trusting):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert server.log == ""


def metrics_of(server: Any, trusting: ssl.SSLContext) -> str:
    return httpx.get(f"{server.address}/metrics", verify=trusting).text
