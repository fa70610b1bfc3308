# SPDX-License-Identifier: Apache-2.0
"""Answers as they leave: the headers that all have, and no more at a time than a client takes."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oido.errors import OidoError
from oido.messages import tr
from oido.server.problems import Problem, problem_of, problem_response

SAFE_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Of every answer; what shows a page has a policy of its own in place of this one."""

_PIECE_BYTES = 1 << 16
"""What is written at a time, and what of an answer stays in memory."""


def add_safe_headers(response: Response) -> Response:
    """The answer, with the headers that it lacks."""
    for name, value in SAFE_HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def on_error(request: Request, error: Exception) -> Response:
    """The answer to what a request did wrong, or what did not work of it."""
    if isinstance(error, HTTPException):  # the framework's own: no such path, no such method
        headers = dict(error.headers or {})
        error = Problem(error.status_code, "ProtocolError", error.detail, None, headers)
    elif isinstance(error, OidoError):
        error = problem_of(error)
    assert isinstance(error, Problem)
    return problem_response(error, request.scope)


async def on_defect(request: Request, error: Exception) -> Response:
    """The answer where the server itself is wrong."""
    # Outside of all middleware; the server writes where it was.
    reason = tr("internal error, {kind}", kind=type(error).__name__)
    problem = Problem(500, "InternalError", reason)
    return add_safe_headers(problem_response(problem, request.scope))


class SafeAnswers:
    """Middleware: the headers, and large bodies in pieces, each sent when the last one is taken."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE_HEADERS.items():
                    headers.setdefault(name, value)
            body = message.get("body", b"")
            while len(body) > _PIECE_BYTES:
                piece, body = body[:_PIECE_BYTES], memoryview(body)[_PIECE_BYTES:]
                await send({"type": message["type"], "body": bytes(piece), "more_body": True})
                message = {**message, "body": body}
            if isinstance(body, memoryview):
                message = {**message, "body": bytes(body)}
            await send(message)

        await self._app(scope, receive, send_safely)


class AnswerFile:
    """The text of one answer, in memory or, what is large, in a temporary file without a name.

    on_growth: called with the bytes that the file has grown by, and shrinks by when it is closed;
    it raises a Problem where there is no place for them.
    """

    def __init__(self, folder: str, on_growth: Callable[[int], None] = lambda _: None) -> None:
        self._file = tempfile.SpooledTemporaryFile(_PIECE_BYTES, dir=folder or None)  # noqa: SIM115
        self._on_growth = on_growth
        self._counted = self.size_bytes = 0
        self._last = b""

    @property
    def is_list(self) -> bool:
        """Whether the text is a whole list, and does not break off."""
        return self._last.rstrip().endswith(b"]")

    def write(self, content: bytes) -> None:
        """Add to it. Raises OSError, and what ``on_growth`` raises."""
        self.size_bytes += len(content)
        if self.size_bytes > _PIECE_BYTES:
            grown = self.size_bytes - self._counted
            self._counted = self.size_bytes
            self._on_growth(grown)
        self._file.write(content)
        self._last = content[-8:] or self._last

    def __iter__(self) -> Iterator[bytes]:
        """All of it, in pieces."""
        self._file.seek(0)
        while piece := self._file.read(_PIECE_BYTES):
            yield piece

    def close(self) -> None:
        """Delete it."""
        self._file.close()
        self._on_growth(-self._counted)
        self._counted = 0


class FileResponse(Response):
    """An answer of JSON whose text, or a member of it, is an `AnswerFile`, closed when it is sent.

    around: what stands before and behind the text.
    """

    media_type = "application/json"

    def __init__(
        self,
        file: AnswerFile,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        around: tuple[bytes, bytes] = (b"", b""),
    ) -> None:
        super().__init__(None, status, headers)
        self._file, self._around = file, around
        size = file.size_bytes + sum(map(len, around))
        self.headers["Content-Length"] = str(size)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.closing(self._file):
            await send(
                {"type": "http.response.start", "status": self.status_code}
                | {"headers": self.raw_headers}
            )
            pieces = filter(None, chain(self._around[:1], self._file, self._around[1:]))
            piece = next(pieces, b"")
            for following in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = following
            await send({"type": "http.response.body", "body": piece, "more_body": False})


def around_member(values: Mapping[str, Any], name: str) -> tuple[bytes, bytes]:
    """JSON of an object with these members, before and behind the value of one that is left out."""
    text = json.dumps({**values, name: 0}, ensure_ascii=False).encode()
    return text[:-2], text[-1:]
