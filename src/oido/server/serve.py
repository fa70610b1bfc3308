# SPDX-License-Identifier: Apache-2.0
"""The server on its address, from its start to its graceful end."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette

from oido.errors import OptionError
from oido.messages import tr
from oido.server.connections import (
    OTHER_CONNECTIONS,
    RESERVED_CONNECTIONS,
    Crowd,
    HttpConnection,
    StreamConnection,
)
from oido.server.protocol import MESSAGE_BYTES
from oido.server.settings import Limits, Settings

_ARRIVING = 128
"""Connections that are not ready, as they are in the midst of TLS's handshake."""

_OWN_DESCRIPTORS, _DESCRIPTORS_OF_WORKER = 64, 8
"""Of a server without any connection."""

_FEWEST_PLACES = 16

_ACCEPT_PAUSE_SECONDS = 0.1
"""Where the system has no descriptor for the next connection."""

_PING_SECONDS = 20.0

_RECEIVE_BYTES = 1 << 18

_SWITCH_SECONDS = 0.001

_FAREWELL_SECONDS = 10.0
"""As long as uvicorn waits for the answer to a close."""

_LAST_SECONDS = 2.0


def serve(app: Starlette, settings: Settings, on_message: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; a second one ends it at once.

    on_message: called with the address, as soon as requests are answered. Raises OptionError for
    an address that is not available, and where too few files may be open.
    """
    limits = settings.limits
    crowd = Crowd(limits, _places(settings))
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=cast("type[asyncio.Protocol]", partial(HttpConnection, limits, crowd)),
        ws=cast("type[asyncio.Protocol]", partial(StreamConnection, limits, crowd)),
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
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
    logging.getLogger("uvicorn.error").addFilter(_is_defect)
    logging.getLogger("asyncio").addFilter(_is_error)
    server = _Server(config, app, limits, listener, lambda: on_message(address))
    # Threads that hear hand the interpreter over sooner, so that messages do not wait for them.
    sys.setswitchinterval(_SWITCH_SECONDS)
    with listener:
        server.run()


def _is_defect(record: logging.LogRecord) -> bool:
    """Whether this is about our own code: what clients do wrong must not fill the log."""
    return _is_error(record) and record.getMessage().startswith("Exception in ASGI")


def _is_error(record: logging.LogRecord) -> bool:
    """Of asyncio's records: the lesser ones are of connections that clients have closed."""
    return record.levelno >= logging.ERROR


class _Server(uvicorn.Server):
    """Ends streams by their own last message, and requests by an answer, before connections."""

    def __init__(
        self,
        config: uvicorn.Config,
        app: Starlette,
        limits: Limits,
        listener: socket.socket,
        on_started: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._app, self._limits, self._listener = app, limits, listener
        self._on_started = on_started
        self._arriving: dict[asyncio.Future[Any], None] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup([])
        except SystemExit:  # what the original makes of a start that failed
            if self.should_exit:
                return
            if self._app.state.failure is not None:
                raise self._app.state.failure from None
            raise
        self._listener.setblocking(False)
        self._listener.listen(self.config.backlog)
        self._accepting = asyncio.ensure_future(self._accept_all())
        if not self.should_exit:
            self._on_started()

    async def _accept_all(self) -> None:
        """Connections as they come.

        asyncio's own way takes two thousand in one turn, before any of them can be refused, sets no
        limit to those in the midst of a handshake, and where descriptors run out it logs each.
        """
        loop = asyncio.get_running_loop()
        seconds = self._limits.header_seconds if self.config.ssl else None
        while True:
            try:
                client, _ = await loop.sock_accept(self._listener)
            except OSError:  # the client has gone, or the system has no more
                await asyncio.sleep(_ACCEPT_PAUSE_SECONDS)
                continue
            arriving = asyncio.ensure_future(
                loop.connect_accepted_socket(
                    self._new_connection, client, ssl=self.config.ssl, ssl_handshake_timeout=seconds
                )
            )
            self._arriving[arriving] = None
            arriving.add_done_callback(self._arrived)
            if len(self._arriving) > _ARRIVING:
                next(iter(self._arriving)).cancel()
            await asyncio.sleep(0)

    def _arrived(self, arriving: asyncio.Future[Any]) -> None:
        del self._arriving[arriving]
        if not arriving.cancelled():
            arriving.exception()  # a handshake that failed is the client's affair

    def _new_connection(self) -> asyncio.Protocol:
        return self.config.http_protocol_class(
            config=self.config,  # type: ignore[call-arg]
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal ends the server when all is answered, a second one now."""
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True
        if not self.started:  # workers that start are not waited for
            self._app.state.pool.kill()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Nothing here waits without a limit, so the end comes whatever is under way."""
        self._accepting.cancel()
        await asyncio.wait({self._accepting})
        self._listener.close()
        requests = self._app.state.draining
        requests.begin()
        draining = asyncio.ensure_future(self._app.state.streams.drain())
        await self._until(
            lambda: draining.done() and not requests.n_open, self._limits.drain_seconds
        )
        draining.cancel()
        requests.stop()
        await self._until(self._all_took_leave, _FAREWELL_SECONDS)
        self.force_exit = False  # what follows is short, and cleans up
        connections = self.server_state.connections
        for connection in list(connections):
            connection.shutdown()
        await self._until(lambda: not connections, _LAST_SECONDS)
        for connection in list(connections):
            connection.transport.abort()
        await self._until(lambda: not self.server_state.tasks, _LAST_SECONDS)
        for task in list(self.server_state.tasks):
            task.cancel()
        await self.lifespan.shutdown()

    def _all_took_leave(self) -> bool:
        """Whether answers are sent, and clients of ended streams have answered the close.

        A connection that is cut while the client's samples still wait to be read is reset, and then
        the client's system throws away what it has not read: the stream's last message.
        """
        connections = self.server_state.connections
        waits = any(getattr(connection, "close_sent", False) for connection in connections)
        return not waits and not self._app.state.draining.n_open

    async def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait until something is so, for so long at most; a second signal ends that, too."""
        deadline = time.monotonic() + seconds
        while not holds() and not self.force_exit and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Unlike the original, does not raise the signal again: to be stopped is no failure.

        Once stopped, the process ends, and a further signal must not make a failure of it.
        """
        handled = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, signal.SIG_IGN if self.should_exit else handler)


def _load_certificate(config: uvicorn.Config, settings: Settings) -> None:
    """Load it now, so that an unusable certificate is reported as such."""
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        if settings.certificate is None:
            raise
        raise OptionError(
            tr(
                "{certificate}: is no certificate with its key{reason}; both are "
                "files in PEM, see --certificate and --key",
                certificate=settings.certificate,
                # What OpenSSL says names a line of its own source.
                reason=""
                if isinstance(error, ssl.SSLError)
                else tr(" ({reason})", reason=error.strerror or error),
            )
        ) from error
    if config.ssl is not None:
        # Tickets come when the handshake is over, and clients that write in one thread and read in
        # another (as `websockets.sync` does) may lose what they write meanwhile.
        config.ssl.num_tickets = 0


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
            tr(
                "{host}:{port} cannot be listened on ({reason}); choose another --host or --port",
                host=host,
                port=port,
                reason=error.strerror or error,
            )
        ) from error
    return bound


def _places(settings: Settings) -> int | None:
    """How many connections this process has descriptors for; None: of which nothing is known.

    Its own limit is raised, where it may be: a connection may have a file beside it.
    """
    try:
        import resource
    except ImportError:  # Windows
        return None
    own = _OWN_DESCRIPTORS + _DESCRIPTORS_OF_WORKER * settings.workers + _ARRIVING
    wanted = 2 * (settings.limits.streams + OTHER_CONNECTIONS + RESERVED_CONNECTIONS) + own
    with suppress(OSError, ValueError):  # it may not be raised
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return None
    places = (soft - own) // 2
    if places < _FEWEST_PLACES:
        raise OptionError(
            tr(
                "this process may open {count} files, and a server needs {needed}; raise that "
                "(`ulimit -n`, LimitNOFILE of systemd)",
                count=soft,
                needed=own + 2 * _FEWEST_PLACES,
            )
        )
    return places
