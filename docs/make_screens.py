# SPDX-License-Identifier: Apache-2.0
"""Takes pictures of the page of `oido serve`: two for the docs, and all states to look at.

    python docs/make_screens.py [--all]

Without --all: docs/page-phone.png and docs/page-desktop.png. With it, besides, build/screens/: each
state of the page on a phone and on a desktop, by day and by night, in both languages. Needs a
chromium on the PATH, Playwright for Python, and Pillow (which matplotlib brings).
"""

from __future__ import annotations

import io
import itertools
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
SCREENS = ROOT / "build" / "screens"
STREET = ROOT / "examples" / "street.flac"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 800}}
LANGUAGES = {"en": "en-US", "es": "es-ES"}
BROKEN = {"name": "notes.mp3", "mimeType": "audio/mpeg", "buffer": b"no sound " * 100}
HEARD_SECONDS = 9.3


def main(takes_all: bool) -> None:
    """Serve, look, and stop."""
    command = [sys.executable, "-m", "oido", "serve", "--port", "0", "--workers", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            address = _address(server)
            with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
                microphone = Path(folder) / "street.wav"
                samples, rate_hz = soundfile.read(STREET, dtype="int16")
                soundfile.write(microphone, np.repeat(samples, 3), 3 * rate_hz)
                browser = playwright.chromium.launch(
                    executable_path=shutil.which("chromium"),
                    args=[*ARGUMENTS, f"--use-file-for-fake-audio-capture={microphone}"],
                )
                _readme(browser, address)
                if takes_all:
                    _all(browser, address)
                browser.close()
        finally:
            server.terminate()


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"(http://\S+) ", line):
            return found[1]
    raise RuntimeError("the server did not start")


def _opened(browser: Any, address: str, size: dict[str, int], light: str, language: str) -> Any:
    """A page that is ready to hear."""
    page = browser.new_page(
        viewport=size,
        locale=LANGUAGES[language],
        color_scheme=light,
        service_workers="block",  # what is not fetched by the page cannot be held
    )
    page.goto(address)
    page.wait_for_selector("#badge:not([hidden])")
    page.evaluate("() => document.fonts.ready")
    return page


def _hear(page: Any) -> None:
    page.set_input_files("#file", STREET)
    page.wait_for_selector("body[data-state=done]")
    page.wait_for_timeout(200)


def _readme(browser: Any, address: str) -> None:
    """The microphone on a phone by day; a recording on a desktop by night, while it plays."""
    page = _opened(browser, address, SIZES["phone"], "light", "en")
    page.click("#listen")
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_timeout(HEARD_SECONDS * 1000)
    _save(page, ROOT / "docs" / "page-phone.png")
    page.close()

    page = _opened(browser, address, SIZES["desktop"], "dark", "en")
    _hear(page)
    box = page.locator("#stage").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.44, box["y"] + box["height"] * 0.7)
    page.wait_for_timeout(1900)
    _save(page, ROOT / "docs" / "page-desktop.png")
    page.close()


def _all(browser: Any, address: str) -> None:
    SCREENS.mkdir(parents=True, exist_ok=True)
    for size, light, language in itertools.product(SIZES, ("light", "dark"), LANGUAGES):
        page = _opened(browser, address, SIZES[size], light, language)
        for state in _states(page):
            _save(page, SCREENS / f"{state}-{size}-{light}-{language}.png")
        page.close()
    for width in (320, 768, 1920, 2560):
        page = _opened(browser, address, {"width": width, "height": 800}, "light", "en")
        _save(page, SCREENS / f"first-{width}.png")
        _hear(page)
        _save(page, SCREENS / f"heard-{width}.png")
        page.close()
    print(f"{SCREENS.relative_to(ROOT)}: {len(list(SCREENS.glob('*.png')))} pictures")


def _states(page: Any) -> Iterator[str]:
    """Brings a page from state to state, and names each."""
    yield "1-first"
    page.eval_on_selector_all("details.panel", "all => all.forEach(p => { p.open = true; })")
    page.locator("#settings").scroll_into_view_if_needed()
    yield "2-settings"
    page.eval_on_selector_all("details.panel", "all => all.forEach(p => { p.open = false; })")
    held: list[Any] = []

    def hold(route: Any) -> None:
        held.append(route)

    page.route("**/*.wasm", hold)
    page.set_input_files("#file", STREET)
    page.wait_for_selector("#busy", state="visible")
    page.wait_for_timeout(300)
    yield "3-busy"
    while held:
        held.pop().continue_()
    page.unroute("**/*.wasm", hold)
    page.wait_for_selector("body[data-state=done]")
    page.evaluate("() => scrollTo(0, 0)")
    page.wait_for_timeout(300)
    yield "4-heard"
    page.locator("#found").scroll_into_view_if_needed()
    page.evaluate("() => document.querySelector('#found').scrollIntoView()")
    yield "5-events"
    page.click("#rows .what button >> nth=2")
    page.locator("#review").scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    yield "6-near"
    page.click("#review-end")
    page.evaluate("() => scrollTo(0, 0)")
    page.set_input_files("#file", BROKEN)
    page.wait_for_selector("#notice", state="visible")
    yield "7-notice"
    page.click("#notice-close")
    page.click("#listen")
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_timeout(HEARD_SECONDS * 1000)
    page.evaluate("() => scrollTo(0, 0)")
    yield "8-live"
    page.click("#listen")
    page.wait_for_selector("body[data-state=done]")
    page.click("#days-panel > summary")
    page.wait_for_selector("#days-table td[data-family]")
    page.locator("#days").scroll_into_view_if_needed()
    yield "9-days"


def _save(page: Any, path: Path) -> None:
    """A screenshot in 256 colours, which are enough and take a third of the bytes."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


if __name__ == "__main__":
    main("--all" in sys.argv[1:])
