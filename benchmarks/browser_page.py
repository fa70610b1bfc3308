# SPDX-License-Identifier: Apache-2.0
"""What the page costs whoever opens it: parts of benchmarks/browser.py.

A first and a second visit, an hour of sound, a list of 10,000 events, and Lighthouse's marks, each
of an exported page on a host that serves its compressed forms.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from playwright.sync_api import Browser

from oido.models.model import AudioModel
from oido.server.encodings import ENDINGS, accepted
from oido.server.page_files import export_page

ROOT = Path(__file__).parents[1]
LIGHTHOUSE = "lighthouse@12.2.3"
"""13 wants a newer Node.js than Debian has."""

_LONG_TASKS = """
window.longest = 0;
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration);
}).observe({ type: "longtask", buffered: true });
"""
"""Tasks of 50 ms and less are none to the browser."""


@contextmanager
def host(folder: Path, answers: list[tuple[str, int]]) -> Iterator[str]:
    """The folder as a host with ``.br`` and ``.gz`` serves it; notes each path and its bytes."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept, as every host does
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            url = self.path.partition("?")[0].lstrip("/") or "index.html"
            path = folder / url
            if not path.is_file():
                self.send_error(404)
                return
            known = accepted(self.headers.get("Accept-Encoding", ""))
            forms = [(name, folder / (url + ENDINGS[name])) for name in known]
            encoding, form = next((each for each in forms if each[1].is_file()), ("", path))
            content = form.read_bytes()
            answers.append((url, len(content)))
            self.send_response(200)
            self.send_header("Content-Type", self.guess_type(str(path)))
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "max-age=3600")
            if encoding:
                self.send_header("Content-Encoding", encoding)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def first_visit(browser: Browser, model: AudioModel) -> str:
    """Two lines: a first visit that hears examples/street.flac, and another after it; each with the
    longest task of the page meanwhile."""
    lines = []
    answers: list[tuple[str, int]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "page"
        export_page(folder, [model])
        with host(folder, answers) as address:
            context = browser.new_context()
            for name in ("first visit", "second visit"):
                answers.clear()
                page = context.new_page()
                page.set_default_timeout(600_000)
                page.add_init_script(_LONG_TASKS)
                started = time.perf_counter()
                page.goto(address)
                page.wait_for_selector("#badge:not([hidden])")
                page.set_input_files("#file", ROOT / "examples" / "street.flac")
                page.wait_for_selector("body[data-state=done]")
                seconds = time.perf_counter() - started
                longest = longest_task(page)
                page.evaluate("async () => void (await navigator.serviceWorker.ready)")
                size = sum(size for _, size in answers)
                twice = len(answers) - len({url for url, _ in answers})
                lines.append(
                    f"{name}: {len(answers)} requests, {twice} of them again, {size:,} bytes; "
                    f"first result after {seconds:.1f} s; longest task {longest}"
                )
                page.close()
            context.close()
    return "\n".join(lines)


def longest_task(page: Any) -> str:
    page.wait_for_timeout(500)  # until the browser has reported them
    longest = page.evaluate("() => window.longest")
    return f"{longest:.0f} ms" if longest else "below 50 ms"


_MANY = """async (n) => {
  const { EventList } = await import("./ui/eventlist.js");
  document.querySelector("#found").hidden = false;
  const list = new EventList(() => {});
  const events = Array.from({ length: n }, (_, number) => ({
    label: `sound ${number}`, displayName: "", labelIndex: number % 7, startTime: number,
    endTime: number + 0.5, score: 0.5, probability: null, also: [],
  }));
  const show = () => list.show(events, { isLive: false, canPlay: () => true });
  document.querySelector("#show-all").addEventListener("more", show);
  show();
  await new Promise((resolve) => requestAnimationFrame(resolve));
  document.querySelector("#show-all").click();
  show();
  const box = document.querySelector("#table-scroll");
  for (let step = 0; step <= 40; step++) {
    box.scrollTop = (step / 40) * (box.scrollHeight - box.clientHeight);
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
}"""


def long_list(browser: Browser, model: AudioModel, n: int = 10_000) -> str:
    """A line: a table of so many events, shown and scrolled through."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "page"
        export_page(folder, [model])
        with host(folder, []) as address:
            page = browser.new_context(service_workers="block").new_page()
            page.add_init_script(_LONG_TASKS)
            page.goto(address)
            page.wait_for_selector("#badge:not([hidden])")
            page.wait_for_timeout(1000)
            page.evaluate("() => { window.longest = 0; }")
            page.evaluate(_MANY, n)
            return f"a list of {n:,} events, scrolled: longest task {longest_task(page)}"


def renderer_bytes() -> int:
    """Memory of this process's largest renderer now (Linux)."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            pid = int(folder.name)
            parents[pid] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if b"--type=renderer" in (folder / "cmdline").read_bytes():
                pages = int((folder / "statm").read_text().split()[1])
                sizes[pid] = pages * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):
            continue  # it ended meanwhile
    largest = 0
    for pid, size in sizes.items():
        above = pid
        while above in parents and above != os.getpid():
            above = parents[above]
        largest = max(largest, size if above == os.getpid() else 0)
    return largest


def an_hour(browser: Browser, model: AudioModel) -> str:
    """A line: an hour of 44.1 kHz stereo WAV, dropped on the page."""
    samples, _ = soundfile.read(ROOT / "examples" / "street.flac", dtype="int16")
    piece = np.repeat(samples[: 16_000 * 29].repeat(3)[: 44_100 * 30, None], 2, axis=1)
    with tempfile.TemporaryDirectory() as scratch:
        folder, path = Path(scratch) / "page", Path(scratch) / "hour.wav"
        export_page(folder, [model])
        with soundfile.SoundFile(path, "w", 44_100, 2, "PCM_16") as file:
            for _ in range(3600 * 44_100 // len(piece)):
                file.write(piece)
        with host(folder, []) as address:
            page = browser.new_context(service_workers="block").new_page()
            page.set_default_timeout(3_600_000)
            page.add_init_script(_LONG_TASKS)
            page.goto(address)
            page.wait_for_selector("#badge:not([hidden])")
            before, largest, first = renderer_bytes(), 0, 0.0
            started = time.perf_counter()
            page.set_input_files("#file", path)
            while page.get_attribute("body", "data-state") != "done":
                largest = max(largest, renderer_bytes())
                if not first and page.locator("#rows tr").count():
                    first = time.perf_counter() - started
                page.wait_for_timeout(300)
            seconds = time.perf_counter() - started
            longest = longest_task(page)
            events = page.inner_text("#found-count")
    return (
        f"an hour of 44.1 kHz stereo WAV: {seconds:.0f} s, first row after {first:.1f} s, "
        f"{events}, "
        f"the renderer takes {largest / 1e6:.0f} MB at most ({before / 1e6:.0f} MB before), "
        f"longest task {longest}"
    )


def lighthouse(model: AudioModel) -> str:
    """Lines: Lighthouse's marks of the page for a phone, and each audit that is not passed.

    Needs npm, which fetches Lighthouse.
    """
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        folder, report = Path(scratch) / "page", Path(scratch) / "report.json"
        export_page(folder, [model])
        with host(folder, []) as address:
            command = ["npx", "--yes", LIGHTHOUSE, address, "--quiet", "--output=json"]
            flags = "--chrome-flags=--headless=new --no-sandbox --disable-gpu"
            subprocess.run(
                [*command, f"--output-path={report}", flags],
                check=True,
                env={**os.environ, "CHROME_PATH": shutil.which("chromium") or ""},
            )
        told = json.loads(report.read_text("utf-8"))
    marks = ", ".join(
        f"{part['title'].lower()} {100 * part['score']:.0f}" for part in told["categories"].values()
    )
    lines.append(f"Lighthouse {told['lighthouseVersion']}, as a phone: {marks}")
    for name in ("first-contentful-paint", "largest-contentful-paint", "total-blocking-time"):
        lines.append(f"  {told['audits'][name]['title']}: {told['audits'][name]['displayValue']}")
    for audit in told["audits"].values():
        if audit["score"] is not None and audit["score"] < 0.9:
            value = audit.get("displayValue", "")
            lines.append(f"  not passed: {audit['id']} ({audit['score']:.2f}) {value}".rstrip())
    return "\n".join(lines)
