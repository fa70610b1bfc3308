# SPDX-License-Identifier: Apache-2.0
"""The page's core in Chromium, with real models, beside Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from oido.errors import MissingExtraError, ModelError, OidoError
from oido.inference.export import export
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.server.vendor import VENDOR_FOLDER, is_vendored, vendor
from tests.web.core.site import Site, core_files


@pytest.fixture(scope="session")
def litert_js() -> Path:
    """The folder of LiteRT.js, fetched through npm if it is not there."""
    if not is_vendored():
        try:
            vendor()
        except MissingExtraError:
            pytest.skip("needs LiteRT.js, and npm to fetch it (Debian: apt install npm)")
        except OidoError as error:
            pytest.skip(f"needs LiteRT.js: {error}")
    return VENDOR_FOLDER


@pytest.fixture(scope="session")
def files() -> dict[str, bytes | Path]:
    """What tests want served, by path."""
    return {}


@pytest.fixture(scope="session")
def site(files: dict[str, bytes | Path]) -> Iterator[Site]:
    started = Site(core_files(files))
    yield started
    started.close()


@pytest.fixture(scope="session")
def _opened(browser: Any) -> Iterator[tuple[Any, list[str], list[str]]]:
    """A page, what it complained of, and what it asked for."""
    context = browser.new_context(permissions=["microphone"])
    page = context.new_page()
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    context.on("request", lambda request: asked.append(request.url))
    yield page, complaints, asked
    context.close()


@pytest.fixture
def core(_opened: tuple[Any, list[str], list[str]], site: Site) -> Iterator[Any]:
    """An empty page of the site, in a tab that tests share; at the end, nothing may have complained
    or left the machine."""
    page, complaints, asked = _opened
    page.goto(f"{site.address}/blank.html")  # whatever ran before has ended
    complaints.clear()
    asked.clear()
    yield page
    assert [text for text in complaints if "favicon" not in text and "404" not in text] == []
    assert [url for url in asked if not url.startswith((site.address, "blob:"))] == []


@pytest.fixture
def in_browser(
    core: Any, files: dict[str, bytes | Path], litert_js: Path
) -> Callable[..., dict[str, Any]]:
    """Hears clips in the browser: (model file or its bytes, clips) → what hearing.mjs gives."""

    def hear(
        model: Path | bytes, clips: list[NDArray[np.float32]], **options: Any
    ) -> dict[str, Any]:
        files["model.tflite"] = model
        for number, clip in enumerate(clips):
            files[f"clip-{number}.f32"] = clip.astype("<f4").tobytes()
        code = """async (options) => {
          const { hearClips } = await import("/tests/hearing.mjs");
          return await hearClips(options);
        }"""
        urls = [f"/clip-{number}.f32" for number in range(len(clips))]
        return core.evaluate(code, {"modelUrl": "/model.tflite", "clips": urls, **options})

    return hear


@pytest.fixture(scope="session")
def mn04_short(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, AudioModel]:
    """mn04 as one file that hears 2 s at once, and the model that it was made of."""
    try:
        model = load_model("efficientat/mn04", window_seconds=2.0)
    except ModelError as error:
        pytest.skip(f"needs efficientat/mn04: {error}")
    path = tmp_path_factory.mktemp("mn04") / "mn04.tflite"
    export(model, path)
    return path.read_bytes(), model
