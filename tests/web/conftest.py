# SPDX-License-Identifier: Apache-2.0
"""The page in a real browser, from a real `oido serve` with the real model.

Needs Debian's chromium (or another one on the PATH) and Playwright for Python; skips, and says so,
where either is absent.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

pytest.importorskip("starlette")

from oido.cli.main import run
from oido.server.vendor import is_vendored
from tests.web.browsing import ROOT, STREET, Pages, Served, serving
from tests.web.warm import WarmPages

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)

HAS_LITERT_JS = is_vendored()
"""Before any test ran: those of the page's core may fetch it while servers here run without."""


@pytest.fixture(scope="session")
def street() -> NDArray[np.float32]:
    """f32[n] at 16 kHz: a siren, beeps, a bell, rain, an engine, a voice."""
    samples, rate_hz = soundfile.read(STREET, dtype="float32")
    assert rate_hz == 16_000
    return samples


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
def served(own_cache: Path) -> Iterator[Served]:
    """The server that most tests share."""
    with serving() as started:
        yield started


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium, whose microphone hears examples/street.flac again and again."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="needs Playwright for Python: pip install playwright"
    )
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs a chromium on the PATH (Debian: apt install chromium)")
    samples, rate_hz = soundfile.read(STREET, dtype="int16")
    heard = tmp_path_factory.mktemp("microphone") / "street.wav"
    soundfile.write(heard, np.repeat(samples, 3), 3 * rate_hz, subtype="PCM_16")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=chromium,
            args=[*_ARGUMENTS, f"--use-file-for-fake-audio-capture={heard}"],
        )
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def warm(browser: Any, served: Served) -> Iterator[WarmPages]:
    """What `pages` lends."""
    lent = WarmPages(browser, served.address)
    yield lent
    lent.close()


@pytest.fixture
def pages(browser: Any, served: Served, warm: WarmPages) -> Iterator[Pages]:
    """Opens pages; at the end, none of them may have complained, or asked anyone else."""
    opened = Pages(browser, served.address, warm)
    yield opened
    opened.close()
    assert opened.unexpected() == []
    assert opened.foreign() == []


@pytest.fixture(scope="session")
def _one_page(browser: Any, served: Served, warm: WarmPages) -> Iterator[tuple[Pages, Any]]:
    opened = Pages(browser, served.address, warm)
    yield opened, opened.open("server")
    opened.close()


@pytest.fixture
def parts(_one_page: tuple[Pages, Any]) -> Iterator[Any]:
    """A page whose modules a test imports, and which it leaves as it was: many share it."""
    opened, page = _one_page
    yield page
    complaints = opened.unexpected(), opened.foreign()
    opened.errors.clear()
    opened.requests.clear()
    assert complaints == ([], [])


@pytest.fixture(scope="session")
def guarded(own_cache: Path) -> Iterator[Served]:
    """A server that wants a token, "eight-letters"."""
    with serving("--token", "eight-letters") as started:
        yield started


@pytest.fixture(scope="session")
def two_served(
    own_cache: Path, model: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server of two models: the default, and the same network under another name."""
    folder = tmp_path_factory.mktemp("two")
    labels, path = folder / "labels.txt", folder / "other.tflite"
    labels.write_text("\n".join(model.labels) + "\n", encoding="utf-8")
    arguments = ["--labels", labels, "--sample-rate", 16_000, "--name", "other", "-o", path]
    assert run(["models", "annotate", *map(str, [model.path, *arguments])]) == 0
    with serving("--model", "yamnet/classification", "--model", str(path)) as started:
        yield started


@pytest.fixture
def on_device(pages: Pages) -> None:
    """Skips where this installation has not what hears in the browser."""
    if not HAS_LITERT_JS:
        pytest.skip("needs LiteRT.js: make web")
