# SPDX-License-Identifier: Apache-2.0
"""Is a flipped bit seen? Bits of a results folder are flipped one at a time, and it is verified.

    python benchmarks/archive_flips.py --parts 160 --commits 100

Beside `oido batch verify` the table says what a query makes of it: an error, the same rows, or
other rows without a word, of which there must be none. For some of the flips the folder is
repaired, too, and its rows compared with those of before.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from oido.batch.verify import verify
from oido.errors import OidoError
from oido.results import Results

ROOT = Path(__file__).parents[1]
_TABLES = ("recordings", "events", "windows", "clips", "embeddings")
_OF_THE_RUN = ("heard_at", "hearing_seconds")


def main() -> int:
    """Run, print the table, and return 0 only if no flip passed unseen, by verify or by a query."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", type=int, default=160)
    parser.add_argument("--commits", type=int, default=100)
    parser.add_argument("--repairs", type=int, default=4, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="oido-flips-") as folder:
        report = run(Path(folder), arguments)
    print(table(report))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    seen = all(r["seen"] == r["flips"] and not r["other rows"] for r in report.values())
    return 0 if seen and all(r["repaired"] == r["repairs"] for r in report.values()) else 1


def run(folder: Path, arguments: argparse.Namespace) -> dict[str, dict[str, int]]:
    """Flip bits of parts, then of commits."""
    chance = random.Random(arguments.seed)
    results = make_results(folder)
    calm = rows_of(results)
    report = {}
    for kind, flips in (("parts", arguments.parts), ("commits", arguments.commits)):
        files = sorted(results.glob("ledger/*.json" if kind == "commits" else "*/*.parquet"))
        counts: Counter[str] = Counter()
        for number in range(flips):
            path = chance.choice(files)
            before = path.read_bytes()
            content = bytearray(before)
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
            path.write_bytes(content)
            found = verify(str(results)).findings
            named = {finding.path for finding in found if finding.kind == "damaged"}
            counts["seen"] += path.relative_to(results).as_posix() in named
            counts[asked(results, calm)] += 1
            if number < arguments.repairs:
                counts["repaired"] += repaired(results, folder / "copy", calm)
            path.write_bytes(before)
        names = ("seen", "same rows", "error", "other rows", "repaired")
        repairs = min(flips, arguments.repairs)
        report[kind] = {"flips": flips, "repairs": repairs, **{n: counts[n] for n in names}}
    return report


def make_results(folder: Path) -> Path:
    """Six recordings in two runs, with one that changes and one that fails."""
    rng = np.random.default_rng(0)
    (folder / "in").mkdir()
    for number in range(6):
        street, rate = soundfile.read(ROOT / "examples" / "street.flac")
        start = rng.integers(len(street) // 2)
        soundfile.write(folder / "in" / f"{number}.wav", street[start : start + 8 * rate], rate)
    (folder / "in" / "5.wav").write_bytes(b"RIFF, but no more")
    oido("batch", str(folder / "in" / "0.wav"), "-o", str(folder / "out"), "--embeddings")
    shutil.copy(folder / "in" / "1.wav", folder / "in" / "0.wav")
    oido("batch", str(folder / "in"), "-o", str(folder / "out"), "--embeddings", "--resume")
    return folder / "out"


def oido(*words: str) -> int:
    """Run a command line; its exit code."""
    command = [sys.executable, "-m", "oido", *words, "-q", "--jobs", "1"]
    return subprocess.run(command, check=False, capture_output=True).returncode


def rows_of(results: Path) -> dict[str, Any]:
    """All rows, as a query gives them."""
    found = {}
    with Results(str(results)) as opened:
        for name in _TABLES:
            table = opened.batches(name).read_all()
            found[name] = table.drop([c for c in _OF_THE_RUN if c in table.column_names])
    return found


def asked(results: Path, calm: dict[str, Any]) -> str:
    """What a query makes of the damage."""
    try:
        now = rows_of(results)
        return "same rows" if all(now[n].equals(calm[n]) for n in calm) else "other rows"
    except OidoError:
        return "error"


def repaired(results: Path, copy: Path, calm: dict[str, Any]) -> bool:
    """Whether a repair brings back the rows of before."""
    shutil.copytree(results, copy)
    try:
        code = oido("batch", "verify", str(copy), "--repair")
        now = rows_of(copy)
        return code == 0 and all(now[name].equals(calm[name]) for name in calm)
    finally:
        shutil.rmtree(copy)


def table(report: dict[str, dict[str, int]]) -> str:
    """The figures as Markdown."""
    lines = [
        "| bits flipped in | flips | seen by verify | a query: same rows | error | other rows |"
        " repaired, of tried |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, r in report.items():
        lines.append(
            f"| {kind} | {r['flips']} | {r['seen']} | {r['same rows']} | {r['error']} "
            f"| {r['other rows']} | {r['repaired']} of {r['repairs']} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
