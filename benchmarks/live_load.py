# SPDX-License-Identifier: Apache-2.0
"""A bounded load of real-time streams, by one small process: what `benchmarks/live.py` starts.

    python benchmarks/live_load.py '{"port": 8000, "streams": 100, "seconds": 10, …}'

Prints a line of JSON. It speaks just as much WebSocket as it needs, so that the machine is left to
the server: a message is masked with zeros, and of what comes only lengths and types are read.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import resource
import sys
import time
from typing import Any

import soundfile

RATE_HZ, WINDOW, HOP = 16_000, 15_600, 7_680


class Stream(asyncio.Protocol):
    """One client: sends sound at its own pace, notes when each window is told."""

    def __init__(self, load: dict[str, Any], sound: bytes, number: int) -> None:
        self._load, self._sound = load, sound
        self._step = load["message_samples"]
        self._offset = number * 3_201 * 2 % (len(sound) // 2)
        self._received = b""
        self._is_open = False
        self._sent = 0
        self._times: list[tuple[int, float]] = []
        """Samples sent so far, and when."""
        self._at = 0
        self.late: list[float] = []
        """Seconds from each window's last sample, when it was sent, to its message; at the level of
        events, from a stream's end to the message that all of it was predicted."""
        self._is_windows = load["header"]["level"] == "windows"
        self._finished, self.n_windows = 0.0, 0
        self.is_over = asyncio.Event()
        self.dropped = 0
        self.problem = ""
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(
            f"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{self._load['port']}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._is_open:
            _, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            self._is_open, self._received = True, rest
            header = {"version": 1, "sample_rate": RATE_HZ, **self._load["header"]}
            if header["level"] == "windows":
                header["top"] = 5
            self._transport.write(frame(0x81, json.dumps(header).encode()))
        now = time.monotonic()
        while (next_one := self._next()) is not None:
            is_binary, message = next_one
            kind = message[:20]
            if is_binary or (self._is_windows and kind.startswith(b'{"type": "rows"')):
                self._told(now)
            elif kind.startswith(b'{"type": "end"'):
                self.late.append(now - self._finished)
                self.n_windows = json.loads(message)["windows"]
                self.is_over.set()
            elif kind.startswith(b'{"type": "ready"'):
                self.ready.set_result(None)
            elif kind.startswith(b'{"type": "dropped"'):
                self.dropped += json.loads(message).get("windows", 0)
            elif kind.startswith(b'{"type": "error"'):
                self.problem = json.loads(message)["message"]

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(self.problem or "refused"))

    def send(self) -> None:
        """The next samples: the first message is up to the end of the first window."""
        samples = self._step if self._sent else WINDOW
        start = (self._offset + 2 * self._sent) % (len(self._sound) // 2)
        self._transport.write(frame(0x82, self._sound[start : start + 2 * samples]))
        self._sent += samples
        self._times.append((self._sent, time.monotonic()))

    def finish(self) -> None:
        """Say that it is the end."""
        self._finished = time.monotonic()
        self._transport.write(frame(0x81, b'{"type": "end"}'))

    def _told(self, now: float) -> None:
        last_sample = WINDOW + len(self.late) * HOP
        while self._at < len(self._times) - 1 and self._times[self._at][0] < last_sample:
            self._at += 1
        self.late.append(now - self._times[self._at][1])

    def _next(self) -> tuple[bool, bytes] | None:
        """Whether it is binary, and what is in it."""
        data = self._received
        if len(data) < 2:
            return None
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
        elif length == 127:
            length, start = int.from_bytes(data[2:10], "big"), 10
        if len(data) < start + length:
            return None
        self._received = data[start + length :]
        if data[0] == 0x89:  # a ping
            self._transport.write(frame(0x8A, data[start : start + length]))
        return data[0] == 0x82, data[start : start + length]


def frame(kind: int, payload: bytes) -> bytes:
    """A client's message, masked with zeros."""
    length = len(payload)
    if length < 126:
        head = bytes([kind, 0x80 | length])
    elif length < 1 << 16:
        head = bytes([kind, 0xFE]) + length.to_bytes(2, "big")
    else:
        head = bytes([kind, 0xFF]) + length.to_bytes(8, "big")
    return head + b"\0\0\0\0" + payload


async def run(load: dict[str, Any]) -> dict[str, Any]:
    """All streams, for so many seconds of sound."""
    samples, rate = soundfile.read(load["sound"], dtype="int16", always_2d=True)
    assert rate == RATE_HZ
    sound = samples[:, 0].tobytes() * 2
    sound += sound[: 4 * RATE_HZ]
    loop = asyncio.get_running_loop()
    streams = []
    for number in range(load["streams"]):
        _, stream = await loop.create_connection(
            lambda number=number: Stream(load, sound, number), "127.0.0.1", load["port"]
        )
        streams.append(stream)
        await stream.ready
    rng, every = random.Random(1), load["message_samples"] / RATE_HZ
    begins = loop.time() + 0.2
    ends = begins + load["seconds"]

    async def play(stream: Stream) -> None:
        due = begins + rng.random() * every
        while due < ends:
            await asyncio.sleep(max(0.0, due - loop.time()))
            stream.send()
            due += every

    used = resource.getrusage(resource.RUSAGE_SELF)
    started = time.monotonic()
    await asyncio.gather(*(play(stream) for stream in streams))
    seconds = time.monotonic() - started
    is_events = load["header"]["level"] == "events"
    if is_events:
        for stream in streams:
            stream.finish()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(
                asyncio.gather(*(stream.is_over.wait() for stream in streams)), 30.0
            )
    await asyncio.sleep(1.0)
    after = resource.getrusage(resource.RUSAGE_SELF)
    late = sorted(value for stream in streams for value in stream.late)
    # A stream that has ended has a last window that may be padded.
    windows = sum((s._sent - WINDOW + is_events * (HOP - 1)) // HOP + 1 for s in streams)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {
        "windows": windows,
        "told": sum(stream.n_windows for stream in streams) if is_events else len(late),
        "dropped": sum(stream.dropped for stream in streams),
        "problems": sorted({stream.problem for stream in streams} - {""}),
        "late": {str(q): _quantile(late, q) for q in (0.5, 0.95, 0.99)},
        "load_cpu": cpu / seconds,
    }


def _quantile(values: list[float], q: float) -> float:
    return values[min(len(values) - 1, int(q * len(values)))] if values else math.inf


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(json.loads(sys.argv[1])))))
