# SPDX-License-Identifier: Apache-2.0
"""The answers to HTTP requests."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from oido._version import __version__
from oido.batch.plan import Plan, Task
from oido.errors import OptionError
from oido.params import Selection
from oido.server.metrics import CONTENT_TYPE, ServerMetrics
from oido.server.model_store import ModelStore, ServedModel
from oido.server.options import from_query, plan_of
from oido.server.pool import PoolAnswer, WorkerPool
from oido.server.problems import Problem, status_of_kind
from oido.server.settings import Limits
from oido.server.uploads import UploadedFile, Uploads
from oido.server.worker import Job

__all__ = ["Routes"]

_OWN_OPTIONS = frozenset({"name"})
"""Of the query: what a recording without a name is called. The rest is for hearing."""


class Routes:
    """Everything that a request may be answered with needs."""

    def __init__(
        self,
        hearers: ModelStore,
        pool: WorkerPool,
        uploads: Uploads,
        limits: Limits,
        metrics: ServerMetrics,
    ) -> None:
        self._hearers, self._pool, self._uploads = hearers, pool, uploads
        self._limits, self._metrics = limits, metrics

    async def classify(self, request: Request) -> Response:
        """``POST /v1/classify``: the rows that `oido classify --format json` would write."""
        pairs = [(n, v) for n, v in request.query_params.multi_items() if n not in _OWN_OPTIONS]
        served, plan = self._plan(pairs)
        async with self._uploads.received(request) as upload:
            self._metrics.upload_bytes.inc(upload.size_bytes)
            heard = await self._heard(request, plan, upload)
        self._metrics.upload_audio_seconds.inc(heard.duration)
        if heard.failure is not None:
            raise _failed(heard)
        headers = {
            "Oido-Model": served.name.encode("ascii", "replace").decode(),
            "Oido-Duration": f"{heard.duration:.6f}",
            "Oido-Windows": str(heard.windows),
            "Oido-Damaged-Packets": str(heard.damaged_packets),
        }
        return Response(b"".join(heard.rows), 200, headers, "application/json")

    async def models(self, request: Request) -> Response:
        """``GET /v1/models``: what this server hears by; the first is the one without a name."""
        labels = False
        for name, text in request.query_params.multi_items():
            if name != "labels" or text.lower() not in ("true", "false"):
                raise OptionError("the only option here is labels=true or labels=false")
            labels = text.lower() == "true"
        return JSONResponse({"models": [served.facts(labels) for served in self._hearers]})

    async def health(self, request: Request) -> Response:
        """``GET /healthz``: the server is there."""
        return JSONResponse({"status": "ok", "version": __version__})

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``: its numbers."""
        self._metrics.waiting.set(self._pool.waiting)
        self._metrics.uploads_here.set(self._uploads.bytes_here)
        return Response(self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    def _plan(self, pairs: list[tuple[str, str]]) -> tuple[ServedModel, Plan]:
        """The model and the plan; all that can be wrong with them is told before the upload."""
        options = from_query(pairs)
        served = self._hearers.named(options.model)
        calibrated = served.head(options.head).calibration is not None
        plan = plan_of(options, served.given, served.model.precision, calibrated)
        lists = Selection(
            category_allowlist=options.allow,
            category_denylist=options.deny,
        )
        served.reader(lists, locale=options.locale, head=options.head)
        served.windowing(options.hop)
        return served, plan

    async def _heard(self, request: Request, plan: Plan, upload: UploadedFile) -> PoolAnswer:
        """What a worker says, unless the client goes away before: then nobody needs it."""
        limits = self._limits
        task = Task(0, upload.path, upload.name, upload.name, size_bytes=upload.size_bytes)
        job = Job(plan, task, limits.duration_seconds, limits.rows)
        hearing = asyncio.ensure_future(self._pool.classify(job))
        leaving = asyncio.ensure_future(_left(request))
        try:
            await asyncio.wait({hearing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not hearing.done():
                raise Problem(499, "AccessError", "the client went away")
            return hearing.result()
        finally:
            for task_ in (hearing, leaving):
                task_.cancel()
            await asyncio.gather(hearing, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _failed(heard: PoolAnswer) -> Problem:
    assert heard.failure is not None
    kind, reason = heard.failure
    more: dict[str, Any] = {}
    if kind != "LimitError" and heard.windows:
        # Rows of what was heard before the damage are kept, as `oido classify` keeps them.
        more = {"rows": json.loads(b"".join(heard.rows)), "duration": round(heard.duration, 6)}
    return Problem(status_of_kind(kind), kind, reason, more)
