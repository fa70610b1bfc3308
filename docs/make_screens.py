# SPDX-License-Identifier: Apache-2.0
"""Take docs/page-phone.png and docs/page-desktop.png: the page of `oido serve`, as it is.

Needs a chromium on the PATH, Playwright for Python, and Pillow (which matplotlib brings).
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
STREET = ROOT / "examples" / "street.flac"
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
HEARD_SECONDS = 9.3


def main() -> None:
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
                _phone(browser, address)
                _desktop(browser, address)
                browser.close()
        finally:
            server.terminate()


def _address(server: subprocess.Popen[str]) -> str:
    assert server.stderr is not None
    for line in server.stderr:
        if found := re.search(r"(http://\S+) ", line):
            return found[1]
    raise RuntimeError("the server did not start")


def _phone(browser: Any, address: str) -> None:
    """The microphone, heard on the device where that is installed."""
    page = browser.new_page(viewport=PHONE, locale="en-US", color_scheme="light")
    page.goto(address)
    page.wait_for_selector("#badge:not([hidden])")
    page.click("#listen")
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_timeout(HEARD_SECONDS * 1000)
    _save(page, "page-phone.png")
    page.close()


def _desktop(browser: Any, address: str) -> None:
    """A recording, in the dark, while it plays."""
    page = browser.new_page(viewport=DESKTOP, locale="en-US", color_scheme="dark")
    page.goto(address)
    page.wait_for_selector("#badge:not([hidden])")
    page.set_input_files("#file", STREET)
    page.wait_for_selector("body[data-state=done]")
    box = page.locator("#stage").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.44, box["y"] + 40)
    page.wait_for_timeout(1900)
    _save(page, "page-desktop.png")
    page.close()


def _save(page: Any, name: str) -> None:
    """A screenshot in 256 colours, which are enough and take a third of the bytes."""
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        ROOT / "docs" / name, optimize=True
    )


if __name__ == "__main__":
    main()
