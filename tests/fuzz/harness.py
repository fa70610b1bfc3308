# SPDX-License-Identifier: Apache-2.0
"""Child processes that decode mutants, watched: hangs and native crashes are told, not suffered."""

from __future__ import annotations

import collections
import queue
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Outcomes", "fuzz"]

_CHILD = Path(__file__).with_name("child.py")
_START_SECONDS = 60.0


@dataclass
class Outcomes:
    """What became of the mutants.

    counts: of "decoded" and of each AudioError. failures: hangs and untyped exceptions. crashes:
    native ones, which cost one file each. Every line names the seed and the mutation.
    """

    counts: collections.Counter[str] = field(default_factory=collections.Counter)
    failures: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def mutants(self) -> int:
        return self.counts.total() + len(self.failures) + len(self.crashes)

    def __str__(self) -> str:
        rate = self.mutants / max(self.seconds, 1e-9)
        counts = ", ".join(f"{n} {what}" for what, n in self.counts.most_common())
        return (
            f"{self.mutants} mutants in {self.seconds:.1f} s ({rate:.0f}/s): {counts}; "
            f"{len(self.failures)} failures, {len(self.crashes)} native crashes"
        )


def fuzz(
    corpus: Path, seed: int, mutants: int, limit_seconds: float = 20.0, what: str = "decode"
) -> Outcomes:
    """Decode (or ``read``) so many mutants of the files in a folder, in two children at a time."""
    outcomes, begun = Outcomes(), time.perf_counter()
    bounds = [mutants * part // 2 for part in range(3)]
    with ThreadPoolExecutor(2) as pool:
        parts = pool.map(
            lambda part: _range(
                [str(corpus), str(seed)], bounds[part], bounds[part + 1], limit_seconds, what
            ),
            range(2),
        )
        for part in parts:
            outcomes.counts.update(part.counts)
            outcomes.failures += part.failures
            outcomes.crashes += part.crashes
    outcomes.seconds = time.perf_counter() - begun
    return outcomes


def _range(made_of: list[str], start: int, stop: int, limit_seconds: float, what: str) -> Outcomes:
    outcomes = Outcomes()
    while start < stop:
        words = [*made_of, str(start), str(stop), what]
        start = _one_child(outcomes, words, limit_seconds)
    return outcomes


def _one_child(outcomes: Outcomes, arguments: list[str], limit_seconds: float) -> int:
    """Run one child as far as it gets; gives the index where the next one must begin."""
    seed, start = map(int, arguments[1:3])
    child = subprocess.Popen(
        [sys.executable, str(_CHILD), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    reader = threading.Thread(target=_pump, args=(child, lines), daemon=True)
    reader.start()
    index, words, limit = start - 1, "(before the first mutant)", _START_SECONDS
    under_way = False
    try:
        while (line := lines.get(timeout=limit)) is not None:
            mark, number, text = line.rstrip("\n").split(" ", 2)
            index, limit = int(number), limit_seconds
            under_way = mark == ">"
            if mark == ">":
                words = text
            elif mark == "=":
                outcomes.counts[text] += 1
            else:
                outcomes.failures.append(f"seed {seed}, mutant {index}: {text} | {words}")
    except queue.Empty:
        outcomes.failures.append(f"seed {seed}, mutant {index}: hung for {limit:.0f} s | {words}")
        under_way = False
        child.kill()
    code = child.wait()
    reader.join()
    if under_way:
        outcomes.crashes.append(f"seed {seed}, mutant {index}: died with {code} | {words}")
    elif index < start:
        raise RuntimeError(f"the fuzzing child did not start (exit code {code})")
    return index + 1


def _pump(child: subprocess.Popen[str], lines: queue.SimpleQueue[str | None]) -> None:
    assert child.stdout is not None
    for line in child.stdout:
        lines.put(line)
    lines.put(None)
