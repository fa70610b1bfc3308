# SPDX-License-Identifier: Apache-2.0
"""Every figure that the docs quote about speed and memory, measured here, in one run.

    python benchmarks/run.py                             all parts, some five minutes
    python benchmarks/run.py --only formats,cold         parts of it
    python benchmarks/run.py --against OLD/bin/python    this oido beside another environment's

Parts: formats (windows/s of each format, one core and all, beside the ceiling of the same repeat),
stages (where a window's time goes), peers (MediaPipe and the Task Library on the same sound, core
for core, where `peers/make_envs.py` has made their environments), models (mn04 and the ensemble),
cold (whole commands over a clip of 10 s) and memory.

One table goes to standard output, every figure as JSON to --json. Ratios are taken within each
repeat, what is compared one after the other, and their medians are shown. The load of the machine
is looked at first, and during each measurement: figures by the clock are marked ~ where others
used more than 5 % of the cores that it ran on; shares by processor time suffer less. Linux only.
"""

from __future__ import annotations

import argparse
import compileall
import json
import math
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "peers"))

import against
from corpus import ROOT, Corpus, make_corpus
from machine import QUIET_SHARE, processor, processor_text, watch
from make_envs import ENVS, ready
from processes import oido_command, peak_rss_mb
from run_peers import SCRIPTS, Case, measure
from stages import STAGES, pinned_stages
from throughput import pinned

from oido._version import __version__
from oido.errors import OidoError
from oido.models import fetch
from oido.models.loading import load_model
from oido.models.registry import DEFAULT_MODEL, ENSEMBLE, card

PARTS = ("formats", "stages", "peers", "models", "cold", "memory")
FORMATS = {
    "wav16": "16 kHz mono WAV",
    "flac44": "44.1 kHz stereo FLAC",
    "mp3": "44.1 kHz stereo MP3",
    "m4a": "44.1 kHz stereo m4a (AAC)",
}
LONG = "16 kHz mono WAV, one file of 20 min"
MODELS = ("efficientat/mn04", ENSEMBLE)
OF_PEERS = {"mediapipe": ("wav16", "flac44"), "tflite-support": ("wav16",)}
PEERS = {"mediapipe": "MediaPipe", "tflite-support": "Task Library"}
FILES = 16
PEER_REPEATS = 5

Row = dict[str, Any]


def main() -> int:
    """Measure and print."""
    arguments = _arguments()
    os.environ["OIDO_MODEL_PATH"] = os.pathsep.join(
        filter(None, [os.environ.get("OIDO_MODEL_PATH"), str(ROOT.parent / "shared" / "models")])
    )
    corpus = make_corpus(arguments.cache / "audio", arguments.clips, (10, 20))
    # As an installed package would be; some environments forbid Python to write bytecode.
    compileall.compile_dir(str(ROOT / "src"), quiet=2)
    cores = sorted(os.sched_getaffinity(0))
    with watch(cores) as before:
        time.sleep(2.0)
    _say(f"others use {before.others:.0%} of the machine before the first measurement")
    report: dict[str, Any] = {
        "oido": __version__,
        "processor": processor(),
        "python": platform.python_version(),
        "sound": corpus.source,
        "others_before": before.others,
    }
    started = time.perf_counter()
    if arguments.against is not None:
        pairs = against.cases(corpus, arguments.clips, arguments.only)
        report["against"] = against.compared(arguments.against, pairs, arguments.repeats)
        text = against.table(report["against"])
    else:
        report |= _measured(corpus, arguments, cores)
        text = _table(report["rows"]) + _memory_table(report.get("memory_mb", {}))
    report["seconds"] = time.perf_counter() - started
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(report, indent=1) + "\n")
    print(_heading(report), text, sep="\n\n")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    envs = Path(os.environ.get("OIDO_TEST_PEERS") or ROOT / ".bench")
    parser.add_argument("--only", help=f"parts, by commas: {', '.join(PARTS)}")
    parser.add_argument("--repeats", type=int, help="default 3, of --against 7")
    parser.add_argument("--against", metavar="PYTHON", help="another environment, by its python")
    parser.add_argument("--cache", type=Path, default=ROOT / ".bench", help="recordings")
    parser.add_argument("--peers", type=Path, default=envs, help="their environments")
    parser.add_argument("--clips", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--json", type=Path, default=ROOT / ".bench" / "benchmark.json")
    arguments = parser.parse_args()
    known = PARTS if arguments.against is None else against.CASES
    arguments.only = tuple(arguments.only.split(",")) if arguments.only else known
    if wrong := [name for name in arguments.only if name not in known]:
        parser.error(f"there is no {wrong[0]!r} here, only {', '.join(known)}")
    arguments.repeats = arguments.repeats or (3 if arguments.against is None else 7)
    return arguments


def _measured(corpus: Corpus, arguments: argparse.Namespace, cores: list[int]) -> dict[str, Any]:
    parts, repeats = arguments.only, arguments.repeats
    peers = _peers(arguments.peers) if {"peers", "cold"} & set(parts) else {}
    rows = _format_rows(corpus, parts, peers, cores)
    if "models" in parts:
        rows += [_row(name, name, [corpus.minute["flac44"]] * 4, cores[:1]) for name in _models()]
    model = fetch.fetch(card(DEFAULT_MODEL))
    for repeat in range(repeats):
        ceilings: dict[tuple[str, int], Row] = {}
        for row in rows:
            _say(f"repeat {repeat + 1}: {row['input']}, {len(row['cores'])} core(s)")
            with watch(row["cores"]) as others:
                _measure(row, ceilings)
                if "peers" in parts and row["key"]:
                    _measure_peers(row, peers, model)
            row["others"].append(others.others)
    if "stages" in parts or "models" in parts:
        for row in rows:
            wanted = "stages" in parts or row["model"] != DEFAULT_MODEL
            if wanted and len(row["cores"]) == 1:
                _say(f"stages: {row['input']}")
                row["stages"] = pinned_stages(cores[0], row["model"], row["paths"][0])
    if "cold" in parts:
        rows.append(_cold(corpus.clip_10s, peers, model, cores, 2 * repeats + 1))
    measured: dict[str, Any] = {"rows": rows}
    if "memory" in parts:
        measured["memory_mb"] = _memory(corpus)
    for row in rows:
        row["paths"] = [str(path) for path in row["paths"][:1]]
    return measured


def _format_rows(
    corpus: Corpus, parts: tuple[str, ...], peers: dict[str, str], cores: list[int]
) -> list[Row]:
    """Of one core and of all; only what is needed for the parts."""
    if not {"formats", "stages", "peers"} & set(parts):
        return []
    all_formats = {"formats", "stages"} & set(parts)
    keys = [k for k in FORMATS if all_formats or any(k in OF_PEERS[peer] for peer in peers)]
    rows: list[Row] = []
    uses = [cores[:1]]
    if len(cores) > 1 and {"formats", "peers"} & set(parts):
        uses.append(cores)
    for used in uses:
        for key in keys:
            paths = [corpus.minute[key]] * (FILES * len(used))
            rows.append(_row(FORMATS[key], DEFAULT_MODEL, paths, used, key))
        if "formats" in parts:
            rows.append(_row(LONG, DEFAULT_MODEL, [corpus.long[20]], used))
    return rows


def _row(name: str, model: str, paths: list[Path], used: list[int], key: str = "") -> Row:
    runs: Row = {which: [] for which in ("oido", "oido_cpu_us", "ceiling", "ceiling_cpu_us")}
    row = {"input": name, "model": model, "cores": used, "paths": paths, "key": key}
    return {**row, **runs, "others": [], "peers": {}, "stages": {}}


def _models() -> list[str]:
    found = []
    for name in MODELS:
        try:
            load_model(name)
        except OidoError as error:
            _say(f"{name} is left out: {str(error).splitlines()[0]}")
        else:
            found.append(name)
    return found


def _measure(row: Row, ceilings: dict[tuple[str, int], Row]) -> None:
    """One repeat: the bare network, if this repeat has not run it yet, and oido."""
    cores, model = row["cores"], row["model"]
    if model != ENSEMBLE:
        if (model, len(cores)) not in ceilings:
            ceilings[model, len(cores)] = pinned(cores, "ceiling", len(cores), model)
        bare = ceilings[model, len(cores)]
        row["ceiling"].append(bare["windows_per_second"])
        row["ceiling_cpu_us"].append(bare["cpu_us"])
    own = pinned(cores, "classify", len(cores), model, *row["paths"])
    row["oido"].append(own["windows_per_second"])
    row["oido_cpu_us"].append(own["cpu_us"])


def _measure_peers(row: Row, peers: dict[str, str], model: Path) -> None:
    n = len(row["cores"])
    for peer, python in peers.items():
        if row["key"] in OF_PEERS[peer]:
            case = Case(peer, row["paths"][0], cores=n, processes=n)
            speed = measure(case, python, model, PEER_REPEATS)["windows_per_second"]
            row["peers"].setdefault(peer, []).append(speed)


def _peers(folder: Path) -> dict[str, str]:
    """The interpreters of those that are here."""
    found = {}
    for env in ENVS:
        facts = ready(env, folder / env.name)
        if facts is None:
            _say(f"{env.name} is not in {folder}: python benchmarks/peers/make_envs.py makes it")
        else:
            found[env.name] = facts["python"]
    return found


def _cold(clip: Path, peers: dict[str, str], model: Path, cores: list[int], repeats: int) -> Row:
    """Wall time of whole processes over a clip of 10 s, in turn, after a run that warms up."""
    scripts = Path(__file__).parent / "peers"
    commands = {"oido": oido_command("classify", clip)}
    for peer, python in peers.items():
        script = str(scripts / SCRIPTS[peer])
        commands[peer] = [python, script, "--cold", "--model", str(model), str(clip)]
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    row = _row("start to end, clip of 10 s (s)", DEFAULT_MODEL, [clip], cores)
    for repeat in range(repeats + 1):
        with watch(cores) as others:
            for name, command in commands.items():
                started = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True)
                if repeat:
                    seconds[name].append(time.perf_counter() - started)
        row["others"].append(others.others)
    row["oido"] = seconds.pop("oido")
    return {**row, "peers": seconds, "is_cold": True}


def _memory(corpus: Corpus) -> dict[str, float]:
    """Peak memory of the worker for short and long recordings, MB."""
    peaks = {}
    for minutes, path in corpus.long.items():
        for level in ("--events", "--windows"):
            _say(f"memory: {minutes} min, {level}")
            peaks[f"{minutes} min {level}"] = peak_rss_mb(path, level)
    return peaks


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _heading(report: dict[str, Any]) -> str:
    quiet = report["others_before"] <= QUIET_SHARE
    state = "quiet" if quiet else "NOT QUIET, figures by the clock are not to be quoted"
    return (
        f"oido {report['oido']}, Python {report['python']}; "
        f"{processor_text(report['processor'])}; sound: {report['sound']}; others used "
        f"{report['others_before']:.0%} of the cores before it began: {state}; "
        f"{report['seconds'] / 60:.1f} min"
    )


def _table(rows: list[Row]) -> str:
    """One row an input: speeds, shares, peers, and the stages of a window in µs."""
    columns = ("windows/s", "ceiling", "share", "by CPU", "× 1 core")
    heads = ["input", "cores", *columns]
    for name in PEERS.values():
        heads += [name, "oido ×"]
    heads += [*STAGES, "rest", "µs a window"]
    lines = ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)]
    alone = {row["input"]: row["oido"] for row in rows if len(row["cores"]) == 1}
    for row in rows:
        cells = [row["input"], str(len(row["cores"])), *_speeds(row, alone.get(row["input"]))]
        for peer in PEERS:
            cells += _beside(row, row["peers"].get(peer, []))
        lines.append("| " + " | ".join([*cells, *_stage_cells(row)]) + " |")
    return "\n".join(lines)


def _speeds(row: Row, alone: list[float] | None) -> list[str]:
    share = _ratio(row["oido"], row["ceiling"])
    by_cpu = _ratio(row["ceiling_cpu_us"], row["oido_cpu_us"])
    times = math.nan
    if alone and len(row["cores"]) > 1 and not row.get("is_cold"):
        times = _ratio(row["oido"], alone)
    mark, own = _mark(row), _median(row["oido"])
    digits = 2 if row.get("is_cold") else 1 if own < 100 else 0
    cells = [_cell(own, digits, mark), _cell(_median(row["ceiling"]), digits, mark)]
    cells += [_cell(share, 2, mark), _cell(by_cpu, 2), _cell(times, 2, mark)]
    return cells


def _beside(row: Row, peer: list[float]) -> list[str]:
    """A peer's figure, and how many times oido is as quick."""
    if not peer:
        return ["", ""]
    mark, is_cold = _mark(row), row.get("is_cold")
    times = _ratio(peer, row["oido"]) if is_cold else _ratio(row["oido"], peer)
    return [_cell(median(peer), 2 if is_cold else 0, mark), _cell(times, 2, mark)]


def _stage_cells(row: Row) -> list[str]:
    whole = _median(row["oido_cpu_us"])
    values = [row["stages"].get(name, math.nan) for name in STAGES]
    rest = whole - sum(values) if len(row["cores"]) == 1 else math.nan
    return [_cell(value, 0) for value in (*values, rest, whole)]


def _mark(row: Row) -> str:
    return "" if _median(row["others"]) <= QUIET_SHARE else "~"


def _median(values: list[float]) -> float:
    return median(values) if values else math.nan


def _ratio(values: list[float], others: list[float]) -> float:
    """The median of the repeats' ratios; NaN without any."""
    return _median([a / b for a, b in zip(values, others)])


def _cell(value: float, digits: int, mark: str = "") -> str:
    return "" if math.isnan(value) else f"{mark}{value:.{digits}f}"


def _memory_table(peaks: dict[str, float]) -> str:
    if not peaks:
        return ""
    lines = ["", "", "| peak memory of a worker | MB |", "|---|---:|"]
    return "\n".join(lines + [f"| {name} | {peak:.0f} |" for name, peak in peaks.items()])


if __name__ == "__main__":
    sys.exit(main())
