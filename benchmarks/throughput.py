# SPDX-License-Identifier: Apache-2.0
"""Windows per second: of oido from files to events, and of the bare network (the ceiling).

The ceiling is the cut graph in batches, one interpreter per core, patches already in memory:
nothing that runs this network on LiteRT can be quicker. Both are measured without their start-up,
in processes of their own, and by the clock as well as by the processor time that they took.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BATCH_WINDOWS = {"yamnet/classification": 64, "efficientat/mn04": 1}
"""What each bare network is quickest with."""
_CEILING_SECONDS = 2.0


def pinned(cores: Sequence[int], *args: object) -> dict[str, Any]:
    """Run this file as a program on these cores; the JSON that it prints."""
    command = [sys.executable, __file__, ",".join(map(str, cores)), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def tree_cpu_seconds() -> float:
    """Processor time of this process and of all below it, ended ones included (Linux)."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        pid = int(path.parent.name)
        parents[pid] = int(fields[1])
        ticks[pid] = sum(map(int, fields[11:15]))  # its own, and that of children it waited for
    own = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= more
    return sum(ticks[pid] for pid in own) / os.sysconf("SC_CLK_TCK")


def classify(model: str, jobs: int, paths: Sequence[Path]) -> dict[str, Any]:
    """oido's own engine over these files; the clock starts when the first (extra) one is done."""
    from oido.batch.plan import Plan, Task
    from oido.batch.process_pool import LocalPool, share_threads
    from oido.batch.worker import Done

    warm_up = [paths[0]] * jobs if len(paths) > 1 else []
    files = [*warm_up, *paths]
    threads = share_threads([path.stat().st_size for path in files], jobs)
    tasks = [Task(n, str(p), str(p), p.name, threads[n]) for n, p in enumerate(files)]
    windows, seconds, started, cpu_started = 0, 0.0, 0.0, 0.0
    with LocalPool(Plan(model=model), min(jobs, len(files))) as pool:
        for task, message in pool.run(tasks):
            if not warm_up and not started:
                started, cpu_started = time.perf_counter(), tree_cpu_seconds()
                windows -= BATCH_WINDOWS[model]  # the first block of a single long file
            if isinstance(message, Done):
                if message.summary.failure:
                    raise RuntimeError(message.summary.failure.reason)
                if task.number < len(warm_up):
                    started, cpu_started = time.perf_counter(), tree_cpu_seconds()
                else:
                    windows += message.summary.windows
                    seconds = time.perf_counter() - started
        cpu_seconds = tree_cpu_seconds() - cpu_started
    return _report(windows, windows / seconds, cpu_seconds)


def _report(windows: int, windows_per_second: float, cpu_seconds: float) -> dict[str, Any]:
    return {
        "windows_per_second": windows_per_second,
        "windows": windows,
        "cpu_us": cpu_seconds / windows * 1e6,
    }


def ceiling(model: str, processes: int) -> dict[str, Any]:
    """The bare network in so many processes at once."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(target=_run_network, args=(model, barrier, results))
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    runs = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    windows = sum(windows for windows, _, _ in runs)
    speed = sum(windows / seconds for windows, seconds, _ in runs)
    return _report(windows, speed, sum(cpu_seconds for _, _, cpu_seconds in runs))


def _run_network(model: str, barrier: Any, results: Any) -> None:
    import numpy as np

    from oido.models.loading import load_model
    from oido.models.model import LogMelNetwork, MnNetwork
    from oido.runtime.litert import LiteRtRuntime

    network = load_model(model).network
    shape: tuple[int, ...]
    if isinstance(network, LogMelNetwork):
        runtime = LiteRtRuntime(network.graph.projection, network.graph.network)
        shape = (96, 64)
    else:
        assert isinstance(network, MnNetwork), f"{model} is no one network"
        runtime = LiteRtRuntime(None, network.content)
        shape = (network.front_end.bands, network.front_end.patch_frames, 1)
    batch = BATCH_WINDOWS[model]
    rng = np.random.default_rng(0)
    patches = (rng.standard_normal((batch, *shape)) * 2 - 3).astype(np.float32)
    runtime.run(patches)
    barrier.wait()
    started, cpu_started, batches = time.perf_counter(), time.process_time(), 0
    while (elapsed := time.perf_counter() - started) < _CEILING_SECONDS or not batches:
        runtime.run(patches)
        batches += 1
    results.put((batches * batch, elapsed, time.process_time() - cpu_started))


def main() -> None:
    """``throughput.py CORES ceiling PROCESSES [MODEL]`` or ``… classify JOBS MODEL FILE…``."""
    cores, what, count, *rest = sys.argv[1:]
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    model, *paths = rest or ["yamnet/classification"]
    if what == "ceiling":
        report = ceiling(model, int(count))
    else:
        report = classify(model, int(count), [Path(path) for path in paths])
    print(json.dumps(report))


if __name__ == "__main__":
    main()
