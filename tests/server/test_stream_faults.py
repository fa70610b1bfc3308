# SPDX-License-Identifier: Apache-2.0
"""WS /v1/stream with clients that do what they should not, and a server that is stopped."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import numpy as np
import pytest

pytest.importorskip("websockets")
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.server.clients import END, HEADER, messages, opened, streamed


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("no JSON", "this is no JSON"),
        ("[1]", "must be a JSON object"),
        ("[" * 100_000, "this is no JSON"),
        ({}, "version 1"),
        ({**HEADER, "version": 2}, "version 1, not 2"),
        ({**HEADER, "version": True}, "version 1"),
        ({"version": 1}, "sample_rate must be a whole number"),
        ({**HEADER, "sample_rate": 0}, "from 1000 to 384000"),
        ({**HEADER, "sample_rate": 1e9}, "from 1000 to 384000"),
        ({**HEADER, "channels": 1000}, "channels must be"),
        ({**HEADER, "encoding": "mp3"}, "s16le, f32le"),
        ({**HEADER, "encoding": ["s16le"]}, "s16le, f32le"),
        ({**HEADER, "level": "clip"}, "level must be one of windows, events"),
        ({**HEADER, "hop": "often"}, "hop must be a number"),
        ({**HEADER, "top": 0}, "1 or more"),
        ({**HEADER, "level": "events", "top": 3}, "top is for windows"),
        ({**HEADER, "allow": "Speech"}, "must be a list"),
        ({**HEADER, "allow": ["Meouw"]}, "Meow"),
        ({**HEADER, "model": "other"}, "has no model 'other'"),
        ({**HEADER, "chanels": 1}, "there is no option 'chanels'"),
    ],
)
def test_a_wrong_header_is_told_once(server: Any, header: dict[str, Any] | str, words: str) -> None:
    with opened(server, header) as socket_:
        (error,) = messages(socket_)
        assert socket_.close_code == 1008

    assert error["type"] == "error"
    assert words in error["message"]


def test_what_is_wrong_midway_is_told_once(server: Any) -> None:
    def last(*sent: bytes | str, encoding: str = "s16le") -> tuple[str, str, int | None]:
        with opened(server, {**HEADER, "encoding": encoding}) as socket_:
            for message in sent:
                socket_.send(message)
            found = messages(socket_)[-1]
            return found["error"], found["message"], socket_.close_code

    with connect(server.stream_address) as socket_:
        socket_.send(b"sound before its header")
        (early,) = messages(socket_)
    odd = last(b"\0\0\0")
    text = last("louder please")
    nan = last(np.full(16_000, np.nan, np.float32).tobytes(), encoding="f32le")
    loud = last(np.full(16_000, 1e30, np.float32).tobytes(), encoding="f32le")
    nothing = last(END)

    assert early["message"] == "the first message must be a JSON object"
    assert odd == (
        "ProtocolError",
        "a binary message must hold whole frames of 2 bytes, and this one has 3",
        1008,
    )
    assert (text[0], text[2]) == ("ProtocolError", 1008)
    assert nan[0] == loud[0] == "InvalidSamplesError"
    assert (nan[2], loud[2]) == (1007, 1007)
    assert "<stream>: has NaN" in nan[1]
    assert (nothing[0], nothing[2]) == ("EmptyAudioError", 1007)


def test_a_message_that_is_too_large_closes(server: Any) -> None:
    with opened(server, HEADER) as socket_:
        with suppress(ConnectionClosed):
            socket_.send(bytes(4 << 20))
        found = messages(socket_)
        # 1006 where the rest of the message, which nobody reads, cuts the close off.
        assert socket_.close_code in (1009, 1006)
    assert {message["type"] for message in found} <= {"ready"}


def test_clients_that_vanish_leave_nothing(
    server: Any, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    for _ in range(5):
        with opened(server, HEADER) as socket_:
            socket_.recv(timeout=10)
            socket_.send(bytes(320_000))
            socket_.socket.shutdown(socket.SHUT_RDWR)  # no close message

    eventually(lambda: server.metric("oido_streams_open") == 0)
    assert streamed(server, HEADER, [bytes(64_000)])[-1]["windows"] == 4


def test_a_fast_client_is_slowed_and_memory_stays_flat(server: Any) -> None:
    header = {**HEADER, "sample_rate": 192_000, "channels": 2, "encoding": "f32le", "top": 1}
    streamed(server, header, [bytes(768_000)])
    before = server.memory_bytes()
    sent, most = 0, 0
    with opened(server, header) as socket_:
        for _ in range(120):  # two minutes, 184 MB
            socket_.send(bytes(768_000))
            socket_.send(bytes(768_000))
            sent += 1
            most = max(most, server.memory_bytes())
        socket_.send(END)
        found = messages(socket_)

    assert found[-1]["time"] == sent
    assert found[-1]["windows"] == len([m for m in found if m["type"] == "rows"])
    assert most - before < 40e6


def test_a_slow_reader_gets_a_coarser_hop_and_is_told(
    server: Any, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    heard = "oido_stream_audio_seconds_total"
    heard_before = server.metric(heard)
    header = {**HEADER, "top": 521}  # 70 kB a window
    n_windows = 1 + (16_000 * 90 - 15_600) // 7_680 + 1
    with socket.socket() as raw:
        # A small buffer, so that the little that is not read is all that the system keeps.
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        host, port = server.address.removeprefix("http://").split(":")
        raw.connect((host, int(port)))
        with opened(server, header, sock=raw, max_queue=1) as socket_:
            for _ in range(90):
                socket_.send(bytes(32_000))
            socket_.send(END)
            # Nothing is read until all is heard: the server does not wait for this client.
            eventually(lambda: server.metric(heard) - heard_before > 89)
            found = messages(socket_)
            assert socket_.close_code == 1000

    told = [m for m in found if m["type"] == "rows"]
    dropped = [m for m in found if m["type"] == "dropped"]
    assert found[-1]["windows"] == n_windows
    assert len(told) + found[-1]["dropped"] == n_windows
    assert sum(m["windows"] for m in dropped) == found[-1]["dropped"] > 0
    assert max(m["hop"] for m in dropped) >= 0.96
    assert all(m["start_time"] < m["end_time"] for m in dropped)
    times = [m["time"] for m in told]
    assert times == sorted(set(times))


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
