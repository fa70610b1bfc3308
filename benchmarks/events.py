# SPDX-License-Identifier: Apache-2.0
"""How good the list of events is: scenes of known content, judged at several collars.

    python benchmarks/events.py                      YAMNet and the ensemble, at their defaults
    python benchmarks/events.py --models ensemble --thresholds 0.1,0.2,0.3 --half tune

Scenes are made by ../shared/tools/make_scenes.py from ../shared/audio, whose judge is used: a found
event is right if a true one of its class starts within the collar and ends within it, or within
half of its length. The clips stand in two halves by their source recordings (esc10 by its folds):
"tune" is for choosing, "held-out" for reporting; no recording is in both. rows: of the list for
each true sound, whatever their labels. "windows from 0.3 on" are what windows alone would say;
MediaPipe's own are judged so, too, where `python benchmarks/peers/make_envs.py` made it ready. With
sed_scores_eval installed (oido[evaluate]), PSDS1 and PSDS2 of the framewise scores are told, too.
Scenes are kept below .bench/.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

import oido

try:
    import pandas
    import sed_scores_eval
except ImportError:
    sed_scores_eval = None

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
MAKER = SHARED / "tools" / "make_scenes.py"
SETS = ("esc10", "everyday")
HALVES = ("tune", "held-out")
COLLARS = (0.1, 0.25, 0.5, 1.0)
MEDIAPIPE = ROOT / ".bench" / "mediapipe" / "bin" / "python"
"""As benchmarks/peers/make_envs.py makes it."""


def is_held_out(name: str, row: dict[str, str]) -> bool:
    """esc10 by fold, other sets by the source recording."""
    if name == "esc10":
        return int(row["fold"]) > 3
    return hashlib.sha256(row["group"].encode()).digest()[0] % 2 == 1


def half_of_clips(half: str) -> Path:
    """A folder like ../shared/audio with half of the clips of each set."""
    folder = ROOT / ".bench" / "event-scenes" / f"clips-{half}"
    for name in SETS:
        source = SHARED / "audio" / name
        (folder / name).mkdir(parents=True, exist_ok=True)
        for entry in source.iterdir():
            link = folder / name / entry.name
            if entry.is_dir() and not link.is_symlink():
                link.symlink_to(entry)
        with open(source / "clips.csv", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        chosen = [row for row in rows if is_held_out(name, row) == (half == "held-out")]
        with open(folder / name / "clips.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(chosen)
    return folder


def make_scenes(half: str, sets: str, seed: int, count: int) -> Path:
    """The folder of such scenes, made once."""
    folder = ROOT / ".bench" / "event-scenes" / f"{half}-{sets.replace(',', '+')}-{seed}-{count}"
    if not (folder / "truth.json").exists():
        options = ["--seed", str(seed), "--scenes", str(count), "--sets", sets]
        command = [sys.executable, str(MAKER), str(half_of_clips(half)), str(folder), *options]
        subprocess.run(command, check=True)
    return folder


def judge_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_scenes", MAKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Windows:
    """times: f64[windows, 2] in s; scores: f32[windows, labels]; duration in s."""

    times: NDArray[np.float64]
    scores: NDArray[np.float32]
    labels: Sequence[str]
    duration: float


def mediapipe_windows(recordings: list[Path], durations: list[float]) -> list[Windows]:
    """MediaPipe's windows of these recordings; without it in .bench/, none."""
    if not MEDIAPIPE.exists():
        return []
    model = oido.AudioClassifier().model
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "windows.npz"
        script = ROOT / "benchmarks" / "peers" / "mediapipe_windows.py"
        command = [str(part) for part in (MEDIAPIPE, script, model.path, out, *recordings)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        arrays = dict(np.load(out))
    rows = []
    for number, duration in enumerate(durations):
        starts = arrays[f"times_{number}"]
        times = np.stack([starts, starts + 0.975], axis=1)
        labels = arrays["labels"].tolist()
        rows.append(Windows(times, arrays[f"scores_{number}"], labels, duration))
    return rows


def window_events(result: Windows | oido.ClassificationResult) -> list[tuple[float, float, str]]:
    """What windows alone would say: runs of windows from 0.15 on that reach 0.3, each window for
    the hop around its centre, every label by itself."""
    times, rows = result.times, []
    centres = times.mean(axis=1)
    half = (centres[1] - centres[0]) / 2
    for column in np.flatnonzero(result.scores.max(axis=0) >= 0.3):
        active = np.concatenate([[0], result.scores[:, column] >= 0.15, [0]]).astype(int)
        edges = np.flatnonzero(np.diff(active))
        for first, end in zip(edges[::2], edges[1::2]):
            if result.scores[first:end, column].max() >= 0.3:
                start = 0.0 if first == 0 else float(centres[first] - half)
                stop = min(float(centres[end - 1] + half), result.duration)
                rows.append((start, stop, result.labels[column]))
    return rows


def print_psds(name: str, results: list[Any], truth: dict[str, Any]) -> None:
    """PSDS1 and PSDS2 of the framewise scores, each class by the highest of its labels."""
    classes = sorted({label for scene in truth["scenes"] for _, _, label in scene["events"]})
    tables, true, durations = {}, {}, {}
    for number, (result, scene) in enumerate(zip(results, truth["scenes"])):
        columns = [[result.labels.index(label) for label in truth["accept"][c]] for c in classes]
        values = np.stack([result.framewise_scores[:, c].max(axis=1) for c in columns], axis=1)
        frame = pandas.DataFrame(result.frame_times, columns=["onset", "offset"])
        tables[str(number)] = pandas.concat(
            [frame, pandas.DataFrame(values, columns=classes)], axis=1
        )
        true[str(number)] = [tuple(event) for event in scene["events"]]
        durations[str(number)] = result.duration
    kinds = (("PSDS1", 0.7, 0.7, None, 0.0, 1.0), ("PSDS2", 0.1, 0.1, 0.3, 0.5, 1.0))
    found = []
    for title, dtc, gtc, cttc, ct, st in kinds:
        value = sed_scores_eval.intersection_based.psds(
            scores=tables,
            ground_truth=true,
            audio_durations=durations,
            dtc_threshold=dtc,
            gtc_threshold=gtc,
            cttc_threshold=cttc,
            alpha_ct=ct,
            alpha_st=st,
            max_efpr=100.0,
        )[0]
        found.append(f"{title} {value:.3f}")
    print(f"{name:<44}{'  '.join(found)}")


def print_row(name: str, found: list[Any], truth: dict[str, Any], judge: ModuleType) -> None:
    accept = {label: set(labels) for label, labels in truth["accept"].items()}
    true = [[tuple(event) for event in scene["events"]] for scene in truth["scenes"]]
    classes = [judge.to_classes(rows, accept) for rows in found]
    scores = [judge.judge(classes, true, collar)[0] for collar in COLLARS]
    per_sound = sum(map(len, found)) / sum(map(len, true))
    print(f"{name:<44}" + "".join(f"{score:>8.3f}" for score in scores) + f"{per_sound:>8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--models", default="yamnet/classification,ensemble")
    parser.add_argument("--thresholds", default="", help="common ones beside each model's defaults")
    parser.add_argument("--hops", default="0.48")
    parser.add_argument("--half", choices=HALVES, default="held-out")
    parser.add_argument("--seeds", default="1,2")
    parser.add_argument("--scenes", type=int, default=40)
    args = parser.parse_args()
    if not MAKER.exists():
        parser.exit(2, f"{MAKER} is not here, so there are no scenes to judge\n")
    judge = judge_module()
    thresholds = [None, *(float(t) for t in args.thresholds.split(",") if t)]
    for sets in (",".join(SETS), SETS[0]):
        for seed in map(int, args.seeds.split(",")):
            folder = make_scenes(args.half, sets, seed, args.scenes)
            truth = json.loads((folder / "truth.json").read_text("utf-8"))
            title = f"{sets}, {args.half}, seed {seed}: F1 at a collar of"
            print(f"\n{title:<44}" + "".join(f"{c:>6} s" for c in COLLARS) + "    rows")
            files = [folder / scene["file"] for scene in truth["scenes"]]
            peer = mediapipe_windows(files, [soundfile.info(file).duration for file in files])
            if peer:
                found = [window_events(windows) for windows in peer]
                print_row("MediaPipe, windows from 0.3 on", found, truth, judge)
            for model in args.models.split(","):
                for hop in map(float, args.hops.split(",")):
                    classifier = oido.AudioClassifier(model, hop=hop)
                    results = [classifier.classify(file) for file in files]
                    windows = [window_events(result) for result in results]
                    print_row(f"{model}, hop {hop:g}, windows from 0.3 on", windows, truth, judge)
                    for threshold in thresholds:
                        events = [result.events(threshold) for result in results]
                        found = [[(e.start_time, e.end_time, e.label) for e in es] for es in events]
                        limit = "default" if threshold is None else f"{threshold:g}"
                        print_row(f"{model}, hop {hop:g}, threshold {limit}", found, truth, judge)
                    if sed_scores_eval is not None:
                        print_psds(f"{model}, hop {hop:g}, frames", results, truth)


if __name__ == "__main__":
    main()
