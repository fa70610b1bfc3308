# SPDX-License-Identifier: Apache-2.0
"""From a week of recordings to a number: the whole way by commands, with the truth beside it.

    python benchmarks/week.py                     three sites, seven nights, a few minutes
    python benchmarks/week.py --minutes 10 --reviews 300 --seed 1

Recordings are made: at three sites, each night, crows of roosters among dogs, babies, clocks and
sneezes, over rain, sea, fire or a helicopter, from folds 1 to 3 of ESC-10. What a user would have
is of the other two folds: one crow to search by, and clips to teach by. Reviews are answered by
what was put there: a window holds a crow if a quarter of a second of one is in it. The steps are
those of docs/guides/week-to-number.md.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from oido.results import Results

RATE = 16_000
TARGET = "Rooster"
OTHERS = ("Dog bark", "Baby cry", "Person sneeze", "Clock tick")
BACKGROUNDS = ("Rain", "Sea waves", "Fire crackling", "Helicopter")
SITES = {"barn": (30.0, "Rain"), "coast": (12.0, "Sea waves"), "field": (3.0, "Fire crackling")}
"""Crows an hour at each site, and what is mostly heard there."""

_LEAST_SECONDS = 0.25


@dataclass
class Scene:
    """What was put into the recordings: spans of crows by file."""

    crows: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    hours: float = 0.0

    def holds(self, file: str, start: float, end: float) -> bool:
        """Whether a crow is in a span of a recording, by site and name, wherever it lies."""
        spans = self.crows["/".join(file.split("/")[-2:])]
        return any(min(end, stop) - max(start, begin) >= _LEAST_SECONDS for begin, stop in spans)


def loud_part(wave: np.ndarray) -> np.ndarray:
    """Without the silence that clips are filled up with, and at one peak."""
    level = np.abs(wave)
    loud = np.flatnonzero(level > 0.05 * level.max())
    part = wave[loud[0] : loud[-1] + 1]
    return np.asarray(0.3 * part / np.abs(part).max(), np.float32)


def make_recordings(audio: Path, folder: Path, minutes: float, seed: int) -> Scene:
    """A recording a site and night."""
    random, scene = np.random.default_rng(seed), Scene()
    waves: dict[str, list[np.ndarray]] = {}
    for row in rows_of(audio, folds="123"):
        wave, rate = read(audio / "esc10" / row["file"])
        assert rate == RATE
        waves.setdefault(row["label"], []).append(wave)
    for site, (rate_per_hour, mostly) in SITES.items():
        for night in range(7):
            samples = round(minutes * 60 * RATE)
            sound = background(waves, mostly, samples, random)
            file = f"{site}/202405{6 + night:02d}_043000.wav"
            spans = []
            # Nights differ: of some there is none, of others twice as many.
            crows = random.poisson(rate_per_hour * minutes / 60 * random.choice([0, 1, 2]))
            for label, count in ((TARGET, crows), *((o, random.poisson(3)) for o in OTHERS)):
                for _ in range(count):
                    part = loud_part(waves[label][random.integers(len(waves[label]))])
                    part = part[: 5 * RATE] * random.uniform(0.2, 1.0)
                    at = int(random.integers(0, samples - len(part)))
                    sound[at : at + len(part)] += part
                    if label == TARGET:
                        spans.append((at / RATE, (at + len(part)) / RATE))
            scene.crows[file] = spans
            scene.hours += minutes / 60
            (folder / site).mkdir(parents=True, exist_ok=True)
            soundfile.write(folder / file, np.clip(sound, -1, 1), RATE, subtype="PCM_16")
    return scene


def background(
    waves: dict[str, list[np.ndarray]], mostly: str, samples: int, random: np.random.Generator
) -> np.ndarray:
    """Pieces of one or another, quiet, one after the other."""
    pieces, length = [], 0
    while length < samples:
        label = mostly if random.random() < 0.7 else str(random.choice(BACKGROUNDS))
        piece = waves[label][random.integers(len(waves[label]))]
        pieces.append(0.05 * piece / max(float(np.sqrt((piece**2).mean())), 1e-4) * 0.3)
        length += len(piece)
    return np.concatenate(pieces)[:samples].astype(np.float32)


def rows_of(audio: Path, folds: str) -> list[dict[str, str]]:
    with (audio / "esc10" / "clips.csv").open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["fold"] in folds]


def read(path: Path) -> tuple[np.ndarray, int]:
    wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = wave.mean(axis=1)
    if rate != RATE:
        from oido.signal.resample import resample

        mono = resample(mono, rate, RATE)
    return mono, RATE


def oido(*words: object, ok: tuple[int, ...] = (0,)) -> str:
    """A command, and what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "oido", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in ok:
        raise SystemExit(f"oido {' '.join(map(str, words))}: {done.stderr}")
    return done.stdout + done.stderr


def answer(table: Path, scene: Scene) -> tuple[int, int]:
    """Write the verdicts; how many are yes, and all."""
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        span = float(row["recording_start"]), float(row["recording_end"])
        row["verdict"] = "yes" if scene.holds(row["recording"], *span) else "no"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return sum(row["verdict"] == "yes" for row in rows), len(rows)


def true_windows(results: Path, scene: Scene) -> dict[str, tuple[int, int]]:
    """Windows with a crow, and all, by site and of all."""
    found: dict[str, tuple[int, int]] = {}
    with Results(str(results)) as opened:
        rows = opened.sql("SELECT file, start_time, end_time FROM embeddings").to_pylist()
    for row in rows:
        holds = scene.holds(row["file"], row["start_time"], row["end_time"])
        for name in (row["file"].split("/")[-2], "all"):
            true, n = found.get(name, (0, 0))
            found[name] = true + holds, n + 1
    return found


def search(results: Path, audio: Path, scene: Scene) -> None:
    """By one crow of another source than those in the recordings."""
    example = next(r for r in rows_of(audio, "4") if r["label"] == TARGET)
    started, hits = time.perf_counter(), results.parent / "hits.csv"
    like = audio / "esc10" / example["file"]
    oido("find", results, "--like", like, "--count", 20, "-o", hits, "-q")
    with hits.open(newline="", encoding="utf-8") as file:
        found = [
            scene.holds(row["file"], float(row["start_time"]), float(row["end_time"]))
            for row in csv.DictReader(file)
        ]
    print(
        f"find --like one crow: {sum(found[:10])} of the first 10, {sum(found)} of 20 hits hold "
        f"one; {time.perf_counter() - started:.1f} s with its index"
    )


def teach(audio: Path, folder: Path) -> Path:
    """A head on embeddings, by clips of other sources."""
    table, model = folder / "taught.csv", folder / "crow.tflite"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("file", "label", "group"))
        for row in rows_of(audio, "45"):
            label = "crow" if row["label"] == TARGET else "background"
            writer.writerow((audio / "esc10" / row["file"], label, row["group"]))
    started = time.perf_counter()
    oido("train", table, "-o", model, "--embeddings-only", "-q")
    print(f"train --embeddings-only: {time.perf_counter() - started:.0f} s")
    return model


def count(results: Path, model: Path, scene: Scene, reviews: int) -> Path:
    """Windows of every score, reviewed and counted, beside the truth; the table of reviews."""
    words, sample = (results, "--model", model, "--label", "crow"), results.parent / "sample"
    oido("clips", *words, "--choose", "stratified", "--count", reviews, "-o", sample, "-q")
    table, numbers = sample / "clips.csv", results.parent / "counted.csv"
    yes, n = answer(table, scene)
    print(f"clips --choose stratified: {n} windows, {yes} with a crow; answered by the truth")
    print(oido("count", *words, "--reviewed", table, "-o", numbers, "-q"), end="")
    print(oido("count", *words, "--reviewed", table, "--by", "site,night").splitlines()[2])
    of_nights = sum(bool(spans) for spans in scene.crows.values())
    print(f"  truth: {of_nights} of {len(scene.crows)} nights at a site")
    truth = true_windows(results, scene)
    with numbers.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            true, of = truth[row["site"]]
            low, high = float(row["low"]), float(row["high"])
            print(
                f"  {row['site']:6s} truth {true:5d} of {of} windows, counted "
                f"{float(row['true_windows']):7.1f} ({low:.1f} to {high:.1f}): "
                f"{'inside' if low <= true <= high else 'OUTSIDE'}"
            )
    return table


def main() -> int:
    """Go the whole way and print each step's figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = Path(__file__).parents[1]
    parser.add_argument("--audio", type=Path, default=root.parent / "shared" / "audio")
    parser.add_argument("--minutes", type=float, default=5.0, help="of each recording")
    parser.add_argument("--reviews", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="week-") as scratch:
        folder = Path(scratch)
        results, labels = folder / "results", folder / "project.db"
        scene = make_recordings(args.audio, folder / "week", args.minutes, args.seed)
        crows = sum(map(len, scene.crows.values()))
        print(f"made: {scene.hours:.2f} hours, {len(scene.crows)} recordings, {crows} crows")
        started = time.perf_counter()
        oido("batch", folder / "week", "-o", results, "--embeddings", "-q")
        print(f"batch --embeddings: {time.perf_counter() - started:.0f} s")
        search(results, args.audio, scene)
        model = teach(args.audio, folder)
        table = count(results, model, scene, args.reviews)
        oido("labels", "add", labels, table, "--who", "truth")
        adapted = folder / "adapted.tflite"
        print("adapt:")
        print(oido("adapt", results, model, "-o", adapted, "--labels", labels, ok=(0, 1)), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
