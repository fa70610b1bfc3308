# SPDX-License-Identifier: Apache-2.0
"""What a calibration is worth: YAMNet as it is on real clips, before and after.

    python benchmarks/calibration.py [--audio ../shared/audio] [--only sets|bounds|speed]

Prints Markdown tables. Sets: calibration error and Brier score of raw scores and of probabilities
on held-out recordings, the least Brier score that any calibration could reach, and what thresholds
for a precision of 0.9 do there. Bounds: how often the
rate of a guarantee is exceeded, over 200 draws of recordings. Speed: 521 classes by 2,000 clips.
Scores are kept under .bench/.
"""

from __future__ import annotations

import argparse
import csv
import pickle
import sys
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

import oido
from oido.calibration.data import LabelledScores, fit, hold_out, score_clips
from oido.calibration.report import report_of
from oido.calibration.risk_control import Guarantee, guaranteed_thresholds
from oido.calibration.thresholds import ThresholdTarget
from oido.datasets.clip import Clip
from oido.events.calibration import Calibrator

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".bench" / "calibration"
SETS = ("esc10", "everyday", "three-events")
SEEDS = 5
DRAWS = 200
GUARANTEES = (
    Guarantee("fnr", 0.2, 0.9),
    Guarantee("fnr", 0.25, 0.8),
    Guarantee("false-alarms", 0.05, 0.9),
    Guarantee("false-alarms", 0.02, 0.9),
)


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--only", choices=("sets", "bounds", "speed"))
    arguments = parser.parse_args()
    if arguments.only in (None, "sets"):
        print("| clips | classes | recordings | ECE, all classes | ECE, best class | Brier | "
              "least | precision for 0.9 | recall |")  # fmt: skip
        print("|---|---:|---:|---|---|---|---:|---|---:|")
        for names in (*((name,) for name in SETS), SETS):
            judge(" + ".join(names), labelled(arguments.audio, names))
    if arguments.only in (None, "bounds"):
        esc10 = labelled(arguments.audio, ("esc10",))
        print("\n| guarantee (ESC-10) | judged by | classes | draws | mean rate | exceeded in | "
              "worst class | allowed |")  # fmt: skip
        print("|---|---|---:|---:|---:|---:|---:|---:|")
        for guarantee in GUARANTEES:
            urn(guarantee, esc10)
            splits(guarantee, esc10)
    if arguments.only in (None, "speed"):
        print("\n| 521 classes × 2,000 clips | seconds |\n|---|---:|")
        for aim in ("f1", "precision=0.9", "false-alarms-per-hour=1"):
            print(f"| {aim} | {speed(ThresholdTarget.parse(aim)):.1f} |", flush=True)
    return 0


def labelled(audio: Path, names: tuple[str, ...]) -> LabelledScores:
    """YAMNet's scores for these sets; what a label may also be called is not known of its clips."""
    kept = CACHE / f"{'-'.join(names)}.pickle"
    if kept.is_file():
        found: LabelledScores = pickle.loads(kept.read_bytes())
        return found
    rows = []
    for name in names:
        with (audio / name / "clips.csv").open(encoding="utf-8") as file:
            rows += [(name, row) for row in csv.DictReader(file)]
    classes = {row["audioset_label"] for _, row in rows}
    clips = []
    for name, row in rows:
        label = row["audioset_label"]
        also = classes & set(row["audioset_also"].split("|")) - {label}
        clips.append(
            Clip(
                str(audio / name / row["file"]),
                (label,),
                tuple(classes - also - {label}) if also else (),
                group=f"{name}/{row['group']}",
                complete=not also,
            )
        )
    model = oido.load_model("yamnet/classification")
    scores = score_clips(model, oido.Dataset.from_clips(clips))[0]
    CACHE.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(pickle.dumps(scores))
    return scores


def judge(name: str, scores: LabelledScores) -> None:
    """A row: means over differently drawn folds; the interval of precision is the first one's."""
    aim, size = (
        ThresholdTarget("precision", 0.9),
        len(oido.load_model("yamnet/classification").labels),
    )
    fitted = fit(scores, size, aim)
    reports = [
        report_of(scores, fitted, hold_out(scores, size, aim, seed), aim) for seed in range(SEEDS)
    ]
    pairs = []
    for before, after in (
        (lambda r: r.before.ece, lambda r: r.after.ece),
        (lambda r: r.named_before.ece, lambda r: r.named_after.ece),
        (lambda r: r.before.brier.value, lambda r: r.after.brier.value),
    ):
        raw = float(np.mean([before(r) for r in reports]))
        new = float(np.mean([after(r) for r in reports]))
        pairs.append(f"{raw:.4f} → {new:.4f} ({new / raw:.2f})")
    precision, recall = reports[0].overall.precision, reports[0].overall.recall
    print(
        f"| {name} ({len(scores)}) | {len(scores.classes)} | {len(np.unique(scores.groups))} | "
        f"{' | '.join(pairs)} | {least_brier(scores):.4f} | "
        f"{precision.value:.3f} [{precision.low:.2f}, {precision.high:.2f}] | {recall.value:.3f} |",
        flush=True,
    )


def least_brier(scores: LabelledScores) -> float:
    """What no calibration can go below: each class's best rising map, fitted to what it is judged
    on."""
    errors, count = 0.0, 0
    for values, truth in zip(scores.scores.T, scores.targets.T):
        known = ~np.isnan(truth)
        said = IsotonicRegression().fit_transform(values[known], truth[known])
        errors, count = errors + float(((said - truth[known]) ** 2).sum()), count + int(known.sum())
    return errors / count


def urn(guarantee: Guarantee, scores: LabelledScores) -> None:
    """As many recordings drawn, with replacement, as there are; so the true rate is known."""
    dice = np.random.default_rng(0)
    rates: defaultdict[str, list[float]] = defaultdict(list)
    wanted = 1.0 if guarantee.kind == "fnr" else 0.0
    for number, name in enumerate(scores.classes):
        chosen = np.flatnonzero(scores.targets[:, number] == wanted)
        values, groups = scores.scores[chosen, number], scores.groups[chosen]
        sources = np.unique(groups)
        if len(sources) < guarantee.least_recordings:
            continue
        of_source = {source: values[groups == source] for source in sources.tolist()}
        for _ in range(DRAWS):
            drawn = dice.choice(sources, len(sources)).tolist()
            p = np.concatenate([of_source[source] for source in drawn])
            numbers = np.repeat(np.arange(len(drawn)), [len(of_source[s]) for s in drawn])
            targets = np.full((len(p), 1), wanted, np.float32)
            threshold = guaranteed_thresholds(guarantee, (name,), p[:, None], targets, numbers)[0]
            rates[name].append(rate(guarantee, list(of_source.values()), threshold))
    row(guarantee, "an urn with a known rate", rates)


def splits(guarantee: Guarantee, scores: LabelledScores) -> None:
    """Calibrated on random halves of the recordings, and judged on the others, which are few."""
    rates: defaultdict[str, list[float]] = defaultdict(list)
    size = 521
    for seed in range(DRAWS):
        dice = np.random.default_rng(seed)
        sources = dice.permutation(int(scores.groups.max()) + 1)
        is_first = np.isin(scores.groups, sources[: len(sources) // 2])
        first, second = scores.subset(is_first), scores.subset(~is_first)
        thresholds = fit(first, size, guarantee, partly=True)
        said = Calibrator(thresholds.calibration).apply(wide(second, size))[:, scores.columns]
        wanted = 1.0 if guarantee.kind == "fnr" else 0.0
        for number, column in enumerate(scores.columns):
            threshold = thresholds.thresholds[column]
            chosen = second.targets[:, number] == wanted
            if np.isnan(threshold) or not chosen.any():
                continue
            groups = second.groups[chosen]
            values = said[chosen, number]
            parts = [values[groups == source] for source in np.unique(groups)]
            name = scores.classes[number]
            rates[name].append(rate(guarantee, parts, np.float32(threshold)))
    row(guarantee, "the other half of the recordings", rates)


def wide(scores: LabelledScores, size: int) -> NDArray[np.float32]:
    """f32[K, size]: the scores in the model's columns, 0 in others."""
    rows = np.zeros((len(scores), size), np.float32)
    rows[:, scores.columns] = scores.scores
    return rows


def rate(guarantee: Guarantee, parts: list[NDArray[np.float32]], threshold: np.float32) -> float:
    """The mean over recordings of the share that is lost."""
    lost = [p < threshold if guarantee.kind == "fnr" else p >= threshold for p in parts]
    return float(np.mean([x.mean() for x in lost]))


def row(guarantee: Guarantee, by: str, rates: dict[str, list[float]]) -> None:
    """Print what came of it; a class that had enough recordings in few draws is no worst one."""
    together = np.concatenate([np.array(of_class) for of_class in rates.values()])
    shares = [
        float((np.array(of_class) > guarantee.rate + 1e-9).mean())
        for of_class in rates.values()
        if len(of_class) >= DRAWS // 2
    ]
    over = float((together > guarantee.rate + 1e-9).mean())
    print(
        f"| {guarantee} | {by} | {len(rates)} | {DRAWS} | {together.mean():.3f} | {over:.3f} | "
        f"{max(shares):.3f} | {1 - guarantee.confidence:.2f} |",
        flush=True,
    )


def speed(aim: ThresholdTarget) -> float:
    """Seconds for fit, held-out judgement and report of made scores: ten windows a clip."""
    dice = np.random.default_rng(0)
    clips, classes, windows = 2_000, 521, 10
    targets = (dice.random((clips, classes)) < 0.01).astype(np.float32)
    logits = dice.normal(-6, 2, targets.shape) + 4 * targets
    scores = (1 / (1 + np.exp(-logits))).astype(np.float32)
    loud = dice.random((clips * windows, 1)).astype(np.float32)
    names = tuple(f"class {n}" for n in range(classes))
    made = LabelledScores(
        tuple(
            Clip(f"{n}.wav", tuple(names[c] for c in np.flatnonzero(row)), group=str(n))
            for n, row in enumerate(targets)
        ),
        names,
        tuple(range(classes)),
        scores,
        targets,
        np.repeat(scores, windows, axis=0) * loud,
        np.repeat(np.arange(clips), windows),
        np.full(clips, 10 / 3600),
        multi_label=True,
    )
    started = time.perf_counter()
    report_of(made, fit(made, classes, aim), hold_out(made, classes, aim), aim)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
