# SPDX-License-Identifier: Apache-2.0
"""Firefox, over WebDriver BiDi, which it speaks itself: JSON on a web socket."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

_PREFERENCES: dict[str, bool | int | str] = {
    # Asks nobody else for anything.
    "app.update.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.update.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,",
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    # A tone instead of a microphone, which nobody is asked for.
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
}

_ARGUMENTS = ("--headless", "--no-remote", "--remote-debugging-port", "0")

_SCROLL = "async (s) => document.querySelector(s).scrollIntoView({block: 'center'})"

_POINT = {"type": "pointer", "id": "mouse", "parameters": {"pointerType": "mouse"}}


class Firefox:
    """One window without a screen. environment: of a server of sound, if it shall listen: without
    any device to play on, no sound moves."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        program = shutil.which("firefox-esr") or shutil.which("firefox")
        if program is None:
            pytest.skip("needs Firefox (Debian: apt install firefox-esr)")
        client = pytest.importorskip("websockets.sync.client", reason="needs websockets")
        self._open = ExitStack()
        profile = folder / "profile"
        profile.mkdir()
        lines = (f'user_pref("{k}", {json.dumps(v)});\n' for k, v in _PREFERENCES.items())
        (profile / "user.js").write_text("".join(lines))
        log = folder / "firefox.log"
        with log.open("w") as file:
            self._process = subprocess.Popen(
                [program, *_ARGUMENTS, "--profile", profile],
                stdout=file,
                stderr=file,
                env={**(environment or os.environ), "HOME": str(folder)},
            )
        try:
            address = self._listening(log)
            connected = client.connect(f"{address}/session", max_size=None)
            self._socket = self._open.enter_context(connected)
            self._number = 0
            self._call("session.new", capabilities={})
            self._context = self._call("browsingContext.getTree")["contexts"][0]["context"]
        except BaseException:
            self._end()
            raise

    def open(self, address: str) -> None:
        self._call("browsingContext.navigate", context=self._context, url=address, wait="complete")

    def run(self, code: str, argument: Any = None) -> Any:
        text = f"(async () => JSON.stringify(await ({code})({json.dumps(argument)})) ?? 'null')()"
        target = {"context": self._context}
        answer = self._call("script.evaluate", expression=text, target=target, awaitPromise=True)
        if answer["type"] == "exception":
            raise AssertionError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    def give(self, selector: str, *paths: Path) -> None:
        files, element = [str(path.resolve()) for path in paths], self._element(selector)
        self._call("input.setFiles", context=self._context, element=element, files=files)

    def click(self, selector: str) -> None:
        self.run(_SCROLL, selector)
        origin = {"type": "element", "element": self._element(selector)}
        steps = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        actions = [{**_POINT, "actions": steps}]
        self._call("input.performActions", context=self._context, actions=actions)

    def close(self) -> None:
        self._open.close()
        self._end()

    def _element(self, selector: str) -> dict[str, str]:
        locator = {"type": "css", "value": selector}
        found = self._call("browsingContext.locateNodes", context=self._context, locator=locator)
        return {"sharedId": found["nodes"][0]["sharedId"]}

    def _call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=300))
            if answer.get("id") == self._number:
                assert answer["type"] == "success", f"{method}: {answer}"
                return answer["result"]

    def _listening(self, log: Path) -> str:
        end = time.monotonic() + 120
        while time.monotonic() < end and self._process.poll() is None:
            found = re.search(r"BiDi listening on (ws://\S+)", log.read_text(errors="replace"))
            if found:
                return found[1]
            time.sleep(0.1)
        raise AssertionError(f"Firefox did not start: {log.read_text(errors='replace')}")

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
