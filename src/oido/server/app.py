# SPDX-License-Identifier: Apache-2.0
"""The ASGI application: its endpoints, what stands before them, what starts and ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from oido._version import __version__
from oido.batch.plan import Plan, Task, make_plan
from oido.errors import OidoError, OptionError
from oido.messages import tr
from oido.options import read_query
from oido.params import Windowing
from oido.server.access import Access, Guard
from oido.server.answers import (
    AnswerFile,
    FileResponse,
    SafeAnswers,
    around_member,
    on_defect,
    on_error,
)
from oido.server.draining import AnswerAtStop, Draining
from oido.server.evidence import framewise_floor
from oido.server.metrics import CONTENT_TYPE, CountRequests, ServerMetrics
from oido.server.model_store import ModelStore, ServedModel
from oido.server.openapi import documentation_routes
from oido.server.pool import WORKER_COMMAND, PoolAnswer, WorkerPool
from oido.server.problems import Problem, language_headers, language_of, status_of_kind
from oido.server.settings import Limits, Settings
from oido.server.streams import Streams
from oido.server.uploads import UploadedFile, Uploads
from oido.server.worker import Job, Setup


def create_app(
    settings: Settings,
    *,
    pages: Sequence[BaseRoute] = (),
    worker_command: Sequence[str] = WORKER_COMMAND,
) -> Starlette:
    """The application of a server.

    ``app.state.streams`` are its streams, ``app.state.draining`` its requests, and
    ``app.state.pool`` its workers, for who ends it.

    pages: further routes, served to everybody. Raises ModelError or OptionError, before anything
    listens.
    """
    metrics, access, limits = ServerMetrics(), Access(settings.token), settings.limits
    models, uploads = ModelStore(settings), Uploads(limits)
    pool = WorkerPool(
        Setup(settings.models, settings.precision, limits.worker_bytes, settings.calibrations),
        settings.workers,
        most_waiting=limits.waiting,
        timeout_seconds=limits.timeout_seconds,
        command=worker_command,
        on_restart=metrics.restarts.inc,
    )
    streams = Streams(models, limits, access, metrics)
    draining = Draining(on_stop=pool.stop)
    endpoints = _Endpoints(models, pool, uploads, limits, metrics)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(models.close)
            stack.callback(uploads.close)
            stack.push_async_callback(pool.close)
            try:
                uploads.open()
                await pool.start()
            except Exception as error:
                app.state.failure = error  # for who started the server
                raise
            stack.push_async_callback(streams.close)
            yield

    app = Starlette(
        routes=[
            Route("/v1/classify", endpoints.classify, methods=["POST"]),
            Route("/v1/models", endpoints.models),
            WebSocketRoute("/v1/stream", streams.endpoint),
            Route("/v1/stream", endpoints.no_stream, include_in_schema=False),
            Route("/healthz", endpoints.health),
            Route("/metrics", endpoints.metrics),
            *documentation_routes(limits),
            *pages,
        ],
        middleware=[
            Middleware(SafeAnswers),
            Middleware(CountRequests, metrics=metrics),
            Middleware(AnswerAtStop, draining=draining),
            *([] if access.is_open else [_FOR_PAGES_OF_OTHERS]),
            Middleware(Guard, access=access, host=settings.host),
        ],
        exception_handlers={
            **dict.fromkeys((Problem, OidoError, HTTPException), on_error),
            Exception: on_defect,
        },
        lifespan=lifespan,
    )
    app.state.failure = None
    app.state.streams, app.state.draining, app.state.pool = streams, draining, pool
    return app


_FACTS = ("Model", "Duration", "Windows", "Damaged-Packets", "Gaps-Seconds")

_FOR_PAGES_OF_OTHERS = Middleware(
    CORSMiddleware,
    allow_origins=["*"],
    allow_methods=["GET", "POST"],
    allow_headers=["*"],
    expose_headers=[f"Oido-{name}" for name in _FACTS],
)
"""Where there is a token, which no browser sends by itself, pages of any origin may show it."""


_OWN_OPTIONS = frozenset({"name"})
"""Of the query: how rows call a recording without a name. The rest are in `oido.options`."""


@dataclass(frozen=True)
class _Endpoints:
    """The HTTP endpoints, and the parts of the server that they use."""

    _models: ModelStore
    _pool: WorkerPool
    _uploads: Uploads
    _limits: Limits
    _metrics: ServerMetrics

    async def classify(self, request: Request) -> Response:
        """``POST /v1/classify``: the rows that `oido classify --format json` would write."""
        pairs = [(n, v) for n, v in request.query_params.multi_items() if n not in _OWN_OPTIONS]
        served, plan, framewise = self._plan(pairs)
        rows = self._uploads.new_answer()
        try:
            async with self._uploads.receive(request) as upload:
                self._metrics.upload_bytes.inc(upload.size_bytes)
                answer = await self._predict(request, plan, framewise, upload, rows)
            self._metrics.upload_audio_seconds.inc(answer.duration)
            if answer.failure is not None:
                return _failed(answer, rows, request, upload.name)
        except BaseException:
            rows.close()
            raise
        facts = (
            served.name.encode("ascii", "replace").decode(),
            f"{answer.duration:.6f}",
            str(answer.windows),
            str(answer.damaged_packets),
            f"{answer.gaps_seconds:.6f}",
        )
        headers = {f"Oido-{name}": fact for name, fact in zip(_FACTS, facts, strict=True)}
        return FileResponse(rows, 200, headers)

    async def models(self, request: Request) -> Response:
        """``GET /v1/models``: the models of this server, the default first."""
        labels = False
        for name, text in request.query_params.multi_items():
            if name != "labels" or text.lower() not in ("true", "false"):
                raise OptionError(tr("the only option here is labels=true or labels=false"))
            labels = text.lower() == "true"
        return JSONResponse({"models": [served.facts(labels) for served in self._models]})

    async def no_stream(self, request: Request) -> Response:
        """``GET /v1/stream`` without its upgrade, as of a proxy that does not pass it on."""
        raise Problem(
            426,
            "ProtocolError",
            tr(
                "streams come by WebSocket, and this request does not ask for one; a proxy must "
                "pass on the headers Upgrade and Connection"
            ),
            headers={"Upgrade": "websocket"},
        )

    async def health(self, request: Request) -> Response:
        """``GET /healthz``: the server is there."""
        return JSONResponse({"status": "ok", "version": __version__})

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``: its numbers."""
        self._metrics.waiting.set(self._pool.waiting)
        self._metrics.uploads_here.set(self._uploads.bytes_here)
        return Response(self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    def _plan(self, pairs: list[tuple[str, str]]) -> tuple[ServedModel, Plan, float | None]:
        """The model, the plan, and the lowest framewise score that is wanted, or None.

        Raises for every wrong option, before the upload.
        """
        options = read_query(pairs)
        served = self._models.find(options["model"])
        plan = make_plan(
            {**options, "labels_file": served.labels_file(options["head"])},
            model=served.source,
            precision=served.model.precision,
            calibrated=served.model.head_named(options["head"]).calibration is not None,
        )
        served.postprocessor(plan.selection, locale=plan.locale, head=plan.head)
        Windowing.from_seconds(served.model.windows, plan.hop)
        return served, plan, framewise_floor(options)

    async def _predict(
        self,
        request: Request,
        plan: Plan,
        framewise: float | None,
        upload: UploadedFile,
        rows: AnswerFile,
    ) -> PoolAnswer:
        """The answer of a worker; cancelled if the client disconnects."""
        limits = self._limits
        task = Task(0, upload.path, upload.name, upload.name, size_bytes=upload.size_bytes)
        job = Job(plan, task, limits.duration_seconds, limits.rows, framewise)
        running = asyncio.ensure_future(self._pool.classify(job, rows.write))
        leaving = asyncio.ensure_future(_left(request))
        try:
            await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                raise Problem(499, "AccessError", tr("the client went away"))
            return running.result()
        finally:
            for task_ in (running, leaving):
                task_.cancel()
            await asyncio.gather(running, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _failed(answer: PoolAnswer, rows: AnswerFile, request: Request, name: str) -> Response:
    assert answer.failure is not None
    kind, reason = answer.failure
    problem = Problem(status_of_kind(kind), kind, reason, about=name)
    if kind == "LimitError" or not answer.windows or not rows.is_list:
        raise problem
    # Rows before the damage are kept, as `oido classify` keeps them.
    locale = language_of(request.scope)
    body = {
        **problem.body(locale),
        "duration": round(answer.duration, 6),
        "damaged_packets": answer.damaged_packets,
        "gaps_seconds": round(answer.gaps_seconds, 6),
    }
    return FileResponse(
        rows, problem.status, language_headers(locale), around=around_member(body, "rows")
    )
