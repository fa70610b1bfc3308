# SPDX-License-Identifier: Apache-2.0
"""Clients of a stream, as tests need them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import soundfile
from numpy.typing import NDArray
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

HEADER = {"version": 1, "sample_rate": 16_000, "channels": 1, "encoding": "s16le"}
END = json.dumps({"type": "end"})


@contextmanager
def opened(server: Any, header: dict[str, Any] | str, **more: Any) -> Iterator[ClientConnection]:
    with connect(server.stream_address, compression=None, max_size=None, **more) as socket_:
        socket_.send(header if isinstance(header, str) else json.dumps(header))
        yield socket_


def messages(socket_: ClientConnection) -> list[dict[str, Any]]:
    """All that is still to come, until the close."""
    found = []
    try:
        while True:
            found.append(json.loads(socket_.recv(timeout=30)))
    except ConnectionClosed:
        return found


def streamed(server: Any, header: dict[str, Any], pieces: Iterable[bytes]) -> list[dict[str, Any]]:
    with opened(server, header) as socket_:
        for piece in pieces:
            socket_.send(piece)
        socket_.send(END)
        found = messages(socket_)
        assert socket_.close_code == 1000
    return found


def rows_of(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for message in found if message["type"] == "rows" for row in message["rows"]]


def file_rows(server: Any, samples: NDArray[Any], rate_hz: int, query: str) -> list[dict[str, Any]]:
    """What the same samples give as a file, under the name that rows give a stream."""
    file = io.BytesIO()
    kind = "PCM_16" if samples.dtype == np.int16 else "FLOAT"
    soundfile.write(file, samples, rate_hz, kind, format="WAV")
    answer = httpx.post(
        f"{server.address}/v1/classify{query}", content=file.getvalue(), timeout=60
    ).raise_for_status()
    return [{**row, "file": "<stream>"} for row in answer.json()]


def pieces_of(samples: NDArray[Any], *sizes: int) -> Iterator[bytes]:
    start, number = 0, 0
    while start < len(samples):
        size = sizes[number % len(sizes)]
        yield samples[start : start + size].tobytes()
        start, number = start + size, number + 1
