# SPDX-License-Identifier: Apache-2.0
"""Does an archive survive? Runs are killed at random moments, resumed, and the rows compared.

    python benchmarks/archive_faults.py --kills 20

The archive is made of real clips as 16 kHz WAV and 44.1 kHz FLAC, one recording that is split among
them, and 5 % of files that are corrupt, truncated, empty, unreadable or wrongly named. Each kill is
SIGKILL, of the whole process group or of one worker. At the end every table must be, row for row,
that of an undisturbed run, and every bad file must be named with its reason. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from machine import children

from oido.batch.results_folder import read_folder
from oido.signal.decode import open_audio
from oido.signal.resample import Resampler

ROOT = Path(__file__).parents[1]
_DIFFERS = ("heard_at", "hearing_seconds")  # of the run itself, in the table of recordings
_BAD_SHARE = 0.05


def main() -> int:
    """Run, print the table, and return 0 only if not one row differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oido-faults-") as folder:
        report = run(Path(folder), arguments)
    print(table(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0 if report["equal"] and not report["bad_files_not_named"] else 1


def run(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The whole benchmark in a folder of its own."""
    chance = random.Random(arguments.seed)
    bad = make_archive(folder / "archive", arguments.clips, arguments.files, chance)
    started = time.monotonic()
    subprocess.run(command(folder, "calm"), check=False, stderr=subprocess.DEVNULL)
    calm_seconds = time.monotonic() - started
    disturbed = disturb(folder, arguments.kills, calm_seconds, chance)
    differences = compare(str(folder / "calm"), str(folder / "disturbed"))
    named = failures(str(folder / "disturbed"))
    return {
        "files": arguments.files,
        "bad_files": len(bad),
        "bad_files_not_named": sorted(bad - set(named)),
        "reasons": sorted({reason.split(":")[-1][:90] for reason in named.values()}),
        "calm_seconds": calm_seconds,
        **disturbed,
        "rows": differences,
        "equal": all(d["missing"] == d["doubled_or_new"] == 0 for d in differences.values()),
    }


def make_archive(folder: Path, clips: Path, files: int, chance: random.Random) -> set[str]:
    """Recordings of 10 to 60 s; returns the paths of those that cannot be heard (to the end)."""
    folder.mkdir()
    sounds = sounds_of(clips)
    bad: set[str] = set()
    n_bad = max(5, round(files * _BAD_SHARE))
    chosen = set(chance.sample(range(1, files), n_bad))
    for number in range(files):
        rate = chance.choice((16_000, 44_100))
        ending = "wav" if rate == 16_000 else "flac"
        path = folder / f"{number:05d}.{ending}"
        seconds = 400 if number == 0 else chance.randint(10, 60)
        start = chance.randrange(len(sounds[rate]))
        sound = np.resize(np.roll(sounds[rate][: 600 * rate], start), seconds * rate)
        soundfile.write(path, sound, rate)
        if number in chosen:
            bad.add(str(_spoiled(path, len(bad) % 5, chance)))
    return bad


def _spoiled(path: Path, way: int, chance: random.Random) -> Path:
    """Make a sound file bad in one of five ways."""
    content = path.read_bytes()
    if way == 0:  # corrupt
        path.write_bytes(chance.randbytes(len(content)))
    elif way == 1:  # truncated within its header
        path.write_bytes(content[:30])
    elif way == 2:  # nothing in it
        path.write_bytes(b"")
    elif way == 3:  # unreadable: a link to nowhere, because root may read everything
        path.unlink()
        path.symlink_to("gone")
    else:  # a text that calls itself a recording
        path.write_text("This is not a recording.\n" * 1000)
    return path


def sounds_of(clips: Path) -> dict[int, np.ndarray[Any, np.dtype[np.float32]]]:
    """Ten minutes of real sound at each rate."""
    pieces: list[Any] = []
    for path in sorted(clips.rglob("*.ogg"))[:120]:
        with open_audio(str(path)) as reader:
            mono = np.concatenate(list(reader.blocks())).mean(axis=1, dtype=np.float32)
            resampler = Resampler(reader.info.sample_rate_hz, 44_100)
            pieces += [resampler.push(mono), resampler.flush()]
    if not pieces:
        raise SystemExit(f"{clips}: no real clips (.ogg) there; say --clips FOLDER")
    sound = np.concatenate(pieces)
    resampler = Resampler(44_100, 16_000)
    return {16_000: np.concatenate([resampler.push(sound), resampler.flush()]), 44_100: sound}


def command(folder: Path, results: str, *more: str) -> list[str]:
    """The command line of a run."""
    inputs, output = str(folder / "archive"), str(folder / results)
    options = ["--split", "120", "--jobs", "2", "-q", "--embeddings", *more]
    return [sys.executable, "-m", "oido", "batch", inputs, "-o", output, *options]


def disturb(folder: Path, kills: int, calm_seconds: float, chance: random.Random) -> dict[str, Any]:
    """Run, kill, resume, until it is done."""
    counts = {"groups_killed": 0, "workers_killed": 0, "runs": 0}
    longest = max(1.0, 2.5 * calm_seconds / max(kills, 1))
    while True:
        more = ["--resume"] if (folder / "disturbed").exists() else []
        process = subprocess.Popen(
            command(folder, "disturbed", *more),
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        counts["runs"] += 1
        while counts["groups_killed"] + counts["workers_killed"] < kills:
            try:
                process.wait(chance.uniform(0.1, longest))
                break
            except subprocess.TimeoutExpired:
                workers = children(process.pid)
                if workers and chance.random() < 0.5:
                    os.kill(chance.choice(workers), signal.SIGKILL)
                    counts["workers_killed"] += 1
                else:
                    os.killpg(process.pid, signal.SIGKILL)
                    counts["groups_killed"] += 1
                    break
        _, errors = process.communicate()
        if process.returncode in (0, 3):
            if counts["groups_killed"] + counts["workers_killed"] >= kills:
                return counts
            # Done before all the kills: forget a part of it, and go on.
            shutil.rmtree(folder / "disturbed")
        elif process.returncode != -signal.SIGKILL:
            raise SystemExit(f"the run ended with {process.returncode}: {errors}")


def compare(one: str, other: str) -> dict[str, dict[str, int]]:
    """For each table: rows, and those that one folder has and the other has not."""
    result = {}
    for name in read_folder(one).header["tables"]:
        a, b = rows_of(one, name), rows_of(other, name)
        missing = extra = 0
        if not a.equals(b):
            rows_a, rows_b = _counted(a), _counted(b)
            missing = sum(max(0, n - rows_b.get(row, 0)) for row, n in rows_a.items())
            extra = sum(max(0, n - rows_a.get(row, 0)) for row, n in rows_b.items())
            if not missing and not extra:
                missing = extra = 1  # the same rows, but in another order within a recording
        result[name] = {"rows": a.num_rows, "missing": missing, "doubled_or_new": extra}
    return result


def _counted(table: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in table.to_pylist():
        text = repr(row)
        counts[text] = counts.get(text, 0) + 1
    return counts


def rows_of(folder: str, name: str) -> Any:
    """A table's rows by recording, in their own order within each."""
    parts = [pq.read_table(path) for path in read_folder(folder).parts(name)]
    table = pa.concat_tables(parts)
    table = table.drop([c for c in _DIFFERS if c in table.column_names])
    numbered = table.append_column("_row", pa.array(range(table.num_rows)))
    order = [("file", "ascending"), ("_row", "ascending")]
    return numbered.sort_by(order).drop(["_row"]).combine_chunks()


def failures(folder: str) -> dict[str, str]:
    """Recordings that failed, with the reasons."""
    table = rows_of(folder, "recordings")
    rows = table.select(["location", "failure_reason"]).to_pylist()
    return {r["location"]: r["failure_reason"] for r in rows if r["failure_reason"]}


def table(report: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        f"{report['files']} files, {report['bad_files']} of them bad "
        f"({len(report['bad_files_not_named'])} not named); killed: {report['groups_killed']} runs "
        f"and {report['workers_killed']} workers, in {report['runs']} runs",
        "",
        "| table | rows | lost | doubled or new |",
        "|---|---:|---:|---:|",
    ]
    for name, row in report["rows"].items():
        lines.append(f"| {name} | {row['rows']} | {row['missing']} | {row['doubled_or_new']} |")
    return "\n".join([*lines, "", "reasons:", *(f"- {reason}" for reason in report["reasons"])])


if __name__ == "__main__":
    sys.exit(main())
