# SPDX-License-Identifier: Apache-2.0
"""WS /v1/stream with clients that do what they should not, and a server that is stopped."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

pytest.importorskip("websockets")
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.server.clients import HEADER, messages, opened


def test_streams_are_limited_and_silent_ones_end(start_server: Any) -> None:
    limits = {"streams": 2, "idle_seconds": 1.0, "header_seconds": 1.0, "stream_seconds": 3.0}
    with start_server(limits=limits) as server:
        with opened(server, HEADER) as one, opened(server, HEADER) as two:
            for socket_ in (one, two):
                assert json.loads(socket_.recv(timeout=10))["type"] == "ready"
            with opened(server, HEADER) as three:
                (busy,) = messages(three)
                code = three.close_code
            silent = messages(one)[-1]
        with connect(server.stream_address) as mute:
            (headless,) = messages(mute)
        with opened(server, HEADER) as long:
            for _ in range(4):
                long.send(bytes(32_000))
            limit = messages(long)[-1]

    assert (busy["error"], code) == ("BusyError", 1013)
    assert silent["message"] == "no message came for 1 s"
    assert headless["message"] == "no header message came in time"
    assert (limit["type"], limit["reason"]) == ("end", "limit")


def test_one_client_address_leaves_streams_to_others(start_server: Any, eventually: Any) -> None:
    with start_server(limits={"streams": 4}) as server, ExitStack() as held:

        def first_of(socket_: Any) -> Any:
            return json.loads(socket_.recv(timeout=10))

        one = ("127.0.0.2", 0)
        for _ in range(3):
            socket_ = held.enter_context(opened(server, HEADER, source_address=one))
            assert first_of(socket_)["type"] == "ready"
        with opened(server, HEADER, source_address=one) as socket_:
            refused = first_of(socket_)
            assert refused["error"] == "BusyError"
            assert "this client address has 3 streams" in refused["message"]
        with opened(server, HEADER, source_address=("127.0.0.3", 0)) as socket_:
            assert first_of(socket_)["type"] == "ready"
        held.close()

        # Behind the machine's own address stands, perhaps, a proxy for many.
        for _ in range(4):
            eventually(lambda: server.metric("oido_streams_open") < 4)
            socket_ = held.enter_context(opened(server, HEADER))
            assert first_of(socket_)["type"] == "ready"
        held.close()

        def is_ready() -> bool:
            with opened(server, HEADER) as socket_:
                return bool(first_of(socket_)["type"] == "ready")

        eventually(is_ready)  # as soon as the server knows that they have ended


def test_a_token_is_wanted_by_header_or_in_the_first_message(start_server: Any) -> None:
    token = "a-long-secret"
    with start_server(token=token) as server:
        right = {"Authorization": f"Bearer {token}"}
        for header, more in (
            ({**HEADER, "token": token}, {}),
            (HEADER, {"additional_headers": right}),
        ):
            with opened(server, header, **more) as socket_:
                assert json.loads(socket_.recv(timeout=10))["type"] == "ready"
        for header in (HEADER, {**HEADER, "token": "a-long-secreT"}):
            with opened(server, header) as socket_:
                (refused,) = messages(socket_)
                assert (refused["error"], socket_.close_code) == ("AccessError", 1008)

        def status(path: str, **headers: str) -> int:
            return httpx.get(server.address + path, headers=headers).status_code

        assert status("/v1/models") == 401
        assert status("/metrics") == 401
        assert status("/v1/models", Authorization="Bearer a-long-secreT") == 401
        assert status("/v1/models", Authorization="Basic a-long-secret") == 401
        assert status("/v1/models", **right) == status("/healthz") == status("/docs") == 200
        post = httpx.post(f"{server.address}/v1/classify", content=b"x")
        assert (post.status_code, post.json()["error"]) == (401, "AccessError")


def test_pages_of_others_may_not_use_a_server_without_a_token(server: Any) -> None:
    with pytest.raises(InvalidStatus), opened(server, HEADER, origin="https://example.org"):
        pass
    own = server.address
    with opened(server, HEADER, origin=own) as socket_:
        assert json.loads(socket_.recv(timeout=10))["type"] == "ready"

    def status(**headers: str) -> int:
        return httpx.get(f"{own}/v1/models", headers=headers).status_code

    assert status(Origin="https://example.org") == 403
    assert status(Origin="null") == 403
    assert status(Host="rebound.example.org") == 403
    assert status(Host="localhost:1234") == status(Origin=own) == status() == 200
