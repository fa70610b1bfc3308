# SPDX-License-Identifier: Apache-2.0
"""``WS /v1/stream``: reads a client's messages, sends the session's, and closes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from oido.errors import OidoError
from oido.messages import tr
from oido.server.access import Access
from oido.server.connections import StreamConnection, address_of_host
from oido.server.metrics import ServerMetrics
from oido.server.model_store import ModelStore
from oido.server.problems import Problem, language_of, problem_of
from oido.server.protocol import (
    CLOSE_OF_STATUS,
    NO_HEADER,
    VERSION,
    Header,
    read_control,
    read_header,
    text_of,
)
from oido.server.sessions import LoopCalls, Session
from oido.server.settings import Limits

_GOING_AWAY = 1001

_OWN_ADDRESSES = ("127.0.0.1", "::1")
"""Of this machine, or of a proxy on it, behind which stand many clients."""


class Streams:
    """All streams that are open: of each, a task reads and a task sends."""

    def __init__(
        self, models: ModelStore, limits: Limits, access: Access, metrics: ServerMetrics
    ) -> None:
        self._models, self._limits = models, limits
        self._access, self._metrics = access, metrics
        self._sessions: set[Session] = set()
        self._n_open = 0
        self._n_of_address: Counter[str] = Counter()
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._calls: LoopCalls | None = None

    async def endpoint(self, socket: WebSocket) -> None:
        """One connection, from its header to its close."""
        await socket.accept()
        try:
            await self._serve(socket)
        except Problem as problem:
            self._metrics.streams.labels(problem.kind).inc()
            code = CLOSE_OF_STATUS.get(problem.status, 1011)
            body = problem.body(language_of(socket.scope))
            await _close(socket, text_of("error", **body), code)
        except (WebSocketDisconnect, asyncio.TimeoutError):
            self._metrics.streams.labels("gone").inc()
            await _close(socket, None, 1011)

    async def drain(self) -> None:
        """Let every stream end with a message; returns when all have, or their time is over."""
        self._draining = True
        for session in list(self._sessions):
            session.end("shutdown")
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._idle.wait(), self._limits.drain_seconds)

    async def close(self) -> None:
        """Stop what is left."""
        for session in list(self._sessions):
            session.abandon()

    async def _serve(self, socket: WebSocket) -> None:
        header = await self._header(socket)
        if self._draining:
            raise Problem.busy(tr("the server is being stopped"))
        if self._n_open >= self._limits.streams:
            raise Problem.busy(
                tr("all {count} streams are taken; try again later", count=self._limits.streams)
            )
        address = address_of_host(socket.client.host) if socket.client else ""
        is_full = self._n_of_address[address] >= self._limits.address_streams
        if is_full and address not in _OWN_ADDRESSES:
            raise Problem.busy(
                tr(
                    "this client address has {count} streams, the most that one may have; end one "
                    "of them first",
                    count=self._limits.address_streams,
                )
            )
        self._n_open += 1
        self._n_of_address[address] += 1
        self._idle.clear()
        try:
            served = self._models.find(header.options["model"])
            self._calls = self._calls or LoopCalls(asyncio.get_running_loop())
            seconds = self._metrics.stream_audio_seconds.inc
            session = Session(header, served, seconds, self._calls)
            ready = text_of(
                "ready",
                version=VERSION,
                model=served.name,
                hop=session.windowing.hop_seconds,
                window=session.windowing.window_samples / session.windowing.sample_rate_hz,
                calibrated=served.model.head.calibration is not None,
                **({"labels": session.display_names} if header.results == "binary" else {}),
            )
            self._sessions.add(session)
            try:
                with self._metrics.streams_open.track_inprogress():
                    await asyncio.wait_for(_send(socket, ready), self._limits.send_seconds)
                    await self._run(socket, header, session)
            finally:
                self._sessions.discard(session)
                self._metrics.dropped.inc(session.outbox.dropped)
        except OidoError as error:
            raise problem_of(error) from error
        finally:
            self._n_open -= 1
            self._n_of_address[address] -= 1
            self._n_of_address += Counter()  # forgets those that have none
            if not self._n_open:
                self._idle.set()

    async def _header(self, socket: WebSocket) -> Header:
        may = self._access.allows_header(socket.headers)
        try:
            message = await asyncio.wait_for(_receive(socket), self._limits.header_seconds)
        except asyncio.TimeoutError as error:
            reason = tr("no header message came in time")
            raise Problem(400, "ProtocolError", reason) from error
        if not isinstance(message, str):
            raise Problem(400, "ProtocolError", NO_HEADER)
        header = read_header(message)
        if not may and not self._access.allows(header.token):
            raise self._access.refusal()
        return header

    async def _run(self, socket: WebSocket, header: Header, session: Session) -> None:
        """Until all messages are sent, or the client disconnects."""
        wire: StreamConnection | None = getattr(socket.state, "connection", None)
        idle, slow = _Watchdog(self._limits.idle_seconds), _Watchdog(self._limits.send_seconds)
        reading = asyncio.ensure_future(self._read(socket, wire, header, session, idle))
        sending = asyncio.ensure_future(self._send_all(socket, wire, session, slow))
        idling = asyncio.ensure_future(idle.wait_elapsed())
        stuck = asyncio.ensure_future(slow.wait_elapsed())
        tasks = (reading, sending, idling, stuck)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()  # raises what the client did wrong, or that it has gone
                await asyncio.wait((sending, stuck), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
            elif stuck.done():
                raise WebSocketDisconnect(1011)
            else:
                reason = tr("no message came for {seconds:g} s", seconds=self._limits.idle_seconds)
                raise Problem(408, "LimitError", reason)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            session.outbox.wire = None
            if wire is not None:
                wire.accept = None
            session.abandon()
        if session.problem is not None:
            raise session.problem
        self._metrics.streams.labels(session.reason).inc()
        code = 1000 if session.reason == "end" else _GOING_AWAY
        await _close(socket, session.last_message(), code)

    async def _read(
        self,
        socket: WebSocket,
        wire: StreamConnection | None,
        header: Header,
        session: Session,
        watch: _Watchdog,
    ) -> None:
        """Read the client's messages up to its "end"."""

        def accept(content: bytes) -> bool:
            whole = header.has_whole_frames(content)
            if not whole or not session.push_now(header.samples(content)):
                return False
            watch.begin()
            if session.seconds > self._limits.stream_seconds:
                session.end("limit")
            return True

        while True:
            watch.begin()
            if wire is not None:
                wire.accept = accept
            message = await _receive(socket)
            if wire is not None:
                wire.accept = None
            watch.end()
            if isinstance(message, str):
                read_control(message)
                session.end()
                return
            if not await session.push(header.samples(message)):
                return
            if session.seconds > self._limits.stream_seconds:
                session.end("limit")
                return

    async def _send_all(
        self, socket: WebSocket, wire: StreamConnection | None, session: Session, watch: _Watchdog
    ) -> None:
        session.outbox.wire = wire
        while (message := await session.outbox.next()) is not None:
            watch.begin()
            await _send(socket, message)
            watch.end()


async def _receive(socket: WebSocket) -> str | bytes:
    message: Any = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    text = message.get("text")
    return text if text is not None else bytes(message.get("bytes") or b"")


async def _send(socket: WebSocket, message: str | bytes) -> None:
    try:
        if isinstance(message, str):
            await socket.send_text(message)
        else:
            await socket.send_bytes(message)
    except (OSError, RuntimeError) as error:  # what the framework raises for a closed socket
        raise WebSocketDisconnect(1006) from error


async def _close(socket: WebSocket, last: str | None, code: int) -> None:
    """A last message and the close, to a client that may have gone or may not take them."""
    with contextlib.suppress(Exception):
        if last is not None:
            await asyncio.wait_for(_send(socket, last), 5.0)
        await asyncio.wait_for(socket.close(code), 5.0)


class _Watchdog:
    """Notices when something is too slow.

    A timeout for every message of every stream would cost more than the messages; so they only
    note when they ``begin`` and ``end``, and one task looks from time to time (`wait_elapsed`).
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begun: float | None = None

    def begin(self) -> None:
        """It begins now."""
        self._begun = time.monotonic()

    def end(self) -> None:
        """It is done."""
        self._begun = None

    async def wait_elapsed(self) -> None:
        """Return when the time limit has passed."""
        while True:
            begun = self._begun
            left = self._seconds if begun is None else begun + self._seconds - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(left)
