# SPDX-License-Identifier: Apache-2.0
"""A server as `oido serve` starts it, and pages of it that keep what they said and asked for."""

from __future__ import annotations

import contextlib
import functools
import http.client
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.web.warm import NO_SERVICE_WORKER, Error, WarmPages

ROOT = Path(__file__).parents[2]
STREET = ROOT / "examples" / "street.flac"
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 800}


class Served:
    """An `oido serve` process and its address."""

    def __init__(self, *arguments: str, environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "oido", "serve", "--workers", "1", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        )
        self.lines: list[str] = []
        self.address = self.line(r"(http://[\d.]+:\d+) ")

    @property
    def port(self) -> str:
        return self.address.rsplit(":", 1)[1]

    def line(self, pattern: str) -> str:
        """What a line of its messages matches; lines before it are kept too."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found[1]
        raise AssertionError("".join(self.lines))

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        assert self.process.stderr is not None
        self.process.stderr.close()


@contextlib.contextmanager
def serving(*arguments: str, **options: Any) -> Iterator[Served]:
    """A server of one's own."""
    served = Served("--port", "0", *arguments, **options)
    try:
        yield served
    finally:
        if served.process.poll() is None:
            served.stop()


class Host:
    """`python -m http.server`, which can be stopped."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                asked.append(self.path)

        handler = functools.partial(Handler, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Counting:
    """Stands before a server, and notes what each answer to a GET is long, and where from."""

    def __init__(self, address: str) -> None:
        self.answers: list[tuple[str, int, int]] = []
        """Path, status, and bytes of the body as they travel."""
        answers, host = self.answers, address.removeprefix("http://")

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                connection = http.client.HTTPConnection(host)
                connection.request("GET", self.path, headers=dict(self.headers.items()))
                answer = connection.getresponse()
                body = answer.read()
                connection.close()
                answers.append((self.path, answer.status, len(body)))
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("date", "server", "transfer-encoding", "connection"):
                        self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Pages:
    """Opens pages, and keeps what they said and asked for."""

    def __init__(self, browser: Any, address: str, warm: WarmPages) -> None:
        self._browser, self._address, self._warm = browser, address, warm
        self._contexts: list[Any] = []
        self._lent: list[tuple[Any, str]] = []
        self._devtools: list[Any] = []
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.expected = ["/favicon.ico"]
        """Parts of errors that a test causes itself. A browser asks for an icon, some time, where a
        document names none, as the picture at which pages wait; not every server here has one."""

    def open(
        self,
        where: str | None = "server",
        *,
        address: str | None = None,
        size: dict[str, int] = DESKTOP,
        language: str = "en-US",
        before: str = "",
        **options: Any,
    ) -> Any:
        """A page of which nothing is stored yet, ready to hear. before: a script that runs first;
        options: of a context of its own."""
        address = address or self._address
        page = self._in_own_context(language, options) if options else self._lend(language, address)
        page.set_default_timeout(20_000)
        page.set_viewport_size(size)
        for event, handler in self._handlers:
            page.on(event, handler)
        if before:
            # One that ends with this session: `add_init_script` is for as long as the page lives.
            devtools = page.context.new_cdp_session(page)
            devtools.send("Page.enable")
            devtools.send("Page.addScriptToEvaluateOnNewDocument", {"source": before})
            self._devtools.append(devtools)
        page.goto(address)
        open_panels(page)
        if where is not None:
            page.wait_for_selector("#badge:not([hidden])")
            page.check(f"input[name=where][value={where}]")
        return page

    def close(self) -> None:
        for devtools in self._devtools:
            with contextlib.suppress(Error):  # of a page that is gone
                devtools.detach()
        for context in self._contexts:
            context.close()
        for page, language in self._lent:
            for event, handler in self._handlers:
                page.remove_listener(event, handler)
            self._warm.give_back(page, language)

    def _lend(self, language: str, address: str) -> Any:
        page = self._warm.lend(language, address)
        self._lent.append((page, language))
        return page

    def _in_own_context(self, language: str, options: dict[str, Any]) -> Any:
        context = self._browser.new_context(locale=language, permissions=["microphone"], **options)
        self._contexts.append(context)
        page = context.new_page()
        page.add_init_script(NO_SERVICE_WORKER)
        return page

    @property
    def _handlers(self) -> list[tuple[str, Any]]:
        return [
            ("console", self._on_console),
            ("pageerror", self._on_error),
            ("request", self._on_request),
        ]

    def unexpected(self) -> list[str]:
        return [e for e in self.errors if not any(part in e for part in self.expected)]

    def foreign(self) -> list[str]:
        """Requests that left the machine."""
        known = ("http://127.0.0.1:", "ws://127.0.0.1:", "blob:http://127.0.0.1:", "data:")
        return [url for url in self.requests if not url.startswith(known)]

    def _on_error(self, error: Any) -> None:
        self.errors.append(f"{error}\n{error.stack}")

    def _on_request(self, request: Any) -> None:
        self.requests.append(request.url)

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.errors.append(f"{message.text} {message.location.get('url', '')}")


def open_panels(page: Any) -> None:
    """What stands behind one line: it stays open after a reload."""
    page.eval_on_selector_all("details.panel", "all => all.forEach(p => { p.open = true; })")


def notice_of(page: Any) -> str:
    """The message that is seen on the page now, without scrolling; there must be one."""
    page.wait_for_selector("#notice-text", state="visible")
    box, size = page.locator("#notice-text").bounding_box(), page.viewport_size
    assert 0 <= box["y"] < box["y"] + box["height"] <= size["height"]
    text: str = page.inner_text("#notice-text")
    return text


def hear_street(page: Any) -> None:
    """Give the page examples/street.flac, and wait until it was heard."""
    page.set_input_files("#file", STREET)
    page.wait_for_selector("body[data-state=done]")


def rows_of(page: Any) -> list[tuple[str, str]]:
    """The table's times and sounds."""
    texts = page.eval_on_selector_all("#rows tr", "rows => rows.map(r => r.innerText.split('\\t'))")
    return [(time.strip(), what.strip()) for time, what, _ in texts]
