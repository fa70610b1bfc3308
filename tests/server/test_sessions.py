# SPDX-License-Identifier: Apache-2.0
"""One stream: slowed when it is too fast, told when windows are left out, gone with its client."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import oido
from oido.models.registry import DEFAULT_MODEL
from oido.params import Windowing
from oido.server.model_store import ModelStore, ServedModel
from oido.server.protocol import read_header
from oido.server.sessions import _CAPACITY, LoopCalls, Outbox, Session
from oido.server.settings import Settings
from tests.asynchronous import run_async
from tests.server.clients import END, HEADER, messages, opened, rows_of, streamed

pytest.importorskip("websockets")

WINDOWING = Windowing(16_000, 15_600, 7_680)


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
    store = ModelStore(Settings((DEFAULT_MODEL,), workers=1))
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
        ({"level": "events", "results": "binary"}, "binary results are for windows"),
        ({"allow": ["Meouw"]}, "Meow"),
    ):
        with pytest.raises(oido.OidoError, match=told):
            run_async(work(**options))


async def taken(outbox: Outbox, most: int | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while (most is None or len(found) < most) and (text := await outbox.next()) is not None:
        found.append(json.loads(text))
    return found


def put(outbox: Outbox, *numbers: int) -> None:
    for number in numbers:
        outbox.push_window(number, json.dumps({"type": "rows", "window": number}))


def test_a_quick_client_gets_everything() -> None:
    async def run() -> list[dict[str, Any]]:
        outbox = Outbox(LoopCalls(asyncio.get_running_loop()), WINDOWING)
        found = []
        for number in range(200):
            put(outbox, number)
            found += await taken(outbox, 1)
        outbox.close()
        assert outbox.dropped == 0
        return found + await taken(outbox)

    assert [m["window"] for m in run_async(run())] == list(range(200))


def test_a_client_that_takes_nothing_costs_nothing_more() -> None:
    async def run() -> tuple[list[dict[str, Any]], int]:
        outbox = Outbox(LoopCalls(asyncio.get_running_loop()), WINDOWING)
        put(outbox, *range(100_000))
        assert len(outbox._waiting) <= _CAPACITY
        outbox.close()
        return await taken(outbox), outbox.dropped

    found, dropped = run_async(run())
    told = [m["window"] for m in found if m["type"] == "rows"]
    notices = [m for m in found if m["type"] == "dropped"]
    assert told == sorted(told)
    assert {window % 32 for window in told} == {0}
    assert len(told) + dropped == 100_000
    assert sum(m["windows"] for m in notices) == dropped
    assert notices[0] == {
        "type": "dropped",
        "windows": dropped,
        "start_time": 0.48,
        "end_time": 48_000.495,
        "hop": 15.36,
    }


def test_the_hop_becomes_fine_again_and_that_is_told() -> None:
    async def run() -> list[dict[str, Any]]:
        outbox = Outbox(LoopCalls(asyncio.get_running_loop()), WINDOWING)
        put(outbox, *range(_CAPACITY + 1))
        found = await taken(outbox, 1)
        for number in range(_CAPACITY + 1, 400):
            put(outbox, number)
            while outbox._waiting:
                found += await taken(outbox, 1)
        outbox.close()
        return found + await taken(outbox)

    found = run_async(run())
    assert [m["hop"] for m in found if m["type"] == "dropped"] == [0.96, 0.48]
    told = np.array([m["window"] for m in found if m["type"] == "rows"])
    steps = np.diff(told).tolist()
    assert steps == sorted(steps, reverse=True)
    assert set(steps) == {1, 2}
    assert told[-1] == 399


def test_events_without_room_are_counted() -> None:
    async def run() -> tuple[list[dict[str, Any]], int]:
        outbox = Outbox(LoopCalls(asyncio.get_running_loop()), WINDOWING)
        for _ in range(_CAPACITY + 5):
            outbox.push_events('{"type": "rows"}', 2)
        outbox.close()
        return await taken(outbox), outbox.dropped

    found, dropped = run_async(run())
    assert dropped == 10
    assert [m for m in found if m["type"] == "dropped"] == [{"type": "dropped", "events": 10}]
    assert len(found) == _CAPACITY + 1


class FakeWire:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.is_writable = True
        self.windows: list[int] = []

    def write_text(self, text: str) -> None:
        self.windows.append(json.loads(text)["window"])

    def write_bytes(self, content: bytes) -> None:
        self.windows.append(content[0])


def test_what_can_be_written_at_once_wakes_no_task_and_keeps_its_order() -> None:
    async def settle() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def run() -> None:
        outbox, wire = Outbox(LoopCalls(asyncio.get_running_loop()), WINDOWING), FakeWire()
        outbox.wire = wire
        reading = asyncio.create_task(outbox.next())
        await settle()
        put(outbox, 0, 1)
        await settle()
        put(outbox, 2)
        await settle()
        assert (wire.windows, reading.done()) == ([0, 1, 2], False)
        wire.is_writable = False
        put(outbox, 3)
        assert json.loads(await reading or "")["window"] == 3
        reading = asyncio.create_task(outbox.next())
        await settle()
        wire.is_writable = True
        put(outbox, 4)
        outbox.push_window(5, bytes([5]))
        outbox.close()
        assert await reading is None
        assert wire.windows == [0, 1, 2, 4, 5]

    run_async(asyncio.wait_for(run(), 60))


def test_a_loop_is_woken_once_for_calls_that_come_together() -> None:
    woken: list[Callable[[], None]] = []
    done: list[int] = []
    loop: Any = SimpleNamespace(call_soon_threadsafe=woken.append, call_soon=lambda call: call())
    calls = LoopCalls(loop)
    for number in range(3):
        calls.call(lambda number=number: done.append(number))
    assert (len(woken), done) == (1, [])
    woken.pop()()
    assert done == [0, 1, 2]
    calls.call(lambda: done.append(3))
    woken.pop()()
    assert done == [0, 1, 2, 3]
