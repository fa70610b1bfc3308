# SPDX-License-Identifier: Apache-2.0
"""What int8 costs: `yamnet/classification` as published, and its weights run in float32.

    python benchmarks/precision.py                both sets of ../shared/audio (a few minutes)
    python benchmarks/precision.py --limit 40     some clips of each set, spread evenly

Both networks hear the same patches, made by oido's own front end. Prints three Markdown tables:
how well they find a set's classes without having been trained on it, how far they agree with each
other, and their speed and memory (Linux: one pinned core, front end and network, sound in memory;
each run is a process of its own, the two precisions in turn, medians shown).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.events.aggregation import Aggregator
from oido.models.loading import load_model
from oido.models.networks.yamnet import network
from oido.models.tflite.editor import TfliteGraph
from oido.models.tflite.yamnet_reader import from_int8
from oido.params import FrontEndParams, Windowing
from oido.runtime.litert import LiteRtRuntime
from oido.signal.decode import open_audio
from oido.signal.frontend import FrontEnd
from oido.signal.mixing import mono_blocks
from oido.signal.resample import Resampler

ROOT = Path(__file__).resolve().parents[1]
SETS = ("esc10", "everyday")
PRECISIONS = ("int8", "float32")
PARAMS = FrontEndParams(16_000, 400, 160, 512, 96)
WINDOWING = Windowing(PARAMS.sample_rate_hz, PARAMS.patch_samples, 7_680)
BATCH_WINDOWS = 64
CHILD_SECONDS = 3.0
REPEATS = 5


class Clip(NamedTuple):
    """A recording and what is heard in it: `label` first, `also` would be right as well."""

    path: Path
    label: str
    also: tuple[str, ...]


def read_clips(folder: Path, limit: int | None) -> list[Clip]:
    """The clips of one set, or about `limit` of them, spread evenly."""
    with open(folder / "clips.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    step = max(1, -(-len(rows) // limit)) if limit else 1
    return [
        Clip(folder / r["file"], r["audioset_label"], tuple(r["audioset_also"].split("|")))
        for r in rows[::step]
    ]


class Ear:
    """Front end and both networks, as `oido.AudioClassifier` has them."""

    def __init__(self, model: bytes, precisions: Sequence[str] = PRECISIONS) -> None:
        cut = TfliteGraph(model).cut_front_end()
        graphs = {"int8": lambda: cut.network, "float32": lambda: network(from_int8(model))}
        self.runtimes = {p: LiteRtRuntime(cut.projection, graphs[p]()) for p in precisions}
        project = next(iter(self.runtimes.values())).project
        self._front_end = FrontEnd(PARAMS, cut.window, (cut.first_bin, cut.last_bin), project)

    def patches(self, waveform: NDArray[np.float32]) -> NDArray[np.float32]:
        """f32[n] at 16 kHz → f32[N, 96, 64], the last window padded."""
        padding = WINDOWING.padded_samples(len(waveform))
        padded = np.pad(waveform, (0, padding))
        return self._front_end.patches(padded, WINDOWING.hop_samples)

    def scores(self, precision: str, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """f32[N, 521]."""
        runtime, starts = self.runtimes[precision], range(0, len(patches), BATCH_WINDOWS)
        blocks = [runtime.run(patches[s : s + BATCH_WINDOWS]).scores for s in starts]
        return np.concatenate(blocks)


def waveform_of(path: Path) -> NDArray[np.float32]:
    """f32[n] at 16 kHz."""
    with open_audio(path) as reader:
        resampler = Resampler(reader.info.sample_rate_hz, PARAMS.sample_rate_hz)
        pieces = [resampler.push(mono) for mono in mono_blocks(reader)]
    return np.concatenate([*pieces, resampler.flush()])


def clip_scores(scores: NDArray[np.float32], n_samples: int) -> NDArray[np.float32]:
    """f32[N, C] → f32[C], by oido's default aggregation (the mean, padding weighing nothing)."""
    ends = np.arange(len(scores)) * WINDOWING.hop_samples + WINDOWING.window_samples
    aggregator = Aggregator()
    padding = np.maximum(0, ends - n_samples)
    aggregator.push(scores, 1.0 - padding / WINDOWING.window_samples)
    return aggregator.flush()


@dataclass
class Heard:
    """What was gathered of one set."""

    clips: list[Clip]
    windows: int = 0
    by_clip: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    rank_all: list[float] = field(default_factory=list)
    rank_heard: list[float] = field(default_factory=list)
    same_top_1: list[bool] = field(default_factory=list)
    shared_top_5: list[float] = field(default_factory=list)
    difference: list[float] = field(default_factory=list)


def hear(ear: Ear, clips: list[Clip]) -> Heard:
    """Both networks over every clip."""
    heard = Heard(clips, by_clip={p: [] for p in PRECISIONS})
    for number, clip in enumerate(clips):
        print(f"\r{number + 1}/{len(clips)} clips ", end="", file=sys.stderr)
        waveform = waveform_of(clip.path)
        patches = ear.patches(waveform)
        both = {p: ear.scores(p, patches) for p in PRECISIONS}
        heard.windows += len(patches)
        for precision, scores in both.items():
            heard.by_clip[precision].append(clip_scores(scores, len(waveform)))
        for int8, floats in zip(both["int8"], both["float32"]):
            compare(heard, int8, floats)
    print(file=sys.stderr)
    return heard


def compare(heard: Heard, int8: NDArray[np.float32], floats: NDArray[np.float32]) -> None:
    """Add the agreement of one window's scores, f32[C] each."""
    heard.rank_all.append(spearman(int8, floats))
    above = int8 > 0
    if len(np.unique(int8[above])) > 1:
        heard.rank_heard.append(spearman(int8[above], floats[above]))
    heard.same_top_1.append(bool(int8.argmax() == floats.argmax()))
    best = [set(np.argsort(-scores, kind="stable")[:5].tolist()) for scores in (int8, floats)]
    heard.shared_top_5.append(len(best[0] & best[1]) / 5)
    heard.difference.append(float(np.abs(int8 - floats).max()))


def spearman(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Spearman's rank correlation; equal scores share their mean rank."""
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1])


def _ranks(values: NDArray[np.float32]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts + 1) / 2)[inverse])


def average_precision(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Area under the precision-recall steps; clips of one score enter together, as in sklearn."""
    _, inverse = np.unique(-scores, return_inverse=True)
    hits = np.cumsum(np.bincount(inverse, weights=right))
    precision = hits / np.cumsum(np.bincount(inverse))
    return float(np.sum(np.diff(hits, prepend=0) * precision) / right.sum())


class Quality(NamedTuple):
    """Zero-shot: mAP over the set's classes; right label (or alternative) first, or in five."""

    mean_average_precision: float
    top_1: float
    top_5: float


def quality(clips: list[Clip], rows: list[NDArray[np.float32]], labels: Sequence[str]) -> Quality:
    """How well the clips' scores f32[C] fit their labels."""
    column = {label: n for n, label in enumerate(labels)}
    scores = np.stack(rows).astype(np.float64)  # f64[clips, C]
    truth = np.array([column[clip.label] for clip in clips])
    precisions = [average_precision(scores[:, c], truth == c) for c in np.unique(truth)]
    order = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    good = [
        [n in {column[label] for label in (clip.label, *clip.also) if label} for n in best]
        for clip, best in zip(clips, order.tolist())
    ]
    top_1, top_5 = (float(np.mean([any(g[:k]) for g in good])) for k in (1, 5))
    return Quality(float(np.mean(precisions)), top_1, top_5)


def speed_and_memory(precision: str, model: Path) -> dict[str, float]:
    """Windows per second and peak memory of a process that hears with one network."""
    command = [sys.executable, __file__, "--child", precision, "--model", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    report: dict[str, float] = json.loads(done.stdout)
    return report


def child(precision: str, model: Path) -> None:
    """The measured process: prints JSON."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    ear = Ear(model.read_bytes(), [precision])
    samples = (BATCH_WINDOWS - 1) * WINDOWING.hop_samples + WINDOWING.window_samples
    sound = np.random.default_rng(0).normal(0, 0.05, samples).astype(np.float32)
    ear.scores(precision, ear.patches(sound))
    started, windows = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < CHILD_SECONDS:
        windows += len(ear.scores(precision, ear.patches(sound)))
    # Not ru_maxrss: across exec that keeps the peak of the process that started this one.
    (peak,) = [
        line.split()[1]
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        if line.startswith("VmHWM:")
    ]
    print(json.dumps({"windows_per_second": windows / elapsed, "peak_mb": int(peak) / 1024}))


def tables(
    sets: dict[str, Heard], costs: dict[str, list[dict[str, float]]], labels: Sequence[str]
) -> str:
    """The figures as Markdown."""
    lines = ["| set | clips | precision | mAP | top-1 | top-5 |", "|---|---:|---|---:|---:|---:|"]
    for name, heard in sets.items():
        for precision, rows in heard.by_clip.items():
            q = quality(heard.clips, rows, labels)
            lines.append(
                f"| {name} | {len(rows)} | {precision} | {q.mean_average_precision:.3f} "
                f"| {q.top_1:.3f} | {q.top_5:.3f} |"
            )
    lines += [
        "",
        "| int8 against float32 | windows | Spearman, classes above 0 | Spearman, all "
        "| same top-1 | shared of top-5 | largest difference, median |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, heard in sets.items():
        lines.append(
            f"| {name} | {heard.windows} | {median(heard.rank_heard):.3f} "
            f"| {median(heard.rank_all):.3f} | {np.mean(heard.same_top_1):.3f} "
            f"| {np.mean(heard.shared_top_5):.3f} | {median(heard.difference):.3f} |"
        )
    lines += ["", "| precision | windows/s | peak memory, MB |", "|---|---:|---:|"]
    for precision, runs in costs.items():
        speed, peak = (median(run[k] for run in runs) for k in ("windows_per_second", "peak_mb"))
        lines.append(f"| {precision} | {speed:.0f} | {peak:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--limit", type=int, help="about so many clips of each set")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="runs for speed and memory")
    parser.add_argument("--model", type=Path, help="the .tflite, if it is not in the cache")
    parser.add_argument("--child", choices=PRECISIONS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.model)
        return
    model = load_model(arguments.model or "yamnet/classification")
    ear = Ear(model.path.read_bytes())
    sets = {}
    for name in SETS:
        print(name, file=sys.stderr)
        sets[name] = hear(ear, read_clips(arguments.audio / name, arguments.limit))
    costs: dict[str, list[dict[str, float]]] = {p: [] for p in PRECISIONS}
    for _ in range(arguments.repeats):
        for precision in PRECISIONS:
            costs[precision].append(speed_and_memory(precision, model.path))
    print(tables(sets, costs, model.labels))


if __name__ == "__main__":
    main()
