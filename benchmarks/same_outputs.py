# SPDX-License-Identifier: Apache-2.0
"""Whether two states of the code give the same results: digests of a fixed list of real jobs.

    python benchmarks/same_outputs.py run -o before.json [--clips ../shared/audio]
    python benchmarks/same_outputs.py compare before.json after.json

`run` copies some sixty clips, chosen by the order of their names, and all odd and damaged files of
`decode` to a folder of its own, does there the jobs of `same_outputs_jobs.txt` and of
`same_outputs_python.py` with the oido of this Python, and writes a SHA-256 for each thing that came
out, under names such as ``classify/csv/events/ensemble/stdout``. Only the command line and the
names of ``oido.__all__`` are used, so that it runs before and after modules move. Without the clips
it does what the two recordings of examples/ allow, and says so. `compare` prints a table, shows how
short texts differ, and ends with 1 if anything does. Compare runs of one machine and one set of
packages: floats count to the last bit.

What a job gives are its exit code, standard output and error, and each file that it wrote: text as
it is, Parquet as schema and rows, .npz as arrays, models as bytes. Made equal first is what differs
from run to run:

- the path of the folder, and of folders with models; line numbers of Python files in warnings; the
  version of oido (but not within models, whose bytes count);
- times of day under a key or phrase that is the run's own (``created``, ``start_utc``, ``last
  written``); seconds of work, times real time, files per hour; progress lines are left out, as a
  slow machine prints more of them;
- of `oido batch`, whose workers end in any order: the order of lines and rows, names of parts, the
  ledger, and the columns ``location``, ``modified``, ``key`` (made from these), ``heard_at`` and
  ``hearing_seconds``; ``seconds`` and ``hours`` in JSON count to the ninth digit, because `oido
  report` adds them up in the order of the parts.

Not covered: `oido serve`, microphones, Ray, and `oido train --finetune`, which takes minutes.
"""

from __future__ import annotations

import argparse
import csv
import difflib
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from same_outputs_python import exact, public_jobs, training_jobs

import oido

ROOT = Path(__file__).resolve().parents[1]
CLIPS, MODEL_FILES = ROOT.parent / "shared" / "audio", ROOT.parent / "shared" / "models"
MODELS = {"yamnet": "yamnet/classification", "mn04": "efficientat/mn04", "ensemble": "ensemble"}
EVERY = {"esc10": 20, "everyday": 9, "three-events": 3}
"""Of each set of clips, in the order of names, every so manyth is one of the sixty."""
TAUGHT = {"Dog", "Rain", "Crowing, cock-a-doodle-doo"}
"""Classes of ESC-10; of 12 clips each, 8 are trained on and 4 are held out."""
LABELLED = re.compile(r"\b(lab|heldout|tracks|out/train|out/calibrate)\b")
"""Jobs that need labelled clips."""
LONGEST_TEXT = 6_000
"""Characters of a text that is kept beside its digest, to show how it differs."""
SAME = (
    (r"(?m)^oido: (\d+/\d+ files, .*(left|real time)|\d+ of \d+ recordings heard)\n", ""),
    (r'"(created|last_commit|start_utc|end_utc)": "[^"]*"', r'"\1": "<time>"'),
    (r"last written \S+", "last written <time>"),
    (r"\d[\d.]* s \(\d+ × real time\)", "<seconds>"),
    (r"\d[\d.]* × real time|\d[\d.]* files/h", "<speed>"),
    (r'"(times_real_time|files_per_hour|hearing_hours|seconds [a-z]+)": [\d.]+', r'"\1": "<n>"'),
    (r"(seconds (?:hearing|learning)[ <>/a-z]*)[\d.]+", r"\1<n>"),
    (r"(?m)^\S+\.py:\d+", "<code>"),
    (rf"(?<![\d.]){re.escape(oido.__version__)}(?![\d.])", "<version>"),
)
"""What is made equal in texts."""
SUM = r'("(?:hours|seconds)": )(\d+\.\d+)'
OF_THIS_RUN = {"location", "modified", "key", "heard_at", "hearing_seconds"}


class Run:
    """Does jobs in a folder of its own, and keeps the digests of all that comes out."""

    def __init__(self, folder: Path, model_folders: list[str]) -> None:
        self._places = [(str(folder), "<folder>"), *((path, "<models>") for path in model_folders)]
        self.digests: dict[str, str] = {}
        self.texts: dict[str, str] = {}

    def keep(self, name: str, value: str | bytes) -> None:
        """Keep the digest of something; texts are made equal, and kept too if they are short."""
        if name in self.digests:
            raise ValueError(f"two results are called {name}")
        if isinstance(value, str):
            value = self._same(value)
        digest = hashlib.sha256(value.encode() if isinstance(value, str) else value).hexdigest()
        self.digests[name] = digest
        if isinstance(value, str) and len(value) <= LONGEST_TEXT:
            self.texts[digest] = value

    def oido(self, name: str, line: str, stdin: Path) -> None:
        """Run a command line, and keep its exit code, what it prints, and the files it writes."""
        out = Path("out", name)
        out.mkdir(parents=True)
        words = [word.replace("OUT", str(out)) for word in shlex.split(line)]
        done = subprocess.run(
            [sys.executable, "-m", "oido", *words],
            input=stdin.read_bytes() if "-" in words else b"",
            capture_output=True,
            check=False,
        )
        self.keep(f"{name}/exit", str(done.returncode))
        for part, printed in (("stdout", done.stdout), ("stderr", done.stderr)):
            text = self._same(printed.decode("utf-8", "backslashreplace"))
            if name.startswith("batch/"):
                text = "\n".join(sorted(x.rstrip(",") for x in text.splitlines()))
            self.keep(f"{name}/{part}", text)
        for file, value in results_in(out):
            self.keep(f"{name}/{file}", value)

    def python(self, name: str, work: Callable[[], object]) -> None:
        """Keep what a piece of Python returns, or the error that it raises."""
        try:
            value = work()
            self.keep(f"python/{name}", value if isinstance(value, bytes) else exact(value))
        except oido.OidoError as error:
            self.keep(f"python/{name}", f"{type(error).__name__}: {error}")

    def section(self, jobs: list[tuple[str, str]]) -> None:
        """Run command lines one after the other."""
        for name, line in jobs:
            self.oido(name, line, Path("clips", "street.flac"))

    def _same(self, text: str) -> str:
        for place, name in self._places:
            text = text.replace(place, name)
        for pattern, replacement in SAME:
            text = re.sub(pattern, replacement, text)
        return re.sub(SUM, lambda found: f"{found[1]}{float(found[2]):.9f}", text)


def results_in(out: Path) -> Iterator[tuple[str, str | bytes]]:
    """The files of a folder, or the tables of a results folder, and what they hold."""
    if (out / "oido-archive.json").exists():
        yield "oido-archive.json", content(out / "oido-archive.json")
        for folder in sorted({path.parent for path in out.glob("*/*.parquet")}):
            yield folder.name, table(sorted(folder.iterdir()), unordered=True)
    else:
        for path in sorted(path for path in out.rglob("*") if path.is_file()):
            yield path.relative_to(out).as_posix(), content(path)


def content(path: Path) -> str | bytes:
    """What a file holds, without what its container adds."""
    if path.suffix in {".tflite", ".onnx"}:
        return path.read_bytes()
    if path.suffix == ".parquet":
        return table([path])
    if path.suffix == ".npz":
        with np.load(path) as file:
            return exact([[name, file[name]] for name in file.files])
    return path.read_text("utf-8")


def table(parts: list[Path], *, unordered: bool = False) -> str:
    """Schema and rows of Parquet files; unordered: several workers wrote them."""
    whole = pyarrow.concat_tables([pyarrow.parquet.read_table(part) for part in parts])
    if unordered:
        whole = whole.drop_columns([c for c in whole.column_names if c in OF_THIS_RUN])
    rows = [repr(row) for row in whole.to_pylist()]
    return "\n".join([str(whole.schema), *(sorted(rows) if unordered else rows)])


def choose_clips(clips: Path) -> bool:
    """Copy the chosen files here; False: there are none but those of examples/."""
    for name in ("clips", "decode", "mini", "empty"):
        Path(name).mkdir()
    Path("thresholds.csv").write_text("label,threshold\nSpeech,0.6\nDog,0.15\nRain,0.2\n")
    shutil.copy2(ROOT / "examples" / "street.flac", "clips")
    shutil.copy2(ROOT / "examples" / "alarm.flac", "mini")
    if not (clips / "esc10").is_dir():
        shutil.copy2(ROOT / "examples" / "alarm.flac", "decode")
        return False
    shutil.copytree(clips / "decode", "decode", dirs_exist_ok=True)
    for path in sorted((clips / "decode" / "auditok").iterdir())[1::2]:
        shutil.copy2(path, "mini")
    rows = {name: rows_of(clips / name) for name in EVERY}
    for name, step in EVERY.items():
        for row in rows[name][::step]:
            copy(clips / name / row["file"], Path("clips", name, row["file"]))
        copy(clips / name / rows[name][0]["file"], Path("mini", Path(rows[name][0]["file"]).name))
    seen: Counter[str] = Counter()
    for row in rows["esc10"]:
        label, path = row["audioset_label"], clips / "esc10" / row["file"]
        seen[label] += 1
        if label in TAUGHT and seen[label] <= 12:
            copy(path, Path("heldout" if seen[label] % 3 == 0 else "lab", label, path.name))
        if label in TAUGHT and seen[label] <= 4:
            copy(path, Path("tracks", path.name))
            Path("tracks", f"{path.stem}.txt").write_text(f"0.5\t{seen[label]}.25\t{label}\n")
    return True


def rows_of(clips: Path) -> list[dict[str, str]]:
    """The rows of a set's clips.csv in the order of file names."""
    with (clips / "clips.csv").open(encoding="utf-8", newline="") as file:
        return sorted(csv.DictReader(file), key=lambda row: row["file"])


def copy(path: Path, to: Path) -> None:
    """Copy a file, its time included, into a folder that may have to be made."""
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, to)


def sections(models: dict[str, str], is_labelled: bool) -> Iterator[list[tuple[str, str]]]:
    """Names and arguments of the jobs that can be done; a section needs nothing of another one."""
    text = Path(__file__).with_name("same_outputs_jobs.txt").read_text("utf-8")
    missing = set(MODELS.values()) - set(models.values())
    for section in text.split("\n\n"):
        jobs = []
        for entry in section.splitlines():
            name, line = entry.split(maxsplit=1)
            needs_labels = LABELLED.search(line) is not None
            if name != "#" and not missing & set(line.split()) and is_labelled >= needs_labels:
                choice = models.items() if "MODEL" in name else [("", "")]
                jobs += [(name.replace("MODEL", s), line.replace("MODEL", m)) for s, m in choice]
        yield jobs


def all_jobs(clips: Path) -> dict[str, Any]:
    """Do everything; the digests, and what they are of."""
    started = time.monotonic()
    os.environ.update(COLUMNS="100", NO_COLOR="1", TZ="UTC")
    os.environ.setdefault("OIDO_MODEL_PATH", str(MODEL_FILES))
    yamnet = Path(oido.load_model(MODELS["yamnet"]).path)
    model_folders = [*os.environ["OIDO_MODEL_PATH"].split(os.pathsep), str(yamnet.parent)]
    models, limits = dict(MODELS), []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary).resolve()
        os.chdir(folder)
        os.environ["OIDO_CACHE"] = str(folder / "cache")  # empty: no run knows of an earlier one
        run = Run(folder, model_folders)
        fetching = f"models fetch {MODELS['yamnet']} --from-file {shlex.quote(str(yamnet))}"
        run.oido("models/fetch", fetching, yamnet)
        try:
            oido.load_model(MODELS["mn04"])
        except oido.ModelError as error:
            limits.append(f"no jobs with mn04 and ensemble: {error}")
            models = {"yamnet": MODELS["yamnet"]}
        is_labelled = choose_clips(clips)
        if not is_labelled:
            limits.append("no clips but those of examples/: none is odd or damaged, no training")
        with ThreadPoolExecutor(2) as pool:  # half of a job's time is its start, on one core
            list(pool.map(run.section, sections(models, is_labelled)))
        for name, work in chain(public_jobs(models), training_jobs() if is_labelled else ()):
            run.python(name, work)
        os.chdir(ROOT)
    for limit in limits:
        print(f"limited: {limit}", file=sys.stderr)
    packages = ("numpy", "ai-edge-litert", "soxr", "soundfile", "av", "scikit-learn", "onnx")
    return {
        "packages": {name: metadata.version(name) for name in packages},
        "limits": limits,
        "seconds": round(time.monotonic() - started),
        "digests": dict(sorted(run.digests.items())),
        "texts": run.texts,
    }


def compare(before: dict[str, Any], after: dict[str, Any]) -> int:
    """Print a table, and what differs. 0: nothing does."""
    old, new = before["digests"], after["digests"]
    texts = before["texts"] | after["texts"]
    names = sorted(old.keys() | new.keys())
    different = [name for name in names if old.get(name) != new.get(name)]
    print("| jobs | digests | changed | only before | only after |\n|---|---:|---:|---:|---:|")
    for group in sorted({name.split("/")[0] for name in names}):
        of_group = [name for name in names if name.split("/")[0] == group]
        lost, added = (sum(name not in side for name in of_group) for side in (new, old))
        changed = sum(name in different for name in of_group) - lost - added
        print(f"| {group} | {len(of_group)} | {changed} | {lost} | {added} |")
    for key in ("packages", "limits"):
        if before[key] != after[key]:
            print(f"\n{key}, before and after:\n{before[key]}\n{after[key]}")
    for name in different:
        print(f"\n{name}: {'changed' if name in old and name in new else 'in one run only'}")
        pair = [texts.get(side.get(name)) for side in (old, new)]
        if None not in pair:
            old_lines, new_lines = (text.splitlines() for text in pair if text is not None)
            lines = difflib.unified_diff(old_lines, new_lines, lineterm="", n=0)
            print("\n".join(f"    {line[:300]}" for line in list(lines)[2:14]))
    print(f"\n{len(names) - len(different)} of {len(names)} digests are the same.")
    return 1 if different or not names else 0


def main() -> int:
    """Run, or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest="action", required=True)
    running = actions.add_parser("run", help="do all jobs, and write their digests")
    running.add_argument("-o", "--output", type=Path, required=True)
    running.add_argument("--clips", type=Path, default=CLIPS, help="default: ../shared/audio")
    comparing = actions.add_parser("compare", help="print what differs between two runs")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    args = parser.parse_args()
    if args.action == "compare":
        return compare(*(json.loads(path.read_text("utf-8")) for path in (args.before, args.after)))
    output = args.output.resolve()
    made = all_jobs(args.clips.resolve())
    output.write_text(json.dumps(made, ensure_ascii=False, indent=1), encoding="utf-8")
    print(f"{output}: {len(made['digests'])} digests in {made['seconds']} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
