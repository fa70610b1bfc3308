# SPDX-License-Identifier: Apache-2.0
"""How many clips a minute the review's page can take, and how long a reviewer waits for one.

    python benchmarks/review.py                        500 places of examples/, made into an archive
    python benchmarks/review.py --results results/ --label Owl --clips 500
    python benchmarks/review.py --listen 0.8           as somebody who listens that long to each

In Chromium, a script presses a key as soon as a place is shown with its spectrogram and sound (and
was listened to for so long). Prints a Markdown table: clips a minute, and the milliseconds from the
key to the next place, of which the last centile is what somebody would notice. Without --results,
recordings of a minute are made of examples/ and heard first. Needs Playwright for Python, chromium
on the PATH, and oido[server,archive].
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parents[1]
_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required")
_KEYS = "ynyyu"


def make_archive(folder: Path, minutes: int) -> Path:
    """An archive of recordings of a minute, each of the examples in another order."""
    rng = np.random.default_rng(0)
    pieces = []
    for path in sorted((ROOT / "examples").glob("*.flac")):
        samples, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
        pieces.append((samples.mean(axis=1), rate_hz))
    (folder / "recordings").mkdir()
    for number in range(minutes):
        chosen = [pieces[k] for k in rng.permutation(len(pieces))]
        rate_hz = chosen[0][1]
        same = [samples for samples, rate in chosen if rate == rate_hz]
        sound = np.tile(np.concatenate(same), 60)[: 60 * rate_hz] * rng.uniform(0.3, 1)
        soundfile.write(folder / "recordings" / f"{number:03}.flac", sound, rate_hz)
    results = folder / "results"
    command = ["batch", str(folder / "recordings"), "-o", str(results), "--embeddings", "-q"]
    subprocess.run([sys.executable, "-m", "oido", *command], check=True)
    return results


def review(page: Page, clips: int, listen: float) -> tuple[float, list[float]]:
    """Seconds for so many clips, and from each key to the next place, in milliseconds."""
    waits = []
    shown = _ready(page, "")
    started = time.perf_counter()
    for number in range(clips):
        if listen:
            page.wait_for_timeout(1000 * listen)
        before = time.perf_counter()
        page.keyboard.press(_KEYS[number % len(_KEYS)])
        if number + 1 == clips:
            break
        shown = _ready(page, shown)
        waits.append(1000 * (time.perf_counter() - before))
    return time.perf_counter() - started, waits


def _ready(page: Page, before: str) -> str:
    page.wait_for_function(
        "before => document.body.dataset.ready && document.body.dataset.ready !== before",
        arg=before,
        polling="raf",
    )
    return str(page.evaluate("document.body.dataset.ready"))


def main() -> None:
    """Run it and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", help="an archive (default: one that is made of examples/)")
    parser.add_argument("--label", help="places of this label only")
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--listen", type=float, default=0.0, help="seconds to each clip")
    parser.add_argument("--minutes", type=int, default=60, help="of sound, where it is made")
    args = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory(prefix="oido-review-") as name:
        folder = Path(name)
        results = args.results or str(make_archive(folder, args.minutes))
        project = folder / "project.db"
        command = ["review", results, "--project", str(project), "--by", "script"]
        command += ["--no-browser", "--port", "0", "--count", str(args.clips)]
        command += ["--label", args.label] if args.label else []
        server = subprocess.Popen(
            [sys.executable, "-m", "oido", *command], stderr=subprocess.PIPE, text=True
        )
        assert server.stderr is not None
        line = server.stderr.readline()
        found = re.search(r"https?://\S+:\d+", line)
        if found is None:
            sys.exit(line)
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium, args=_ARGUMENTS)
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                page.goto(found[0])
                page.wait_for_selector("#progress-text:not(:empty)")
                there = re.search(r"of (\d+) places", page.inner_text("#progress-text"))
                clips = min(args.clips, int(there[1])) if there else args.clips
                seconds, waits = review(page, clips, args.listen)
                page.wait_for_selector(f"#progress-text:has-text('{clips} answers of yours')")
                browser.close()
        finally:
            server.terminate()
            server.wait(60)
    low, middle, high = np.percentile(waits, [50, 90, 99])
    print("| clips | minutes | clips a minute | key to next clip, median ms | 90 % | 99 % | most |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    figures = f"{low:.0f} | {middle:.0f} | {high:.0f} | {max(waits):.0f}"
    print(f"| {clips} | {seconds / 60:.1f} | {60 * clips / seconds:.0f} | {figures} |")


if __name__ == "__main__":
    main()
