# SPDX-License-Identifier: Apache-2.0
"""The page's routes: types, headers, caching, and who may have the models. No browser."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from oido.server.answers import on_error
from oido.server.device_model import device_model
from oido.server.page import _Page, page_routes
from oido.server.page_files import WEB_FOLDER
from oido.server.problems import Problem
from oido.server.settings import Settings
from tests.asynchronous import run_async

pytest.importorskip("starlette")


class Client:
    """Asks an application without a server."""

    def __init__(self, settings: Settings) -> None:
        self._app = Starlette(routes=page_routes(settings), exception_handlers={Problem: on_error})

    def get(self, path: str, method: str = "GET", **options: Any) -> httpx.Response:
        async def answer() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
                return await client.request(method, path, **options)

        # In a thread of its own: Playwright has a loop in this one.
        with ThreadPoolExecutor(1) as executor:
            return executor.submit(lambda: run_async(answer())).result()


@pytest.fixture(scope="module")
def client(own_cache: Path) -> Client:
    return Client(Settings())


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/index.html", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/engines/server.js", "text/javascript; charset=utf-8"),
        ("/manifest.webmanifest", "application/manifest+json"),
        ("/names/es.json", "application/json"),
    ],
)
def test_files_have_their_types_and_a_strict_policy(client: Client, path: str, kind: str) -> None:
    answer = client.get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == kind
    parts = answer.headers["content-security-policy"].split("; ")
    policy = dict(part.split(" ", 1) for part in parts)
    assert policy["default-src"] == "'none'"
    assert "unsafe-inline" not in str(policy)
    assert "'unsafe-eval'" not in policy["script-src"].split()
    assert "'wasm-unsafe-eval'" in policy["script-src"]
    assert policy["worker-src"] == "'self'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-cache"
    assert client.get(path, "HEAD").status_code == 200


def test_whatever_names_no_icon_finds_it(client: Client) -> None:
    answer = client.get("/favicon.ico", follow_redirects=True)

    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.content == (WEB_FOLDER / "icons" / "icon.svg").read_bytes()


def test_an_unchanged_file_is_not_sent_again(client: Client) -> None:
    tag = client.get("/app.js").headers["etag"]

    again = client.get("/app.js", headers={"If-None-Match": f'"other", W/{tag}'})
    other = client.get("/app.js", headers={"If-None-Match": '"other"'})

    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert other.content == (WEB_FOLDER / "app.js").read_bytes()


@pytest.mark.parametrize(
    "path", ["/app.js", "/", "/web/models.json", "/page.json", "/names/es.json"]
)
def test_a_file_travels_compressed_where_the_browser_takes_it(client: Client, path: str) -> None:
    plain = client.get(path, headers={"Accept-Encoding": "identity"})
    packed = client.get(path, headers={"Accept-Encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 0.6 * len(plain.content)
    assert packed.content == plain.content  # httpx unpacks it
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert plain.headers["etag"] != packed.headers["etag"], "other bytes"
    again = client.get(
        path, headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/icons/icon-512.png").headers.get("content-encoding") is None


def test_models_travel_compressed_too(client: Client, model: Any) -> None:
    (listed,) = client.get("/web/models.json").json()["models"]
    packed = client.get(f"/{listed['url']}", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < 0.85 * listed["bytes"]
    assert packed.content == device_model(model).content


@pytest.mark.parametrize(
    "path",
    ["/nothing", "/../params.py", "/%2e%2e/params.py", "/ui/..%2f..%2fparams.py", "/models/x"],
)
def test_there_is_nothing_else(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_the_page_gets_the_model_with_framewise_scores(client: Client, model: Any) -> None:
    listing = client.get("/web/models.json").json()
    (listed,) = listing["models"]

    assert listed["labels"] == list(model.labels)
    assert (listed["windowSamples"], listed["hopSamples"]) == (15_600, 7_680)
    assert listed["calibrated"] is False
    assert listed["thresholds"] is None
    answer = client.get(f"/{listed['url']}")
    assert answer.content == device_model(model).content
    assert "immutable" in answer.headers["cache-control"]
    digest = hashlib.sha256(answer.content).hexdigest()
    assert (listed["bytes"], listed["sha256"]) == (len(answer.content), digest)
    assert listed["classes"] == len(listed["labels"])
    assert listed["heads"] == [head.name for head in model.heads]
    assert client.get("/page.json").json()["models"] == listing["models"], "one description"


def test_models_need_the_token(model: Any) -> None:
    client = Client(Settings(token="eight-letters"))
    right = {"Authorization": "Bearer eight-letters"}
    url = client.get("/web/models.json", headers=right).json()["models"][0]["url"]

    assert client.get("/").status_code == 200
    assert client.get("/page.json").json()["models"] == []
    assert model.name not in client.get("/precache.js").text
    assert client.get("/web/models.json").status_code == 401
    assert client.get(f"/{url}").status_code == 401
    assert client.get(f"/{url}", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get(f"/{url}", headers=right).content == device_model(model).content


def test_a_file_is_in_memory_once_and_read_anew_when_it_changes(tmp_path: Path) -> None:
    page = _Page(Settings(), tmp_path)
    path = tmp_path / "large.js"
    page.files = {"large.js": path}
    path.write_bytes(b"one")
    first = page._content("large.js")
    assert page._content("large.js") is first
    path.write_bytes(b"another")
    assert page._content("large.js") == b"another"
