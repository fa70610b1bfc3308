# SPDX-License-Identifier: Apache-2.0
"""What waits for a slow client: little, in order, and every window told or counted."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette")

from oido.params import Windowing
from oido.server.sessions import _CAPACITY, Outbox
from tests.asynchronous import run_async

WINDOWING = Windowing(16_000, 15_600, 7_680)


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
        outbox = Outbox(asyncio.get_running_loop(), WINDOWING)
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
        outbox = Outbox(asyncio.get_running_loop(), WINDOWING)
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
        outbox = Outbox(asyncio.get_running_loop(), WINDOWING)
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
        outbox = Outbox(asyncio.get_running_loop(), WINDOWING)
        for _ in range(_CAPACITY + 5):
            outbox.push_events('{"type": "rows"}', 2)
        outbox.close()
        return await taken(outbox), outbox.dropped

    found, dropped = run_async(run())
    assert dropped == 10
    assert [m for m in found if m["type"] == "dropped"] == [{"type": "dropped", "events": 10}]
    assert len(found) == _CAPACITY + 1
