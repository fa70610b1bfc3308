# SPDX-License-Identifier: Apache-2.0
"""Whole commands of this oido and of another environment's, in turn; their processor time.

    python benchmarks/run.py --against OLD/bin/python --only flac44,cold

Both run on one core, one worker, each repeat in another order, and the ratio of a repeat is that of
two neighbours: what else the machine does hits both. What they print is compared, too.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from corpus import Corpus

FILES = 16
_TAUGHT_CLASSES, _TAUGHT_CLIPS = 5, 100

CASES = ("wav16", "flac44", "mp3", "m4a", "long", "mn04", "ensemble", "cold", "train")
"""A minute in each format 16 times, one file of 20 min, other models, a clip of 10 s, training."""


@dataclass(frozen=True)
class Command:
    """name: its case; words: after `oido`; is_text: what it prints must be the same."""

    name: str
    words: tuple[str, ...]
    is_text: bool = True


def cases(corpus: Corpus, clips: Path, names: Iterable[str]) -> list[Command]:
    """The commands of these cases; what cannot be had here is left out."""
    folder = corpus.clip_10s.parent
    commands = []
    for name in names:
        if name == "train":
            words = _training(clips, folder)
            commands += [Command(name, words, is_text=False)] if words else []
            continue
        if name == "cold":
            words = ("classify", str(corpus.clip_10s))
        elif name == "long":
            words = ("classify", str(corpus.long[20]), *_QUIET)
        elif name in ("mn04", "ensemble"):
            model = "efficientat/mn04" if name == "mn04" else name
            words = ("classify", str(corpus.minute["flac44"]), "--model", model, *_QUIET)
        else:
            words = ("classify", *map(str, _copies(corpus.minute[name])), *_QUIET)
        commands.append(Command(name, words))
    return commands


_QUIET = ("--jobs", "1", "-q", "--format", "csv")


def _copies(path: Path) -> list[Path]:
    """So many names of one recording."""
    folder = path.parent / "copies"
    folder.mkdir(exist_ok=True)
    names = [folder / f"{path.stem}-{number}{path.suffix}" for number in range(FILES)]
    for name in names:
        if not name.exists():
            shutil.copyfile(path, name)  # a hard link would be the same recording, heard once
    return names


def _training(clips: Path, folder: Path) -> tuple[str, ...]:
    """Teaching some clips of ESC-10, without the cache; nothing where they are not."""
    table = clips / "esc10" / "clips.csv"
    if not table.exists():
        return ()
    rows = list(csv.DictReader(table.read_text("utf-8").splitlines()))
    labels = sorted({row["label"] for row in rows})[:_TAUGHT_CLASSES]
    kept = [row for row in rows if row["label"] in labels][:_TAUGHT_CLIPS]
    chosen = folder / "taught.csv"
    with open(chosen, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "group"])
        for row in kept:
            writer.writerow([table.parent / row["file"], row["label"], row["group"]])
    output = str(folder / "taught.tflite")
    return ("train", str(chosen), "-o", output, "--no-cache", "--jobs", "1", "-q")


def compared(python: str, commands: list[Command], repeats: int) -> list[dict[str, Any]]:
    """For each command the seconds of every repeat, before (the other one) and after."""
    pythons = {"before": python, "after": sys.executable}
    for name in pythons.values():
        code = "import compileall, oido; compileall.compile_dir(oido.__path__[0], quiet=2)"
        subprocess.run([name, "-c", code], check=True, cwd=tempfile.gettempdir())
    rows = []
    for command in commands:
        seconds: dict[str, list[float]] = {which: [] for which in pythons}
        printed: dict[str, bytes] = {}
        for repeat in range(repeats + 1):
            print(f"{command.name}, repeat {repeat} of {repeats}", file=sys.stderr)
            order = list(pythons.items())
            for which, name in order if repeat % 2 else reversed(order):
                spent, printed[which] = _run([name, "-m", "oido", *command.words])
                if repeat:  # the first warms the file cache
                    seconds[which].append(spent)
        same = printed["before"] == printed["after"] if command.is_text else None
        rows.append({"case": command.name, **seconds, "same": same})
    return rows


def _run(command: list[str]) -> tuple[float, bytes]:
    """Processor time of a command and of all that it started, and what it printed."""
    core = min(os.sched_getaffinity(0))
    before = os.times()
    done = subprocess.run(
        ["taskset", "-c", str(core), *command],
        capture_output=True,
        check=False,
        cwd=tempfile.gettempdir(),
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:6])} …: {done.stderr.decode()[-2000:]}")
    after = os.times()
    spent = after.children_user + after.children_system
    return spent - before.children_user - before.children_system, done.stdout


def table(rows: list[dict[str, Any]]) -> str:
    """Medians, and the median, least and largest of the repeats' ratios."""
    lines = [
        "| whole command | before, s of CPU | after | after ÷ before | from … to | same output |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        ratios = [a / b for a, b in zip(row["after"], row["before"])]
        same = {True: "yes", False: "NO", None: ""}[row["same"]]
        lines.append(
            f"| {row['case']} | {median(row['before']):.2f} | {median(row['after']):.2f} "
            f"| {median(ratios):.2f} | {min(ratios):.2f} … {max(ratios):.2f} | {same} |"
        )
    return "\n".join(lines)
