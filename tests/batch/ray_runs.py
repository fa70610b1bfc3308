# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Ray engine share: recordings, runs, and who is left of a Ray."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from oido.batch.ray_engine import RayEngine
from oido.batch.run import ArchiveRun
from oido.batch.sources import find_sources
from oido.batch.units import Outcome, RunSpec
from tests.batch.archives import tables

__all__ = ["actors", "hear_by_ray", "make_recordings", "nobody_left", "place_free_tables"]

_MARK = "OIDO_TEST_RAY"


def make_recordings(folder: Path, n: int = 9) -> Path:
    """Short ones, one that is split into ranges by the runs here, and a bad one."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(n):
        seconds = 130 if number == 1 else 8 + number
        sound = 0.1 * rng.standard_normal(seconds * 16_000)
        soundfile.write(folder / f"{number:02d}.wav", sound, 16_000)
    (folder / "bad.wav").write_bytes(b"RIFF nothing")
    return folder


def hear_by_ray(
    paths: list[str],
    folder: str,
    workers: int | None,
    address: str | None = None,
    *,
    on_step: Callable[[int], None] = lambda n: None,
    resumes: bool = False,
    stall_seconds: float = 60.0,
) -> list[Outcome]:
    """A whole run; on_step is called with how many recordings are committed by now."""
    order = RunSpec(folder=folder, split_seconds=62, flush_seconds=0.2)
    run = ArchiveRun(order, find_sources(paths), resumes=resumes)
    done: list[Outcome] = []
    with RayEngine(order, workers, address, stall_seconds=stall_seconds) as engine:
        run.prepare(engine.start())
        for step in run.steps(engine):
            done += step.outcomes
            on_step(len(done))
    return done


def place_free_tables(folder: str) -> dict[str, list[dict[str, Any]]]:
    """All rows, without what says where the recordings lay, and sorted by their names."""
    found = tables(folder)
    for name, rows in found.items():
        for row in rows:
            row["file"] = Path(row["file"]).name
            if name == "recordings":
                for column in ("location", "modified", "key", "failure_reason"):
                    row.pop(column)
        found[name] = sorted(rows, key=lambda row: row["file"])
    return found


def actors(mark: str) -> list[int]:
    """The processes of a marked Ray that hold a model."""
    return [pid for pid in _marked(mark) if "ray::RayActor" in _read(pid, "cmdline")]


@contextmanager
def nobody_left(*, agents_stay: bool = False) -> Iterator[str]:
    """Mark every process that is started in the block; none of them may outlive it.

    agents_stay: where a driver is killed, Ray's own agents take a minute to find out.
    """
    with pytest.MonkeyPatch.context() as patch:
        mark = uuid.uuid4().hex
        patch.setenv(_MARK, mark)
        yield mark
    deadline = time.monotonic() + 20.0
    while True:
        left = {pid: _read(pid, "cmdline") for pid in _marked(mark)}
        agents = [pid for pid, line in left.items() if agents_stay and "Agent" in line[:40]]
        if len(left) == len(agents) or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    for pid in agents:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        del left[pid]
    assert not left, left


def _marked(mark: str) -> list[int]:
    pids = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]
    mine = f"{_MARK}={mark}"
    return [p for p in pids if p != os.getpid() and mine in _read(p, "environ")]


def _read(pid: int, what: str) -> str:
    try:
        content = Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return ""
    return content.replace(b"\0", b" ").decode(errors="replace")
