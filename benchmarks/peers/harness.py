# SPDX-License-Identifier: Apache-2.0
"""What the peers' scripts share: arguments, reading, timing, memory and the JSON report.

A peer's script says how its library is loaded and how one file is classified (`Peer`); `run`
does the rest. It needs only numpy and soundfile beside the library, runs on Python 3.9 and
later, and imports nothing that a user's own script would not import before its first result,
so that `--cold` times the library and not this file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import soundfile

if TYPE_CHECKING:
    import numpy as np

COLD_CLIP_SECONDS = 10.0

Classify = Callable[["np.ndarray", int], "list[Any]"]
"""(waveform f32[n] or f32[n, channels], rate in Hz) → one result object for each window."""


@dataclass(frozen=True)
class Options:
    """Settings that a user of the peer can choose.

    `max_results` is the number of classes kept for each window, -1 for all; `threads` is the
    interpreter's thread count where the library has such a setting, -1 for its own default.
    """

    model: Path
    max_results: int
    threads: int


@dataclass(frozen=True)
class Peer:
    """A library to measure: its distribution's name and how a user loads its classifier."""

    package: str
    load: Callable[[Options], AbstractContextManager[Classify]]
    has_threads: bool


@dataclass(frozen=True)
class Timing:
    """What was measured: seconds of each repeat, windows of one repeat, memory, labels."""

    seconds: list[float]
    windows: int
    peak_rss_mb: float
    top_labels: dict[str, int]


def run(peer: Peer) -> int:
    """Measure `peer` as the command line says; print one JSON object; return the exit code."""
    output = _keep_stdout_clean()
    parser = _parser(peer)
    arguments = parser.parse_args()
    if arguments.processes > len(arguments.audio):
        parser.error(f"{arguments.processes} processes need at least as many files")
    options = Options(arguments.model, arguments.max_results, arguments.threads)
    try:
        report = (
            _cold(peer, options, arguments.audio[0])
            if arguments.cold
            else _throughput(peer, options, arguments)
        )
    except (OSError, RuntimeError, ValueError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(report), file=output, flush=True)
    return 0


def _parser(peer: Peer) -> argparse.ArgumentParser:
    """The arguments that both scripts take; only a peer with the setting takes `--threads`."""
    parser = argparse.ArgumentParser(
        description=f"Classify files with {peer.package} and print what it took, as JSON."
    )
    parser.add_argument("audio", type=Path, nargs="+", help="files; one repeat reads all of them")
    parser.add_argument("--model", type=Path, required=True, help="yamnet.tflite, with metadata")
    parser.add_argument("--max-results", type=int, default=5, help="per window; -1 = all (def. 5)")
    parser.add_argument("--repeats", type=int, default=10, help="timed repeats, at most (def. 10)")
    parser.add_argument(
        "--seconds-budget", type=float, default=20.0, help="begin no repeat after this (def. 20)"
    )
    parser.add_argument(
        "--processes", type=int, default=1, help="worker processes, each over its share of files"
    )
    parser.add_argument(
        "--cold",
        action="store_true",
        help="load, classify the first 10 s of the first file once, stop: time it from outside",
    )
    if peer.has_threads:
        parser.add_argument(
            "--threads", type=int, default=-1, help="interpreter threads (-1 = library's default)"
        )
    else:
        parser.set_defaults(threads=-1)
    return parser


def _cold(peer: Peer, options: Options, path: Path) -> dict[str, Any]:
    """Load and classify one clip; only what a one-off script would do is done here."""
    with peer.load(options) as classify:
        results = classify(*read(path, COLD_CLIP_SECONDS))
    return {
        "name": peer.package,
        "windows": len(results),
        "peak_rss_mb": peak_rss_mb(),
        "top_labels": count_top_labels(results),
    }


def _throughput(peer: Peer, options: Options, arguments: argparse.Namespace) -> dict[str, Any]:
    """Warm up, repeat, and report; `seconds` is one figure for each timed repeat."""
    from importlib.metadata import version
    from statistics import median

    if arguments.processes == 1:
        timing = _in_this_process(peer, options, arguments)
    else:
        from parallel import measure_in_processes

        timing = measure_in_processes(peer, options, arguments)
    return {
        "name": peer.package,
        "version": version(peer.package),
        "python": platform.python_version(),
        "cpus": len(os.sched_getaffinity(0)),
        "processes": arguments.processes,
        "threads": options.threads if peer.has_threads else None,
        "max_results": options.max_results,
        "files": len(arguments.audio),
        "windows": timing.windows,
        "seconds": [round(seconds, 6) for seconds in timing.seconds],
        "windows_per_second": round(timing.windows / median(timing.seconds), 1),
        "windows_per_second_best": round(timing.windows / min(timing.seconds), 1),
        "peak_rss_mb": timing.peak_rss_mb,
        "top_labels": timing.top_labels,
    }


def _in_this_process(peer: Peer, options: Options, arguments: argparse.Namespace) -> Timing:
    """One untimed pass over the files to warm up, then timed ones until repeats or budget end."""
    seconds: list[float] = []
    with peer.load(options) as classify:
        results = classify_files(classify, arguments.audio)
        deadline = time.perf_counter() + arguments.seconds_budget
        while len(seconds) < arguments.repeats and (not seconds or time.perf_counter() < deadline):
            start = time.perf_counter()
            results = classify_files(classify, arguments.audio)
            seconds.append(time.perf_counter() - start)
    return Timing(seconds, len(results), peak_rss_mb(), count_top_labels(results))


def classify_files(classify: Classify, paths: list[Path]) -> list[Any]:
    """Read and classify every file; keep each window's result, as a user would."""
    return [result for path in paths for result in classify(*read(path))]


def read(path: Path, seconds: float | None = None) -> tuple[np.ndarray, int]:
    """Return the waveform, f32[n] or f32[n, channels], and its rate; at most `seconds` of it."""
    with soundfile.SoundFile(path) as file:
        samples = -1 if seconds is None else round(seconds * file.samplerate)
        return file.read(samples, dtype="float32"), file.samplerate


def count_top_labels(results: list[Any]) -> dict[str, int]:
    """How often each label came first, most frequent first: shows that the work was done.

    Both libraries give a result the same shape: `classifications[0].categories`, best first.
    """
    counts: dict[str, int] = {}
    for result in results:
        label = result.classifications[0].categories[0].category_name
        counts[label] = counts.get(label, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1])[:5])


def peak_rss_mb() -> float:
    """Peak resident memory of this process in MB (10⁶ bytes).

    VmHWM, not getrusage: on Linux ru_maxrss survives exec, so it would count the parent's
    memory where a large process starts this one.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) * 1024 / 1e6, 1)
    raise RuntimeError("/proc/self/status has no VmHWM; peak memory is measured on Linux only")


def _keep_stdout_clean() -> TextIO:
    """Send whatever the libraries print to stderr; return a stream to the real stdout."""
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return output
