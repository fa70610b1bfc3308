# SPDX-License-Identifier: Apache-2.0
"""Where the time of one window goes: CPU microseconds of each stage, one thread.

    python benchmarks/stages.py          after benchmarks/run.py has made its recordings

Stages are run one after the other over a minute of sound, and medians of 5 are shown. "to the
model" is resampling, to 16 kHz for YAMNet, and cutting into segments. Of the ensemble, the
figures are those of both networks together, for each of YAMNet's windows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from corpus import ROOT, make_corpus

STAGES = ("decode", "to mono", "to the model", "front end", "network")
REPEATS = 5


def cpu_microseconds(work: Callable[[], object], windows: int) -> float:
    """Median CPU time of the whole process for this work, per window."""
    seconds = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    return median(seconds) / windows * 1e6


def decode(path: Path, *, to_mono: bool = False) -> None:
    """All blocks, of all channels or of one."""
    from oido.signal.decode import open_audio
    from oido.signal.mixing import mono_blocks

    with open_audio(path) as reader:
        for _ in mono_blocks(reader) if to_mono else reader.blocks():
            pass


def stages_of(model: str, path: Path) -> dict[str, float]:
    """Microseconds of each of `STAGES` for one window of this recording."""
    import numpy as np

    import oido
    from oido.inference.block import BATCH_WINDOWS
    from oido.inference.predictor import Predictor
    from oido.models.model import EnsembleNetwork
    from oido.signal.framing import WindowFramer

    classifier = oido.AudioClassifier(model, jobs=1)
    network, hop = classifier.model.network, classifier.windowing.hop_samples
    n = len(classifier.classify(path).scores)
    first = network.first if isinstance(network, EnsembleNetwork) else classifier.model
    # As they are heard: of a whole recording in one call, equal patches, such as those of a minute
    # that repeats, would be computed once.
    framer = WindowFramer(classifier.windowing, BATCH_WINDOWS)
    segments = [*framer.push(classifier.stream(path).waveform()), *framer.flush()]
    parts = [(first, segment.waveform, hop) for segment in segments]
    if isinstance(network, EnsembleNetwork):
        # Pieces are repeated until the second's window is full; each is a segment of its own.
        second = network.second
        waveform = oido.AudioClassifier(second, jobs=1).stream(path).waveform()
        length, pieces = second.windows.window_samples, network.pieces.count(len(waveform))
        repeated = np.resize(waveform, (pieces, length)).astype(np.float32)
        parts += [(second, w, length) for w in repeated]
    models = {part.name: part for part, _, _ in parts}
    made = {name: Predictor.of(part, framewise=True) for name, part in models.items()}
    predictors = [(made[part.name], waveform, hop) for part, waveform, hop in parts]

    def patches() -> None:
        for predictor, waveform, step in predictors:
            predictor.patches(waveform, step)

    def predict() -> None:
        for predictor, waveform, step in predictors:
            predictor.predict(waveform, step)

    total = [
        cpu_microseconds(lambda: decode(path), n),
        cpu_microseconds(lambda: decode(path, to_mono=True), n),
        cpu_microseconds(lambda: classifier.stream(path).waveform(), n),
        cpu_microseconds(patches, n),
        cpu_microseconds(predict, n),
    ]
    values = (total[0], total[1] - total[0], total[2] - total[1], total[3], total[4] - total[3])
    return {name: max(0.0, value) for name, value in zip(STAGES, values)}


def pinned_stages(core: int, model: str, path: Path) -> dict[str, float]:
    """`stages_of` in a process of its own on one core."""
    command = [sys.executable, __file__, "--core", str(core), "--model", model, "--file", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    stages: dict[str, float] = json.loads(done.stdout)
    return stages


def main() -> int:
    """Print a row for each format; or, for `pinned_stages`, JSON of one recording."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="yamnet/classification")
    parser.add_argument("--core", type=int, help="run on this core alone")
    parser.add_argument("--file", type=Path, help="print JSON of this recording alone")
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    if arguments.file is not None:
        print(json.dumps(stages_of(arguments.model, arguments.file)))
        return 0
    corpus = make_corpus(ROOT / ".bench" / "audio", ROOT.parent / "shared" / "audio", (10, 20))
    print("| input | " + " | ".join(STAGES) + " |\n|---|" + "---:|" * len(STAGES))
    for name, path in corpus.minute.items():
        stages = stages_of(arguments.model, path)
        print(f"| {name} | " + " | ".join(f"{stages[s]:.0f}" for s in STAGES) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
