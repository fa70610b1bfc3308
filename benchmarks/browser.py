# SPDX-License-Identifier: Apache-2.0
"""How quickly the page hears by itself, in Chromium, and how its scores differ from Python's.

    OIDO_MODEL_PATH=../shared/models python benchmarks/browser.py
    python benchmarks/browser.py --clips ../shared/audio/esc10

Prints a Markdown table, and before it what a first visit fetches of an exported page from a host
that serves its compressed forms: requests, bytes on the wire, how often anything came twice, the
time from opening the page to the first result, the longest task, and the same again with all of it
kept; then the longest task of a list of 10,000 events. `--hour` adds an hour of sound and the
memory that it takes; `--lighthouse` prints Lighthouse's marks instead (all of these are in
browser_page.py). Needs `make web`, Playwright for Python, and chromium on the PATH.

Opening is all from the model's address to its first window, over loopback, nothing cached; a
window's time is the median over clips of the mean over a clip. Both builds of LiteRT.js are
measured: with relaxed SIMD, and the one for browsers that have none. A window differs if a score of
it does by more than 1e-5.
"""

from __future__ import annotations

import argparse
import base64
import functools
import http.server
import shutil
import statistics
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from browser_page import an_hour, first_visit, lighthouse, long_list
from numpy.typing import NDArray
from playwright.sync_api import Browser, sync_playwright

import oido
from oido.models.loading import load_model
from oido.models.model import AudioModel
from oido.server.page_files import export_page
from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks
from oido.signal.resample import Resampler

ROOT = Path(__file__).parents[1]
RELAXED, COMPAT = "litert_wasm_internal", "litert_wasm_compat_internal"
MODELS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("yamnet/classification", {}),
    ("yamnet/classification", {"precision": "float32"}),
    ("efficientat/mn04", {"window_seconds": 2.0}),
    ("efficientat/mn04", {}),
)

_HEAR = """async ({ modelUrl, clips }) => {
  const { openDevice } = await import("./core/device_engine.js");
  const started = performance.now();
  const engine = await openDevice({ modelUrl });
  const opening = performance.now() - started;
  const heard = [];
  for (const url of clips) {
    const samples = new Float32Array(await (await fetch(url)).arrayBuffer());
    const before = performance.now();
    const windows = await engine.hear(samples);
    const milliseconds = (performance.now() - before) / windows.length;
    const bytes = await new Blob(windows.map((window) => window.scores)).arrayBuffer();
    let text = "";
    for (const byte of new Uint8Array(bytes)) text += String.fromCharCode(byte);
    heard.push({ milliseconds, scores: btoa(text) });
  }
  const { build } = engine.info;
  engine.close();
  return { opening, build, heard };
}"""


def samples_of(path: Path, rate_hz: int) -> NDArray[np.float32]:
    """A recording at the model's rate, f32[n], resampled by Python for both."""
    reader = open_audio(path)
    resampler = Resampler(reader.info.sample_rate_hz, rate_hz)
    pieces = [resampler.push(block) for block in mono_blocks(reader)]
    return np.concatenate([*pieces, resampler.flush()])


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder over loopback, never cached by the browser."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            self.send_header("Cache-Control", "no-store")
            super().end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def heard_by(browser: Browser, folder: Path, model_url: str, clips: list[str]) -> dict[str, Any]:
    with served(folder) as address:
        context = browser.new_context(service_workers="block")
        page = context.new_page()
        page.set_default_timeout(600_000)
        page.goto(f"{address}manifest.webmanifest")  # of the page's origin, and runs nothing else
        told: dict[str, Any] = page.evaluate(_HEAR, {"modelUrl": model_url, "clips": clips})
        context.close()
    return told


def measure(browser: Browser, model: AudioModel, paths: list[Path], compat: bool) -> str:
    """A row of the table."""
    classifier = oido.AudioClassifier(model, jobs=1)
    rate_hz, hop = model.windows.sample_rate_hz, model.windows.hop_samples
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "page"
        export_page(folder, [model])
        if compat:
            for path in (folder / "vendor").glob(f"{COMPAT}.*"):  # compressed ones among them
                shutil.copy(path, path.with_name(path.name.replace(COMPAT, RELAXED)))
        clips = [samples_of(path, rate_hz) for path in paths]
        for number, clip in enumerate(clips):
            (folder / f"{number}.f32").write_bytes(clip.tobytes())
        (url,) = (f"models/{path.name}" for path in (folder / "models").glob("*.tflite"))
        told = heard_by(browser, folder, url, [f"{number}.f32" for number in range(len(clips))])
    worst, windows, differing = 0.0, 0, 0
    for clip, heard in zip(clips, told["heard"]):
        expected = classifier.classify(clip, sample_rate=rate_hz).scores
        scores = np.frombuffer(base64.b64decode(heard["scores"]), np.float32)
        differences = np.abs(scores.reshape(expected.shape) - expected).max(axis=1)
        worst = max(worst, float(differences.max()))
        windows += len(expected)
        differing += int((differences > 1e-5).sum())
    milliseconds = statistics.median(heard["milliseconds"] for heard in told["heard"])
    seconds = model.windows.window_samples / rate_hz
    return (
        f"| {model.name}, {model.precision} | {seconds:.3g} s | {'no' if compat else 'yes'} "
        f"| {told['opening'] / 1000:.2f} s | {milliseconds:.1f} ms "
        f"| {1000 * hop / rate_hz / milliseconds:.0f} × | {worst:.1g} | {differing} of {windows} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, help="a folder of further recordings")
    parser.add_argument("--most", type=int, default=40, help="of them (default 40)")
    parser.add_argument("--visit", action="store_true", help="only the first lines")
    parser.add_argument("--hour", action="store_true", help="and an hour of WAV (635 MB of disk)")
    parser.add_argument("--lighthouse", action="store_true", help="only Lighthouse (needs npm)")
    given = parser.parse_args()
    if given.lighthouse:
        print(lighthouse(load_model(MODELS[0][0])))
        return
    paths = [ROOT / "examples" / "street.flac", ROOT / "examples" / "alarm.flac"]
    if given.clips is not None:
        sounds = (
            p for p in sorted(given.clips.rglob("*")) if p.suffix in {".ogg", ".wav", ".flac"}
        )
        paths += list(sounds)[:: max(1, 400 // given.most)][: given.most]
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=arguments
        )
        print(first_visit(browser, load_model(MODELS[0][0])), end="\n\n", flush=True)
        print(long_list(browser, load_model(MODELS[0][0])), end="\n\n", flush=True)
        browser.close()
        if given.hour:
            browser = playwright.chromium.launch(  # that has opened nothing yet
                executable_path=shutil.which("chromium"), args=arguments
            )
            print(an_hour(browser, load_model(MODELS[0][0])), end="\n\n", flush=True)
            browser.close()
    if given.visit:
        return
    print(
        "| model | window | relaxed SIMD | opening | one window | real time | largest difference "
        "| windows that differ |"
    )
    print("|---|---:|---|---:|---:|---:|---:|---:|")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=arguments
        )
        for name, options in MODELS:
            model = load_model(name, **options)
            for compat in (False, True):
                print(measure(browser, model, paths, compat), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
