# SPDX-License-Identifier: Apache-2.0
"""The HTTP requests under way, and their end when the server is stopped: an answer, or a 503."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oido.messages import tr
from oido.server.problems import Problem, problem_response


class Draining:
    """What the server's end needs to know of requests, and does to them.

    on_stop: called before the requests that are left are stopped.
    """

    def __init__(self, on_stop: Callable[[], None] = lambda: None) -> None:
        self._on_stop = on_stop
        self._running: set[asyncio.Future[None]] = set()
        self._answering: set[asyncio.Future[None]] = set()
        self.has_begun = False

    @property
    def n_open(self) -> int:
        """Requests whose answer is not sent yet."""
        return len(self._running)

    def begin(self) -> None:
        """From now on, new requests are refused."""
        self.has_begun = True

    def stop(self) -> None:
        """Stop the requests whose answer has not begun; each gets a 503."""
        self.begin()
        self._on_stop()
        for request in self._running - self._answering:
            request.cancel()

    def add(self, request: asyncio.Future[None]) -> None:
        """A request that is under way until it is done."""
        self._running.add(request)
        request.add_done_callback(self._running.discard)
        request.add_done_callback(self._answering.discard)

    def note_answer(self, request: asyncio.Future[None]) -> None:
        """The answer to a request has begun."""
        self._answering.add(request)


class AnswerAtStop:
    """Middleware that answers what the server's stop ends."""

    def __init__(self, app: ASGIApp, draining: Draining) -> None:
        self._app, self._draining = app, draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._draining.has_begun:
            await _refusal(scope)(scope, receive, send)
            return
        has_started = False

        async def note(message: Message) -> None:
            nonlocal has_started
            if not has_started:
                has_started = True
                self._draining.note_answer(running)
            await send(message)

        running = asyncio.ensure_future(self._app(scope, receive, note))
        self._draining.add(running)
        try:
            await running
        except asyncio.CancelledError:
            if has_started or not self._draining.has_begun:
                raise
            await _refusal(scope)(scope, receive, send)


def _refusal(scope: Scope) -> Response:
    return problem_response(Problem.busy(tr("the server is being stopped")), scope)
