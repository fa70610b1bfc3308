# SPDX-License-Identifier: Apache-2.0
"""``/openapi.json``, and ``/docs``: the same as a page, without a script or anything from afar.

The document is in English, for programs; the page is in its reader's language.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from oido._version import __version__
from oido.messages import MarkedText, in_language, languages, shown, tr
from oido.options import QUERY_OPTIONS
from oido.server.problems import language_headers, language_of
from oido.server.settings import Limits
from oido.writers.html import render


def documentation_routes(limits: Limits) -> list[Route]:
    """The document and its page."""
    document = openapi(limits)
    # Made before anything is served: a language in use holds for all threads.
    pages = {locale: _page(document, locale) for locale in languages()}
    policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

    def page(request: Request) -> HTMLResponse:
        locale = language_of(request.scope)
        headers = {"Content-Security-Policy": policy, **language_headers(locale)}
        return HTMLResponse(pages[locale], headers=headers)

    return [Route("/openapi.json", lambda _: JSONResponse(document)), Route("/docs", page)]


def _page(document: dict[str, Any], locale: str) -> str:
    with in_language(locale):
        translated = _in_words(document)
        return render(
            "api.html",
            "server",
            title=f"oido {__version__}",
            document=translated,
            schemas=json.dumps(translated["components"]["schemas"], indent=2, ensure_ascii=False),
        )


_FOR_PEOPLE = ("summary", "description")


def _in_words(value: Any, key: str = "") -> Any:
    """A part of the document with what it says to people in the language in use."""
    if isinstance(value, dict):
        return {name: _in_words(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_in_words(each) for each in value]
    if key in _FOR_PEOPLE:
        return shown(value if isinstance(value, MarkedText) else tr(value))
    return value


def texts_for_people(value: Any, key: str = "") -> Iterator[str]:
    """What a document says to people, each as the catalogue has it."""
    if isinstance(value, (dict, list)):
        parts = value.items() if isinstance(value, dict) else (("", each) for each in value)
        for name, each in parts:
            yield from texts_for_people(each, name)
    elif key in _FOR_PEOPLE and not isinstance(value, MarkedText):
        yield value


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
    classify["description"] = tr(classify["description"]) + tr(
        " At most {size}, {seconds} and {rows} rows.", size=size, seconds=seconds, rows=limits.rows
    )
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
