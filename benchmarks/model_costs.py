# SPDX-License-Identifier: Apache-2.0
"""What each model costs: size, memory, windows a second and times real time on one core.

    python benchmarks/model_costs.py [--repeats 5] [--seconds 120] [--only yamnet/classification]

Each model runs in a process of its own, pinned to one core, on noise at its own rate, windows that
do not overlap, from the decoded waveform to scores, front end included; first once, to be warm.
Time is the processor's, median of the repeats. Memory is the process's largest (VmHWM), Python,
NumPy and LiteRT included, when it has heard all of it.

Models whose published weights are not here run with random ones of the same shape, which cost the
same; their rows say so. Prints a Markdown table.
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

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = {
    "yamnet": "0.306",
    "efficientat/mn04": "0.432",
    "efficientat/mn10": "0.471",
    "efficientat/dymn04": "0.450",
    "ced/tiny": "0.481",
    "ced/mini": "0.490",
}
"""Mean average precision on AudioSet's evaluation set, by the authors."""


def measure(model: str, seconds: float, repeats: int) -> dict[str, float]:
    """In this process: seconds of the processor for so much sound, windows, and bytes."""
    import oido

    loaded = oido.load_model(model)
    classifier = oido.AudioClassifier(loaded, hop="window", jobs=1)
    rate = loaded.windows.sample_rate_hz
    noise = np.random.default_rng(0).normal(0, 0.1, round(seconds * rate)).astype(np.float32)
    windows, spent = 0, []
    for _ in range(repeats + 1):
        began = time.process_time()
        windows = sum(len(b.scores) for b in classifier.stream(noise, rate, jobs=1))
        spent.append(time.process_time() - began)
    peak = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line
    )
    return {
        "seconds": statistics.median(spent[1:]),
        "windows": windows,
        "memory": int(peak.split()[1]) * 1024,
        "size": loaded.size_bytes,
    }


def random_weights(model: str, folder: Path) -> Path | None:
    """A file of this model's layout without the published weights; None: there is no such maker."""
    sys.path.insert(0, str(ROOT))
    from tests.models.networks.test_ced import transformer_state
    from tests.models.networks.test_dymn import dynamic_state
    from tests.models.networks.test_frame_mn import frame_wise_state
    from tests.models.networks.test_mn04 import random_state
    from tests.models.networks.test_torch_file import file_of

    makers = {
        "efficientat/mn10": lambda: random_state(0, 1.0),
        "efficientat/dymn04": dynamic_state,
        "ced/tiny": transformer_state,
        "ced/mini": lambda: transformer_state(size=256),
        "efficientsed/fmn04": frame_wise_state,
        "efficientsed/fmn10": lambda: frame_wise_state(width=1.0),
    }
    if model not in makers:
        return None
    path = folder / f"{model.replace('/', '-')}.pt"
    path.write_bytes(file_of(makers[model]()))
    return path


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared" / "models")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure, args.seconds, args.repeats)))
        return
    from oido.models.fetch import find
    from oido.models.registry import CATALOG, ENSEMBLE, ENSEMBLE_MEMBERS

    here = os.environ.get("OIDO_MODEL_PATH", "")
    os.environ["OIDO_MODEL_PATH"] = os.pathsep.join(filter(None, [here, str(args.models)]))
    found = {entry.name: find(entry) is not None for entry in CATALOG}
    found[ENSEMBLE] = all(found[name] for name in ENSEMBLE_MEMBERS)
    core = min(os.sched_getaffinity(0))
    print(f"one core, {args.seconds:g} s of noise, {args.repeats} repeats, medians\n")
    print("| model | weights | AudioSet mAP, published | size | windows/s | × real time | memory |")
    print("|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as scratch:
        for name in args.only or found:
            path = name if found[name] else random_weights(name, Path(scratch))
            if path is None:
                print(f"{name} is not here: left out", file=sys.stderr)
                continue
            facts = _in_a_process(str(path), args.seconds, args.repeats, core)
            weights = "published" if found[name] else "random"
            windows, speed = (n / facts["seconds"] for n in (facts["windows"], args.seconds))
            print(
                f"| `{name}` | {weights} | {PUBLISHED.get(name, '–')} | "
                f"{facts['size'] / 1e6:.1f} MB | {windows:.1f} | {speed:.0f} | "
                f"{facts['memory'] / 1e6:.0f} MB |",
                flush=True,
            )


def _in_a_process(model: str, seconds: float, repeats: int, core: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", model, "--seconds", str(seconds)]
    done = subprocess.run(
        [*command, "--repeats", str(repeats)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
    )
    facts: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return facts


if __name__ == "__main__":
    main()
