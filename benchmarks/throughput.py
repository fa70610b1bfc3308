# SPDX-License-Identifier: Apache-2.0
"""Windows per second: of oido from files to events, and of the bare network (the ceiling).

The ceiling is the cut graph at batch 64, one interpreter per core, patches already in memory:
nothing that hears with this network on LiteRT can be quicker. Both are measured without their
start-up, in processes of their own.
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

BATCH_WINDOWS = 64


def pinned(cores: Sequence[int], *args: object) -> dict[str, Any]:
    """Run this file as a program on these cores; the JSON that it prints."""
    command = [sys.executable, __file__, ",".join(map(str, cores)), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def hear(jobs: int, paths: Sequence[Path]) -> dict[str, Any]:
    """oido's own engine over these files; the clock starts when the first (extra) one is done."""
    from oido.batch.plan import Plan, Task
    from oido.batch.process_pool import LocalPool, share_threads
    from oido.batch.worker import Done

    warm_up = [paths[0]] * jobs if len(paths) > 1 else []
    files = [*warm_up, *paths]
    threads = share_threads([path.stat().st_size for path in files], jobs)
    tasks = [Task(n, str(p), str(p), p.name, threads[n]) for n, p in enumerate(files)]
    windows, seconds, started = 0, 0.0, 0.0
    with LocalPool(Plan(), min(jobs, len(files))) as pool:
        for task, message in pool.run(tasks):
            if not warm_up and not started:
                started = time.perf_counter()  # the first block of a single long file
                windows -= BATCH_WINDOWS
            if isinstance(message, Done):
                if message.summary.failure:
                    raise RuntimeError(message.summary.failure.reason)
                if task.number < len(warm_up):
                    started = time.perf_counter()
                else:
                    windows += message.summary.windows
                    seconds = time.perf_counter() - started
    return {"windows_per_second": windows / seconds, "windows": windows}


def ceiling(processes: int, seconds: float) -> dict[str, Any]:
    """The bare network in so many processes at once."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(target=_run_network, args=(barrier, results, seconds))
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    speeds = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    return {"windows_per_second": sum(speeds)}


def _run_network(barrier: Any, results: Any, seconds: float) -> None:
    import numpy as np

    from oido.models.loading import load_model
    from oido.runtime.litert import LiteRtRuntime

    graph = load_model("yamnet/classification").network.graph
    runtime = LiteRtRuntime(graph.projection, graph.network)
    rng = np.random.default_rng(0)
    patches = (rng.standard_normal((BATCH_WINDOWS, 96, 64)) * 2 - 3).astype(np.float32)
    runtime.run(patches)
    barrier.wait()
    started, batches = time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < seconds:
        runtime.run(patches)
        batches += 1
    results.put(batches * BATCH_WINDOWS / elapsed)


def main() -> None:
    """``throughput.py CORES hear JOBS FILE…`` or ``throughput.py CORES ceiling PROCESSES``."""
    cores, what, count, *rest = sys.argv[1:]
    os.sched_setaffinity(0, {int(core) for core in cores.split(",")})
    if what == "ceiling":
        report = ceiling(int(count), 3.0)
    else:
        report = hear(int(count), [Path(path) for path in rest])
    print(json.dumps(report))


if __name__ == "__main__":
    main()
