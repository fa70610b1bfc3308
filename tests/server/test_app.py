# SPDX-License-Identifier: Apache-2.0
"""The application: its routes, and errors that all look the same."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest

from oido.errors import ModelNotFoundError, OptionError
from oido.server.app import create_app
from oido.server.page import page_routes
from oido.server.settings import Settings
from tests.asynchronous import run_async

pytest.importorskip("starlette")


def test_the_routes_of_the_api_keep_their_own_answers(own_cache: Path) -> None:
    pytest.importorskip("uvicorn")
    settings = Settings()
    app = create_app(settings, pages=page_routes(settings))
    paths = [getattr(route, "path", "") for route in app.routes]

    assert "/" in paths
    assert [path for path in paths if "{path" in path] == []  # none that catches all


def answers(settings: Settings, *requests: tuple[str, str]) -> list[httpx.Response]:
    """Of an application in this process, from its start to its end."""

    async def work() -> list[httpx.Response]:
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://127.0.0.1"
            ) as client:
                return [await client.request(method, path) for method, path in requests]

    return run_async(work())


def test_every_error_is_a_problem_in_json(own_cache: Path) -> None:
    found = answers(
        Settings(workers=1),
        ("GET", "/nothing"),
        ("GET", "/v1/classify"),
        ("GET", "/v1/models?labels=maybe"),
        ("GET", "/healthz"),
    )
    assert [answer.status_code for answer in found] == [404, 405, 400, 200]
    for answer in found[:3]:
        body = answer.json()
        assert set(body) >= {"error", "message"}
        assert "\n" not in body["message"]
    assert found[1].headers["allow"] == "POST"
    assert found[2].json()["error"] == "OptionError"


def test_what_cannot_be_served_is_told_before_anything_listens(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="nowhere"):
        create_app(Settings(models=("nowhere.tflite",)))
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(OptionError, match=r"c\.json"):
        create_app(Settings(calibrations=(str(tmp_path / "c.json"),)))


def test_nothing_is_left_when_it_ends(own_cache: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path))
        before = threading.active_count()
        answers(Settings(workers=1), ("GET", "/healthz"))
        assert [path for path in tmp_path.iterdir() if "serve" in path.name] == []
        assert threading.active_count() <= before
