# SPDX-License-Identifier: Apache-2.0
"""Servers on loopback: a radio station and a camera that can die, a receiver of webhooks."""

from __future__ import annotations

import contextlib
import http.server
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
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
    headers: more of them. length: bytes after which a connection ends. login: the Authorization
    that it wants. metadata_every: bytes between the titles, for those who ask for titles. protocol:
    what its answers begin with.
    """

    def __init__(
        self,
        content: bytes,
        seconds: float,
        burst_seconds: float = 0.5,
        *,
        headers: Mapping[str, str] | None = None,
        length: int | None = None,
        login: str | None = None,
        metadata_every: int = 0,
        tls: ssl.SSLContext | None = None,
        protocol: str = "HTTP/1.0",
    ) -> None:
        self.silence_after: float | None = None
        self.stalls = self.off_air = False
        self.connections = 0
        rate = len(content) / seconds
        station = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = protocol

            def do_GET(self) -> None:
                self.close_connection = True
                if station.off_air:
                    self.send_error(503)
                    return
                if login is not None and self.headers["Authorization"] != login:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="radio"')
                    self.end_headers()
                    return
                station.connections += 1
                self.send_response(200)
                self.send_header("Content-Type", "audio/mpeg")
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                every = metadata_every if self.headers["Icy-MetaData"] == "1" else 0
                if every:
                    self.send_header("icy-metaint", str(every))
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
                            until = until if length is None else min(until, length)
                            while sent < until:
                                piece = content[sent % len(content) :][: until - sent]
                                piece = piece[: every - sent % every] if every else piece
                                self.wfile.write(piece)
                                sent += len(piece)
                                if every and sent % every == 0:
                                    title = b"StreamTitle='Ode';".ljust(32, b"\0")
                                    self.wfile.write(bytes([len(title) // 16]) + title)
                            if sent == length:
                                return
                        station._closing.wait(0.02)

            def log_message(self, *_: Any) -> None: ...

        self._closing = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = _secured(self._server, tls) + "/live.mp3"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()


def _secured(server: http.server.ThreadingHTTPServer, tls: ssl.SSLContext | None) -> str:
    """The server's address, with https:// where it got a certificate."""
    if tls is not None:
        # Each handshake in the thread of its connection: one that hangs must not stop the others.
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
    return f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"


class Camera:
    """A small RTSP server: 16-bit samples in RTP packets of 20 ms, interleaved (RFC 2326, 3551).

    lone: what it does where only its sound is wanted: "plays", "silent" (it sends nothing),
    "refused", "hangs up" or "stops" (after a second); but for "plays" it has a picture, too, too
    small to be decoded. login: the Authorization that it wants. only_udp: it refuses TCP.
    """

    def __init__(
        self,
        samples: np.ndarray,
        rate: int,
        port: int,
        *,
        lone: str = "plays",
        login: str | None = None,
        only_udp: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM) if only_udp else None
        self._samples, self._rate = samples.astype(">i2"), rate
        self._lone, self._login, self._tls = lone, login, tls
        self.sound_seconds: float | None = None
        """After so long only the picture goes on."""
        self.tracks: list[int] = []
        """How many tracks each PLAY was of."""
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", port))
        self._sockets: list[socket.socket] = [self._listener]
        self.url = f"rtsp{'s' if tls else ''}://127.0.0.1:{port}/door"
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

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError):
            sock = plain if self._tls is None else self._tls.wrap_socket(plain, server_side=True)
            self._sockets.append(sock)
            with sock.makefile("rb") as file:
                self._answer(sock, file)

    def _answer(self, sock: socket.socket, file: Any) -> None:
        picture = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:picture\r\n"
        sdp = (
            f"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=door\r\nt=0 0\r\n"
            f"{'' if self._lone == 'plays' else picture}"
            f"m=audio 0 RTP/AVP 97\r\na=rtpmap:97 L16/{self._rate}/1\r\na=control:track\r\n"
        )
        channels: dict[str, int | tuple[str, int]] = {}
        while line := file.readline().decode():
            if line.startswith("$"):
                return
            method, url = line.split(" ")[:2]
            headers: dict[str, str] = {}
            while (header := file.readline().decode().strip()) != "":
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            status, answer, body = "200 OK", f"CSeq: {headers['cseq']}\r\nSession: 1\r\n", ""
            is_lone = self._lone != "plays" and len(channels) == 1
            if self._login is not None and headers.get("authorization") != self._login:
                status = "401 Unauthorized"
                answer += 'WWW-Authenticate: Basic realm="door"\r\n'
            elif method == "OPTIONS":
                answer += "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            elif method == "DESCRIBE":
                body = sdp
                answer += f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif method == "SETUP":
                status, more = self._set_up(url.rpartition("/")[2], headers["transport"], channels)
                answer += more
            elif method == "PLAY":
                self.tracks.append(len(channels))
                if is_lone and self._lone == "hangs up":
                    sock.shutdown(socket.SHUT_RDWR)
                    return
                if is_lone and self._lone == "refused":
                    status = "455 Method Not Valid in This State"
            sock.sendall(f"RTSP/1.0 {status}\r\n{answer}\r\n{body}".encode())
            if method == "PLAY" and (not is_lone or self._lone in ("plays", "stops")):
                seconds = 1.0 if is_lone and self._lone == "stops" else 1e9
                way = self._datagrams or sock
                threading.Thread(
                    target=self._play, args=(way, channels, seconds), daemon=True
                ).start()

    def _set_up(self, track: str, transport: str, channels: dict[str, Any]) -> tuple[str, str]:
        """The status, and the header that says how the track will come."""
        if self._datagrams is None:
            channel = channels[track] = 2 * len(channels)
            way = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        else:
            port = transport.rpartition("client_port=")[2].partition("-")[0]
            if not port.isdecimal():
                return "461 Unsupported Transport", ""
            channels[track] = ("127.0.0.1", int(port))
            way = f"RTP/AVP;unicast;client_port={port}-{int(port) + 1}"
        return "200 OK", f"Transport: {way}\r\n"

    def _play(self, sock: socket.socket, channels: dict[str, Any], seconds: float) -> None:
        step = self._rate // 50
        began = time.monotonic()
        with contextlib.suppress(OSError):
            for number in range(len(self._samples) // step):
                payload = self._samples[number * step : (number + 1) * step].tobytes()
                limit = seconds if self.sound_seconds is None else self.sound_seconds
                if number / 50 < limit:
                    _send(sock, channels["track"], 97, number, number * step, payload)
                if "picture" in channels:
                    slice_ = bytes([0x61, 0xE0, 0, 0])
                    _send(sock, channels["picture"], 96, number, number * 1800, slice_)
                if self._closing.wait(max(0.0, began + (number + 1) / 50 - time.monotonic())):
                    return


def _send(
    sock: socket.socket,
    channel: int | tuple[str, int],
    kind: int,
    number: int,
    stamp: int,
    payload: bytes,
) -> None:
    """One RTP packet; channel: of the connection, or an address for datagrams."""
    header = bytes([0x80, kind]) + (number & 0xFFFF).to_bytes(2, "big")
    packet = header + (stamp & 0xFFFFFFFF).to_bytes(4, "big") + b"oid" + bytes([kind]) + payload
    if isinstance(channel, tuple):
        sock.sendto(packet, channel)
        return
    sock.sendall(b"$" + bytes([channel]) + len(packet).to_bytes(2, "big") + packet)


class Receiver:
    """Takes what is posted; ``answers`` are given first, then 204."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
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
        self.url = _secured(self._server, tls) + "/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def wait_for(self, posts: int, timeout: float = 20.0) -> list[tuple[dict[str, str], bytes]]:
        with self.came:
            assert self.came.wait_for(lambda: len(self.posts) >= posts, timeout), self.posts
            return list(self.posts)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Folder:
    """A folder at an HTTP address; at /elsewhere, a redirect to ``elsewhere``."""

    def __init__(self, folder: Path, tls: ssl.SSLContext | None = None) -> None:
        self.elsewhere = ""
        self.asked: list[str] = []
        served = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args: Any) -> None:
                super().__init__(*args, directory=str(folder))

            def do_GET(self) -> None:
                served.asked.append(self.path)
                if self.path == "/elsewhere":
                    self.send_response(302)
                    self.send_header("Location", served.elsewhere)
                    self.end_headers()
                else:
                    super().do_GET()

            def log_message(self, *_: Any) -> None: ...

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = _secured(self._server, tls)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def running(server: Any) -> Iterator[Any]:
    try:
        yield server
    finally:
        server.close()
