# SPDX-License-Identifier: Apache-2.0
"""WebKit, Safari's engine, in Debian's WebKitGTK: MiniBrowser, on a display without a screen."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

_NEEDS = (
    "needs WebKitGTK, its driver and Xvfb "
    "(Debian: apt install webkit2gtk-driver xvfb gstreamer1.0-plugins-good)"
)

_CALL = """
const [argument, done] = arguments;
(CODE)(argument).then(
  (value) => done({ value: value ?? null }),
  (error) => done({ error: `${error}\n${error?.stack}` }),
);
"""


class WebKit:
    """One window. No microphone: MiniBrowser asks whether the page may have it, and a driver cannot
    answer."""

    def __init__(self, folder: Path) -> None:
        driver, screen = shutil.which("WebKitWebDriver"), shutil.which("Xvfb")
        browsers = sorted(Path("/usr/lib").glob("*/webkit*gtk-*/MiniBrowser"))
        if driver is None or screen is None or not browsers:
            pytest.skip(_NEEDS)
        selenium = pytest.importorskip(
            "selenium.webdriver", reason="needs selenium: pip install selenium"
        )
        service = pytest.importorskip("selenium.webdriver.webkitgtk.service")
        self._screen = subprocess.Popen(
            [screen, "-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert self._screen.stdout is not None
            display = self._screen.stdout.readline().strip()
            assert display, "Xvfb did not start"
            environment = {
                **os.environ,
                **{"DISPLAY": f":{display}", "HOME": str(folder), "GDK_BACKEND": "x11"},
                **{"LIBGL_ALWAYS_SOFTWARE": "1", "NO_AT_BRIDGE": "1"},
                "WEBKIT_DISABLE_DMABUF_RENDERER": "1",
            }
            options = selenium.WebKitGTKOptions()
            options.binary_location = str(browsers[-1])
            options.add_argument("--automation")
            self._driver = selenium.WebKitGTK(
                options=options, service=service.Service(driver, env=environment)
            )
            self._driver.set_script_timeout(300)
        except BaseException:
            self._end()
            raise

    def open(self, address: str) -> None:
        self._driver.get(address)

    def run(self, code: str, argument: Any = None) -> Any:
        told = self._driver.execute_async_script(_CALL.replace("CODE", code), argument)
        if "error" in told:
            raise AssertionError(told["error"])
        return told["value"]

    def give(self, selector: str, *paths: Path) -> None:
        text = "\n".join(str(path.resolve()) for path in paths)
        self._driver.find_element("css selector", selector).send_keys(text)

    def click(self, selector: str) -> None:
        self._driver.find_element("css selector", selector).click()

    def close(self) -> None:
        self._driver.quit()
        self._end()

    def _end(self) -> None:
        self._screen.terminate()
        self._screen.wait(20)
