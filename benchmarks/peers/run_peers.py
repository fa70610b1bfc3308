# SPDX-License-Identifier: Apache-2.0
"""Measure both peers here and print the table: one core, all cores, cold start, memory.

Makes the environments if they are missing. One core means pinned with `taskset` to the first
allowed one. Each peer is measured in every setting that its user would try, so that it is judged
by its best. The table goes to stdout, progress to stderr, and `--json` keeps every raw figure.
Linux only (taskset, /proc).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from make_envs import ENVS, EnvError, ensure

HERE = Path(__file__).parent
SCRIPTS = {"mediapipe": "mediapipe_peer.py", "tflite-support": "tflite_support_peer.py"}
COLD_RUNS = 5


@dataclass(frozen=True)
class Case:
    """One setting: the file, how many cores, and the script's further arguments."""

    peer: str
    audio: Path
    cores: int
    processes: int = 1
    threads: int | None = None
    max_results: int = 5


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description="Measure the peers; print a Markdown table.")
    parser.add_argument("--envs", type=Path, default=Path(".bench"), help="as for make_envs.py")
    parser.add_argument("--model", type=Path, required=True, help="yamnet.tflite, with metadata")
    parser.add_argument("--audio16", type=Path, required=True, help="mono file at 16 kHz, for both")
    parser.add_argument(
        "--audio", type=Path, nargs="*", default=[], help="any rate, MediaPipe only"
    )
    parser.add_argument("--repeats", type=int, default=10, help="timed repeats (default 10)")
    parser.add_argument("--json", type=Path, help="also write every figure here")
    arguments = parser.parse_args()
    interpreters: dict[str, str] = {}
    for env in ENVS:
        try:
            interpreters[env.name] = ensure(env, arguments.envs / env.name)["python"]
        except EnvError as error:
            print(f"{env.name}: {error}.", file=sys.stderr)
    load_before = os.getloadavg()[0]
    measured: list[dict[str, Any]] = []
    cold: list[dict[str, Any]] = []
    try:
        for case in cases(arguments.audio16, arguments.audio, len(os.sched_getaffinity(0))):
            if case.peer in interpreters:
                report = measure(case, interpreters[case.peer], arguments.model, arguments.repeats)
                measured.append({"case": {**asdict(case), "audio": case.audio.name}, **report})
        for peer, python in interpreters.items():
            cold.append(measure_cold(peer, python, arguments.model, arguments.audio16))
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"run_peers.py: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        figures = {
            "machine": machine(),
            "load_average_before": round(load_before, 2),
            "throughput": measured,
            "cold_start": cold,
        }
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    print(table(measured, cold))
    print(f"\n{machine()}; load average before the first case: {load_before:.2f}")
    return 0 if len(interpreters) == len(ENVS) else 3


def cases(audio16: Path, audio: list[Path], cores: int) -> Iterator[Case]:
    """Every setting to measure; `max_results` -1 only where the input is the plain one."""
    for peer in SCRIPTS:
        yield Case(peer, audio16, cores=1)
        yield Case(peer, audio16, cores=1, max_results=-1)
        yield Case(peer, audio16, cores=cores, processes=cores)
    yield Case("tflite-support", audio16, cores=cores, threads=cores)
    for path in audio:
        yield Case("mediapipe", path, cores=1)
        yield Case("mediapipe", path, cores=cores, processes=cores)


def measure(case: Case, python: str, model: Path, repeats: int) -> dict[str, Any]:
    """Run the peer's script for one case; the file is given once to each process."""
    command = [python, str(HERE / SCRIPTS[case.peer]), "--model", str(model)]
    command += ["--max-results", str(case.max_results), "--repeats", str(repeats)]
    command += ["--processes", str(case.processes)]
    if case.threads is not None:
        command += ["--threads", str(case.threads)]
    if case.cores == 1:
        command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command]
    print(f"measuring {case}", file=sys.stderr)
    return _json_of([*command, *[str(case.audio)] * case.processes])


def measure_cold(peer: str, python: str, model: Path, audio: Path) -> dict[str, Any]:
    """Time whole processes, from start to exit, each of which classifies one 10 s clip."""
    command = [python, str(HERE / SCRIPTS[peer]), "--cold", "--model", str(model), str(audio)]
    print(f"measuring the cold start of {peer}", file=sys.stderr)
    _json_of(command)  # warms the file cache, so that the first run is like the others
    seconds = []
    for _ in range(COLD_RUNS):
        start = time.perf_counter()
        report = _json_of(command)
        seconds.append(round(time.perf_counter() - start, 3))
    return {**report, "seconds": seconds, "cold_start_seconds": median(seconds)}


def _json_of(command: list[str]) -> dict[str, Any]:
    """Run a script; its stderr is shown only if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        done.check_returncode()
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def machine() -> str:
    """The processor and how many cores this process may use."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown processor'}, {len(os.sched_getaffinity(0))} cores"


def table(measured: list[dict[str, Any]], cold: list[dict[str, Any]]) -> str:
    """The figures as two Markdown tables."""
    lines = [
        "| peer | input | cores | processes | threads | max_results "
        "| windows/s (median) | windows/s (best) | peak RSS, MB |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in measured:
        case = row["case"]
        fields = (
            f"{row['name']} {row['version']}",
            case["audio"],
            case["cores"],
            case["processes"],
            case["threads"] or "default",
            case["max_results"],
            f"{row['windows_per_second']:.0f}",
            f"{row['windows_per_second_best']:.0f}",
            f"{row['peak_rss_mb']:.0f}",
        )
        lines.append("| " + " | ".join(map(str, fields)) + " |")
    lines += ["", "| peer | cold start, s | peak RSS, MB |", "|---|---:|---:|"]
    for row in cold:
        lines.append(
            f"| {row['name']} | {row['cold_start_seconds']:.2f} | {row['peak_rss_mb']:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
