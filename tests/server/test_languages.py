# SPDX-License-Identifier: Apache-2.0
"""Errors and the page of the API in the client's language; for programs, nothing changes."""

from __future__ import annotations

import html
import io
import json
import re
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile

from oido.server.openapi import openapi, texts_for_people
from oido.server.settings import Limits
from tests.server.clients import END, HEADER, messages, opened
from tests.server.uploading import flac
from tests.spanish import english

SPANISH = {"Accept-Language": "es-MX,es;q=0.9,en;q=0.5"}

REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/no-existe", {}),
    ("GET", "/v1/classify", {}),
    ("GET", "/v1/models?labels=quizas", {}),
    ("POST", "/v1/classify?nada=1", {}),
    ("POST", "/v1/classify?thresold=1", {}),
    ("POST", "/v1/classify?top=0", {}),
    ("POST", "/v1/classify?top=1.5", {}),
    ("POST", "/v1/classify?threshold=2", {}),
    ("POST", "/v1/classify?threshold=x", {}),
    ("POST", "/v1/classify?top=1&top=2", {}),
    ("POST", "/v1/classify?level=x", {}),
    ("POST", "/v1/classify?channel=x", {}),
    ("POST", "/v1/classify?rollup=x", {}),
    ("POST", "/v1/classify?hop=0.123", {}),
    ("POST", "/v1/classify?allow=Pero", {}),
    ("POST", "/v1/classify?allow=Dog&deny=Cat", {}),
    ("POST", "/v1/classify?framewise=0.1", {}),
    ("POST", "/v1/classify?locale=xx", {}),
    ("POST", "/v1/classify?model=ninguno", {}),
    ("POST", "/v1/classify?name=a.flac", {"content": b""}),
    ("POST", "/v1/classify?name=a.flac", {"content": b"no es una grabacion, solo texto" * 9}),
    ("POST", "/v1/classify?name=a.flac", {"content": b"\x00" * 4_000}),
    ("POST", "/v1/classify?name=a.flac", {"content": flac(2)[:60]}),
    ("POST", "/v1/classify?name=a.flac&channel=7", {"content": flac(2)}),
    ("POST", "/v1/classify", {"content": b"\x00" * 4_000_001}),
    ("POST", "/v1/classify", {"files": {"a": ("a", b"x"), "b": ("b", b"y")}}),
    ("POST", "/v1/classify", {"files": {"a": (None, b"x")}}),
    ("POST", "/v1/classify", {"content": b"", "headers": {"Content-Type": "multipart/form-data"}}),
    ("GET", "/healthz", {"headers": {"Host": "otro.example"}}),
    ("GET", "/healthz", {"headers": {"Origin": "https://otro.example"}}),
]


def answer(
    server: Any, method: str, path: str, more: dict[str, Any], language: dict[str, str]
) -> httpx.Response:
    headers = {**more.get("headers", {}), **language}
    rest = {name: value for name, value in more.items() if name != "headers"}
    return httpx.request(method, f"{server.address}{path}", timeout=60, headers=headers, **rest)


@pytest.mark.parametrize(("method", "path", "more"), REQUESTS)
def test_an_error_is_a_sentence_in_the_clients_language(
    server: Any, method: str, path: str, more: dict[str, Any]
) -> None:
    ours, theirs, none = (
        answer(server, method, path, more, language)
        for language in ({"Accept-Language": "en"}, SPANISH, {"Accept-Language": "fr"})
    )
    assert ours.status_code == theirs.status_code >= 400
    of_ours, of_theirs = ours.json(), theirs.json()
    assert of_ours.pop("message") != (told := of_theirs.pop("message"))
    assert not english(told), told
    assert of_ours == of_theirs  # the kind of the error, and whatever numbers are beside it
    assert none.json() == ours.json()  # as the server itself speaks
    assert theirs.headers["content-language"] == "es"
    assert ours.headers["content-language"] == "en"


def test_rows_before_a_damage_come_with_a_translated_sentence(server: Any) -> None:
    sound = np.random.default_rng(0).uniform(-0.3, 0.3, 16_000 * 4).astype(np.float32)
    sound[16_000 * 3 :] = np.nan
    file = io.BytesIO()
    soundfile.write(file, sound, 16_000, "FLOAT", format="WAV")
    content = file.getvalue()
    path = "/v1/classify?level=windows&name=a.flac"
    ours, theirs = (
        answer(server, "POST", path, {"content": content}, {"Accept-Language": language})
        for language in ("en", "es")
    )
    assert ours.status_code == theirs.status_code == 422
    assert ours.json()["rows"] == theirs.json()["rows"] != []
    assert ours.json()["message"] != theirs.json()["message"]
    assert not english(theirs.json()["message"])
    assert theirs.headers["content-language"] == "es"


FIRST_MESSAGES: list[str] = [
    "{",
    "[1]",
    json.dumps({**HEADER, "version": 9}),
    json.dumps({**HEADER, "sample_rate": 1}),
    json.dumps({**HEADER, "encoding": "mp3"}),
    json.dumps({**HEADER, "results": "xml"}),
    json.dumps({**HEADER, "token": 7}),
    json.dumps({**HEADER, "nada": 7}),
    json.dumps({**HEADER, "allow": ["Pero"]}),
    json.dumps({**HEADER, "level": "events", "top": 3}),
    json.dumps({**HEADER, "level": "events", "results": "binary"}),
    json.dumps({**HEADER, "level": "events", "framewise": 0.1}),
    json.dumps({**HEADER, "model": "ninguno"}),
    json.dumps({**HEADER, "allow": ["\ud800"]}),
]


@pytest.mark.parametrize("first", FIRST_MESSAGES)
def test_a_stream_ends_with_a_sentence_in_the_clients_language(server: Any, first: str) -> None:
    def last(language: str) -> dict[str, Any]:
        headers = {"Accept-Language": language}
        with opened(server, first, additional_headers=headers) as socket_:
            return messages(socket_)[-1]

    ours, theirs = last("en"), last("es")
    assert ours["type"] == theirs["type"] == "error"
    assert ours["error"] == theirs["error"]
    assert ours["message"] != theirs["message"]
    assert not english(theirs["message"])


@pytest.mark.parametrize("second", [b"\x00", json.dumps({"type": "nada"}), END])
def test_and_so_does_one_that_goes_wrong_later(server: Any, second: str | bytes) -> None:
    with opened(server, HEADER, additional_headers={"Accept-Language": "es"}) as socket_:
        socket_.send(second)
        last = messages(socket_)[-1]
    assert last["type"] == "error"
    assert not english(last["message"])


def test_a_server_speaks_its_own_language_to_who_names_none(
    start_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OIDO_LOCALE", "es")
    with start_server() as server:
        told = httpx.get(f"{server.address}/nada", headers={"Accept-Language": ""})
        assert told.json() == {"error": "ProtocolError", "message": "No existe"}
        page = httpx.get(f"{server.address}/docs", headers={"Accept-Language": "en"})
        assert '<html lang="en">' in page.text


def test_the_page_of_the_api_is_spanish_and_its_document_english(server: Any) -> None:
    ours, theirs = (
        httpx.get(f"{server.address}/docs", headers={"Accept-Language": language})
        for language in ("en", "es")
    )
    assert '<html lang="es">' in theirs.text
    assert theirs.headers["vary"] == "Accept-Language"
    head, _, rest = theirs.text.partition("<pre>")
    schemas, _, foot = rest.partition("</pre>")
    text = re.sub(r"<style>.*?</style>|<code>.*?</code>|<[^>]*>", " ", head + foot, flags=re.DOTALL)
    assert not english(html.unescape(text))
    told = list(texts_for_people(json.loads(html.unescape(schemas))))
    assert len(told) > 10
    assert not [each for each in told if english(each)]
    assert html.unescape(ours.text).count("Hear a recording, and answer when it has been heard.")
    documents = [
        httpx.get(f"{server.address}/openapi.json", headers={"Accept-Language": language}).json()
        for language in ("en", "es")
    ]
    assert documents[0] == documents[1]
    assert " At most 4 MB, 90 s and 20000 rows." in json.dumps(documents[0])
    assert json.loads(json.dumps(openapi(Limits()))) == openapi(Limits())
