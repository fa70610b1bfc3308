# SPDX-License-Identifier: Apache-2.0
"""Every figure that the docs quote about speed and memory, measured here, in one run.

    python benchmarks/run.py                 all; peers get environments of their own
    python benchmarks/run.py --no-peers      oido and the bare network only
    python benchmarks/run.py --quick         fewer repeats, no 6-hour file

The table goes to standard output, every figure as JSON to --json. Ratios are taken within each
repeat, ceiling and oido one after the other, and their median is shown: the machine may be noisy,
and its speed may drift. Linux only (CPU affinity).
"""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "peers"))

from corpus import ROOT, Corpus, make_corpus
from processes import cold_seconds, oido_command, peak_rss_mb
from run_peers import machine
from throughput import pinned

from oido._version import __version__
from oido.models import fetch
from oido.models.registry import DEFAULT_MODEL, card

FORMATS = {
    "wav16": "16 kHz mono WAV",
    "flac44": "44.1 kHz stereo FLAC",
    "mp3": "44.1 kHz stereo MP3",
    "m4a": "44.1 kHz stereo m4a (AAC)",
}
FILES = 16


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=ROOT / ".bench", help="recordings, peers")
    parser.add_argument("--clips", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--json", type=Path, default=ROOT / ".bench" / "benchmark.json")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-peers", action="store_true")
    arguments = parser.parse_args()
    repeats = 2 if arguments.quick else arguments.repeats
    corpus = make_corpus(
        arguments.cache / "audio", arguments.clips, (10, 20) if arguments.quick else (10, 20, 360)
    )
    # As an installed package would be; some environments forbid Python to write bytecode.
    compileall.compile_dir(str(ROOT / "src"), quiet=2)
    model = fetch.fetch(card(DEFAULT_MODEL))
    report: dict[str, Any] = {
        "oido": __version__,
        "machine": machine(),
        "python": platform.python_version(),
        "sound": corpus.source,
        "load_average_before": os.getloadavg()[0],
        "throughput": throughput(corpus, repeats),
        "memory_mb": memory(corpus),
        "cold_start_seconds": cold_seconds(oido_command("classify", corpus.clip_10s)),
    }
    if not arguments.no_peers:
        report["peers"] = peers(arguments.cache, model, corpus, repeats)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(tables(report))
    return 0


def throughput(corpus: Corpus, repeats: int) -> list[dict[str, Any]]:
    """Windows per second of every case, each beside its ceiling of the same repeat."""
    cores = sorted(os.sched_getaffinity(0))
    cases: list[tuple[str, str, list[int], list[Path]]] = []
    for used in ([cores[0]], cores) if len(cores) > 1 else ([cores[0]],):
        for key, name in FORMATS.items():
            cases.append((name, "many files", used, [corpus.minute[key]] * (FILES * len(used))))
        cases.append((FORMATS["wav16"], "one file of 20 min", used, [corpus.long[20]]))
    runs: list[dict[str, Any]] = [
        {"input": name, "files": files, "cores": len(used), "ceiling": [], "oido": []}
        for name, files, used, _ in cases
    ]
    for repeat in range(repeats):
        ceilings: dict[int, float] = {}
        for run, (name, files, used, paths) in zip(runs, cases):
            print(f"repeat {repeat + 1}: {name}, {files}, {len(used)} core(s)", file=sys.stderr)
            if len(used) not in ceilings:
                bare = pinned(used, "ceiling", len(used))
                ceilings[len(used)] = bare["windows_per_second"]
            run["ceiling"].append(ceilings[len(used)])
            run["oido"].append(pinned(used, "hear", len(used), *paths)["windows_per_second"])
    for run in runs:
        run["share_of_ceiling"] = median(o / c for o, c in zip(run["oido"], run["ceiling"]))
    return runs


def memory(corpus: Corpus) -> dict[str, float]:
    """Peak memory of the worker for short and long recordings."""
    peaks = {}
    for minutes, path in corpus.long.items():
        for level in ("--events", "--windows"):
            print(f"memory: {minutes} min, {level}", file=sys.stderr)
            peaks[f"{minutes} min {level}"] = peak_rss_mb(path, level)
    return peaks


def peers(cache: Path, model: Path, corpus: Corpus, repeats: int) -> dict[str, Any]:
    """MediaPipe and the Task Library on the same sound (benchmarks/peers)."""
    output = cache / "peers.json"
    audio = [corpus.minute["flac44"]]
    command = [sys.executable, str(Path(__file__).parent / "peers" / "run_peers.py")]
    command += ["--envs", str(cache), "--model", str(model), "--json", str(output)]
    command += ["--audio16", str(corpus.minute["wav16"]), "--audio", *map(str, audio)]
    command += ["--repeats", str(2 * repeats)]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    content: dict[str, Any] = json.loads(output.read_text())
    return content


def tables(report: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        f"oido {report['oido']}, Python {report['python']}, {report['machine']}; "
        f"sound: {report['sound']}; load average before: {report['load_average_before']:.2f}",
        "",
        "| input | files | cores | windows/s | ceiling | share of the ceiling |",
        "|---|---|---:|---:|---:|---:|",
    ]
    speeds: dict[tuple[str, str, int], float] = {}
    for run in report["throughput"]:
        speed = median(run["oido"])
        speeds[run["input"], run["files"], run["cores"]] = speed
        lines.append(
            f"| {run['input']} | {run['files']} | {run['cores']} | {speed:.0f} "
            f"| {median(run['ceiling']):.0f} | {run['share_of_ceiling']:.2f} |"
        )
    most = max(cores for _, _, cores in speeds)
    if most > 1:
        lines += ["", f"| scaling from 1 to {most} cores | times |", "|---|---:|"]
        for name, files, cores in speeds:
            if cores == most:
                times = speeds[name, files, most] / speeds[name, files, 1]
                lines.append(f"| {name}, {files} | {times:.2f} |")
    lines += ["", "| peak memory of a worker | MB |", "|---|---:|"]
    lines += [f"| {name} | {peak:.0f} |" for name, peak in report["memory_mb"].items()]
    lines += ["", *_peer_lines(report, speeds)]
    return "\n".join(lines)


def _peer_lines(report: dict[str, Any], speeds: dict[tuple[str, str, int], float]) -> list[str]:
    cold = report["cold_start_seconds"]
    lines = ["| cold start, 10 s clip | seconds |", "|---|---:|", f"| oido | {cold:.2f} |"]
    if "peers" not in report:
        return lines
    for row in report["peers"]["cold_start"]:
        lines.append(f"| {row['name']} | {row['cold_start_seconds']:.2f} |")
    lines += [
        "",
        "| peer | input | cores | windows/s | oido is quicker by |",
        "|---|---|---:|---:|---:|",
    ]
    names = {"minute-16k-mono.wav": FORMATS["wav16"], "minute-44k-stereo.flac": FORMATS["flac44"]}
    for row in report["peers"]["throughput"]:
        case = row["case"]
        speed = speeds.get((names[case["audio"]], "many files", case["cores"]), float("nan"))
        how = f"{case['processes']} processes, {case['max_results']} results"
        lines.append(
            f"| {row['name']} {row['version']}, {how} | {names[case['audio']]} | {case['cores']} "
            f"| {row['windows_per_second']:.0f} | {speed / row['windows_per_second']:.2f} × |"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
