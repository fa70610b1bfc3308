# SPDX-License-Identifier: Apache-2.0
"""``/openapi.json``, and ``/docs``: the same as a page, without a script or anything from afar."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from oido._version import __version__
from oido.options import QUERY_OPTIONS
from oido.server.settings import Limits
from oido.writers.html import render

__all__ = ["documentation_routes", "openapi"]


def documentation_routes(limits: Limits) -> list[Route]:
    """The document and its page."""
    document = openapi(limits)
    page = render(
        "api.html",
        "server",
        title=f"oido {__version__}",
        document=document,
        schemas=json.dumps(document["components"]["schemas"], indent=2),
    )

    async def as_json(request: Request) -> Response:
        return JSONResponse(document)

    async def as_page(request: Request) -> Response:
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    return [Route("/openapi.json", as_json), Route("/docs", as_page)]


def openapi(limits: Limits) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a server with these limits."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "oido",
            "version": __version__,
            "description": "What is heard in a recording or a stream. Scores are the model's raw "
            "outputs from 0 to 1, and not probabilities. Streams of samples are heard by "
            "WebSocket at /v1/stream.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v1/classify": {"post": _classify(limits)},
            "/v1/models": {"get": _models()},
            "/healthz": {"get": _health()},
            "/metrics": {"get": _metrics()},
        },
        "components": {
            "schemas": {"Row": _ROW, "Problem": _PROBLEM},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_ROW: dict[str, Any] = {
    "type": "object",
    "description": "An event, or a label of a window or of the whole recording.",
    "properties": {
        "file": {"type": "string"},
        "channel": {"type": ["integer", "null"], "description": "null: channels were mixed"},
        "start_time": {"type": "number", "description": "seconds"},
        "end_time": {"type": "number", "description": "seconds"},
        "label": {"type": "string"},
        "label_index": {"type": "integer"},
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "probability": {
            "type": "number",
            "description": "only of models that have a calibration",
        },
    },
    "required": ["file", "channel", "start_time", "end_time", "label", "label_index", "score"],
}

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "its kind"},
        "message": {"type": "string", "description": "one sentence that says what to do"},
        "rows": {
            "type": "array",
            "items": {"$ref": "#/components/schemas/Row"},
            "description": "what was heard before the damage",
        },
        "duration": {"type": "number", "description": "seconds heard before the damage"},
    },
    "required": ["error", "message"],
}

_TEXT = {"type": "string"}


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _problem(description: str) -> dict[str, Any]:
    return _answer(description, {"$ref": "#/components/schemas/Problem"})


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_COMMON = {
    "401": _problem("the token is missing or wrong"),
    "403": _problem("asked by a page of another origin, or by another name"),
    "405": _problem("there is no such method here"),
}


def _classify(limits: Limits) -> dict[str, Any]:
    file = {"type": "string", "format": "binary"}
    form = {"type": "object", "properties": {"file": file}, "required": ["file"]}
    size, seconds = f"{limits.body_bytes / 1e6:g} MB", f"{limits.duration_seconds:g} s"
    return {
        "operationId": "classify",
        "summary": "Hear a recording, and answer when it has been heard.",
        "description": "The rows are those of `oido classify --format json`. Nothing of the "
        f"upload is kept. At most {size}, {seconds} and {limits.rows} rows.",
        "security": [{"token": []}, {}],
        "parameters": [
            *(option.parameter() for option in QUERY_OPTIONS.values()),
            _query("name", _TEXT, "what rows call a recording that is the body itself"),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "application/octet-stream": {"schema": file},
            },
        },
        "responses": {
            "200": _answer(
                "the rows", {"type": "array", "items": {"$ref": "#/components/schemas/Row"}}
            ),
            "400": _problem("an option or the form makes no sense"),
            "404": _problem("this server has no such model"),
            "408": _problem("the upload took too long"),
            "413": _problem("a limit was met: size, length, rows"),
            "422": _problem("the recording cannot be heard (to its end)"),
            "503": _problem("too much to do, or the worker was stopped; try again"),
            "504": _problem("hearing it took too long"),
            **_COMMON,
        },
    }


def _models() -> dict[str, Any]:
    models = {
        "type": "object",
        "properties": {"models": {"type": "array", "items": {"type": "object"}}},
        "required": ["models"],
    }
    return {
        "operationId": "models",
        "summary": "The models of this server; the first is heard unless another is named.",
        "security": [{"token": []}, {}],
        "parameters": [_query("labels", {"type": "boolean", "default": False}, "with all labels")],
        "responses": {
            "200": _answer("the models", models),
            "400": _problem("an option makes no sense"),
            **_COMMON,
        },
    }


def _health() -> dict[str, Any]:
    schema = {"type": "object", "properties": {"status": {"const": "ok"}, "version": _TEXT}}
    return {
        "operationId": "health",
        "summary": "Whether the server is there.",
        "responses": {"200": _answer("it is", schema), **_COMMON},
    }


def _metrics() -> dict[str, Any]:
    content = {"text/plain": {"schema": _TEXT}}
    return {
        "operationId": "metrics",
        "summary": "Its numbers, for Prometheus.",
        "security": [{"token": []}, {}],
        "responses": {"200": {"description": "the numbers", "content": content}, **_COMMON},
    }
