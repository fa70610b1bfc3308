# SPDX-License-Identifier: Apache-2.0
"""A small web server for the page's core alone, under the strictest policy it must live with."""

from __future__ import annotations

import base64
import http.server
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.server.page_files import WEB_FOLDER

HERE = Path(__file__).parent

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; img-src 'self'; style-src 'self'"
)

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}

Files = Mapping[str, bytes | Path]


class Site:
    """Serves what ``files`` says at this moment, and keeps the paths that were asked for."""

    def __init__(self, files: Callable[[str], bytes | Path | None]) -> None:
        self.asked: list[str] = []
        site = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = self.path.split("?")[0].lstrip("/")
                site.asked.append(path)
                found = files(path)
                content = found.read_bytes() if isinstance(found, Path) else found
                self.send_response(404 if content is None else 200)
                kind = _TYPES.get(Path(path or "index.html").suffix, "application/octet-stream")
                if path.endswith("/"):
                    kind = _TYPES[".html"]
                self.send_header("Content-Type", kind)
                self.send_header("Content-Security-Policy", POLICY)
                self.send_header("Content-Length", str(len(content or b"")))
                # The page itself is as it is; what a test wants served is another in the next.
                lasting = isinstance(found, Path) and WEB_FOLDER in found.parents
                self.send_header("Cache-Control", "max-age=3600" if lasting else "no-store")
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def core_files(extra: dict[str, bytes | Path]) -> Callable[[str], bytes | Path | None]:
    """The folder web/, an empty page, the scripts of these tests, and what is in ``extra``."""

    def find(path: str) -> bytes | Path | None:
        if path in extra:
            return extra[path]
        if path == "blank.html":
            return b"<!doctype html><title>blank</title>"
        for folder, name in ((WEB_FOLDER, path), (HERE, path.removeprefix("tests/"))):
            if (folder / name).is_file():
                return folder / name
        return None

    return find


def floats(text: str, columns: int) -> NDArray[np.float32]:
    """f32[N, columns] of base64, as tests/web/core/hearing.mjs sends it."""
    return np.frombuffer(base64.b64decode(text), np.float32).reshape(-1, columns)
