# SPDX-License-Identifier: Apache-2.0
"""How often `oido drift` tells a shift where there is none, and where there is one.

    python benchmarks/drift.py [--audio ../shared/audio] [--draws 210]

Random halves of the source recordings of esc10 differ in nothing but chance: a shift must be told
in no more than 5 of 100 (`level`). Then the second half is changed: quieter, duller, noisier, or
its classes in other shares. Prints a Markdown table, with 95 % intervals (Wilson).
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from oido.evaluation.bootstrap import wilson
from oido.evaluation.drift import _compare
from oido.evaluation.drift_features import FeatureSet, collect_features
from oido.inference.classifier import AudioClassifier

ROOT = Path(__file__).resolve().parents[1]
LEVEL = 0.05
SIZES = (10, 30, 100)
"""Source recordings on each side."""

Wave = NDArray[np.float64]


def quieter(wave: Wave, rate_hz: int) -> Wave:
    return wave * 10 ** (-20 / 20)


def duller(wave: Wave, rate_hz: int) -> Wave:
    return np.asarray(sosfilt(butter(4, 2_000, fs=rate_hz, output="sos"), wave, axis=0))


def noisier(wave: Wave, rate_hz: int) -> Wave:
    noise = np.random.default_rng(len(wave)).normal(0, 1, wave.shape)
    return wave + noise * np.sqrt(np.mean(wave**2)) * 10 ** (-10 / 20)


CHANGES: dict[str, Callable[[Wave, int], Wave]] = {
    "20 dB quieter": quieter,
    "low-pass at 2 kHz": duller,
    "white noise, 10 dB below": noisier,
}


def main() -> int:
    """Hear, draw, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--draws", type=int, default=210)
    arguments = parser.parse_args()
    classifier = AudioClassifier(jobs=1)
    paths, labels = _clips(arguments.audio / "esc10")
    plain = collect_features(classifier, [str(path) for path in paths])
    label_of = _labels_of_sources(plain, labels)
    print("| new recordings | sources a side | a shift is told in | of |\n|---|---:|---|---:|")
    for size in SIZES:
        draws = arguments.draws // 3 if size != SIZES[-1] else arguments.draws
        _row(classifier, "no change", size, draws, plain, plain)
    with tempfile.TemporaryDirectory() as folder:
        for name, change in CHANGES.items():
            changed = [_changed(path, change, Path(folder)) for path in paths]
            heard = collect_features(classifier, [str(path) for path in changed])
            for size in SIZES:
                _row(classifier, name, size, 30, plain, heard)
    for size in SIZES[:-1]:
        _row(classifier, "five of the ten classes only", size, 30, plain, plain, label_of)
    return 0


def _clips(folder: Path) -> tuple[list[Path], list[str]]:
    with (folder / "clips.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [folder / row["file"] for row in rows], [row["audioset_label"] for row in rows]


def _labels_of_sources(heard: FeatureSet, labels: list[str]) -> NDArray[np.int64]:
    """i64[K]: the class of each source recording."""
    numbers = np.unique(labels, return_inverse=True)[1]
    found = np.zeros(heard.sources, np.int64)
    found[heard.file_source] = numbers
    return found


def _changed(path: Path, change: Callable[[Wave, int], Wave], folder: Path) -> Path:
    wave, rate_hz = soundfile.read(path)
    target = folder / f"{path.stem}.wav"
    soundfile.write(target, np.clip(change(wave, rate_hz), -1, 1), rate_hz)
    return target


def _row(
    classifier: AudioClassifier,
    name: str,
    size: int,
    draws: int,
    old: FeatureSet,
    new: FeatureSet,
    label_of: NDArray[np.int64] | None = None,
) -> None:
    told = 0
    for seed in range(draws):
        order = np.random.default_rng(seed).permutation(old.sources)
        second = order[size:]
        if label_of is not None:
            second = second[label_of[second] < 5]
        told += _compare(
            classifier, _of(old, order[:size]), _of(new, second[:size]), LEVEL, seed
        ).shifted
    low, high = wilson(told / draws, draws)
    print(f"| {name} | {size} | {told / draws:.3f} [{low:.3f}, {high:.3f}] | {draws} |", flush=True)


def _of(heard: FeatureSet, sources: NDArray[np.int64]) -> FeatureSet:
    """The part of these source recordings."""
    number_of = np.full(heard.sources, -1)
    number_of[sources] = np.arange(len(sources))
    stretches, files = number_of[heard.source], number_of[heard.file_source]
    return replace(
        heard,
        embeddings=heard.embeddings[stretches >= 0],
        values=heard.values[stretches >= 0],
        source=stretches[stretches >= 0],
        facts=heard.facts[files >= 0],
        file_source=files[files >= 0],
    )


if __name__ == "__main__":
    sys.exit(main())
