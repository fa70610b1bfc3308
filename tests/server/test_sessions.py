# SPDX-License-Identifier: Apache-2.0
"""One stream: slowed when it is too fast, told when windows are left out, gone with its client."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import oido
from oido.models.registry import DEFAULT_MODEL
from oido.server.model_store import ModelStore, ServedModel
from oido.server.protocol import read_header
from oido.server.sessions import Session
from tests.asynchronous import run_async
from tests.server.clients import END, HEADER, messages, opened, rows_of, streamed

pytest.importorskip("websockets")


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


@pytest.fixture(scope="module")
def served(own_cache: Path) -> Iterator[ServedModel]:
    store = ModelStore((DEFAULT_MODEL,), None, 1)
    yield store.find(None)
    store.close()


def heard(
    served: ServedModel, options: dict[str, Any], samples: NDArray[Any], end: str = "end"
) -> tuple[list[dict[str, Any]], list[float]]:
    """The messages of a stream of these samples, and the seconds that were counted."""
    seconds: list[float] = []

    async def work() -> list[dict[str, Any]]:
        session = Session(read_header(json.dumps({**HEADER, **options})), served, seconds.append)
        found: list[dict[str, Any]] = []

        async def read() -> None:
            while (text := await session.outbox.next()) is not None:
                found.append(json.loads(text))

        reading = asyncio.create_task(read())
        for start in range(0, len(samples), 4_001):
            assert await session.push(samples[start : start + 4_001])
        session.end(end)
        await reading
        assert not await session.push(samples[:10])
        return [*found, json.loads(session.last_message())]

    return run_async(asyncio.wait_for(work(), 120)), seconds


def test_rows_of_a_session_are_those_of_the_recording(
    served: ServedModel, street_samples: NDArray[np.int16], classifier: oido.AudioClassifier
) -> None:
    found, seconds = heard(served, {"level": "events"}, street_samples)
    rows = rows_of(found)
    events = classifier.classify(street_samples, 16_000).events()
    assert sorted((r["start_time"], r["end_time"], r["label"]) for r in rows) == sorted(
        (round(e.start_time, 6), round(e.end_time, 6), e.label) for e in events
    )
    assert found[-1] == {"type": "end", "reason": "end", "time": 30.0, "windows": 62, "dropped": 0}
    assert sum(seconds) == pytest.approx(30.0)
    assert {row["file"] for row in rows} == {"<stream>"}


@pytest.mark.parametrize(("reason", "kind"), [("end", "error"), ("shutdown", "end")])
def test_a_stream_that_the_server_ends_may_be_empty(
    served: ServedModel, reason: str, kind: str
) -> None:
    found, _ = heard(served, {}, np.zeros(0, np.int16), reason)
    (last,) = found
    assert last["type"] == kind
    assert last.get("error", last.get("reason")) == (
        "EmptyAudioError" if kind == "error" else "shutdown"
    )


def test_options_that_a_stream_cannot_have_are_refused_at_once(served: ServedModel) -> None:
    async def work(**options: Any) -> None:
        Session(read_header(json.dumps({**HEADER, **options})), served)

    for options, told in (
        ({"level": "events", "top": 3}, "top is for windows"),
        ({"hop": 0.123}, "the nearest is 0.12"),
        ({"allow": ["Meouw"]}, "Meow"),
    ):
        with pytest.raises(oido.OidoError, match=told):
            run_async(work(**options))
