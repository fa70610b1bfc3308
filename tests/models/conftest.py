# SPDX-License-Identifier: Apache-2.0
"""A small pretended model, a cache of its own, and a web server that misbehaves on request."""

from __future__ import annotations

import hashlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

import pytest

from oido.models.registry import ModelCard

CONTENT = bytes(range(256)) * 40


class Site(NamedTuple):
    """Addresses of a local server by what they do, and the paths that were asked for."""

    root: str
    asked: list[str]

    def url(self, what: str) -> str:
        return f"{self.root}/{what}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        what = self.path.strip("/")
        if what == "right":
            self._send(CONTENT)
        elif what == "wrong":
            self._send(CONTENT[:-1] + b"!")
        elif what == "short":
            self._send(CONTENT[:100])
        elif what == "page":
            self._send(b"<html>please log in</html>")
        elif what == "redirect":
            self.send_response(302)
            self.send_header("Location", "/right")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif what == "cut":
            self._send(CONTENT[:1000], promised=len(CONTENT))
        elif what == "silent":
            time.sleep(3)
        elif what == "slow-end":
            self._send(CONTENT[:1000], promised=len(CONTENT), then=lambda: time.sleep(3))
        elif what == "garbage":
            self.wfile.write(b"SSH-2.0-what\r\n\r\n")
        elif what == "hang-up":
            pass
        else:
            self.send_error(404)

    def _send(self, content, promised=None, then=lambda: None):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) if promised is None else promised))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
        then()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def server():
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    httpd.daemon_threads = True
    httpd.asked = []
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture(autouse=True)
def _no_proxy_for_this_machine(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,.invalid")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,.invalid")


@pytest.fixture
def site(server):
    server.asked.clear()
    return Site(f"http://127.0.0.1:{server.server_port}", server.asked)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of an empty cache; nothing else is searched."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("OIDO_CACHE", str(folder))
    monkeypatch.delenv("OIDO_MODEL_PATH", raising=False)
    return folder


@pytest.fixture(scope="module")
def whole(model) -> bytes:
    """The published model's file."""
    return model.path.read_bytes()


@pytest.fixture
def content():
    return CONTENT


@pytest.fixture
def make_card(content):
    """A card of the pretended model with the sources given."""

    def make(*sources) -> ModelCard:
        return ModelCard(
            name="pretended/model",
            summary="256 numbers, 40 times",
            file_names=("pretended.tflite", "other-name.tflite"),
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            sources=sources,
            licence="Apache-2.0",
            attribution="nobody",
        )

    return make
