# SPDX-License-Identifier: Apache-2.0
"""Servers on loopback: a radio station and a camera that can die, a receiver of webhooks."""

from __future__ import annotations

import contextlib
import http.server
import io
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def as_mp3(path: Path) -> bytes:
    """The recording as an MP3 of constant bit rate, without the header that tells its length."""
    samples, rate = soundfile.read(path, dtype="int16")
    file = io.BytesIO()
    with av.open(file, "w", format="mp3", options={"write_xing": "0", "id3v2_version": "0"}) as mp3:
        stream: Any = mp3.add_stream("libmp3lame", rate=rate, layout="mono")
        stream.bit_rate = 64_000
        for start in range(0, len(samples), rate):
            frame = av.AudioFrame.from_ndarray(
                samples[None, start : start + rate], format="s16", layout="mono"
            )
            frame.sample_rate = rate
            mp3.mux(stream.encode(frame))
        mp3.mux(stream.encode(None))
    return file.getvalue()


class Station:
    """Plays bytes over HTTP, again and again, as they would be heard; a burst comes first.

    ``silence_after``: seconds of a connection after which it breaks; ``off_air``: answers 503.
    """

    def __init__(self, content: bytes, seconds: float, burst_seconds: float = 0.5) -> None:
        self.silence_after: float | None = None
        self.stalls = self.off_air = False
        self.connections = 0
        rate = len(content) / seconds
        station = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if station.off_air:
                    self.send_error(503)
                    return
                station.connections += 1
                self.send_response(200)
                self.send_header("Content-Type", "audio/mpeg")
                self.end_headers()
                began, sent = time.monotonic(), 0
                with contextlib.suppress(OSError):
                    while not station._closing.is_set():
                        played = time.monotonic() - began
                        if station.silence_after is not None and played > station.silence_after:
                            if not station.stalls:
                                return
                        else:
                            until = int((played + burst_seconds) * rate)
                            while sent < until:
                                piece = content[sent % len(content) :][: until - sent]
                                self.wfile.write(piece)
                                sent += len(piece)
                        station._closing.wait(0.02)

            def log_message(self, *_: Any) -> None: ...

        self._closing = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/live.mp3"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()


class Camera:
    """A small RTSP server: 16-bit samples in RTP packets of 20 ms, interleaved (RFC 2326, 3551)."""

    def __init__(self, samples: np.ndarray, rate: int, port: int) -> None:
        self._samples, self._rate = samples.astype(">i2"), rate
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self._sockets: list[socket.socket] = [self._listener]
        self.url = f"rtsp://127.0.0.1:{port}/door"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """It dies: every connection breaks, and no new one is taken."""
        self._closing.set()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self._sockets.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sdp = (
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=door\r\nt=0 0\r\n"
            f"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 L16/{self._rate}/1\r\na=control:track\r\n"
        )
        with contextlib.suppress(OSError), sock.makefile("rb") as file:
            while line := file.readline().decode():
                if line.startswith("$"):
                    return
                method, headers = line.split(" ")[0], {}
                while (header := file.readline().decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                answer = f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\nSession: 1\r\n"
                body = ""
                if method == "OPTIONS":
                    answer += "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
                elif method == "DESCRIBE":
                    body = sdp
                    answer += f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
                elif method == "SETUP":
                    answer += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
                sock.sendall((answer + "\r\n" + body).encode())
                if method == "PLAY":
                    threading.Thread(target=self._play, args=(sock,), daemon=True).start()

    def _play(self, sock: socket.socket) -> None:
        step = self._rate // 50
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for number in range(len(self._samples) // step):
                payload = self._samples[number * step : (number + 1) * step].tobytes()
                header = bytes([0x80, 97]) + (number & 0xFFFF).to_bytes(2, "big")
                header += (number * step).to_bytes(4, "big") + b"oido"
                packet = header + payload
                sock.sendall(b"$\x00" + len(packet).to_bytes(2, "big") + packet)
                if self._closing.wait(max(0.0, began + (number + 1) / 50 - time.monotonic())):
                    return


class Receiver:
    """Takes what is posted; ``answers`` are given first, then 204."""

    def __init__(self) -> None:
        self.posts: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.came = threading.Condition()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.came:
                    status = receiver.answers.pop(0) if receiver.answers else 204
                    receiver.posts.append((dict(self.headers.items()), body))
                    receiver.came.notify_all()
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def wait_for(self, posts: int, timeout: float = 20.0) -> list[tuple[dict[str, str], bytes]]:
        with self.came:
            assert self.came.wait_for(lambda: len(self.posts) >= posts, timeout), self.posts
            return list(self.posts)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def running(server: Any) -> Iterator[Any]:
    try:
        yield server
    finally:
        server.close()
