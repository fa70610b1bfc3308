# SPDX-License-Identifier: Apache-2.0
"""What a server counts, for Prometheus."""

from __future__ import annotations

import time
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")


class ServerMetrics:
    """One server's numbers; two servers in one process do not share them."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        self.requests = counter("oido_requests", "Answered requests.", ["path", "method", "status"])
        self.request_seconds = Histogram(
            "oido_request_seconds",
            "From a request's headers to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.upload_bytes = counter("oido_upload_bytes", "Bytes of uploads received.")
        self.upload_audio_seconds = counter(
            "oido_upload_audio_seconds", "Seconds of uploaded sound heard."
        )
        self.waiting = gauge("oido_requests_waiting", "Requests waiting for a worker.")
        self.uploads_here = gauge(
            "oido_uploads_here_bytes", "Bytes of uploads that are on the disk now."
        )
        self.restarts = counter("oido_worker_restarts", "Workers that had to be replaced.")
        self.streams = counter("oido_streams", "Streams that are over, by how they ended.", ["how"])
        self.streams_open = gauge("oido_streams_open", "Streams that are open.")
        self.stream_audio_seconds = counter(
            "oido_stream_audio_seconds", "Seconds of streamed sound heard."
        )
        self.dropped = counter(
            "oido_stream_dropped",
            "Windows or events left out because a client took them too slowly.",
        )

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)


class CountRequests:
    """Middleware that counts requests and how long they take."""

    def __init__(self, app: ASGIApp, metrics: ServerMetrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.monotonic(), 500

        async def count(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, count)
        finally:
            # Only paths and methods that there are: strangers' must not grow the table.
            path = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(path, method, str(status)).inc()
            self._metrics.request_seconds.labels(path).observe(time.monotonic() - started)
