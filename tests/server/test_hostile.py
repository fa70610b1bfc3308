# SPDX-License-Identifier: Apache-2.0
"""Clients that mean harm, or know no better: bombs, lies, slow uploads, a stop under load."""

from __future__ import annotations

import contextlib
import gzip
import io
import socket
import struct
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

pytest.importorskip("websockets")

from tests.server.clients import END, HEADER, messages, opened, streamed

_TEN_GB = 10_000_000_000


def wav(seconds: float = 1.0) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(int(16_000 * seconds), np.int16), 16_000, format="WAV")
    return file.getvalue()


def raw(server: Any) -> socket.socket:
    host, port = server.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=20)


def post(server: Any, content: bytes, **more: Any) -> httpx.Response:
    return httpx.post(
        f"{server.address}/v1/classify?level=clip", content=content, timeout=60, **more
    )


def test_a_request_that_announces_ten_gigabytes_is_refused_before_they_come(server: Any) -> None:
    with raw(server) as sock:
        head = f"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {_TEN_GB}\r\n\r\n"
        sock.sendall(head.encode())
        answer = sock.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"larger than 4 MB" in answer


def lying_wav() -> bytes:
    """One second of samples; the header says that there are four gigabytes."""
    honest = bytearray(wav())
    honest[4:8] = struct.pack("<I", 0xFFFFFFF0)
    at = honest.index(b"data") + 4
    honest[at : at + 4] = struct.pack("<I", 0xFFFFFFF0)
    return bytes(honest)


def lying_rf64() -> bytes:
    """One second of samples; the header of RF64 says that there are ten gigabytes."""
    samples = wav()[44:]
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, _TEN_GB, _TEN_GB, _TEN_GB // 2, 0)
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    data = b"data" + struct.pack("<I", 0xFFFFFFFF) + samples
    return b"RF64" + struct.pack("<I", 0xFFFFFFFF) + b"WAVE" + ds64 + form + data


def lying_flac() -> bytes:
    """One second of samples; the header says that there are 2³⁶ − 1."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros(16_000, np.int16), 16_000, format="FLAC")
    content = bytearray(file.getvalue())
    at = 8 + 13  # the stream's facts begin behind 8 bytes; the count is its bits 108 to 143
    content[at] |= 0x0F
    content[at + 1 : at + 5] = b"\xff" * 4
    return bytes(content)


@pytest.mark.parametrize("lie", [lying_wav, lying_rf64, lying_flac])
def test_a_header_that_claims_gigabytes_costs_none(server: Any, lie: Callable[[], bytes]) -> None:
    before = server.memory_bytes()
    answer = post(server, lie())

    assert answer.status_code in (200, 422)
    if answer.status_code == 200:
        assert answer.headers["oido-duration"] == "1.000000"
        assert answer.json()[0]["label"] == "Silence"
    assert server.memory_bytes() - before < 20e6
    assert post(server, wav()).status_code == 200


def test_archives_and_compressed_bodies_are_not_unpacked(server: Any) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.wav", wav(1_000))  # 32 MB in 32 kB
    zipped = post(server, packed.getvalue())
    coded = post(server, gzip.compress(wav(1_000)), headers={"Content-Encoding": "gzip"})

    assert (zipped.status_code, zipped.json()["error"]) == (422, "UnknownFormatError")
    assert (coded.status_code, coded.json()["error"]) == (415, "ProtocolError")
    assert server.uploads() == []


def test_garbage_frames_end_one_connection(server: Any) -> None:
    rng = np.random.default_rng(5)
    with opened(server, HEADER) as good:
        good.recv(timeout=10)
        for _ in range(20):
            with opened(server, HEADER) as bad:
                bad.recv(timeout=10)
                with contextlib.suppress(OSError):
                    bad.socket.sendall(rng.bytes(5_000))  # behind WebSocket's back
                messages(bad)
        good.send(bytes(64_000))
        good.send(END)
        assert messages(good)[-1]["windows"] == 4


def test_two_hundred_slow_uploads_hold_nobody_up(
    start_server: Any, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    with start_server(limits={"upload_seconds": 2.5}) as server, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(raw(server)) for _ in range(200)]
        head = b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nR"
        for sock in slow:
            sock.sendall(head)
        eventually(lambda: len(server.uploads()) == 200)
        for sock in slow:
            sock.sendall(b"I")

        assert post(server, wav()).status_code == 200
        assert streamed(server, HEADER, [bytes(64_000)])[-1]["windows"] == 4
        for sock in slow:
            assert sock.recv(100).startswith(b"HTTP/1.1 408")
        eventually(lambda: server.uploads() == [])


def test_a_stop_under_load_answers_everybody(start_server: Any, street: Any) -> None:
    content = street.read_bytes()
    limits = {"streams": 32, "drain_seconds": 60}  # however slow the machine
    with start_server(limits=limits) as server, ThreadPoolExecutor(26) as pool:

        def stream(number: int) -> dict[str, Any]:
            # Without a limit the client reads while it sends, as a good client does.
            with opened(server, {**HEADER, "top": 1}, max_queue=None) as sock:
                with contextlib.suppress(Exception):  # until the server says that it ends
                    for _ in range(2_000):
                        sock.send(bytes(3_200))
                        time.sleep(0.005)
                return messages(sock)[-1]

        streams = [pool.submit(stream, number) for number in range(20)]
        requests = [pool.submit(post, server, content) for _ in range(4)]
        begun: set[Any] = set()
        while server.metric("oido_streams_open") < 20 or len(begun) < 4:
            begun |= {*server.uploads()} | {r for r in requests if r.done()}
            time.sleep(0.002)
        assert server.stop() == 0
        ends = [one.result() for one in streams]
        answers = [one.result() for one in requests]

        assert {(end["type"], end.get("reason")) for end in ends} == {("end", "shutdown")}, ends
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert 200 in {answer.status_code for answer in answers}
        assert list(server.folder.glob("oido-serve-*")) == []


def test_a_client_that_goes_on_sending_gets_the_last_message(start_server: Any) -> None:
    """What it sends is never read; were the connection cut, its system would drop what came."""
    with start_server() as server, ThreadPoolExecutor(6) as pool:

        def flood(number: int) -> dict[str, Any]:
            with opened(server, {**HEADER, "top": 1}, max_queue=None) as sock:
                with contextlib.suppress(Exception):
                    while True:
                        sock.send(bytes(64_000))
                return messages(sock)[-1]

        floods = [pool.submit(flood, number) for number in range(6)]
        while server.metric("oido_streams_open") < 6:
            time.sleep(0.002)
        time.sleep(0.5)  # until the buffers between are full
        assert server.stop() == 0
        ends = [one.result() for one in floods]
    assert {(end["type"], end.get("reason")) for end in ends} == {("end", "shutdown")}


@pytest.mark.slow
def test_an_hour_of_sound_leaves_memory_as_it_was(start_server: Any) -> None:
    """An hour in one stream, as fast as it is heard."""
    minute = np.random.default_rng(1).normal(0, 2_000, 16_000 * 60).astype("<i2").tobytes()
    header, memory = {**HEADER, "top": 1}, []
    with start_server() as server, opened(server, header, ping_interval=None) as sock:
        sock.recv(timeout=10)
        for _ in range(60):
            for start in range(0, len(minute), 320_000):
                sock.send(minute[start : start + 320_000])
                with contextlib.suppress(TimeoutError):
                    while True:
                        sock.recv(timeout=0)
            memory.append(server.memory_bytes())
        sock.send(END)
        end = messages(sock)[-1]

    assert (end["time"], end["windows"]) == (3600.0, 7_499)
    assert max(memory[10:]) - memory[5] < 15e6
