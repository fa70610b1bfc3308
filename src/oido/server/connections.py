# SPDX-License-Identifier: Apache-2.0
"""Connections, and what one may cost: time until a request is there, time until an answer is taken,
bytes that wait to be taken, and a place among the others.

They are uvicorn's own protocols, with clocks: `HttpConnection` for HTTP, `StreamConnection` once a
request has become a WebSocket. `Crowd` knows all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from oido.messages import tr
from oido.server.answers import SAFE_HEADERS, add_safe_headers
from oido.server.problems import Problem, problem_response
from oido.server.settings import Limits

OTHER_CONNECTIONS = 512
"""Beside the streams."""

RESERVED_CONNECTIONS = 64
"""Beyond the limits, for what is always answered."""

_MOST_PINGS = 1_000
"""Between two messages: a client of a stream sends one in a minute, or is dropped."""

_READ_BYTES = 1 << 15
"""Of one stream at a time: a second of sound, or a few hundred frames, which cost much more."""

_REST_SECONDS, _REST_PAUSE_SECONDS = 5.0, 1.0
"""For what is left of an upload behind its answer, and without a byte of it."""

_ALWAYS_ANSWERED = frozenset({"/healthz", "/metrics"})

_TEXT = b"Invalid HTTP request received."
_BAD_REQUEST = b"".join(
    (
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n",
        *(f"{name}: {value}\r\n".encode() for name, value in SAFE_HEADERS.items()),
        b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_TEXT), _TEXT),
    )
)


class Crowd:
    """All connections, by client address, and who must give way when there are too many.

    A connection on which nothing is under way gives way to a new one: of the same address beyond
    the limit of one address, and of the address that has most beyond the limit of all. Where all
    are busy, the new one gets a 503, but for the paths that are always answered.

    places: connections that the system has descriptors for; None: as many as there may be.
    """

    def __init__(self, limits: Limits, places: int | None = None) -> None:
        wanted = limits.streams + OTHER_CONNECTIONS + RESERVED_CONNECTIONS
        places = min(wanted, places or wanted)
        self._reserved = min(RESERVED_CONNECTIONS, places // 4)
        self._most = places - self._reserved
        self._most_of_one = limits.streams + limits.address_connections
        self._by_address: dict[str, set[asyncio.Transport]] = {}
        self._addresses: dict[asyncio.Transport, str] = {}
        self._extra: set[asyncio.Transport] = set()

    def join(self, transport: asyncio.Transport) -> None:
        """A connection is new."""
        address = _address_of(transport)
        self._addresses[transport] = address
        self._by_address.setdefault(address, set()).add(transport)
        if not self._is_full_for(address):
            return
        own = self._by_address[address]
        if len(own) <= self._most_of_one:
            own = max(self._by_address.values(), key=len)
        idle = _longest_idle(own, transport) or _longest_idle(set(self._addresses), transport)
        if idle is not None:
            idle.abort()
            return
        self._extra.add(transport)
        if len(self._extra) > self._reserved:
            transport.abort()

    def leave(self, transport: asyncio.Transport) -> None:
        """A connection is gone."""
        address = self._addresses.pop(transport, None)
        if address is not None:
            self._by_address[address].discard(transport)
            if not self._by_address[address]:
                del self._by_address[address]
        self._extra.discard(transport)

    def refuses(self, transport: asyncio.Transport) -> bool:
        """Whether there are too many for a request on this connection."""
        return transport in self._extra and self._is_full_for(self._addresses[transport])

    def _is_full_for(self, address: str) -> bool:
        own = len(self._by_address[address])
        return own > self._most_of_one or len(self._addresses) > self._most


def _address_of(transport: asyncio.Transport) -> str:
    """A client's address; of IPv6 the network, as one host has all addresses of one."""
    peer = transport.get_extra_info("peername")
    return address_of_host(str(peer[0])) if isinstance(peer, tuple) else ""


def address_of_host(host: str) -> str:
    """The same of a host as sockets name it."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))


def _longest_idle(
    transports: set[asyncio.Transport], new: asyncio.Transport
) -> asyncio.Transport | None:
    since = {
        transport: protocol.idle_since
        for transport in transports
        if transport is not new and not transport.is_closing()
        if isinstance(protocol := transport.get_protocol(), HttpConnection) and protocol.is_idle
    }
    return min(since, key=lambda transport: since[transport], default=None)


class _Bounded:
    """What both protocols have: what was written must be taken within a time.

    The transport counts as full as soon as a byte waits, and its users write small pieces
    (`oido.server.answers`) when it is not: so little memory is held by a client that does not read,
    and a piece that waits too long ends the connection, also one that is being closed.
    """

    transport: Any
    loop: asyncio.AbstractEventLoop
    _limits: Limits
    _crowd: Crowd
    _unsent_clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        transport.set_write_buffer_limits(high=1, low=0)
        if transport.get_write_buffer_size():
            self.pause_writing()

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        if self._unsent_clock is None:  # it is called twice where the first bytes wait already
            seconds = self._limits.send_seconds
            self._unsent_clock = self.loop.call_later(seconds, self._abort_if_unsent)

    def resume_writing(self) -> None:
        self._stop_unsent_clock()
        super().resume_writing()  # type: ignore[misc]

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_unsent_clock()
        self._crowd.leave(self.transport)
        super().connection_lost(error)  # type: ignore[misc]

    def _stop_unsent_clock(self) -> None:
        if self._unsent_clock is not None:
            self._unsent_clock.cancel()
            self._unsent_clock = None

    def _abort_if_unsent(self) -> None:
        # What the system holds for the client is to go, too: a reset instead of an end.
        with contextlib.suppress(OSError):
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class HttpConnection(_Bounded, H11Protocol):
    """Closes a connection whose next request does not come, or not to the end of its headers."""

    def __init__(self, limits: Limits, crowd: Crowd, **rest: Any) -> None:
        super().__init__(**rest)
        self._limits, self._crowd = limits, crowd
        self._served, self.app = self.app, self._answer
        self._header_clock: asyncio.TimerHandle | None = None
        self.idle_since = time.monotonic()

    @property
    def is_idle(self) -> bool:
        """Whether no request is under way here."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_request()
        self._crowd.join(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_header_clock()
        super().connection_lost(error)

    def handle_websocket_upgrade(self, event: Any) -> None:
        super().handle_websocket_upgrade(event)
        # From here on the connection is the stream's, which has a clock of its own.
        self._stop_header_clock()
        self._stop_unsent_clock()

    def on_response_complete(self) -> None:
        # Before the original, which may begin the next request.
        self._await_request()
        super().on_response_complete()

    def _await_request(self) -> None:
        self.idle_since = time.monotonic()
        self._stop_header_clock()
        seconds = self._limits.header_seconds
        self._header_clock = self.loop.call_later(seconds, self._close_if_idle)

    def _stop_header_clock(self) -> None:
        if self._header_clock is not None:
            self._header_clock.cancel()
            self._header_clock = None

    def _close_if_idle(self) -> None:
        if self.is_idle:
            self.transport.close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            send = self._before_the_rest(scope, receive, send)
        if self._crowd.refuses(self.transport) and scope["path"] not in _ALWAYS_ANSWERED:
            busy = Problem.busy(tr("too many connections are open here; try again later"))
            await add_safe_headers(problem_response(busy, scope))(scope, receive, send)
        else:
            await self._served(scope, receive, send)

    def _before_the_rest(self, scope: Scope, receive: Receive, send: Send) -> Send:
        """A connection that is closed while an upload still comes is reset by the system, and the
        answer is lost that says why. So the answer goes first, then the rest is read, for a time,
        and only then the answer ends and the connection with it."""
        cycle = self.cycle
        closes = (b"connection", b"close") in scope["headers"]
        comes = False

        async def send_first(message: Message) -> None:
            nonlocal closes, comes
            if message["type"] == "http.response.start":
                closes = closes or (b"connection", b"close") in message["headers"]
                # Who waits for a 100 sends nothing now.
                comes = cycle.more_body and not cycle.waiting_for_100_continue
            elif closes and comes and not message.get("more_body", False):
                await send({**message, "more_body": True})
                await self._take_rest(receive)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        return send_first

    async def _take_rest(self, receive: Receive) -> None:
        ends = self.loop.time() + _REST_SECONDS
        while (left := ends - self.loop.time()) > 0:
            try:
                message = await asyncio.wait_for(receive(), min(left, _REST_PAUSE_SECONDS))
            except asyncio.TimeoutError:
                return
            if message["type"] != "http.request" or not message["more_body"]:
                return

    def _should_upgrade(self) -> bool:
        return not self._crowd.refuses(self.transport) and super()._should_upgrade()

    def send_400_response(self, msg: str) -> None:
        if not self.is_idle:  # in the midst of a request, to which there is no answer then
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.is_idle or not self.cycle.response_started:
            self.transport.write(_BAD_REQUEST)
        self.transport.close()


class _Handshake(ServerProtocol):
    """Of a WebSocket; every answer to it has the headers of every other answer."""

    def send_response(self, response: Response) -> None:
        for name, value in SAFE_HEADERS.items():
            response.headers.setdefault(name, value)
        super().send_response(response)


class StreamConnection(_Bounded, WebSocketsSansIOProtocol):
    """Answers pings no faster than the answers are taken, and not without end.

    A message of samples costs less than the way of a message through uvicorn and the framework: a
    task that wakes, and a socket that is watched no more, and again. So a stream may read and write
    here directly (``socket.state.connection``) what neither side has to wait for; all else goes
    that way.

    accept: gets a binary message, while nothing before it waits; False: it shall wait to be read.
    """

    accept: Callable[[bytes], bool] | None = None

    def __init__(self, limits: Limits, crowd: Crowd, **rest: Any) -> None:
        super().__init__(**rest)
        self._limits, self._crowd = limits, crowd
        self._last_pong: bytes | None = None
        self._pings = 0
        self.conn = _Handshake(
            max_size=self.config.ws_max_size, logger=logging.getLogger("uvicorn.error")
        )

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # Of asyncio's transports: what is read, and so what frames are handled, in one turn.
        transport.max_size = _READ_BYTES

    def handle_ping(self) -> None:
        pongs = self.conn.data_to_send()  # out of the library's list, even if they are not sent
        if self.close_sent or self.transport.is_closing():
            return
        self._pings += 1
        if self._pings > _MOST_PINGS:
            self.conn.fail(1008, "too many pings without a message")
            self.handle_parser_exception()
            return
        if self.writable.is_set():
            self.transport.write(b"".join(pongs))
            return
        # RFC 6455 (5.5.3) allows to answer only the last one; and there is time for it.
        self._last_pong = pongs[-1] if pongs else self._last_pong
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._last_pong is not None and not self.transport.is_closing():
            pong, self._last_pong = self._last_pong, None
            self.transport.write(pong)
            if not self.read_paused:  # by a message that waits to be read
                self.transport.resume_reading()

    async def run_asgi(self) -> None:
        self.scope["state"]["connection"] = self
        await super().run_asgi()

    @property
    def is_writable(self) -> bool:
        """Whether a message can be written without waiting."""
        is_open = self.conn.state is State.OPEN and not self.close_sent
        return is_open and self.writable.is_set() and not self.transport.is_closing()

    def write_text(self, text: str) -> None:
        """Write a message; it must be writable."""
        self.conn.send_text(text.encode())
        self.transport.write(b"".join(self.conn.data_to_send()))

    def write_bytes(self, content: bytes) -> None:
        """The same of a binary message."""
        self.conn.send_binary(content)
        self.transport.write(b"".join(self.conn.data_to_send()))

    def send_receive_event_to_app(self) -> None:
        self._pings = 0
        if not self._is_accepted():
            super().send_receive_event_to_app()

    def _is_accepted(self) -> bool:
        """Whether the message that is complete now is in the stream's hands already."""
        is_binary = self.curr_msg_data_type == "bytes" and len(self.frames) == 1
        if self.accept is None or not is_binary or self.close_sent or not self.queue.empty():
            return False
        if not self.accept(self.frames[0]):
            return False
        self.frames = []
        return True

    def handle_cont(self, event: Any) -> None:
        # A message of a million pieces, or of any number of empty ones, is as large as its bytes.
        if not isinstance(self.frames[0], bytearray):
            self.frames = [bytearray(self.frames[0])]  # type: ignore[list-item]
        self.frames[0] += event.data
        if event.fin:
            self.send_receive_event_to_app()
