# SPDX-License-Identifier: Apache-2.0
"""What a benchmark runs on: the processor, how much of it others use meanwhile, and the processes
that it starts, with their memory (Linux)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

QUIET_SHARE = 0.05
"""Of the cores that are measured on: what others may use of them in a quiet machine."""

_FEATURES = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "VNNI": ("avx512_vnni", "avx_vnni"),
    "AMX": ("amx_int8",),
    "dot product": ("asimddp",),  # of ARM
}
_BUSY = (0, 1, 2, 5, 6, 7)
"""user, nice, system, irq, softirq, and what the host of a virtual machine took (steal)."""


def processor() -> dict[str, Any]:
    """Its name, the instructions that matter here, cores that may be used, and L2 of one."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    values = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    flags = set(values.get("flags", values.get("Features", "")).split())
    return {
        "name": values.get("model name", "unknown processor"),
        "features": {name: bool(flags & set(words)) for name, words in _FEATURES.items()},
        "cores": len(os.sched_getaffinity(0)),
        "l2": _l2_of_a_core(),
    }


def _l2_of_a_core() -> str:
    for level in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/level"):
        if level.read_text().strip() == "2":
            return (level.parent / "size").read_text().strip()
    return "unknown"


def processor_text(facts: dict[str, Any]) -> str:
    """In one line."""
    here = [name for name, has in facts["features"].items() if has]
    missing = [name for name in ("VNNI", "AVX-512", "AVX2") if not facts["features"][name]]
    features = ", ".join([*here, *(f"no {name}" for name in missing)])
    return f"{facts['name']} ({features}), {facts['cores']} cores, L2 {facts['l2']} each"


def children(pid: int) -> list[int]:
    """The processes that this one has started; kernels need not list them, so all are looked at."""
    import psutil  # not wherever the processor is asked for

    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.NoSuchProcess:
        return []


def memory_kb(pid: int, name: str) -> int:
    """What a process has now (VmRSS), or has had at most (VmHWM); where the kernel keeps no peak,
    what it has now."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = {line.partition(":")[0]: line for line in text.splitlines()}
    line = found.get(name) or found.get("VmRSS")
    return int(line.split()[1]) if line else 0


@dataclass
class Watch:
    """others: the share of the watched cores that other processes used, 0..1."""

    others: float = 0.0

    @property
    def is_quiet(self) -> bool:
        return self.others <= QUIET_SHARE


@contextmanager
def watch(cores: Iterable[int]) -> Iterator[Watch]:
    """What others use of these cores while the block runs.

    The block's work is done by children that it waits for, on no other cores.
    """
    found, cores = Watch(), list(cores)
    busy, own, started = _busy_seconds(cores), _own_seconds(), time.perf_counter()
    yield found
    seconds = (time.perf_counter() - started) * len(cores)
    of_others = _busy_seconds(cores) - busy - (_own_seconds() - own)
    found.others = max(0.0, of_others / seconds)


def _busy_seconds(cores: list[int]) -> float:
    names = {f"cpu{core}" for core in cores}
    rows = [line.split() for line in Path("/proc/stat").read_text().splitlines()]
    ticks = sum(int(row[1 + n]) for row in rows if row[0] in names for n in _BUSY)
    return ticks / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    return sum(os.times()[:4])
