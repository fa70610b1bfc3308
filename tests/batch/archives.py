# SPDX-License-Identifier: Apache-2.0
"""What the tests of archives share: a run in this process, and the rows of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import soundfile

from oido.batch.commit_log import CommitLog
from oido.batch.engine import InlineEngine, LocalEngine
from oido.batch.plan import Plan
from oido.batch.results_folder import read_folder
from oido.batch.run import ArchiveRun
from oido.batch.sources import find_sources
from oido.batch.units import LoadedModel, Outcome, RunSpec, Source, Unit

__all__ = ["MODEL", "PARAMETERS", "begun", "entry", "hear", "record", "tables"]

_OF_THE_RUN = ("heard_at", "hearing_seconds")

PARAMETERS: dict[str, Any] = {"hop": None, "floor": 0.1, "embeddings": False, "plan": {"top": 5}}
MODEL = LoadedModel("a model", "ab" * 32)


def record(path: Path, seconds: float = 2.0, seed: int = 0, rate: int = 16_000) -> str:
    """A tone in noise, another for each seed; its path."""
    rng = np.random.default_rng(seed)
    times = np.arange(int(rate * seconds)) / rate
    tone = 0.3 * np.sin(2 * np.pi * (300 + 100 * seed) * times)
    soundfile.write(path, tone + 0.05 * rng.standard_normal(len(times)), rate)
    return str(path)


def hear(
    paths: Sequence[str],
    folder: str,
    plan: Plan | None = None,
    *,
    workers: int = 0,
    resumes: bool = False,
    retries_failed: bool = False,
    **order: Any,
) -> list[Outcome]:
    """A whole run; what came of each recording. workers: processes; 0: in this one."""
    wanted = RunSpec(plan or Plan(), folder, **order)
    run = ArchiveRun(wanted, find_sources(paths), resumes=resumes, retries_failed=retries_failed)
    with LocalEngine(wanted, workers) if workers else InlineEngine(wanted) as engine:
        run.prepare(engine.start())
        return [outcome for step in run.steps(engine) for outcome in step.outcomes]


def tables(folder: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of every table, by recording, and within each as they are."""
    results = read_folder(folder)
    found = {}
    for name in results.header["tables"]:
        rows: list[dict[str, Any]] = []
        for path in results.parts(name):
            rows += _read(path).to_pylist()
        for row in rows:
            for column in _OF_THE_RUN:
                row.pop(column, None)
        found[name] = sorted(rows, key=lambda row: row["file"])
    return found


def _read(path: str) -> Any:
    import fsspec

    with fsspec.open(path, "rb") as file:
        return pq.read_table(file)


def begun(folder: Path, run_id: str = "0" * 16) -> CommitLog:
    log = CommitLog(str(folder), run_id)
    log.begin(PARAMETERS, MODEL, calibrated=False)
    list(log.commits())
    return log


def entry(name: str, size: int = 1, state: Any = "done", number: int | None = None) -> Any:
    source = Source(name, f"/in/{name}", size, "then")
    kind: Any = "whole" if number is None else "range"
    unit = Unit(source, kind, number=number or 0, of=2)
    return Outcome(unit, state, 1.0, 2, 3, pieces=("pieces/x.npy",)).entry()
