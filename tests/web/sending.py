# SPDX-License-Identifier: Apache-2.0
"""What tests of sending share: what a page says of it, and what leaves it."""

from __future__ import annotations

from typing import Any

HERE = "Audio stays on this device"
THERE = "Audio goes to 127.0.0.1:"
STAYED = "This sound stays on this device; what you start next goes to 127.0.0.1:"
WENT = "This sound went to 127.0.0.1:"
SEND = "Send this recording to the server"
SEND_AGAIN = "Send it to the server again"
SEND_MICROPHONE = "Send the microphone to the server"

LISTENS = "() => document.querySelectorAll('#bars li').length > 0"


class Sent:
    """What a page began to send: requests that are more than a GET, and streams."""

    def __init__(self, page: Any) -> None:
        self.uploads: list[str] = []
        self.streams: list[Any] = []
        self.frames = 0
        page.on("request", self._on_request)
        page.on("websocket", self._on_stream)

    @property
    def counts(self) -> tuple[int, int]:
        """Uploads and streams."""
        return len(self.uploads), len(self.streams)

    def _on_request(self, request: Any) -> None:
        if request.method != "GET":
            self.uploads.append(request.url)

    def _on_stream(self, stream: Any) -> None:
        self.streams.append(stream)
        stream.on("framesent", self._on_frame)

    def _on_frame(self, _: Any) -> None:
        self.frames += 1


def choose(page: Any, where: str, how: str = "click") -> None:
    if how == "click":
        page.click(f"label:has(input[value={where}])")
    else:
        page.focus("input[name=where]:checked")
        page.keyboard.press(how)
    assert page.is_checked(f"input[value={where}]")


class Held:
    """Requests that get no answer until they are released, those that are still to come too."""

    def __init__(self, page: Any, pattern: str) -> None:
        self._page = page
        self._routes: list[Any] = []
        self._is_released = False
        page.route(pattern, self._keep)

    def _keep(self, route: Any) -> None:
        if self._is_released:
            route.continue_()
        else:
            self._routes.append(route)

    def wait(self) -> None:
        """Until there is one."""
        while not self._routes:
            self._page.wait_for_timeout(50)

    def release(self) -> None:
        self._is_released = True
        for route in self._routes:
            route.continue_()


def let_be(page: Any) -> None:
    """Time for whatever a choice might have begun."""
    page.wait_for_timeout(1500)
    page.wait_for_selector("body:not([data-state=busy])")


def listen(page: Any) -> None:
    page.click("#listen")
    page.wait_for_selector("body[data-state=live]")
    page.wait_for_function(LISTENS, timeout=40_000)


def tab_to(page: Any, element: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.id") == element:
            return
    raise AssertionError(f"Tab never comes to {element}")
