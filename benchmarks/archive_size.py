# SPDX-License-Identifier: Apache-2.0
"""What a results folder of a million recordings costs its readers: seconds, and peak memory.

    python benchmarks/archive_size.py                                 10,000, 100,000 and a million
    python benchmarks/archive_size.py --recordings 10000 --per-commit 10
    python benchmarks/archive_size.py --recordings 1000000 --keep     the folder is there next time

The folders are written by oido's own writers of parts and of the ledger, with made rows: no sound
is classified, and the disk is not waited for. A recording has 14 rows with few different values,
which Parquet makes some ten bytes of, and an entry of the ledger, which is text and there twice:
750 bytes in all, so that a million have 0.75 GB, and take some minutes to make.

`oido batch status`, `oido query` and `oido convert` read them as processes of their own, so that
the most memory that each one had is its own. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parent))

from machine import memory_kb

from oido._version import __version__
from oido.batch.arrow_rows import schemas
from oido.batch.commit_log import CommitLog
from oido.batch.joined_commits import join_commits
from oido.batch.parquet_parts import write_part
from oido.batch.storage import storage_of
from oido.batch.units import LoadedModel, Outcome, Part, RunSpec, Source, Unit

ROOT = Path(__file__).parents[1]
_SECONDS = 60.0
_ROWS = {"events": 3, "windows": 5, "clips": 5}
"""Of each recording."""
_COMMANDS = {
    "batch status": ["batch", "status", "FOLDER"],
    "query --sql (counts by label)": [
        *("query", "FOLDER", "--sql"),
        "SELECT label, count(*), max(score) FROM events GROUP BY label ORDER BY label",
    ],
    "query (one event in ten)": ["query", "FOLDER", "score >= 0.9", "-o", "EVENTS", "-q"],
    "convert to CSV": ["convert", "FOLDER", "-o", "EVENTS", "-q"],
    "convert to Parquet": ["convert", "FOLDER", "-o", "CLIPS", "--table", "clips", "-q"],
}
_LABELS = ("Speech", "Dog", "Siren", "Music", "Rain")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--per-commit", type=int, default=250)
    parser.add_argument("--keep", action="store_true", help="the folders, and use those kept")
    parser.add_argument("--cache", type=Path, default=ROOT / ".bench")
    parser.add_argument("--json", type=Path, default=ROOT / ".bench" / "archive_size.json")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    report: list[dict[str, Any]] = []
    for number in arguments.recordings:
        with tempfile.TemporaryDirectory(prefix="size-", dir=arguments.cache) as scratch:
            folder = f"{scratch}/results"
            kept = arguments.cache / f"size-{number}-by-{arguments.per_commit}"
            if arguments.keep and kept.is_dir():
                folder = str(kept)
            else:
                started = time.perf_counter()
                make_results(folder, number, arguments.per_commit)
                made = time.perf_counter() - started
                print(f"{number:,} recordings made in {made:.0f} s", file=sys.stderr)
                if arguments.keep:
                    folder = str(Path(folder).rename(kept))
            commits = 1 + -(-number // arguments.per_commit)
            for command, words in _COMMANDS.items():
                there = {"FOLDER": folder, "EVENTS": f"{scratch}/events.csv"}
                there["CLIPS"] = f"{scratch}/clips.parquet"
                run = measured([there.get(word, word) for word in words])
                report.append({"recordings": number, "commits": commits, "command": command, **run})
    print(table(report))
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def make_results(folder: str, number: int, per_commit: int) -> None:
    """A folder with so many recordings, and no sound behind them."""
    spec = RunSpec(folder=folder)
    storage = storage_of(folder, spec.run_id)
    synced, os.fsync = os.fsync, lambda _: None  # its power never fails
    try:
        log = CommitLog(folder, spec.run_id, join_commits)
        model = LoadedModel("yamnet/classification", "0" * 64)
        log.begin(spec.parameters(), model, calibrated=False)
        list(log.commits())
        log.commit(
            run={"id": spec.run_id, "recordings": number, "bytes": 0, "todo": number}
            | {"todo_bytes": number * 1000}
        )
        for first in range(0, number, per_commit):
            sources = [_source(n) for n in range(first, min(first + per_commit, number))]
            parts = [_part(storage, name, sources) for name in ("recordings", *_ROWS)]
            rows = sum(_ROWS.values())
            outcomes = [Outcome(Unit(s), "done", _SECONDS, 124, rows, 0.1) for s in sources]
            log.commit(add=parts, units=[outcome.entry() for outcome in outcomes])
        log.join()
    finally:
        os.fsync = synced


def _source(number: int) -> Source:
    name = f"recordings/site-{number % 97:02d}/{number // 10_000:04d}/rec_{number:08d}.wav"
    return Source(name, f"/archive/{name}", 1000, "2026-01-01T00:00:00+00:00")


def _part(storage: Any, table: str, sources: list[Source]) -> Part:
    schema = schemas(False)[table]
    each = _ROWS.get(table, 1)
    n = each * len(sources)
    place = np.arange(n)
    which = place % each
    columns: dict[str, Any] = {
        "file": pa.array([s.name for s in sources]).take(pa.array(place // each)),
        "start_time": which * 10.0,
        "end_time": which * 10.0 + 3.0,
        "label": pa.array(_LABELS).take(pa.array(which)),
        "label_index": which,
        "score": ((place * 7919) % 1000) / 1000.0,
        "also": pa.repeat("", n),
        "location": [s.location for s in sources],
        "key": [s.key for s in sources],
        "modified": pa.repeat("2026-01-01T00:00:00+00:00", n),
        "tags": pa.repeat("{}", n),
        "heard_at": pa.repeat("2026-01-02T00:00:00+00:00", n),
        "duration": np.full(n, _SECONDS),
        "size": np.full(n, 1000),
        "windows": np.full(n, 124),
        "channels": np.ones(n),
        "sample_rate": np.full(n, 16_000),
    }
    arrays = []
    for field in schema:
        value = columns.get(field.name)
        array = pa.nulls(n, field.type) if value is None else pa.array(value)
        arrays.append(array if array.type == field.type else array.cast(field.type))
    return write_part(storage, table, schema, [pa.RecordBatch.from_arrays(arrays, schema=schema)])


def measured(words: list[str]) -> dict[str, float]:
    """Seconds of clock and of the processor, and the most memory, of a command."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "oido", *words], stdout=subprocess.DEVNULL)
    peak = 0
    while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
        # Not that of the rusage, which begins with the memory of this process.
        peak = max(peak, memory_kb(process.pid, "VmHWM"))
        time.sleep(0.02)
    _, status, usage = ended
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"oido {' '.join(words)}: exit code {process.returncode}")
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mb": peak / 1024,
    }


def table(report: list[dict[str, Any]]) -> str:
    """The figures as Markdown."""
    lines = [
        f"oido {__version__}",
        "",
        "| recordings | commits | oido … | seconds | processor seconds | peak MB |",
        "|---:|---:|---|---:|---:|---:|",
    ]
    lines += [
        f"| {run['recordings']:,} | {run['commits']:,} | {run['command']} | {run['seconds']:.1f} "
        f"| {run['cpu_seconds']:.1f} | {run['peak_mb']:.0f} |"
        for run in report
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
