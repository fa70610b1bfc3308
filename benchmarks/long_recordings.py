# SPDX-License-Identifier: Apache-2.0
"""Weak labels, regions, or every window: what minutes are worth by how they were labelled.

    python benchmarks/long_recordings.py                 YAMNet
    python benchmarks/long_recordings.py --model efficientat/mn04

Scenes of a minute, made of clips of ../shared/audio/esc10: three sounds of different classes at
places that are drawn, in front of rain or sea of the same folds, 25 dB below. What is taught comes
of folds 1 to 3, what is judged of folds 4 and 5. The same scenes are taught with labels without
times (weak), with the same labels learnt from all windows, and with regions. Events are judged by
../shared/tools/make_scenes.py (collars), by whether a class is in each second, and with
`--events-too` by `oido.evaluation.event_metrics` (oido[evaluate]).
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import math
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

import oido

SHARED = Path(__file__).resolve().parents[1].parent / "shared"
RATE_HZ, SECONDS = 16_000, 60
BEHIND = ("Rain", "Sea waves")
Event = tuple[float, float, str]


def tools() -> Any:
    spec = importlib.util.spec_from_file_location("scenes", SHARED / "tools" / "make_scenes.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def load(path: Path) -> np.ndarray:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return soxr.resample(samples.mean(axis=1), rate, RATE_HZ).astype(np.float32)


class Scenes:
    """Scenes of some folds, written to a folder, and the events of each."""

    def __init__(self, folder: Path, folds: tuple[str, ...], count: int, seed: int) -> None:
        self._parts, self._dice = tools().parts, np.random.default_rng(seed)
        with open(SHARED / "audio" / "esc10" / "clips.csv", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["fold"] in folds]
        root = SHARED / "audio" / "esc10"
        self._behind = [root / r["file"] for r in rows if r["label"] in BEHIND]
        self._clips: dict[str, list[Path]] = {}
        for row in rows:
            if row["label"] not in BEHIND:
                self._clips.setdefault(row["label"], []).append(root / row["file"])
        folder.mkdir(parents=True)
        self.folder, self.events = folder, {}
        for number in range(count):
            name = f"scene{number:03}.flac"
            sound, self.events[name] = self._scene()
            soundfile.write(folder / name, sound, RATE_HZ)

    def _scene(self) -> tuple[np.ndarray, list[Event]]:
        dice, scene, events = self._dice, np.zeros(SECONDS * RATE_HZ, np.float32), []
        places = np.sort(dice.choice(np.arange(1, SECONDS - 6, 6), 3, replace=False))
        for place, label in zip(places, dice.permutation(sorted(self._clips))):
            sound = load(self._clips[label][dice.integers(len(self._clips[label]))])
            spans = self._parts(sound)
            if not spans:
                continue
            sound = sound[int(spans[0][0] * RATE_HZ) : int(spans[-1][1] * RATE_HZ)][: 5 * RATE_HZ]
            sound *= 10 ** (dice.uniform(-12, -3) / 20) / (np.abs(sound).max() + 1e-9)
            start = float(place) + dice.uniform(0, 1)
            first = int(start * RATE_HZ)
            scene[first : first + len(sound)] += sound
            events += [(start + a, start + b, str(label)) for a, b in self._parts(sound)]
        behind = [load(self._behind[k]) for k in dice.integers(len(self._behind), size=14)]
        noise = np.resize(np.concatenate(behind), len(scene))
        level = np.sqrt((scene[scene != 0] ** 2).mean()) * 10 ** (-25 / 20)
        return np.clip(scene + noise * level / np.sqrt((noise**2).mean()), -1, 1), events

    def table(self, *, regions: bool) -> Path:
        rows = ["file,start_time,end_time,label"]
        for name, events in self.events.items():
            if regions:
                rows += [f"{name},{start:.3f},{end:.3f},{label}" for start, end, label in events]
            else:
                rows += sorted({f"{name},,,{label}" for _, _, label in events})
        path = self.folder / ("regions.csv" if regions else "weak.csv")
        path.write_text("\n".join(rows), encoding="utf-8")
        return path


def seconds_of(events: list[Event], labels: list[str]) -> np.ndarray:
    """bool[seconds, labels]"""
    found = np.zeros((SECONDS, len(labels)), bool)
    for start, end, label in events:
        found[int(start) : math.ceil(end), labels.index(label)] = True
    return found


def judged(model: Path, test: Scenes) -> str:
    classifier, judge = oido.AudioClassifier(model), tools().judge
    labels = sorted({event[2] for events in test.events.values() for event in events})
    found, truth, false, hits, wrong, missed = [], [], 0, 0, 0, 0
    for name, events in test.events.items():
        result = classifier.classify(test.folder / name)
        rows = [(e.start_time, e.end_time, e.label) for e in result.events() if e.label in labels]
        found.append(rows)
        truth.append(events)
        overlaps = [any(a < e and s < b and x == y for s, e, y in events) for a, b, x in rows]
        false += overlaps.count(False)
        heard, true = seconds_of(rows, labels), seconds_of(events, labels)
        hits, wrong = hits + int((heard & true).sum()), wrong + int((heard & ~true).sum())
        missed += int((~heard & true).sum())
    collars = " ".join(f"{judge(found, truth, c)[0]:6.3f}" for c in (0.25, 0.5, 1.0))
    hours = len(truth) * SECONDS / 3600
    return f"{collars}  {2 * hits / max(1, 2 * hits + wrong + missed):9.3f}  {false / hours:11.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="yamnet/classification")
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events-too", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        known = Scenes(Path(scratch, "known"), ("1", "2", "3"), args.scenes, args.seed)
        test = Scenes(Path(scratch, "test"), ("4", "5"), args.scenes, args.seed + 1000)
        print(f"{args.model}, {args.scenes} scenes of a minute to learn from, as many to judge by")
        print(f"{'':28} F1 .25    .5    1.0  by second  false events/h  seconds to learn")
        weak, regions = known.table(regions=False), known.table(regions=True)
        ways: list[tuple[str, oido.Dataset, float]] = [
            ("labels, from all windows", oido.Dataset.load(weak), math.inf),
            ("labels, windows chosen", oido.Dataset.load(weak), 30.0),
            ("regions", oido.Dataset.from_table(regions), 30.0),
            (
                "regions, background between",
                oido.Dataset.from_table(regions, background_from_gaps=True),
                30.0,
            ),
        ]
        for name, data, weak_from in ways:
            started = time.process_time()
            result = oido.train(data, model=args.model, weak_from=weak_from)
            seconds = time.process_time() - started
            path = Path(scratch, "taught.tflite")
            result.export(path)
            print(f"{name:28} {judged(path, test)}  {seconds:16.0f}", flush=True)
            if args.events_too:
                from oido.evaluation.event_metrics import judge_events

                print(judge_events(path, oido.Dataset.load(test.table(regions=True))))


if __name__ == "__main__":
    main()
