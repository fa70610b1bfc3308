# SPDX-License-Identifier: Apache-2.0
"""The ASGI application: its routes, what stands before them, and what starts and ends with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket

from oido.errors import OidoError
from oido.server.access import Access, Guard
from oido.server.metrics import CountRequests, ServerMetrics
from oido.server.model_store import ModelStore
from oido.server.openapi import documentation_routes
from oido.server.pool import WORKER_COMMAND, WorkerPool
from oido.server.problems import Problem, problem_of, problem_response
from oido.server.routes import Routes
from oido.server.settings import Settings
from oido.server.streams import Streams
from oido.server.uploads import Uploads
from oido.server.worker import Setup

__all__ = ["create_app"]


def create_app(
    settings: Settings,
    *,
    pages: Sequence[BaseRoute] = (),
    worker_command: Sequence[str] = WORKER_COMMAND,
) -> Starlette:
    """The application of a server. ``app.state.streams`` is there while it runs.

    pages: further routes, served to everybody. Raises ModelError or OptionError, before anything
    listens.
    """
    metrics, access = ServerMetrics(), Access(settings.token)
    models = ModelStore(
        settings.models, settings.precision, settings.workers, settings.calibrations
    )
    limits = settings.limits

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(models.close)
            uploads = Uploads(limits)
            stack.callback(uploads.close)
            pool = WorkerPool(
                Setup(
                    settings.models,
                    settings.precision,
                    limits.worker_bytes,
                    settings.calibrations,
                ),
                settings.workers,
                most_waiting=limits.waiting,
                timeout_seconds=limits.timeout_seconds,
                command=worker_command,
                on_restart=metrics.restarts.inc,
            )
            stack.push_async_callback(pool.close)
            await pool.start()
            streams = Streams(models, limits, access, metrics)
            stack.push_async_callback(streams.close)
            app.state.routes = Routes(models, pool, uploads, limits, metrics)
            app.state.streams = streams
            yield

    def http(name: str) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            answer: Response = await getattr(request.app.state.routes, name)(request)
            return answer

        return endpoint

    async def stream(socket: WebSocket) -> None:
        await socket.app.state.streams.endpoint(socket)

    return Starlette(
        routes=[
            Route("/v1/classify", http("classify"), methods=["POST"]),
            Route("/v1/models", http("models")),
            WebSocketRoute("/v1/stream", stream),
            Route("/healthz", http("health")),
            Route("/metrics", http("metrics")),
            *documentation_routes(limits),
            *pages,
        ],
        middleware=[
            Middleware(CountRequests, metrics=metrics),
            Middleware(Guard, access=access, host=settings.host),
        ],
        exception_handlers=dict.fromkeys((Problem, OidoError, HTTPException), _on_error),
        lifespan=lifespan,
    )


async def _on_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):  # the framework's own: no such path, no such method
        headers = dict(error.headers or {})
        error = Problem(error.status_code, "ProtocolError", error.detail, None, headers)
    elif isinstance(error, OidoError):
        error = problem_of(error)
    assert isinstance(error, Problem)
    return problem_response(error)
