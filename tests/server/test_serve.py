# SPDX-License-Identifier: Apache-2.0
"""From the address to the graceful end, also by https and wss with a certificate of its own."""

from __future__ import annotations

import json
import socket
import ssl
import time
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
