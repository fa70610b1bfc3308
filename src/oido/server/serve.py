# SPDX-License-Identifier: Apache-2.0
"""The server on its address, from its start to its graceful end."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from oido.errors import OptionError
from oido.server.protocol import MESSAGE_BYTES
from oido.server.settings import Limits, Settings

_OTHER_CONNECTIONS = 512
"""Beside the streams: beyond them, requests are refused at once."""

_PING_SECONDS = 20.0

_RECEIVE_BYTES = 1 << 18

_SWITCH_SECONDS = 0.001

_FAREWELL_SECONDS = 10.0
"""As long as uvicorn waits for the answer to a close."""


def serve(app: Starlette, settings: Settings, on_message: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; a second one ends it at once.

    on_message: called with the address, as soon as requests are answered. Raises OptionError for
    an address that is not available.
    """
    limits = settings.limits
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=_protocol(limits),
        ws="websockets-sansio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.streams + _OTHER_CONNECTIONS,
        timeout_graceful_shutdown=int(limits.drain_seconds) + 1,
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,
        # A pong may stand behind megabytes of sound: idle clients are noticed by their silence.
        ws_ping_interval=_PING_SECONDS,
        ws_ping_timeout=None,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
    _load_certificate(config, settings)
    listener = _listener(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    scheme = "http" if settings.certificate is None else "https"
    address = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
    server = _Server(config, app, lambda: on_message(address))
    # Threads that hear hand the interpreter over sooner, so that messages do not wait for them.
    sys.setswitchinterval(_SWITCH_SECONDS)
    with listener:
        server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Ends streams by their own last message before it ends connections."""

    def __init__(
        self, config: uvicorn.Config, app: Starlette, on_started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._app, self._on_started = app, on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listening in self.servers:
            listening.close()
        await self._app.state.streams.drain()
        await self._await_farewells()
        await super().shutdown(sockets)

    async def _await_farewells(self) -> None:
        """Until clients of ended streams have answered the close, or time is up for them.

        A connection that is cut while the client's samples still wait to be read is reset, and then
        the client's system throws away what it has not read: the stream's last message.
        """
        deadline = time.monotonic() + _FAREWELL_SECONDS
        while not self.force_exit and time.monotonic() < deadline:
            connections = self.server_state.connections
            if not any(getattr(connection, "close_sent", False) for connection in connections):
                return
            await asyncio.sleep(0.02)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike the original, does not raise the signal again: to be stopped is no failure."""
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _load_certificate(config: uvicorn.Config, settings: Settings) -> None:
    """Load it now, so that an unusable certificate is reported as such."""
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        if settings.certificate is None:
            raise
        raise OptionError(
            f"{settings.certificate}: is no certificate with its key "
            f"({error.strerror or error}); both are files in PEM, see --certificate and --key"
        ) from error


def _protocol(limits: Limits) -> type[H11Protocol]:
    class Protocol(H11Protocol):
        """Closes connections whose request does not come, or not to the end of its headers."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.loop.call_later(limits.header_seconds, self._close_if_silent)

        def _close_if_silent(self) -> None:
            # After an upgrade the transport is another protocol's.
            if self.cycle is None and self.transport.get_protocol() is self:
                self.transport.close()

    return Protocol


def _listener(host: str, port: int) -> socket.socket:
    """A socket that is bound now, so that an address in use is reported as such."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # What the system keeps of a stream that comes too fast; a ping waits behind it.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BYTES)
        bound.bind((host.strip("[]"), port))
    except OSError as error:
        bound.close()
        raise OptionError(
            f"{host}:{port} cannot be listened on ({error.strerror or error}); "
            "choose another --host or --port"
        ) from error
    return bound
