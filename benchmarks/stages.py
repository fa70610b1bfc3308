# SPDX-License-Identifier: Apache-2.0
"""Where the time of one window goes: CPU microseconds of each stage, one thread.

    python benchmarks/stages.py          after benchmarks/run.py has made its recordings

Stages are run one after the other over a minute of sound, and the median of 7 is shown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from corpus import ROOT, make_corpus

import oido
from oido.inference.predictor import Predictor
from oido.signal.decode import open_audio
from oido.signal.mixing import mono_blocks

REPEATS = 7


def cpu_microseconds(work: Callable[[], object], windows: int) -> float:
    """Median CPU time of the whole process for this work, per window."""
    seconds = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return median(seconds) / windows * 1e6


def decode(path: Path) -> None:
    """Blocks of all channels."""
    with open_audio(path) as reader:
        for _ in reader.blocks():
            pass


def decode_to_mono(path: Path) -> None:
    """Blocks of one channel."""
    with open_audio(path) as reader:
        for _ in mono_blocks(reader):
            pass


def main() -> int:
    """Print a row for each format."""
    corpus = make_corpus(ROOT / ".bench" / "audio", ROOT.parent / "shared" / "audio", (10, 20))
    classifier = oido.AudioClassifier(jobs=1)
    ear, hop = Predictor.of(classifier.model), classifier.windowing.hop_samples
    print("| input | decode | to mono | to 16 kHz | front end | network |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, path in corpus.minute.items():
        waveform = classifier.stream(path).waveform()
        n = len(classifier.classify(path).scores)
        total = {
            "decode": cpu_microseconds(lambda path=path: decode(path), n),
            "mono": cpu_microseconds(lambda path=path: decode_to_mono(path), n),
            "resampled": cpu_microseconds(lambda path=path: classifier.stream(path).waveform(), n),
            "front end": cpu_microseconds(lambda w=waveform: ear.patches(w, hop), n),
            "heard": cpu_microseconds(lambda w=waveform: ear.predict(w, hop), n),
        }
        stages = (
            total["decode"],
            total["mono"] - total["decode"],
            total["resampled"] - total["mono"],
            total["front end"],
            total["heard"] - total["front end"],
        )
        print(f"| {name} | " + " | ".join(f"{max(0.0, s):.0f}" for s in stages) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
