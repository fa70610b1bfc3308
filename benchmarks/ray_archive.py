# SPDX-License-Identifier: Apache-2.0
"""Which way through Ray? Local processes, Ray actors, and Ray Data's map_batches, on one machine.

    python benchmarks/ray_archive.py --hours 1 --repeats 3

All three hear the same archive of one-minute recordings of real clips into Parquet by the same
`UnitWorker`, and their tables must be equal. The ways take turns, because the machine's speed may
drift. Hearing: from the first worker that has its model to the last commit; whole: with starting
and ending Ray, too. Ray Data needs pandas besides Ray.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parent))

from archive_faults import compare, sounds_of

from oido._version import __version__
from oido.batch.engine import Engine, LocalEngine, NextUnit
from oido.batch.ray_engine import RayEngine
from oido.batch.run import ArchiveRun
from oido.batch.sources import find_sources
from oido.batch.units import Flush, LoadedModel, RunSpec, Unit, WorkerReport

ROOT = Path(__file__).parents[1]
_FILE_SECONDS = 60
_BATCH_UNITS = 8


def main() -> int:
    """Measure, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--clips", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in arguments.ways}
    with tempfile.TemporaryDirectory(prefix="oido-ray-") as scratch:
        archive = make_archive(Path(scratch), arguments.clips, arguments.hours)
        for number in range(arguments.repeats):
            for way in arguments.ways:
                results = f"{scratch}/{way}-{number}"
                runs[way].append(measured(way, archive, results, arguments.workers))
                first = f"{scratch}/{arguments.ways[0]}-0"
                for name, difference in compare(first, results).items():
                    if difference["missing"] or difference["doubled_or_new"]:
                        raise SystemExit(f"{way}: its table of {name} differs: {difference}")
                print(f"{way}: {runs[way][-1]}", file=sys.stderr)
    print(table(runs, arguments.hours, arguments.workers))
    if arguments.json:
        arguments.json.write_text(json.dumps(runs, indent=1) + "\n")
    return 0


def make_archive(scratch: Path, clips: Path, hours: float) -> Path:
    """Recordings of a minute, 16 kHz WAV."""
    folder = scratch / "archive"
    folder.mkdir()
    sound = sounds_of(clips)[16_000]
    samples = _FILE_SECONDS * 16_000
    for number in range(max(1, round(hours * 3600 / _FILE_SECONDS))):
        minute = np.resize(np.roll(sound, -number * samples * 3 // 4), samples)
        soundfile.write(folder / f"{number:05d}.wav", minute, 16_000)
    return folder


def measured(way: str, archive: Path, results: str, workers: int) -> dict[str, float]:
    """One run."""
    started = time.perf_counter()
    order = RunSpec(folder=results)
    run = ArchiveRun(order, find_sources([str(archive)]))
    engine: Engine = WAYS[way](order, workers)
    try:
        run.prepare(engine.start())
        ready = time.perf_counter()
        for _ in run.steps(engine):
            pass
        heard = time.perf_counter()
    finally:
        engine.close()
    return {"hearing": heard - ready, "whole": time.perf_counter() - started}


class _Batches:
    """What a Ray Data worker does: some units, and what they gave."""

    def __init__(self, order: RunSpec) -> None:
        from oido.batch.unit_worker import UnitWorker

        self._archivist = UnitWorker(order)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        reports: list[WorkerReport] = []
        for unit in batch["unit"]:
            reports += self._archivist.serve(pickle.loads(unit))
        reports += self._archivist.serve(Flush())  # it is not told which batch is its last
        return {"reports": np.array([pickle.dumps(reports)], dtype=object)}


class DataEngine(Engine):
    """`Engine` by Ray Data, as far as this benchmark needs it: units that are known before."""

    def __init__(self, order: RunSpec, workers: int) -> None:
        import ray

        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
        ray.init("local", num_cpus=workers, object_store_memory=80 << 20, **quiet)
        # One model is loaded to know its name.
        self._engine = RayEngine(order, 1)
        self._order, self._workers = order, workers

    def start(self) -> LoadedModel:
        """As `Engine.start`."""
        return self._engine.start()

    def run(self, next_unit: NextUnit) -> Iterator[tuple[Unit | None, WorkerReport]]:
        """As `Engine.run`, without losses and without ranges."""
        import ray

        for handle in self._engine._handles:
            ray.kill(handle.actor)  # its core is needed
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        units = list(iter(next_unit, None))
        blocks = max(1, len(units) // _BATCH_UNITS)
        items = [{"unit": pickle.dumps(unit)} for unit in units]
        heard = ray.data.from_items(items, override_num_blocks=blocks).map_batches(
            _Batches,
            fn_constructor_args=(self._order,),
            batch_size=_BATCH_UNITS,
            batch_format="numpy",
            compute=ray.data.ActorPoolStrategy(size=self._workers),
            num_cpus=1,
        )
        for row in heard.iter_rows():
            for report in pickle.loads(row["reports"]):
                yield None, report

    def interrupt(self) -> None:
        """As `Engine.interrupt`."""

    def close(self) -> None:
        """As `Engine.close`."""
        import ray

        ray.shutdown()


WAYS: dict[str, Any] = {"local": LocalEngine, "ray-actors": RayEngine, "ray-data": DataEngine}


def table(runs: dict[str, list[dict[str, float]]], hours: float, workers: int) -> str:
    """The figures as Markdown."""
    lines = [
        f"oido {__version__}, {workers} workers, {hours:g} h in recordings of {_FILE_SECONDS} s, "
        "median of the runs (all runs)",
        "",
        "| engine | hearing, s | × real time | whole command, s |",
        "|---|---:|---:|---:|",
    ]
    for way, measures in runs.items():
        hearing = [run["hearing"] for run in measures]
        each = ", ".join(f"{seconds:.1f}" for seconds in hearing)
        lines.append(
            f"| {way} | {median(hearing):.1f} ({each}) | {hours * 3600 / median(hearing):.0f} "
            f"| {median(run['whole'] for run in measures):.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
