# SPDX-License-Identifier: Apache-2.0
"""What an archive costs: speed against the bare network's ceiling, scaling, memory, and size.

    python benchmarks/archive.py --hours 2                           a few minutes
    python benchmarks/archive.py --hours 0.5 --scaling-hours 0.5     a quick look
    python benchmarks/archive.py --hours 10 50 500 --scaling-hours 10        some hours

The archive is made of real clips: ten-minute recordings as 16 kHz WAV and as 44.1 kHz stereo FLAC.
Up to `--copied-hours` it has copies of twelve of them; beyond, links to these, each of which is
heard as a recording of its own (`oido batch` hears what links lead to once).
Ceiling and run follow each other, because the machine's speed may drift. The clock runs from the
start of the command to its end. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parent))

from archive_faults import sounds_of
from machine import children, memory_kb
from throughput import pinned

from oido._version import __version__
from oido.batch.progress import status_of

ROOT = Path(__file__).parents[1]
FORMATS = {"wav16": "16 kHz WAV", "flac44": "44.1 kHz stereo FLAC"}
_FILE_SECONDS = 600
_UNIQUE = 12
_LOOK_SECONDS = 0.5

_WITH_LINKS = (
    "import sys; from oido.batch import sources; from oido.cli.main import run; "
    "sources._Search.is_new = lambda *_: True; sys.exit(run(sys.argv[1:]))"
)
"""The command `oido`, for which each link of a list is another recording."""


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, nargs="+", default=[2.0])
    parser.add_argument("--copied-hours", type=float, default=10.0, help="default 10")
    parser.add_argument("--formats", nargs="+", choices=list(FORMATS), default=list(FORMATS))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--scaling-hours", type=float, default=2.0, help="with one core and all")
    parser.add_argument("--no-scaling", action="store_true")
    parser.add_argument("--options", default="", help="more options of oido batch, in one word")
    parser.add_argument("--clips", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--cache", type=Path, default=ROOT / ".bench" / "archive")
    parser.add_argument("--json", type=Path, default=ROOT / ".bench" / "archive.json")
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    options = arguments.options.split()
    unique = make_recordings(arguments.cache, arguments.clips)
    report: dict[str, Any] = {"oido": __version__, "cores": len(cores), "sizes": [], "scaling": []}
    with tempfile.TemporaryDirectory(prefix="oido-", dir=arguments.cache) as scratch:
        for key in arguments.formats:
            for hours in arguments.hours:
                copied = hours <= arguments.copied_hours
                archive = make_archive(Path(scratch), unique[key], key, hours, copied=copied)
                for _ in range(arguments.repeats):
                    report["sizes"].append(
                        {"format": key, "hours": hours, **measured(archive, cores, options)}
                    )
            if len(cores) > 1 and not arguments.no_scaling:
                archive = make_archive(Path(scratch), unique[key], key, arguments.scaling_hours)
                for jobs in (1, len(cores)) * arguments.repeats:
                    run = measured(archive, cores[:jobs], options)
                    hours = arguments.scaling_hours
                    report["scaling"].append({"format": key, "hours": hours, "jobs": jobs, **run})
    print(table(report))
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def make_recordings(cache: Path, clips: Path) -> dict[str, list[Path]]:
    """Recordings of ten minutes, all different, in each format."""
    made: dict[str, list[Path]] = {key: [] for key in FORMATS}
    cache.mkdir(parents=True, exist_ok=True)
    sounds: dict[int, Any] = {}
    for number in range(_UNIQUE):
        for key, rate, channels, ending in (
            ("wav16", 16_000, 1, "wav"),
            ("flac44", 44_100, 2, "flac"),
        ):
            path = cache / f"{key}-{number:02d}.{ending}"
            made[key].append(path)
            if path.exists():
                continue
            sounds = sounds or sounds_of(clips)
            mono = np.resize(np.roll(sounds[rate], -number * 37 * rate), _FILE_SECONDS * rate)
            sound = mono if channels == 1 else np.stack([mono, np.roll(mono, 20)], axis=1)
            soundfile.write(path, sound, rate)
    return made


def make_archive(
    scratch: Path, unique: list[Path], key: str, hours: float, *, copied: bool = True
) -> Path:
    """A folder of copies, or a list of links."""
    folder = scratch / f"{key}-{hours:g}"
    if not folder.exists():
        folder.mkdir()
        for number in range(max(1, round(hours * 3600 / _FILE_SECONDS))):
            source = unique[number % len(unique)]
            below = folder / f"{number // 1000:03d}"
            below.mkdir(exist_ok=True)
            target = below / f"{number:06d}{source.suffix}"
            if copied:
                shutil.copyfile(source, target)
            else:
                target.symlink_to(source.resolve())
    if copied:
        return folder
    listed = folder.parent / f"{folder.name}.txt"
    listed.write_text("".join(f"{path}\n" for path in sorted(folder.rglob("*.*"))))
    return listed


def measured(archive: Path, cores: list[int], options: list[str]) -> dict[str, Any]:
    """One run on these cores, and the ceiling before and after it."""
    results = tempfile.mkdtemp(prefix="results-", dir=archive.parent)
    oido = ["-c", _WITH_LINKS] if archive.suffix == ".txt" else ["-m", "oido"]
    command = [sys.executable, *oido, "batch", str(archive), "-o", f"{results}/r", "-q"]
    command += ["--jobs", str(len(cores)), *options]
    ceilings = [pinned(cores, "ceiling", len(cores))["windows_per_second"]]
    print(f"{archive.name}, {len(cores)} worker(s)", file=sys.stderr)
    started = time.perf_counter()
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)  # children inherit it
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    os.sched_setaffinity(0, every)
    peaks: dict[int, int] = {}
    totals: list[int] = []  # of all processes together, as time goes on
    while process.poll() is None:
        pids = (process.pid, *children(process.pid))
        for pid in pids:
            peaks[pid] = max(peaks.get(pid, 0), memory_kb(pid, "VmHWM"))
        totals.append(sum(memory_kb(pid, "VmRSS") for pid in pids))
        time.sleep(_LOOK_SECONDS)
    seconds = time.perf_counter() - started
    if process.returncode:
        raise SystemExit(process.stderr.read().decode() if process.stderr else "it failed")
    ceilings.append(pinned(cores, "ceiling", len(cores))["windows_per_second"])
    status = status_of(f"{results}/r")
    speed = status["windows"] / seconds
    parent = peaks.pop(process.pid)
    return {
        "seconds": seconds,
        "audio_hours": status["audio_seconds"] / 3600,
        "windows_per_second": speed,
        "ceiling": mean(ceilings),
        "share_of_ceiling": speed / mean(ceilings),
        "times_real_time": status["audio_seconds"] / seconds,
        "parent_mb": parent / 1024,
        "worker_mb": max(peaks.values()) / 1024,
        "growth_mb": growth(totals) / 1024,
        "rows": status["rows"],
    }


def growth(totals: list[int]) -> float:
    """How much more memory there was in the last quarter of a run than in its second one."""
    quarter = len(totals) // 4
    if not quarter:
        return 0.0
    return median(totals[3 * quarter : 4 * quarter]) - median(totals[quarter : 2 * quarter])


def table(report: dict[str, Any]) -> str:
    """The figures as Markdown."""
    lines = [
        f"oido {report['oido']}, {report['cores']} cores",
        "",
        "| archive | hours | windows/s | ceiling | share | × real time | s per hour of audio "
        "| parent MB | worker MB | more at the end, MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for run in report["sizes"]:
        lines.append(
            f"| {FORMATS[run['format']]} | {run['hours']:g} | {run['windows_per_second']:.0f} "
            f"| {run['ceiling']:.0f} | {run['share_of_ceiling']:.2f} "
            f"| {run['times_real_time']:.0f} | {run['seconds'] / run['audio_hours']:.2f} "
            f"| {run['parent_mb']:.0f} | {run['worker_mb']:.0f} | {run['growth_mb']:.1f} |"
        )
    if report["scaling"]:
        lines += [
            "",
            "| archive | workers | windows/s | share of the ceiling |",
            "|---|---:|---:|---:|",
        ]
        for run in report["scaling"]:
            lines.append(
                f"| {FORMATS[run['format']]}, {run['hours']:g} h | {run['jobs']} "
                f"| {run['windows_per_second']:.0f} | {run['share_of_ceiling']:.2f} |"
            )
        for key in dict.fromkeys(run["format"] for run in report["scaling"]):
            of_format = [run for run in report["scaling"] if run["format"] == key]
            one, many = (
                median(r["windows_per_second"] for r in of_format if (r["jobs"] == 1) == is_one)
                for is_one in (True, False)
            )
            lines.append(f"| {FORMATS[key]}, all workers / one | | {many / one:.2f} × | |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
