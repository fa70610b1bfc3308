# SPDX-License-Identifier: Apache-2.0
"""Three floods against a real `oido serve`: what they cost it, and whether others are answered.

    python benchmarks/server_floods.py                  # about five minutes on two cores
    python benchmarks/server_floods.py --seconds 20 --duration 600 drip pings

drip: 575 connections that each had an answer, and then get a byte of their next request every 3 s.
unread: 8 uploads with answers of some 180 MB each, of which nothing is read. pings: a stream that
sends pings as fast as it can and never reads, and beside it 20 sockets that never sent a header.
Meanwhile /healthz is asked once a second, each time on a new connection. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

_RATE_HZ = 16_000
_GET = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_HALF = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "
_UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Server:
    """The command as users start it, on a free port."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "oido", "serve", "--port", "0"]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        for line in self._process.stderr:
            found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                break
        threading.Thread(target=self._process.stderr.read, daemon=True).start()
        self.folder = Path(f"/proc/{self._process.pid}")

    def connect(self, receive_bytes: int | None = None) -> socket.socket:
        sock = socket.socket()
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.settimeout(5)
        sock.connect(("127.0.0.1", self.port))
        return sock

    def memory_mb(self, which: str) -> float:
        """VmRSS: now. VmHWM: at most, since `forget_peak`."""
        status = (self.folder / "status").read_text()
        return int(status.split(f"{which}:")[1].split()[0]) / 1024

    def forget_peak(self) -> None:
        (self.folder / "clear_refs").write_text("5")

    def descriptors(self) -> int:
        return len(os.listdir(self.folder / "fd"))

    def is_healthy(self) -> bool:
        with contextlib.suppress(OSError), self.connect() as sock:
            sock.sendall(_GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            return sock.recv(100).startswith(b"HTTP/1.1 200")
        return False

    def stop(self) -> tuple[int, float]:
        """The exit code, and the seconds that the end took."""
        started = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(), time.monotonic() - started


class Watch:
    """Asks /healthz once a second while the block lasts."""

    def __init__(self, server: Server) -> None:
        self._server, self._ended = server, threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.asked = self.answered = 0
        self.slowest = 0.0

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._ended.wait(1):
            started = time.monotonic()
            self.answered += self._server.is_healthy()
            self.asked += 1
            self.slowest = max(self.slowest, time.monotonic() - started)


def is_open(sock: socket.socket) -> bool:
    """Whether the server still holds it."""
    established = 1  # of the states of TCP
    state: int = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]  # type: ignore[index]
    return state == established


def drip(server: Server, args: argparse.Namespace) -> Iterator[socket.socket]:
    """Connections that never finish their second request."""
    held = []
    for _ in range(575):
        with contextlib.suppress(OSError):
            sock = server.connect()
            sock.sendall(_GET)
            sock.recv(1000)
            sock.sendall(_HALF)
            held.append(sock)
    ends = time.monotonic() + args.seconds
    while time.monotonic() < ends:
        time.sleep(3)
        for sock in held:
            with contextlib.suppress(OSError):
                sock.send(b"a")
    yield from held


def unread(server: Server, args: argparse.Namespace) -> Iterator[socket.socket]:
    """Answers that nobody takes."""
    file = io.BytesIO()
    silence = np.zeros(int(args.duration * _RATE_HZ), np.int16)
    soundfile.write(file, silence, _RATE_HZ, "PCM_16", format="FLAC")
    recording = file.getvalue()
    held = []
    for _ in range(8):
        sock = server.connect(4096)
        query = b"level=windows&top=27&name=" + b"%E2%82%AC" * 255
        sock.sendall(b"POST /v1/classify?%s HTTP/1.1\r\nHost: 127.0.0.1\r\n" % query)
        sock.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(recording), recording))
        held.append(sock)
    # Until all are answered, or refused; and then as long as a client may be slow.
    for sock in held:
        sock.settimeout(600)
        with contextlib.suppress(OSError):
            status = sock.recv(12, socket.MSG_PEEK)[-3:].decode()
            print(f"  an answer with status {status}", file=sys.stderr)
    time.sleep(args.seconds)
    yield from held


def pings(server: Server, args: argparse.Namespace) -> Iterator[socket.socket]:
    """Pings whose answers nobody takes."""
    held = [server.connect(4096) for _ in range(21)]
    for sock in held:
        sock.sendall(_UPGRADE)
        while sock.recv(1) != b"\n" or sock.recv(2, socket.MSG_PEEK) != b"\r\n":
            pass
        sock.recv(2)
    held[0].sendall(frame(0x81, json.dumps({"version": 1, "sample_rate": _RATE_HZ}).encode()))
    # A message in between, so that they do not count as pings without end.
    flood = frame(0x89, b"x" * 125) * 400 + frame(0x82, b"")
    sent = [b""] * len(held)
    ends = time.monotonic() + args.seconds
    while time.monotonic() < ends:
        idle = True
        for number, sock in enumerate(held):
            sock.setblocking(False)
            with contextlib.suppress(OSError):
                waiting = sent[number] or flood
                sent[number] = waiting[sock.send(waiting) :]
                idle = False
        if idle:
            time.sleep(0.01)
    yield from held


def frame(kind: int, content: bytes) -> bytes:
    """A client's frame of WebSocket, masked with zeros."""
    size = len(content)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
    return bytes([kind]) + length + bytes(4) + content


FLOODS: dict[str, Callable[[Server, argparse.Namespace], Iterator[socket.socket]]] = {
    "drip": drip,
    "unread": unread,
    "pings": pings,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("floods", nargs="*", choices=[*FLOODS, []], default=list(FLOODS))
    parser.add_argument("--seconds", type=float, default=60, help="of each flood (default 60)")
    parser.add_argument("--duration", type=float, default=3528, help="of each unread recording")
    args = parser.parse_args()
    print(
        "| flood | still open at its end | memory before, peak, after (MB) "
        "| descriptors before, peak, after | /healthz answered | slowest (s) |"
    )
    print("|---|--:|--:|--:|--:|--:|")
    for name in args.floods:
        server = Server()
        assert server.is_healthy()
        before, files = server.memory_mb("VmRSS"), server.descriptors()
        server.forget_peak()
        with Watch(server) as watch:
            held = list(FLOODS[name](server, args))
            n_open, most = sum(map(is_open, held)), server.descriptors()
        for sock in held:
            sock.close()
        time.sleep(3)
        peak, after = server.memory_mb("VmHWM"), server.memory_mb("VmRSS")
        print(
            f"| {name} | {n_open} of {len(held)} | {before:.0f}, {peak:.0f}, {after:.0f} "
            f"| {files}, {most}, {server.descriptors()} "
            f"| {watch.answered} of {watch.asked} | {watch.slowest:.2f} |",
            flush=True,
        )
        code, seconds = server.stop()
        print(f"  SIGTERM: exit code {code} after {seconds:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
