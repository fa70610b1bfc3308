# SPDX-License-Identifier: Apache-2.0
"""mn04 and YAMNet in oido beside PyTorch: ten seconds of decoded sound, one core (Linux).

    python benchmarks/mn04_torch.py               needs oido[torch] and both models (a minute)
    python benchmarks/mn04_torch.py --repeats 51

Each contender gets the same waveform and gives scores, its own front end included; the results are
compared before anything is timed. All run in one process pinned to one core, in turn, one thread
each, and the median CPU time is shown. Peak memory is that of a process of its own which hears the
waveform three times, libraries included.

"PyTorch" for mn04 is the network as published (github.com/fschmid56/EfficientAT), written anew in
`oido.torch`: batch normalisation not folded, `torch.stft` in float32 as its front end, evaluation
mode, `torch.inference_mode`. Its mel matrix is made once, where the original makes it for every
clip. For YAMNet, which was not published in PyTorch, it is `oido.torch.YamNet`: batch normalisation
folded, less work than a literal translation has.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

import oido
from oido.inference.predictor import Predictor
from oido.models.loading import load_model
from oido.models.model import Precision
from oido.params import Windowing

ROOT = Path(__file__).resolve().parents[1]
RECORDING = ROOT / "examples" / "street.flac"
SECONDS = 10
WARM_UP = 3
TOLERANCE = 1e-3
YAMNET, MN04 = "yamnet/classification", "efficientat/mn04"

Scores = NDArray[np.float32]
Hear = Callable[[], Scores]


def waveform(model: str) -> NDArray[np.float32]:
    """The first ten seconds at the model's rate, f32[n]."""
    classifier = oido.AudioClassifier(model, jobs=1)
    samples = classifier.stream(RECORDING).waveform()
    return samples[: SECONDS * classifier.model.windows.sample_rate_hz]


def in_oido(name: str, precision: Precision) -> Hear:
    """Front end in NumPy, network in LiteRT."""
    model, samples = load_model(name, precision=precision), waveform(name)
    ear, windowing = Predictor.of(model), Windowing.from_seconds(model.windows, None)
    missing = windowing.padded_samples(len(samples))
    return lambda: ear.predict(np.pad(samples, (0, missing)), windowing.hop_samples).scores


def in_torch(name: str) -> Hear:
    """Front end and network in PyTorch."""
    import torch

    from oido.torch import Mn04, YamNet

    torch.set_num_threads(1)
    network = (YamNet if name == YAMNET else Mn04).from_pretrained(
        name, spectrum_dtype=torch.float32
    )
    samples = torch.from_numpy(waveform(name))

    @torch.inference_mode()
    def hear() -> Scores:
        return np.asarray(network(samples).scores)

    return hear


CONTENDERS: dict[str, tuple[str, Callable[[], Hear]]] = {
    "mn04, PyTorch": (MN04, lambda: in_torch(MN04)),
    "mn04, oido": (MN04, lambda: in_oido(MN04, "float32")),
    "YAMNet, PyTorch": (YAMNET, lambda: in_torch(YAMNET)),
    "YAMNet, oido, float32": (YAMNET, lambda: in_oido(YAMNET, "float32")),
    "YAMNet, oido, int8": (YAMNET, lambda: in_oido(YAMNET, "int8")),
}
"""The model of each, and what makes it ready; PyTorch stands before what is compared with it."""


def medians(repeats: int) -> dict[str, float]:
    """CPU milliseconds of each contender, which take turns."""
    hear = {name: make() for name, (_, make) in CONTENDERS.items()}
    check({name: work() for name, work in hear.items()})
    taken: dict[str, list[float]] = {name: [] for name in hear}
    for repeat in range(WARM_UP + repeats):
        for name, work in hear.items():
            started = time.process_time()
            work()
            if repeat >= WARM_UP:
                taken[name].append((time.process_time() - started) * 1e3)
    return {name: median(values) for name, values in taken.items()}


def check(scores: dict[str, Scores]) -> None:
    """Whoever computes in float32 must give the same scores."""
    for name in ("mn04", "YAMNet"):
        ours = scores[f"{name}, oido" if name == "mn04" else f"{name}, oido, float32"]
        theirs = scores[f"{name}, PyTorch"].reshape(ours.shape)
        difference = float(np.abs(ours - theirs).max())
        print(f"{name}: scores of oido and PyTorch differ by {difference:.1e} at most")
        if not difference < TOLERANCE:
            raise SystemExit("the contenders do not compute the same")


def peak_megabytes(name: str) -> float:
    """Of a process that does nothing else."""
    child = subprocess.run(
        [sys.executable, __file__, "--child", name], capture_output=True, text=True, check=True
    )
    return float(child.stdout)


def run_child(name: str) -> None:
    """Hear three times, and print the peak memory of this process in MB."""
    hear = CONTENDERS[name][1]()
    for _ in range(3):
        hear()
    # Not ru_maxrss, in which a child begins with what its parent had.
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1e3)


def table(milliseconds: dict[str, float], megabytes: dict[str, float]) -> str:
    """Markdown; each is compared with the PyTorch of the same model."""
    lines = ["| contender | ms for 10 s | quicker by | peak MB |", "|---|---:|---:|---:|"]
    for name, taken in milliseconds.items():
        torch_name = next(n for n, c in CONTENDERS.items() if c[0] == CONTENDERS[name][0])
        ratio = f"{milliseconds[torch_name] / taken:.2f} ×"
        lines.append(f"| {name} | {taken:.1f} | {ratio} | {megabytes[name]:.0f} |")
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument("--child", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    if options.child:
        run_child(options.child)
        return 0
    milliseconds = medians(options.repeats)
    megabytes = {name: peak_megabytes(name) for name in CONTENDERS}
    print("", table(milliseconds, megabytes), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
