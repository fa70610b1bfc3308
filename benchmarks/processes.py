# SPDX-License-Identifier: Apache-2.0
"""Whole processes as a user starts them: cold start and memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

COLD_RUNS = 7

_PEAK = """
import json, resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(json.dumps(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024))
"""


def oido_command(*args: object) -> list[str]:
    """The installed command of this environment."""
    return [sys.executable, "-m", "oido", *map(str, args)]


def cold_seconds(command: list[str]) -> float:
    """Median wall time of a whole process, after one run that warms the file cache."""
    seconds = []
    for _ in range(COLD_RUNS + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return median(seconds[1:])


def peak_rss_mb(path: Path, *options: str) -> float:
    """Peak memory of the largest process of ``oido classify`` over one file (the worker)."""
    command = oido_command("classify", path, "-q", "--format", "csv", *options)
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, *command], capture_output=True, text=True, check=True
    )
    return float(json.loads(done.stdout))
