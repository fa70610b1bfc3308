# SPDX-License-Identifier: Apache-2.0
"""Requests of every kind, good and hostile, to two real servers: what comes of it.

    python benchmarks/server_requests.py             # 2,400 requests, some minutes on two cores
    python benchmarks/server_requests.py --requests 400 --seed 7

One server is open, the other wants a token. Each kind of request has the answers that it may get;
another one is unexpected, and so is a 500, a word of a traceback in the log, a file that is left
over, or a server that has ended: then the exit code is 1. Before, `oido serve` is started with
calibrations that are none. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import soundfile
from machine import children
from server_floods import frame
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

TOKEN = "a-long-secret"
_RATE_HZ = 16_000
_STREET = Path(__file__).parents[1] / "examples" / "street.flac"
_FORMATS = {
    **{name: {"PCM_16"} for name in ("WAV", "FLAC", "AIFF", "AU", "CAF", "W64", "RF64")},
    "OGG": {"VORBIS", "OPUS"},
    "MP3": {"MPEG_LAYER_III"},
}
_CONTAINERS = (("ipod", "aac"), ("adts", "aac"), ("webm", "libopus"), ("matroska", "flac"))
_CALIBRATIONS = (b"", b"[" * 100_000, b"null", b"\xff\xfe{", b'{"a": NaN}', b'{"calibration": []}')
_REFUSED = {"400", "413", "422"}
_BUSY = {"503"}


class Server:
    """The command as users start it, on a free port, with a temporary folder of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        folder.mkdir()
        self.folder, self._log = folder, (folder / "log").open("w+")
        command = [sys.executable, "-m", "oido", "serve", "--port", "0", *words]
        self.process = subprocess.Popen(
            command, stderr=self._log, env={**os.environ, "TMPDIR": str(folder)}
        )
        self.token = TOKEN if words else None
        found = None
        while found is None and self.process.poll() is None:
            time.sleep(0.1)
            found = re.search(r"http://127\.0\.0\.1:(\d+)", self.log())
        if found is None:
            raise SystemExit(f"the server did not start: {self.log()}")
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def headers(self) -> dict[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    def raw_headers(self) -> bytes:
        lines = {"Host": f"127.0.0.1:{self.port}", **self.headers()}
        return b"".join(f"{name}: {value}\r\n".encode() for name, value in lines.items())

    def processes(self) -> list[Path]:
        pids = (self.process.pid, *children(self.process.pid))
        return [Path(f"/proc/{pid}") for pid in pids]

    def memory_mb(self) -> tuple[float, float]:
        """Of the server itself, and of the largest worker."""
        sizes = []
        for process in self.processes():
            with contextlib.suppress(OSError, IndexError):
                status = (process / "status").read_text()
                sizes.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
        return sizes[0], max(sizes[1:], default=0.0)

    def descriptors(self) -> int:
        return len(list((self.processes()[0] / "fd").iterdir()))

    def left_over(self) -> list[str]:
        """Uploads and answers on the disk."""
        return [str(path) for path in self.folder.glob("oido-serve-*/*")]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


class Client:
    """Sends one request of a kind, and says in a word what came of it."""

    def __init__(self, server: Server, chance: random.Random, sounds: dict[str, bytes]) -> None:
        self.server, self.chance, self._sounds = server, chance, sounds

    # Good ones.

    def upload(self) -> str:
        """A recording, as the body or in a form."""
        name, content = self.chance.choice(list(self._sounds.items()))
        query = {"level": self.chance.choice(["events", "windows", "clip"])}
        if self.chance.random() < 0.5:
            hop = self.chance.choice(["0.48", "0.96", "0.12"])
            query |= {"hop": hop, "locale": "es", "allow": "Speech"}
        if self.chance.random() < 0.5:
            return self._post(query, files={"file": (f"a\x1b.{name}", content)})
        return self._post(query, content=content)

    def page(self) -> str:
        """What is served beside."""
        paths = ("/healthz", "/metrics", "/v1/models", "/v1/models?labels=true", "/openapi.json")
        return self._get(self.chance.choice((*paths, "/docs", "/")))

    def stream(self) -> str:
        """Two seconds of sound by WebSocket."""
        sound = np.random.default_rng(0).integers(-3000, 3000, _RATE_HZ * 2, np.int16).tobytes()
        pieces = [sound[start : start + 8000] for start in range(0, len(sound), 8000)]
        return self._stream({"level": self.chance.choice(["events", "windows"])}, pieces)

    # Recordings that are none.

    def mutant(self) -> str:
        """A recording with damage of any kind."""
        content = bytearray(self.chance.choice(list(self._sounds.values())))
        way = self.chance.randrange(4)
        if way == 0:
            del content[self.chance.randrange(len(content)) :]
        elif way == 1:
            start = self.chance.randrange(len(content))
            content[start : start + 2000] = self.chance.randbytes(2000)
        else:
            for _ in range(self.chance.randint(1, 200)):
                end = len(content) if way == 2 else min(200, len(content))
                content[self.chance.randrange(end)] = self.chance.randrange(256)
        return self._post({"level": "clip"}, content=bytes(content))

    def garbage(self) -> str:
        """No recording at all."""
        contents = (
            b"",
            b"\0" * 5000,
            self.chance.randbytes(3000),
            b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
            b"ffconcat version 1.0\nfile '/etc/passwd'\n",
            b"v=0\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n",
            b"<html><body>not a sound</body></html>",
            b"PK\3\4" + self.chance.randbytes(500),
            b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\xff\xff\xff\xff\xff\xff" + b"\xff" * 40,
            b"fLaC" + self.chance.randbytes(2000),
        )
        return self._post({"level": "clip"}, content=self.chance.choice(contents))

    def form(self) -> str:
        """A form that holds no file, or more, or does not end."""
        head = b'--b\r\nContent-Disposition: form-data; name="f"'
        part = head + b'; filename="../../x\\"\r\n\r\nv\r\n'
        bodies = (
            b"",
            b"--b--\r\n",
            head + b"\r\n\r\nvalue\r\n--b--\r\n",
            part * 2 + b"--b--\r\n",
            part[:-3],
            b"--b\r\nX: " + b"a" * 300_000,
            b"--b\r\n" + b"X: a\r\n" * 5_000,
            head + b'; filename="' + b"a;=" * 50_000 + b'"\r\n\r\nv\r\n--b--\r\n',
        )
        boundary = self.chance.choice(
            ["; boundary=b", "", "; boundary=", "; boundary=" + "b" * 900]
        )
        headers = {"Content-Type": f"multipart/form-data{boundary}"}
        return self._post({}, content=self.chance.choice(bodies), headers=headers)

    # Requests that make no sense.

    def method(self) -> str:
        """Methods and paths that there are not."""
        method = self.chance.choice(["GET", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "FOO"])
        path = self.chance.choice(["/v1/classify", "/v1/nothing", "/../../etc/passwd", "/%00"])
        return self._request(method, path)

    def option(self) -> str:
        """Options that make no sense."""
        queries = (
            "level=songs", "top=0", "hop=nan", "hop=1e999", "allow=Meouw", "model=../../etc/passwd",
            "locale=../x", "top=9" * 3, "x" * 5_000 + "=1", "level=clip&level=%ff", "threshold=7",
            "channel=-1", "framewise=2", "name=%00&level=songs", "aggregation=sum",
            "top=1" + "0" * 5_000,
        )  # fmt: skip
        path = f"/v1/classify?{self.chance.choice(queries)}"
        return self._request("POST", path, content=self._sounds["WAV"])

    def token(self) -> str:
        """No token, or a wrong one; where none is wanted, a foreign name or page."""
        if self.server.token is None:
            header = self.chance.choice(["Host", "Origin"])
            value = self.chance.choice(["evil.example", "127.0.0.1.evil.example", "x:y:z"])
            headers = {header: value if header == "Host" else f"https://{value}"}
        else:
            values = ("", "Bearer", "Bearer x", "Basic x", f"Bearer {TOKEN}x", "Bearer \xff" * 50)
            headers = {"Authorization": self.chance.choice(values)}
        path = self.chance.choice(["/v1/models", "/metrics", "/v1/classify"])
        with httpx.Client(base_url=self.server.url, timeout=60) as client:
            raw = {name: value.encode("latin-1") for name, value in headers.items()}
            return str(
                client.request("GET" if "cl" not in path else "POST", path, headers=raw).status_code
            )

    def raw(self) -> str:
        """Bytes that are no request, or not one."""
        post = b"POST /v1/classify HTTP/1.1\r\n" + self.server.raw_headers()
        chunked = post + b"Transfer-Encoding: chunked\r\n\r\n"
        return self._raw(
            self.chance.choice(
                (
                    b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
                    b"GET / HTTP/1.1\r\n" + b"X: a\r\n" * 20_000 + b"\r\n",
                    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
                    post + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
                    post + b"Content-Length: -1\r\n\r\n",
                    post + b"Content-Length: " + b"9" * 5_000 + b"\r\n\r\n",
                    post + b"Content-Length: 9" + b"9" * 12 + b"\r\n\r\nabc",
                    chunked + b"ZZ\r\nabc",
                    chunked + b"5\r\nabcdefgh\r\n",
                    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 300,
                    b"GET /\r\n\r\n",
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                    b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
                    b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: x\r\n\r\n",
                    b"GET /healthz HTTP/9.9\r\n\r\n",
                )
            )
        )

    def broken_off(self) -> str:
        """A client that goes away in the midst of its request, or of the answer."""
        content = self._sounds["FLAC"]
        head = b"POST /v1/classify?level=windows HTTP/1.1\r\n" + self.server.raw_headers()
        sent = (
            head[: self.chance.randrange(len(head))],
            head + b"Content-Length: 100000\r\n\r\n" + content[:500],
            head + b"Transfer-Encoding: chunked\r\n\r\n400\r\n" + content[:700],
            head + b"Content-Length: %d\r\n\r\n%s" % (len(content), content),
        )
        with socket.create_connection(("127.0.0.1", self.server.port), 60) as sock:
            sock.sendall(self.chance.choice(sent))
            time.sleep(self.chance.uniform(0, 0.3))
        return "left"

    def pipelined(self) -> str:
        """Many requests at once on one connection, or an answer that is waited for in between."""
        get = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        return self._raw(get * self.chance.randint(2, 200))

    # Streams.

    def first_message(self) -> str:
        """A first message that is none."""
        messages: tuple[str | bytes, ...] = (
            "", "{", "[]", "null", "[" * 50_000, b"\0" * 100, '{"version": 2}',
            '{"version": 1, "sample_rate": 1}', '{"version": 1, "sample_rate": "x"}',
            '{"version": 1, "sample_rate": 16000, "token": "\\ud800"}',
            '{"version": 1, "sample_rate": 16000, "channels": 1e9}',
            json.dumps({"version": 1, "sample_rate": 16000, "x" * 100_000: 1}),
            json.dumps({"version": 1, "sample_rate": 16000, "allow": ["a"] * 50_000}),
            json.dumps({"version": 1, "sample_rate": 16000, "model": "../../etc/passwd"}),
        )  # fmt: skip
        return self._stream(self.chance.choice(messages), [])

    def later_message(self) -> str:
        """What does not belong into a stream."""
        messages: tuple[str | bytes, ...] = ("x", "{}", '{"type": "start"}', b"\0" * 3, "[" * 9_000)
        return self._stream({"level": "windows"}, [b"\0" * 8000, self.chance.choice(messages)])

    def frames(self) -> str:
        """Frames that the protocol of WebSockets does not allow, and a flood of pings."""
        upgrade = (
            b"GET /v1/stream HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
        floods = (
            b"\xf1\x81\0\0\0\0x",
            b"\x81\xff" + b"\x40" + b"\0" * 7 + b"\0\0\0\0x",
            b"\x81\x82\0\0\0\0\xff\xfe",
            b"\x01\x81\0\0\0\0{" + b"\x00\x81\0\0\0\0x" * 20_000 + b"\x80\x80\0\0\0\0",
            frame(0x89, b"x" * 125) * 2_000,
            b"\x81\x01x",
            self.chance.randbytes(4000),
        )
        return self._raw(upgrade + self.server.raw_headers() + b"\r\n" + self.chance.choice(floods))

    def left_stream(self) -> str:
        """A client of a stream that goes away without a word."""
        header = {"version": 1, "sample_rate": _RATE_HZ, "token": self.server.token or "x"}
        url = self.server.url.replace("http", "ws", 1) + "/v1/stream"
        with connect(url, compression=None) as socket_:
            socket_.send(json.dumps(header))
            socket_.send(b"\0" * 64_000)
            socket_.socket.shutdown(socket.SHUT_RDWR)
        return "left"

    def _post(self, query: dict[str, str], **more: object) -> str:
        return self._request("POST", "/v1/classify", params=query, **more)

    def _get(self, path: str) -> str:
        return self._request("GET", path)

    def _request(self, method: str, path: str, **more: object) -> str:
        headers = {**self.server.headers(), **more.pop("headers", {})}  # type: ignore[dict-item]
        with httpx.Client(base_url=self.server.url, timeout=120) as client:
            try:
                answer = client.request(method, path, headers=headers, **more)  # type: ignore[arg-type]
            except httpx.TransportError:
                return "cut"
        if answer.status_code >= 400 and "json" in answer.headers.get("content-type", ""):
            told = answer.json()
            if told["error"] == "InternalError" or "\n" in told["message"] or not told["message"]:
                return f"{answer.status_code} {told}"
        return str(answer.status_code)

    def _raw(self, content: bytes) -> str:
        """The status of the first answer, or "cut"."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.server.port), 60) as sock:
            with contextlib.suppress(OSError):
                sock.sendall(content)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                while block := sock.recv(1 << 16):
                    answer += block if len(answer) < 100 else b""
        return answer[9:12].decode() if answer.startswith(b"HTTP/1.1 ") else "cut"

    def _stream(self, header: dict[str, str] | str | bytes, pieces: list[bytes | str]) -> str:
        if isinstance(header, dict):
            known = {"version": 1, "sample_rate": _RATE_HZ, "token": self.server.token or "x"}
            header = json.dumps({**known, **header})
        url = self.server.url.replace("http", "ws", 1) + "/v1/stream"
        last = "cut"
        with connect(url, compression=None, max_size=None) as socket_:
            with contextlib.suppress(ConnectionClosed):
                for piece in (header, *pieces, '{"type": "end"}'):
                    socket_.send(piece)
            with contextlib.suppress(ConnectionClosed, TimeoutError):
                while True:
                    message = json.loads(socket_.recv(timeout=60))
                    last = message["type"]
                    if last == "error":
                        last = message["error"]
        return last


KINDS: dict[Callable[[Client], str], tuple[int, set[str]]] = {
    Client.upload: (6, {"200"} | _BUSY),
    Client.page: (2, {"200"}),
    Client.stream: (3, {"end"}),
    Client.mutant: (4, {"200"} | _REFUSED | _BUSY),
    Client.garbage: (2, _REFUSED | _BUSY),
    Client.form: (2, _REFUSED),
    Client.method: (1, {"400", "404", "405"}),
    Client.option: (2, {"400", "404"}),
    Client.token: (2, {"401", "403"}),
    Client.raw: (3, {"400", "403", "404", "413", "505", "200", "cut"}),
    Client.broken_off: (3, {"left"}),
    Client.pipelined: (1, {"200"}),
    Client.first_message: (
        2,
        {"ProtocolError", "OptionError", "AccessError", "UnknownLabelError", "ModelNotFoundError"},
    ),
    Client.later_message: (1, {"ProtocolError"}),
    Client.frames: (1, {"101", "cut"}),
    Client.left_stream: (1, {"left"}),
}
"""How often each kind comes, and what may come of it."""


def make_sounds() -> dict[str, bytes]:
    """Three seconds of a street in every format that is written here."""
    street, rate = soundfile.read(_STREET, frames=3 * _RATE_HZ, dtype="float32")
    sounds = {}
    for container, subtypes in _FORMATS.items():
        for subtype in sorted(subtypes):
            file = io.BytesIO()
            soundfile.write(file, street, rate, subtype, format=container)
            sounds[container if len(subtypes) == 1 else subtype] = file.getvalue()
    for container, codec in _CONTAINERS:
        file = io.BytesIO()
        with av.open(file, "w", format=container) as output:
            stream: Any = output.add_stream(codec, rate=rate, layout="mono")
            whole = av.AudioFrame.from_ndarray(street.reshape(1, -1), format="flt", layout="mono")
            whole.sample_rate, whole.pts = rate, 0
            whole.time_base = stream.time_base = Fraction(1, rate)
            for packet in [*stream.encode(whole), *stream.encode(None)]:
                output.mux(packet)
        sounds[container] = file.getvalue()
    return sounds


def refused_calibrations(folder: Path) -> list[str]:
    """What `oido serve` says of calibrations that are none, where that is not one sentence."""
    wrong = []
    for number, content in enumerate(_CALIBRATIONS):
        path = folder / f"{number}.json"
        path.write_bytes(content)
        command = [sys.executable, "-m", "oido", "serve", "--port", "0", "--calibration", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        lines = done.stderr.strip().splitlines()
        if done.returncode not in (1, 2) or len(lines) != 1 or "internal error" in lines[0]:
            wrong.append(f"calibration {content[:20]!r}: code {done.returncode}, {lines[-3:]}")
    return wrong


def main() -> int:
    """Run, print the tables, and return 0 only if nothing was unexpected."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=2400)
    parser.add_argument("--clients", type=int, default=8, help="at one time (default 8)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oido-requests-") as folder:
        return run(Path(folder), args)


def run(folder: Path, args: argparse.Namespace) -> int:
    """All requests, and what they cost."""
    sounds, chance = make_sounds(), random.Random(args.seed)
    wrong = refused_calibrations(folder)
    servers = {
        "open": Server(folder / "open"),
        "with a token": Server(folder / "token", "--token", TOKEN),
    }
    for server in servers.values():  # what is loaded once is no leak
        for kind in (Client.upload, Client.page, Client.stream):
            kind(Client(server, random.Random(0), sounds))
    before = {name: (server.memory_mb(), server.descriptors()) for name, server in servers.items()}
    kinds = chance.choices(list(KINDS), [often for often, _ in KINDS.values()], k=args.requests)
    jobs = [(kind, chance.choice(list(servers.values())), chance.random()) for kind in kinds]
    counts: dict[str, Counter[str]] = {kind.__name__: Counter() for kind in KINDS}

    def send(job: tuple[Callable[[Client], str], Server, float]) -> tuple[str, str]:
        kind, server, seed = job
        try:
            return kind.__name__, kind(Client(server, random.Random(seed), sounds))
        except Exception as error:
            return kind.__name__, f"{type(error).__name__}: {error}"

    started = time.monotonic()
    with ThreadPoolExecutor(args.clients) as pool:
        for name, came in pool.map(send, jobs):
            counts[name][came] += 1
    seconds = time.monotonic() - started
    time.sleep(3)
    print(f"{args.requests} requests by {args.clients} clients in {seconds:.0f} s\n")
    print("| kind | what came of it |\n|---|---|")
    for kind, (_, expected) in KINDS.items():
        found = counts[kind.__name__]
        print(
            f"| {kind.__name__} | {', '.join(f'{n} × {came}' for came, n in found.most_common())} |"
        )
        wrong += [
            f"{kind.__name__}: {n} × {came}" for came, n in found.items() if came not in expected
        ]
    print(
        "\n| server | MB before, after | largest worker before, after | descriptors before, after |"
    )
    print("|---|--:|--:|--:|")
    for name, server in servers.items():
        wrong += _after(name, server, *before[name])
    print(f"\nunexpected: {len(wrong)}")
    for line in wrong:
        print(f"- {line[:300]}")
    return 1 if wrong else 0


def _after(name: str, server: Server, memory: tuple[float, float], files: int) -> list[str]:
    """Print a server's row, stop it, and say what is wrong with it."""
    if server.process.poll() is not None:
        return [f"the server {name} ended with {server.process.returncode}"]
    now, files_now = server.memory_mb(), server.descriptors()
    print(
        f"| {name} | {memory[0]:.0f}, {now[0]:.0f} | {memory[1]:.0f}, {now[1]:.0f} "
        f"| {files}, {files_now} |"
    )
    wrong = [f"{name}: {path} is left over" for path in server.left_over()]
    if server.stop() != 0:
        wrong.append(f"{name}: SIGTERM ended it with {server.process.returncode}")
    for word in ("Traceback", "Error", "Exception"):
        if word in server.log():
            wrong.append(f"{name}: {word!r} stands in its log: {server.log()[-500:]!r}")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
