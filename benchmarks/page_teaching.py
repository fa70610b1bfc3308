# SPDX-License-Identifier: Apache-2.0
"""How good the sounds are that are taught on the page, beside `oido train` on the same clips.

    python benchmarks/page_teaching.py [--audio ../shared/audio] [--seeds 5]

Prints a Markdown table: ESC-10 with 3, 5 and 10 clips of each class (mean ± standard deviation over
seeds), judged by all clips of other recordings, the same draws for every row. The page's clips are
heard, learnt and judged in Chromium, by the modules that the page runs; "embedding alone" is `oido
train` without what earlier layers say, which the page does not have either. A clip's windows are
pooled as `oido train` does. Then the milliseconds of a fit, and of a fit of one sound beside others
as a phone has it. Needs `make web`, Playwright for Python, and chromium on the PATH.
"""

from __future__ import annotations

import argparse
import base64
import csv
import shutil
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from browser import samples_of, served
from heads import ROOT, accuracy, draw, embedded, trained, trained_on_embedding, without_folds
from playwright.sync_api import sync_playwright

from oido.arrays import F32
from oido.models.loading import load_model
from oido.server.device_model import device_model
from oido.server.page_files import WEB_FOLDER
from oido.training.embeddings import EmbeddedClips, clip_probabilities

FEW = (3, 5, 10)
MODEL = "yamnet/classification"

_EMBED = """async (count) => {
  const { openEmbedder } = await import("./core/embedder.js");
  const bytes = new Uint8Array(await (await fetch("./base.tflite")).arrayBuffer());
  const embedder = await openEmbedder(bytes);
  window.clips = [];
  for (let number = 0; number < count; number++) {
    const samples = new Float32Array(await (await fetch(`./clips/${number}.f32`)).arrayBuffer());
    window.clips.push(await embedder.embed(samples));
  }
  window.quiet = await embedder.quiet();
  embedder.close();
  return window.clips.map(({ rows }) => rows.length);
}"""

_TEACH = """async ({ known, labels, judged, nClasses }) => {
  const { fitHead, headScores } = await import("./core/head_fit.js");
  const learnt = known.map((number) => ({ ...window.clips[number], label: labels[number] }));
  const started = performance.now();
  const head = fitHead(learnt, nClasses, window.quiet[0]);
  const milliseconds = performance.now() - started;
  const rows = judged.flatMap((number) => window.clips[number].rows);
  const scores = rows.map((row) => headScores(head, row));
  const bytes = new Uint8Array(await new Blob(scores).arrayBuffer());
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return { milliseconds, scores: btoa(text) };
}"""


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    folder = arguments.audio / "esc10"
    clips = replace(embedded(folder, MODEL, "label"), extra=None)
    with open(folder / "clips.csv", encoding="utf-8", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file)]
    assert len(names) == len(clips)  # every class has clips enough
    draws = {few: [draw(clips, few, seed) for seed in range(arguments.seeds)] for few in FEW}
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        site = Path(scratch) / "page"
        shutil.copytree(WEB_FOLDER, site)
        (site / "clips").mkdir()
        (site / "base.tflite").write_bytes(device_model(load_model(MODEL)).content)
        for number, name in enumerate(names):
            samples = samples_of(folder / name, 16_000)
            (site / "clips" / f"{number}.f32").write_bytes(samples.astype("<f4").tobytes())
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        with served(site) as address:
            page = browser.new_page()
            page.set_default_timeout(1_800_000)
            page.route("**/blank.html", lambda route: route.fulfill(body="<!doctype html>"))
            page.goto(f"{address}blank.html")
            windows = page.evaluate(_EMBED, len(names))
            assert windows == np.bincount(clips.clip_index).tolist()
            taught, times = taught_here(page, clips, draws)
            one = one_sound(page, clips)
        browser.close()
    print(f"| taught by | {' | '.join(f'{few} clips a class' for few in FEW)} |")
    print(f"|---|{'---:|' * len(FEW)}")
    print(f"| the page | {' | '.join(taught)} |")
    ways = {"`oido train`, embedding alone": trained_on_embedding, "`oido train`": trained}
    for name, way in ways.items():
        print(f"| {name} | {' | '.join(by_python(way, clips, draws))} |", flush=True)
    print(f"| milliseconds of the page's fit, median | {' | '.join(times)} |")
    print(f"\nOne sound by 5 clips beside 18 clips of others: {one:.0f} ms a fit.")
    return 0


def taught_here(
    page: Any, clips: EmbeddedClips, draws: dict[int, list[Any]]
) -> tuple[list[str], list[str]]:
    """Cells of accuracy, and of milliseconds."""
    cells, times = [], []
    for pairs in draws.values():
        values, milliseconds = [], []
        for known, unknown in pairs:
            judged = clips.subset(unknown)
            told = page.evaluate(
                _TEACH,
                {
                    "known": np.flatnonzero(known).tolist(),
                    "labels": clips.labels.tolist(),
                    "judged": np.flatnonzero(unknown).tolist(),
                    "nClasses": len(clips.classes),
                },
            )
            scores: F32 = np.frombuffer(base64.b64decode(told["scores"]), "<f4")
            scores = scores.reshape(-1, len(clips.classes))
            values.append(accuracy(clip_probabilities(scores, judged, "softmax"), judged))
            milliseconds.append(told["milliseconds"])
        cells.append(cell(values))
        times.append(f"{statistics.median(milliseconds):.0f}")
    return cells, times


def one_sound(page: Any, clips: EmbeddedClips) -> float:
    """Milliseconds of the fit of one class's first clips beside two of each other, the median."""
    own = np.flatnonzero(clips.labels == 0)[:5]
    others = [
        number
        for label in range(1, len(clips.classes))
        for number in np.flatnonzero(clips.labels == label)[:2]
    ]
    request = {
        "known": [*own.tolist(), *map(int, others)],
        "labels": (clips.labels != 0).astype(int).tolist(),
        "judged": [],
        "nClasses": 2,
    }
    return statistics.median(page.evaluate(_TEACH, request)["milliseconds"] for _ in range(9))


def by_python(
    way: Callable[..., F32], clips: EmbeddedClips, draws: dict[int, list[Any]]
) -> list[str]:
    """Cells of accuracy."""
    cells = []
    for pairs in draws.values():
        values = []
        for seed, (known, unknown) in enumerate(pairs):
            learnt, judged = without_folds(clips.subset(known)), clips.subset(unknown)
            values.append(accuracy(way(learnt, judged, seed), judged))
        cells.append(cell(values))
    return cells


def cell(values: list[float]) -> str:
    """Mean ± standard deviation."""
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3f} ± {spread:.3f}"


if __name__ == "__main__":
    raise SystemExit(main())
