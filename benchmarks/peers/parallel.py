# SPDX-License-Identifier: Apache-2.0
"""The same measurement on all cores: N processes, each over its share of the files.

Loading and warming up are outside the clock, so the figure is the steady state of a long job.
Results stay in the process that made them: the peer is not charged for sending them anywhere.
"""

from __future__ import annotations

import multiprocessing
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import Options, Peer, Timing, classify_files, count_top_labels, peak_rss_mb

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

STEP_TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True)
class Meeting:
    """Where the parent and its workers meet: the barrier, the end, and what workers report."""

    barrier: Any
    stop: Any
    reports: Any


def measure_in_processes(peer: Peer, options: Options, arguments: argparse.Namespace) -> Timing:
    """Time repeats over all files; memory is the sum of the workers' peaks.

    Raises:
        RuntimeError: a worker failed; the message is its own.
    """
    count = arguments.processes
    context = multiprocessing.get_context("spawn")
    meeting = Meeting(
        barrier=context.Barrier(count + 1, timeout=STEP_TIMEOUT_SECONDS),
        stop=context.Event(),
        reports=context.Queue(),
    )
    workers = [
        context.Process(target=_work, args=(peer, options, arguments.audio[i::count], meeting))
        for i in range(count)
    ]
    for worker in workers:
        worker.start()
    try:
        seconds = _repeat(meeting, arguments.repeats, arguments.seconds_budget)
    except threading.BrokenBarrierError:
        raise RuntimeError(_first_error(meeting.reports)) from None
    finally:
        done = workers if meeting.stop.is_set() else []
        found = [meeting.reports.get(timeout=60) for _ in done]
        for worker in workers:
            worker.join()
    top_labels: dict[str, int] = {}
    for report in found:
        for label, n in report["top_labels"].items():
            top_labels[label] = top_labels.get(label, 0) + n
    memory = round(sum(report["peak_rss_mb"] for report in found), 1)
    return Timing(seconds, sum(report["windows"] for report in found), memory, top_labels)


def _repeat(meeting: Meeting, repeats: int, budget_seconds: float) -> list[float]:
    """Let all workers start together, wait for the slowest, and so on; then stop them."""
    meeting.barrier.wait()  # every worker is loaded and warm
    deadline = time.perf_counter() + budget_seconds
    seconds: list[float] = []
    while len(seconds) < repeats and (not seconds or time.perf_counter() < deadline):
        start = time.perf_counter()
        meeting.barrier.wait()
        meeting.barrier.wait()
        seconds.append(time.perf_counter() - start)
    meeting.stop.set()
    meeting.barrier.wait()
    return seconds


def _work(peer: Peer, options: Options, paths: list[Path], meeting: Meeting) -> None:
    """One worker: load, warm up, then a pass over its files each time the barrier opens."""
    try:
        with peer.load(options) as classify:
            results = classify_files(classify, paths)
            meeting.barrier.wait()
            while True:
                meeting.barrier.wait()
                if meeting.stop.is_set():
                    break
                results = classify_files(classify, paths)
                meeting.barrier.wait()
        report = {
            "windows": len(results),
            "peak_rss_mb": peak_rss_mb(),
            "top_labels": count_top_labels(results),
        }
    except threading.BrokenBarrierError:
        return  # another worker failed and has reported why
    except Exception as error:  # the process boundary: every failure must reach the parent
        meeting.reports.put({"error": f"{type(error).__name__}: {error}"})
        meeting.barrier.abort()
        return
    meeting.reports.put(report)


def _first_error(reports: Any) -> str:
    """What the worker that broke the barrier said."""
    try:
        return str(reports.get(timeout=10)["error"])
    except Exception:  # it died without a word (killed, or out of memory)
        return "a worker process ended without a report"
