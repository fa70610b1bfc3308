# SPDX-License-Identifier: Apache-2.0
"""The web page: the routes of its files, their headers, and what it may know of the models.

The files are those of `oido web export` (`oido.server.page_files`), at the same relative paths;
besides, ``/web/models.json`` tells the page of a server what that hears by.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from oido._version import __version__
from oido.errors import OidoError
from oido.inference.predictor import validated
from oido.messages import tr
from oido.server.access import Access
from oido.server.device_model import describe_model, device_model
from oido.server.encodings import accepted, encoded
from oido.server.model_store import load_configured_model
from oido.server.page_files import WEB_FOLDER, content_of, content_policy, page_files
from oido.server.problems import Problem, problem_response
from oido.server.settings import Settings
from oido.server.vendor import is_vendored

PAGE_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
    ".flac": "audio/flac",
    ".txt": "text/plain; charset=utf-8",
    ".tflite": "application/octet-stream",
    "": "text/plain; charset=utf-8",
}

PAGE_HEADERS = {
    "Content-Security-Policy": content_policy("'self'") + "; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    # Together these two let WebAssembly use threads.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_START = "index.html"
_ASKED_AGAIN = "no-cache"
_FOR_EVER = "private, max-age=31536000, immutable"
"""Of models: the name holds the hash, so what it names never changes."""


def page_routes(settings: Settings, folder: Path = WEB_FOLDER) -> list[BaseRoute]:
    """The routes of the page for a server with these settings: one for each file, and no others.

    Everybody may read the page itself. Models, and what is known of them, need the token where
    there is one: they may be somebody's own. (Then the page does not keep them for use without a
    network.)
    """
    page = _Page(settings, folder)
    return [
        Route("/web/models.json", page.listing),
        Route("/models/{file}", page.model),
        Route("/favicon.ico", favicon),
        *(Route(f"/{url}", page.file) for url in page.files),
    ]


async def favicon(request: Request) -> Response:
    """Where the icon is: browsers look here for that of an answer that names none, as JSON."""
    return RedirectResponse("icons/icon.svg", headers=PAGE_HEADERS)


class _Page:
    """Models are read when the page first asks for them: the server itself starts without."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._access = Access(settings.token)
        self._about = {
            "oido": __version__,
            "mode": "server",
            "device": is_vendored(folder / "vendor"),
            "token": not self._access.is_open,
        }
        self.files: Mapping[str, Path | bytes] = page_files(self._about, (), folder)
        """All but the models, by URL; "" is the page itself."""
        self._contents: dict[str, tuple[tuple[int, int], bytes]] = {}
        self._encoded: dict[tuple[str, str], tuple[str, bytes | None]] = {}
        self._models: dict[str, bytes] = {}
        self._listing: dict[str, Any] | None = None
        self._reading = asyncio.Lock()

    async def listing(self, request: Request) -> Response:
        """``/web/models.json``"""
        if not self._access.allows_header(request.headers):
            return problem_response(self._access.refusal(), request.scope)
        await self._read()
        content = JSONResponse(self._listing).body
        return await self._answer(request, "web/models.json", bytes(content), _ASKED_AGAIN)

    async def model(self, request: Request) -> Response:
        """``/models/FILE.tflite``"""
        if not self._access.allows_header(request.headers):
            return problem_response(self._access.refusal(), request.scope)
        await self._read()
        url = f"models/{request.path_params['file']}"
        if url not in self._models:
            raise Problem(404, "ProtocolError", tr("there is no such model file"))
        return await self._answer(request, url, self._models[url], _FOR_EVER)

    async def file(self, request: Request) -> Response:
        """``/`` and the files beside it."""
        url = request.url.path.removeprefix("/")
        if url in ("page.json", "precache.js"):
            await self._read()  # they name the models
        content = await run_sync(self._content, url)
        return await self._answer(request, url or _START, content, _ASKED_AGAIN)

    def _content(self, url: str) -> bytes:
        """A file's bytes, of which all who ask have the same: many may, and take them slowly."""
        file = self.files[url]
        if isinstance(file, bytes):
            return file
        status = file.stat()
        version = (status.st_mtime_ns, status.st_size)
        if self._contents.get(url, (None, b""))[0] != version:
            self._contents[url] = (version, content_of(file))
        return self._contents[url][1]

    async def _answer(self, request: Request, url: str, content: bytes, caching: str) -> Response:
        """A file as the browser wants it, or that its own copy is still good."""
        headers = {**PAGE_HEADERS, "Cache-Control": caching, "Vary": "Accept-Encoding"}
        digest = (await run_sync(_digest, content))[:32]
        tag = f'"{digest}"'
        for encoding in accepted(request.headers.get("accept-encoding", "")):
            compressed = await run_sync(self._compressed, url, content, digest, encoding)
            if compressed is not None:
                tag, content = f'"{digest}-{encoding}"', compressed
                headers["Content-Encoding"] = encoding
                break
        headers["ETag"] = tag
        known = request.headers.get("if-none-match", "").split(",")
        if tag in (one.strip().removeprefix("W/") for one in known):
            headers.pop("Content-Encoding", None)
            return Response(status_code=304, headers=headers)
        return Response(content, 200, headers, PAGE_TYPES[Path(url).suffix])

    def _compressed(self, url: str, content: bytes, digest: str, encoding: str) -> bytes | None:
        """The content in this encoding, which all who ask have the same; None where there is none.

        A form that lies beside a file is taken as long as the file is what it was when asked for.
        """
        before, made = self._encoded.get((url, encoding), ("", None))
        if before != digest:
            file = self.files.get(url, content)
            made = encoded(url, content if isinstance(file, bytes) else file, encoding)
            self._encoded[url, encoding] = digest, made
        return made

    async def _read(self) -> None:
        async with self._reading:
            if self._listing is None:
                await run_sync(self._read_models)

    def _read_models(self) -> None:
        described, on_device = [], []
        for source in self._settings.models:
            settings = self._settings
            model, is_new = load_configured_model(source, settings.precision, settings.calibrations)
            own = None
            with suppress(OidoError):  # an ensemble, or what this installation cannot export
                own = device_model(model, heads_are_new=is_new)
            described.append(describe_model(validated(model), own))
            if own is not None:
                on_device.append(own)
        self._models = {model.url: model.content for model in on_device}
        public = on_device if self._access.is_open else []
        self.files = page_files(self._about, public, self._folder)
        self._listing = {"oido": __version__, "models": described}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
