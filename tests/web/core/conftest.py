# SPDX-License-Identifier: Apache-2.0
"""The page's core in Chromium, with real models, beside Python."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from oido.cli.main import run
from oido.errors import MissingExtraError, ModelError, OidoError
from oido.inference.export import export
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.server.vendor import VENDOR_FOLDER, is_vendored, vendor
from tests.web.core.site import Site, core_files

ROOT = Path(__file__).parents[3]
STREET = ROOT / "examples" / "street.flac"


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
def street() -> NDArray[np.float32]:
    """f32[n] at 16 kHz: a siren, beeps, a bell, rain, an engine, a voice."""
    samples, rate_hz = soundfile.read(STREET, dtype="float32")
    assert rate_hz == 16_000
    return samples


@pytest.fixture(scope="session")
def files() -> dict[str, bytes | Path]:
    """What tests want served, by path."""
    return {}


@pytest.fixture(scope="session")
def site(files: dict[str, bytes | Path]) -> Iterator[Site]:
    started = Site(core_files(files))
    yield started
    started.close()


@pytest.fixture
def core(browser: Any, site: Site) -> Iterator[Any]:
    """An empty page of the site; at the end, nothing may have complained or left the machine."""
    context = browser.new_context(permissions=["microphone"])
    page = context.new_page()
    page.set_default_timeout(60_000)
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    context.on("request", lambda request: asked.append(request.url))
    page.goto(f"{site.address}/blank.html")
    yield page
    context.close()
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
def taught(tmp_path_factory: pytest.TempPathFactory, street: NDArray[np.float32]) -> Path:
    """What `oido train` makes of clips of examples/street.flac: calibrated, with thresholds, with
    the base model's head before its own, and with the output that tells unknown sounds."""
    folder = tmp_path_factory.mktemp("taught")
    scenes = json.loads((ROOT / "examples" / "scenes.json").read_text(encoding="utf-8"))
    for event in scenes[STREET.name]["events"]:
        length = (event["end"] - event["start"]) / 5
        (folder / "clips" / event["label"]).mkdir(parents=True, exist_ok=True)
        for piece in range(5):
            start = int((event["start"] + piece * length) * 16_000)
            clip = street[start : start + int(length * 16_000)]
            soundfile.write(folder / "clips" / event["label"] / f"{piece}.wav", clip, 16_000)
    model = folder / "street.tflite"
    arguments = ["train", folder / "clips", "-o", model, "--keep-base", "-q", "--jobs", "1"]
    assert run([str(argument) for argument in arguments]) == 0
    return model


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
