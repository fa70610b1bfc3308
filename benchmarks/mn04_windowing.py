# SPDX-License-Identifier: Apache-2.0
"""How mn04 should cut recordings into windows, and how to fill those that are too short.

    python benchmarks/mn04_windowing.py             both sets of ../shared/audio (about 4 minutes)
    python benchmarks/mn04_windowing.py --limit 40  some clips of each set, spread evenly

Windows overlap by half; what fills up the last window of a longer clip is always zeros, and weighs
nothing. Prints two Markdown tables: the quality of every way on the whole sets, and what it is
worth to choose among them: over random splits by source group, the way that is best on one half is
measured on the other, beside ways that were not chosen at all.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from precision import ROOT, SETS, Clip, Quality, quality, read_clips

from oido.events.aggregation import Aggregator
from oido.models.labels import audioset_labels
from oido.models.networks import mn04
from oido.models.networks.torch_file import read_state_dict
from oido.params import MnFrontEndParams, Windowing
from oido.runtime.litert import LiteRtRuntime
from oido.signal.decode import open_audio
from oido.signal.frontend import MnFrontEnd
from oido.signal.mixing import mono_blocks
from oido.signal.resample import Resampler

RATE_HZ = 32_000
SHORTEST_SAMPLES = 514
WINDOW_SECONDS = (1, 2, 3, 5, 10)
AGGREGATIONS = ("mean", "max")
BATCH_WINDOWS = 16
SPLITS = 50

Waveform = NDArray[np.float32]
Scores = NDArray[np.float32]


class Way(NamedTuple):
    """window_seconds 0: the whole clip is one window."""

    window_seconds: int
    filling: str
    aggregation: str

    def __str__(self) -> str:
        if not self.window_seconds:
            return "whole clip"
        return f"{self.window_seconds} s, {self.filling}, {self.aggregation}"


def repeated(waveform: Waveform, window_samples: int, pause_seconds: int = 0) -> Waveform:
    """The clip again and again, with silence between, cut to the window."""
    pause = np.zeros(pause_seconds * RATE_HZ, np.float32)
    return np.resize(np.concatenate([waveform, pause]), window_samples)


FILLINGS: dict[str, Callable[[Waveform, int], Waveform]] = {
    "zeros": lambda w, n: np.pad(w, (0, n - len(w))),
    "repeated": repeated,
    "reflected": lambda w, n: np.resize(np.concatenate([w, w[::-1]]), n),
    "repeated with 1 s between": lambda w, n: repeated(w, n, 1),
    "repeated with 2 s between": lambda w, n: repeated(w, n, 2),
}
"""What makes a window of a clip shorter than it. The pauses were thought of last, after a look at
the other figures on both sets: the split over groups does not know that."""

WHOLE = Way(0, "zeros", "mean")
WAYS = [WHOLE] + [Way(s, f, a) for s in WINDOW_SECONDS for f in FILLINGS for a in AGGREGATIONS]
FIXED = [
    WHOLE,
    Way(2, "zeros", "mean"),
    Way(3, "zeros", "mean"),
    Way(5, "zeros", "mean"),
    Way(5, "repeated with 1 s between", "mean"),
    Way(10, "zeros", "mean"),
    Way(10, "repeated", "mean"),
    Way(10, "repeated with 1 s between", "mean"),
    Way(10, "repeated with 2 s between", "mean"),
]
"""Ways that are shown beside the chosen one."""


class Recordings(NamedTuple):
    """One set: clips, what was recorded together, and the sound at 32 kHz, f32[n] each."""

    clips: list[Clip]
    groups: list[str]
    waveforms: list[Waveform]


class Ear:
    """Front end and network for one length of window."""

    def __init__(self, state: dict[str, NDArray[np.float32]], window_samples: int) -> None:
        self._front_end = MnFrontEnd(MnFrontEndParams(window_samples=window_samples))
        content = mn04.network(state, self._front_end.params.patch_frames)
        self._runtime = LiteRtRuntime(None, content)
        hop = window_samples // 2
        self._windowing = Windowing(RATE_HZ, window_samples, hop)

    def scores(self, waveform: Waveform, filling: str) -> tuple[Scores, NDArray[np.float64]]:
        """f32[N, 527], and what each window weighs, f64[N]: its share that is not padding."""
        p = self._windowing
        if len(waveform) < p.window_samples:
            waveform = FILLINGS[filling](waveform, p.window_samples)
        padded = np.pad(waveform, (0, p.padded_samples(len(waveform))))
        patches = self._front_end.patches(padded, p.hop_samples)
        starts = range(0, len(patches), BATCH_WINDOWS)
        blocks = [self._runtime.run(patches[s : s + BATCH_WINDOWS]).scores for s in starts]
        beyond = np.arange(len(patches)) * p.hop_samples + p.window_samples - len(waveform)
        return np.concatenate(blocks), 1.0 - np.maximum(0, beyond) / p.window_samples


def read_set(folder: Path, limit: int | None) -> Recordings:
    """Everything of one set in memory (some 150 MB)."""
    clips = read_clips(folder, limit)
    with open(folder / "clips.csv", encoding="utf-8", newline="") as file:
        group = {folder / row["file"]: row["group"] for row in csv.DictReader(file)}
    waveforms = []
    for clip in clips:
        with open_audio(clip.path) as reader:
            resampler = Resampler(reader.info.sample_rate_hz, RATE_HZ)
            pieces = [resampler.push(mono) for mono in mono_blocks(reader)]
        waveforms.append(np.concatenate([*pieces, resampler.flush()]))
    return Recordings(clips, [group[clip.path] for clip in clips], waveforms)


def hear(state: dict[str, NDArray[np.float32]], recordings: Recordings) -> dict[Way, list[Scores]]:
    """The scores f32[527] of every clip, by every way."""
    heard: dict[Way, list[Scores]] = {way: [] for way in WAYS}
    ears = {s: Ear(state, s * RATE_HZ) for s in WINDOW_SECONDS}
    whole: dict[int, Ear] = {}
    for number, waveform in enumerate(recordings.waveforms):
        print(f"\r{number + 1}/{len(recordings.clips)} clips ", end="", file=sys.stderr)
        n = max(len(waveform), SHORTEST_SAMPLES)
        ear = whole[n] = whole.get(n) or Ear(state, n)
        heard[WHOLE].append(ear.scores(waveform, "zeros")[0][0])
        for seconds, ear in ears.items():
            fits = len(waveform) >= seconds * RATE_HZ  # then nothing is filled
            for index, filling in enumerate(FILLINGS):
                if index == 0 or not fits:
                    scores, weights = ear.scores(waveform, filling)
                for aggregation in AGGREGATIONS:
                    aggregator = Aggregator(aggregation)
                    aggregator.push(scores, weights)
                    heard[Way(seconds, filling, aggregation)].append(aggregator.flush())
    print(file=sys.stderr)
    return heard


class Judge:
    """Quality of a way on some clips of each set."""

    def __init__(
        self, sets: dict[str, Recordings], heard: dict[str, dict[Way, list[Scores]]]
    ) -> None:
        self._sets, self._heard = sets, heard
        self._labels = audioset_labels()

    def quality(self, name: str, way: Way, chosen: NDArray[np.bool_] | None = None) -> Quality:
        """On the clips of one set that were chosen (None: all)."""
        clips, rows = self._sets[name].clips, self._heard[name][way]
        if chosen is not None:
            clips = [clip for clip, keep in zip(clips, chosen) if keep]
            rows = [row for row, keep in zip(rows, chosen) if keep]
        return quality(clips, rows, self._labels)

    def whole_table(self) -> str:
        """Every way on the whole sets."""
        head = " | ".join(f"{name} mAP | top-1 | top-5" for name in self._sets)
        lines = [f"| window, filling, aggregation | {head} |"]
        lines.append("|---|" + "---:|" * (3 * len(self._sets)))
        for way in WAYS:
            cells = [f"{v:.3f}" for name in self._sets for v in self.quality(name, way)]
            lines.append(f"| {way} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def held_out_table(self) -> str:
        """Means over both halves of every split; each set counts the same in the choice."""
        rng = np.random.default_rng(0)
        rows: dict[str, list[list[float]]] = {}
        chosen: Counter[str] = Counter()
        for _ in range(SPLITS):
            first = {name: _half(r.groups, rng) for name, r in self._sets.items()}
            for learn in (first, {name: ~half for name, half in first.items()}):
                best = max(WAYS, key=lambda way: self._mean_map(way, learn))
                chosen[str(best)] += 1
                shown = [("chosen on the other half", best), *((str(way), way) for way in FIXED)]
                for title, way in shown:
                    values = [
                        v for name in self._sets for v in self.quality(name, way, ~learn[name])
                    ]
                    rows.setdefault(title, []).append(values)
        head = " | ".join(f"{name} mAP | top-1 | top-5" for name in self._sets)
        lines = [f"| held-out half | {head} |", "|---|" + "---:|" * (3 * len(self._sets))]
        for title, figures in rows.items():
            cells = [f"{v:.3f}" for v in np.mean(figures, axis=0)]
            lines.append(f"| {title} | {' | '.join(cells)} |")
        told = "; ".join(f"{way} ({n})" for way, n in chosen.most_common(8))
        return "\n".join([*lines, "", f"Chosen in {2 * SPLITS} halves: {told}."])

    def _mean_map(self, way: Way, learn: dict[str, NDArray[np.bool_]]) -> float:
        figures = [self.quality(name, way, half) for name, half in learn.items()]
        return float(np.mean([q.mean_average_precision for q in figures]))


def _half(groups: list[str], rng: np.random.Generator) -> NDArray[np.bool_]:
    """bool[clips]: whether the clip's group is in a random half of the groups."""
    names = sorted(set(groups))
    inside = set(rng.permutation(names)[: len(names) // 2].tolist())
    return np.array([group in inside for group in groups])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = ROOT.parent / "shared"
    parser.add_argument("--audio", type=Path, default=shared / "audio")
    parser.add_argument("--weights", type=Path, default=shared / "models/mn04_as_mAP_432.pt")
    parser.add_argument("--limit", type=int, help="about so many clips of each set")
    options = parser.parse_args()
    state = read_state_dict(options.weights.read_bytes())
    sets = {name: read_set(options.audio / name, options.limit) for name in SETS}
    judge = Judge(sets, {name: hear(state, recordings) for name, recordings in sets.items()})
    print(judge.whole_table(), "\n", judge.held_out_table(), sep="\n")


if __name__ == "__main__":
    main()
