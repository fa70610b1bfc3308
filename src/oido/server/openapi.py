# SPDX-License-Identifier: Apache-2.0
"""``/openapi.json``, and ``/docs``: the same as a page, without a script or anything from afar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from oido._version import __version__
from oido.options import QUERY_OPTIONS
from oido.server.settings import Limits
from oido.writers.html import render


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

    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
    headers = {"Content-Security-Policy": policy}
    return [
        Route("/openapi.json", lambda _: JSONResponse(document)),
        Route("/docs", lambda _: HTMLResponse(page, headers=headers)),
    ]


def openapi(limits: Limits) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a server with these limits.

    openapi.json beside this file, with what stands elsewhere in oido: the options of a prediction,
    the limits, and what every error looks like.
    """
    document: dict[str, Any] = json.loads(
        Path(__file__).with_name("openapi.json").read_text(encoding="utf-8")
    )
    document["info"]["version"] = __version__
    classify = document["paths"]["/v1/classify"]["post"]
    size, seconds = f"{limits.body_bytes / 1e6:g} MB", f"{limits.duration_seconds:g} s"
    classify["description"] += f" At most {size}, {seconds} and {limits.rows} rows."
    options = [option.parameter() for option in QUERY_OPTIONS.values()]
    classify["parameters"] = options + classify["parameters"]
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for methods in document["paths"].values():
        for operation in methods.values():
            answers = operation["responses"]
            answers |= {code: {"description": text} for code, text in _COMMON.items()}
            for code, answer in answers.items():
                if int(code) >= 400:
                    answer["content"] = problem
    return document


_COMMON = {
    "401": "the token is missing or wrong",
    "403": "asked by a page of another origin, or by another name",
    "405": "there is no such method here",
}
"""Errors of every path."""
