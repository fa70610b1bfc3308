# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, greedy or many: bounded time, bounded memory, and /healthz for others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

pytest.importorskip("websockets")

from websockets.sync.client import connect

from oido.server.connections import StreamConnection, _address_of
from tests.server.clients import END, HEADER, messages, opened
from tests.server.test_draining import raw
from tests.server.uploading import flac, post

Eventually = Callable[[Callable[[], bool]], None]

_GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_UPLOAD = b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nR"
_HALF = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "


def is_closed(sock: socket.socket) -> bool:
    """Whether the server has closed it; what came before is read."""
    sock.setblocking(False)
    try:
        while sock.recv(65_536):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


def is_healthy(server: Any) -> bool:
    return httpx.get(f"{server.address}/healthz", timeout=60).status_code == 200


@contextlib.contextmanager
def dripping(sockets: list[socket.socket]) -> Iterator[None]:
    """A byte on each, again and again."""
    ended = threading.Event()

    def drip() -> None:
        while not ended.wait(0.1):
            for sock in sockets:
                with contextlib.suppress(OSError):
                    sock.send(b"a")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_kept_connections_have_the_clock_of_new_ones(
    start_server: Any, eventually: Eventually
) -> None:
    with start_server(limits={"header_seconds": 1.0}) as server, contextlib.ExitStack() as stack:
        kept = [stack.enter_context(raw(server)) for _ in range(20)]
        for sock in kept:
            sock.sendall(_GET)
            assert sock.recv(1000).startswith(b"HTTP/1.1 200")
            sock.sendall(_HALF)
        unwanted = stack.enter_context(raw(server))  # a body that goes on after its answer
        unwanted.sendall(b"POST /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        unwanted.sendall(b"Content-Length: 1000000\r\n\r\na")
        assert unwanted.recv(1000).startswith(b"HTTP/1.1 404")
        with dripping([*kept, unwanted]):
            eventually(lambda: all(is_closed(sock) for sock in (*kept, unwanted)))
        assert is_healthy(server)


def test_a_kept_connection_serves_as_long_as_requests_come(start_server: Any) -> None:
    with start_server(limits={"header_seconds": 4.0}) as server, raw(server) as sock:
        started = time.monotonic()
        while time.monotonic() < started + 6:
            sock.sendall(_GET)
            answer = b""
            while not answer.endswith(b"}"):
                answer += sock.recv(1000)
            assert answer.startswith(b"HTTP/1.1 200")
            time.sleep(0.2)


def test_an_upload_that_stands_still_ends(start_server: Any) -> None:
    with start_server(limits={"pause_seconds": 0.5}) as server, raw(server) as sock:
        sock.sendall(_UPLOAD)
        answer = sock.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"nothing of the upload came for 0.5 s" in answer


_FORM = (
    b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' + b"--x\r\n" + bytes(8 << 20)
)
_FORM_HEAD = b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; "
_FORM_HEAD += b"boundary=x\r\n"


@pytest.mark.parametrize(
    ("head", "body", "status", "sentence"),
    [
        (
            _FORM_HEAD + b"Content-Length: %d\r\n\r\n" % len(_FORM),
            _FORM,
            400,
            b"something else than a file",
        ),
        (
            b"POST /v1/classify HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 8000000\r\n\r\n",
            bytes(8_000_000),
            413,
            b"larger than",
        ),
        (
            b"POST /v1/classify HTTP/1.1\r\nHost: elsewhere\r\nContent-Length: 8000000\r\n\r\n",
            bytes(8_000_000),
            403,
            b"is not called",
        ),
    ],
)
def test_an_upload_that_is_refused_has_its_answer_though_more_of_it_comes(
    start_server: Any, head: bytes, body: bytes, status: int, sentence: bytes
) -> None:
    limits = {"body_bytes": 1_000_000}
    with start_server(limits=limits if status == 413 else {}) as server, raw(server) as sock:
        sock.sendall(head)
        sock.sendall(body)  # as clients do that read nothing before they have sent all
        answer = sock.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert sentence in answer


def test_who_goes_on_sending_after_a_refusal_is_cut(start_server: Any) -> None:
    with start_server() as server, raw(server) as sock:
        sock.sendall(b"POST /v1/classify HTTP/1.1\r\nHost: elsewhere\r\n")
        sock.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
        begun = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - begun < 30:
                sock.sendall(b"1\r\nx\r\n")
                time.sleep(0.05)
        assert 3 < time.monotonic() - begun < 20
        assert is_healthy(server)


@pytest.mark.parametrize("token", [None, "a-long-secret"])
def test_health_is_answered_however_many_connections_are_open(
    start_server: Any, eventually: Eventually, token: str | None
) -> None:
    """From one address, without the token: idle ones give way to new ones."""
    limits = {"streams": 1, "address_connections": 40}
    with start_server(limits=limits, token=token) as server, contextlib.ExitStack() as stack:
        many = [stack.enter_context(raw(server)) for _ in range(300)]
        for sock in many:
            with contextlib.suppress(OSError):
                sock.sendall(_HALF)
        with dripping(many):
            assert all(is_healthy(server) for _ in range(20))
            eventually(lambda: sum(not is_closed(sock) for sock in many) <= 41)
            descriptors = len(os.listdir(f"/proc/{server.process.pid}/fd"))
    assert descriptors < 150


def test_busy_connections_leave_places_for_health_alone(
    start_server: Any, eventually: Eventually
) -> None:
    limits = {"streams": 1, "address_connections": 30}
    with start_server(limits=limits) as server, contextlib.ExitStack() as stack:
        busy = [stack.enter_context(raw(server)) for _ in range(31)]
        for sock in busy:
            sock.sendall(_UPLOAD)
        eventually(lambda: len(server.uploads()) == 31)
        assert is_healthy(server)
        assert "oido_requests" in httpx.get(f"{server.address}/metrics").text
        refused = post(server, flac(1))
        other = httpx.HTTPTransport(local_address="127.0.0.2")  # another client address
        with httpx.Client(transport=other, base_url=server.address, timeout=60) as client:
            assert client.get("/v1/models").status_code == 200
            assert client.post("/v1/classify?level=clip", content=flac(1)).status_code == 200
        with raw(server) as sock:
            sock.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n")
            sock.sendall(b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n")
            sock.sendall(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            stream = sock.recv(1000)
        crowd = [stack.enter_context(raw(server)) for _ in range(200)]
        for sock in crowd:
            with contextlib.suppress(OSError):
                sock.sendall(_HALF)
        assert is_healthy(server)
        assert (refused.status_code, refused.json()["error"]) == (503, "BusyError")
        assert "too many connections" in refused.json()["message"]
        assert refused.headers["x-content-type-options"] == "nosniff"
        assert stream.startswith(b"HTTP/1.1 503")
        for sock in busy:
            sock.close()
        eventually(lambda: post(server, flac(1)).status_code == 200)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("192.0.2.7", 4), "192.0.2.7"),
        (("2001:db8:1:2:3::4", 4, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 4, 0, 2), "fe80::/64"),
        (("::ffff:192.0.2.7", 4, 0, 0), "192.0.2.7"),
        ("/run/socket", ""),
        (None, ""),
    ],
)
def test_a_client_is_an_address_or_a_network(peer: object, address: str) -> None:
    assert _address_of(SimpleNamespace(get_extra_info=lambda _: peer)) == address  # type: ignore[arg-type]


def ask_wide(sock: socket.socket, recording: bytes) -> None:
    """For a minute, an answer of 14 MB: many labels of each window, and a long name in each row."""
    query = b"level=windows&top=100&name=" + b"%E2%82%AC" * 255
    sock.sendall(b"POST /v1/classify?%s HTTP/1.1\r\nHost: 127.0.0.1\r\n" % query)
    sock.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(recording), recording))


@pytest.mark.slow
def test_answers_that_nobody_reads_cost_a_file_and_then_nothing(
    start_server: Any, eventually: Eventually
) -> None:
    with start_server(limits={"send_seconds": 2.0}) as server, contextlib.ExitStack() as stack:
        assert post(server, flac(1)).status_code == 200
        before = server.memory_bytes()
        recording = flac(60)
        unread = [stack.enter_context(raw(server, 4096)) for _ in range(6)]
        for sock in unread:
            ask_wide(sock, recording)
        peak = 0

        def all_heard() -> bool:
            nonlocal peak
            peak = max(peak, server.memory_bytes())
            return bool(server.metric("oido_upload_audio_seconds_total") >= 1 + 6 * 60)

        deadline = time.monotonic() + 120
        while not all_heard():
            assert time.monotonic() < deadline
        # Each was cut when nothing of it had been read for 2 s; and its file is gone, too.
        eventually(lambda: open_answers(server) == 0)
        assert peak - before < 40e6, (before, peak)
        assert is_healthy(server)


def open_answers(server: Any) -> int:
    """Files without a name, where uploads and answers are."""
    count = 0
    for entry in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            link = os.readlink(entry)
            count += "/oido-serve-" in link and "#" in link
    return count


def test_a_large_answer_arrives_whole_at_a_slow_reader(start_server: Any) -> None:
    with start_server(limits={"send_seconds": 20.0}) as server, raw(server, 4096) as sock:
        ask_wide(sock, flac(30))
        sock.settimeout(60)
        received = bytearray()
        while b"\r\n\r\n" not in received or len(received) < wanted(received):
            piece = sock.recv(30_000)
            assert piece
            received += piece
            if len(received) < 500_000:
                time.sleep(0.02)
        rows = json.loads(bytes(received).partition(b"\r\n\r\n")[2])
        whole = httpx.post(
            f"{server.address}/v1/classify?level=windows&top=100&name={'%E2%82%AC' * 255}",
            content=flac(30),
            timeout=60,
        )
    assert rows == whole.json()
    assert len(rows) > 5_000


def wanted(received: bytearray) -> int:
    head = bytes(received).partition(b"\r\n\r\n")[0]
    length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
    return len(head) + 4 + int(length)


def test_more_large_answers_than_the_disk_may_hold_are_refused(
    start_server: Any, eventually: Eventually
) -> None:
    with start_server(limits={"answers_bytes": 2_000_000, "send_seconds": 3}) as server:
        with raw(server, 4096) as unread:
            ask_wide(unread, flac(60))
            assert unread.makefile("rb").read().startswith(b"HTTP/1.1 503")
        assert post(server, flac(1)).status_code == 200


def upgraded(server: Any, receive_bytes: int | None = None) -> socket.socket:
    sock = raw(server, receive_bytes)
    sock.sendall(
        b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        answer += sock.recv(1)
    assert answer.startswith(b"HTTP/1.1 101")
    return sock


def frame(kind: int, content: bytes) -> bytes:
    """A client's frame, masked with zeros."""
    size = len(content)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
    return bytes([kind]) + length + bytes(4) + content


_PING, _TEXT, _BYTES, _MORE = 0x89, 0x81, 0x82, 0x00


@pytest.mark.parametrize("with_header", [True, False])
def test_pings_without_end_are_refused(start_server: Any, with_header: bool) -> None:
    with start_server() as server, upgraded(server) as sock:
        if with_header:
            sock.sendall(frame(_TEXT, json.dumps(HEADER).encode()))
        pings, sent = frame(_PING, b"x" * 125) * 400, 0
        with contextlib.suppress(OSError):  # until the server has had enough
            while sent < 20_000_000:
                sock.sendall(pings)
                sent += len(pings)
        assert sent < 20_000_000
        assert is_healthy(server)


def test_pings_whose_pongs_are_not_read_cost_nothing(start_server: Any) -> None:
    with start_server(limits={"send_seconds": 3.0}) as server, upgraded(server, 4096) as sock:
        before = server.memory_bytes()
        sock.sendall(frame(_TEXT, json.dumps(HEADER).encode()))
        pings = frame(_PING, b"x" * 125) * 400 + frame(_BYTES, b"")
        peak, sent, started = 0, 0, time.monotonic()
        with contextlib.suppress(OSError):  # until the server has waited long enough
            while time.monotonic() < started + 60:
                sock.sendall(pings)
                sent += len(pings)
                peak = max(peak, server.memory_bytes())
        assert sent > 1_000_000  # more than sockets hold
        assert sent < 100_000_000
        assert peak - before < 20e6, (before, peak)
        assert is_healthy(server)


def test_pings_are_answered_to_a_client_that_reads(start_server: Any) -> None:
    with start_server() as server, opened(server, HEADER) as stream:
        assert json.loads(stream.recv(timeout=20))["type"] == "ready"
        for _ in range(50):
            assert stream.ping().wait(20)
        stream.send(bytes(64_000))
        stream.send(END)
        assert messages(stream)[-1]["windows"] == 4


@pytest.mark.slow
def test_a_message_of_very_many_pieces_is_its_bytes(start_server: Any) -> None:
    with start_server() as server, upgraded(server) as sock:
        sock.sendall(frame(_TEXT & 0x7F, json.dumps(HEADER).encode()[:9]))
        sock.sendall(frame(0x80, json.dumps(HEADER).encode()[9:]))
        sock.sendall(frame(_BYTES & 0x7F, b"\0"))
        for piece in (b"", b"\0", b""):
            sock.sendall(frame(_MORE, piece) * 9_999)
        sock.sendall(frame(0x80, b"") + frame(_TEXT, END.encode()))
        sock.settimeout(60)
        received = b""
        while piece := sock.recv(65_536):
            received += piece
    assert b'"type": "end"' in received
    assert b'"time": 0.3125,' in received  # 10,000 bytes are 5,000 samples


def test_pieces_are_not_kept_one_by_one() -> None:
    connection = object.__new__(StreamConnection)
    connection.frames = [b"a"]
    for data in (b"", b"b") * 1_000:
        connection.handle_cont(SimpleNamespace(data=data, fin=False))
    assert connection.frames == [b"a" + b"b" * 1_000]


def test_samples_go_to_the_stream_at_once_unless_something_waits_before_them() -> None:
    connection, accepted = object.__new__(StreamConnection), []
    connection.close_sent, connection.queue = False, asyncio.Queue()

    def offer(kind: str, waiting: bool = False, accepts: bool = True) -> bool:
        connection.curr_msg_data_type, connection.frames = kind, [b"ab"]  # type: ignore[assignment]
        connection.accept = lambda content: accepts and not accepted.append(content)
        if waiting:
            connection.queue.put_nowait({"type": "websocket.receive", "bytes": b"before"})
        return connection._is_accepted()

    assert offer("bytes")
    assert connection.frames == []
    assert not offer("text")
    assert not offer("bytes", accepts=False)
    assert connection.frames == [b"ab"]
    assert not offer("bytes", waiting=True)
    assert accepted == [b"ab"]


def test_a_client_of_tls_that_says_nothing_is_closed(
    start_server: Any, pem: tuple[Path, Path], eventually: Eventually
) -> None:
    trusting = ssl.create_default_context(cafile=str(pem[0]))
    settings = {"certificate": str(pem[0]), "key": str(pem[1])}
    limits = {"header_seconds": 1.0, "send_seconds": 2.0}
    with start_server(limits=limits, **settings) as server, contextlib.ExitStack() as stack:
        host, port = server.address.removeprefix("https://").split(":")
        silent = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in "abc"]
        silent[0].sendall(b"\x16\x03\x01")
        half = trusting.wrap_socket(
            socket.create_connection((host, int(port))), server_hostname="127.0.0.1"
        )
        stack.enter_context(half)
        half.sendall(_HALF)
        eventually(lambda: all(is_closed(sock) for sock in silent))
        half.settimeout(20)
        with contextlib.suppress(ssl.SSLError, OSError):
            assert half.recv(10) == b""
        assert httpx.get(f"{server.address}/healthz", verify=trusting).status_code == 200


def test_a_kept_connection_of_tls_lasts_as_long_as_answers_are_taken(
    start_server: Any, pem: tuple[Path, Path]
) -> None:
    """Its handshake writes, too, and what has been taken must not be waited for."""
    trusting = ssl.create_default_context(cafile=str(pem[0]))
    settings = {"certificate": str(pem[0]), "key": str(pem[1])}
    limits = {"send_seconds": 1.0}
    with start_server(limits=limits, **settings) as server:
        host, port = server.address.removeprefix("https://").split(":")
        with trusting.wrap_socket(
            socket.create_connection((host, int(port))), server_hostname="127.0.0.1"
        ) as kept:
            kept.settimeout(20)
            started = time.monotonic()
            while time.monotonic() < started + 2.5:
                kept.sendall(_GET)
                answer = b""
                while not answer.endswith(b"}"):
                    answer += (piece := kept.recv(1000))
                    assert piece
                time.sleep(0.1)


def test_clocks_of_a_connection_end_where_it_becomes_a_stream(
    start_server: Any, pem: tuple[Path, Path]
) -> None:
    """One that is left finds a connection of TLS that is gone, and prints a defect."""
    trusting = ssl.create_default_context(cafile=str(pem[0]))
    settings = {"certificate": str(pem[0]), "key": str(pem[1])}
    limits = {"header_seconds": 0.5, "send_seconds": 0.5}
    with start_server(limits=limits, **settings) as server:
        for _ in range(3):
            with connect(server.stream_address, ssl=trusting) as stream:
                stream.send(json.dumps(HEADER))
                assert json.loads(stream.recv(timeout=20))["type"] == "ready"
        time.sleep(1.0)
        assert httpx.get(f"{server.address}/healthz", verify=trusting).status_code == 200
        assert (server.folder / "stderr").read_text() == ""


def test_a_client_that_reads_and_writes_in_two_threads_gets_no_tickets(
    start_server: Any, pem: tuple[Path, Path]
) -> None:
    trusting = ssl.create_default_context(cafile=str(pem[0]))
    with start_server(certificate=str(pem[0]), key=str(pem[1])) as server:
        host, port = server.address.removeprefix("https://").split(":")
        with trusting.wrap_socket(
            socket.create_connection((host, int(port))), server_hostname="127.0.0.1"
        ) as client:
            client.settimeout(20)
            client.sendall(_GET)
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
            assert client.version() == "TLSv1.3"
            session = client.session
            assert session is None or not session.has_ticket
