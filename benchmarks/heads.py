# SPDX-License-Identifier: Apache-2.0
"""How good the heads are that oido trains, beside the plain ways to do it.

    python benchmarks/heads.py [--audio ../shared/audio] [--models ../shared/models]
    python benchmarks/heads.py --only folds       folds, few, sets, novelty, or nested; else all
    python benchmarks/heads.py --copies 4         a row more: with changed copies of each clip

Prints Markdown tables: ESC-10 by its own five folds (accuracy, expected calibration error,
seconds); with 2, 5, 10 and 20 clips a class (mean ± standard deviation over seeds, judged by all
clips of other recordings, same draws for every row); small sets, by grouped folds drawn three
times; how well clips of no trained class are told (ROC-AUC); and which evidence is chosen on sets
other than the one that judges it (`evidence.py`). "ensemble" is the head on both networks in one
file. Seconds are of the processor. Embeddings are kept under .bench/.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from evidence import nested
from numpy.typing import NDArray

import oido
from oido.datasets.clip import Clip
from oido.datasets.dataset import Dataset
from oido.datasets.splits import group_numbers, stratified_folds
from oido.evaluation.ranking_and_calibration import expected_calibration_error
from oido.models.joint import as_one_network
from oido.models.tflite.evidence import EVIDENCE, own_size, with_evidence
from oido.training.augment import Augmentation, quiet_waveforms
from oido.training.baselines import BASELINES
from oido.training.embed import embed
from oido.training.embeddings import EmbeddedClips, FurtherWindows, clip_probabilities
from oido.training.model_selection import cross_validate, select
from oido.training.novelty import fit_novelty

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("yamnet/classification", "efficientat/mn04", "ensemble")
FEW = (2, 5, 10, 20)
SETS = (("three-events", "label"), ("everyday", "audioset_label"))

Way = Callable[[EmbeddedClips, EmbeddedClips, int], NDArray[np.float32]]


def trained(known: EmbeddedClips, unknown: EmbeddedClips, seed: int) -> NDArray[np.float32]:
    """oido's defaults, selection and calibration included."""
    head = select(replace(known, extra=None), seed=seed).head
    return clip_probabilities(head.scores(unknown.embeddings), unknown, head.output)


def trained_with_copies(
    known: EmbeddedClips, unknown: EmbeddedClips, seed: int
) -> NDArray[np.float32]:
    """The same, changed copies among what is learnt from."""
    head = select(known, seed=seed).head
    return clip_probabilities(head.scores(unknown.embeddings), unknown, head.output)


def trained_on_embedding(
    known: EmbeddedClips, unknown: EmbeddedClips, seed: int
) -> NDArray[np.float32]:
    """The same without what earlier layers say."""
    return trained(known.own, unknown.own, seed)


def plain(way: Way) -> Way:
    """A way of others, on the network's embedding alone."""
    return lambda known, unknown, seed: way(known.own, unknown.own, seed)


WAYS: dict[str, Way] = {
    **{name: plain(way) for name, way in BASELINES.items()},
    "oido, embedding alone": trained_on_embedding,
    "**oido**": trained,
}


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared" / "models")
    parser.add_argument("--only", choices=("folds", "few", "sets", "novelty", "nested"))
    parser.add_argument("--model", choices=MODELS)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=0)
    parser.add_argument("--named", default="", help="only ways of which this is in the name")
    arguments = parser.parse_args()
    for name in [name for name in WAYS if arguments.named not in name]:
        del WAYS[name]
    if arguments.copies:
        WAYS[f"oido, {arguments.copies} changed copies"] = trained_with_copies
    heard = partial(embedded, copies=arguments.copies)
    known = os.environ.get("OIDO_MODEL_PATH", "")
    os.environ["OIDO_MODEL_PATH"] = os.pathsep.join(filter(None, [known, str(arguments.models)]))
    for model in MODELS if arguments.model is None else (arguments.model,):
        if arguments.only in (None, "nested"):
            nested(model, arguments.audio, arguments.seeds)
        if arguments.only == "nested":
            continue
        try:
            esc10 = heard(arguments.audio / "esc10", model, "label")
        except oido.OidoError as error:
            print(f"{model} is left out: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        if arguments.only in (None, "folds"):
            by_folds(model, esc10)
        if arguments.only in (None, "few"):
            by_few(model, esc10, arguments.seeds)
        for name, column in SETS if arguments.only in (None, "sets") else ():
            by_set(model, name, heard(arguments.audio / name, model, column))
        if arguments.only in (None, "novelty"):
            others = embedded(arguments.audio / "everyday", model, "label", least=1)
            by_novelty(model, replace(esc10, extra=None), others)
    return 0


def embedded(
    folder: Path, model: str, column: str, least: int = 4, copies: int = 0
) -> EmbeddedClips:
    """The clips of a set, of labels with ``least`` clips or more, of two recordings at least."""
    with open(folder / "clips.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    name = f"{folder.name}-{model.replace('/', '-')}-{EVIDENCE.replace(' ', '-')}.npz"
    kept = ROOT / ".bench" / "heads" / name
    if not kept.exists():
        hear(folder, [row["file"] for row in rows], model, kept)
    chosen = chosen_rows(rows, column, least)
    with np.load(kept) as arrays:
        clips = clips_of(rows, chosen, column, arrays)
    clips = replace(clips, own_size=own_size(oido.load_model(model)))
    if not copies:
        return clips
    listed = Dataset.from_clips([Clip(str(folder / rows[n]["file"]), ("sound",)) for n in chosen])
    return replace(clips, extra=hear_copies(listed, model, copies))


def chosen_rows(rows: list[dict[str, str]], column: str, least: int) -> list[int]:
    """The numbers of clips whose label has ``least`` clips or more, of two recordings at least."""
    counts = Counter(row[column] for row in rows)
    groups = {(row[column], row["group"]) for row in rows}
    sources = Counter(label for label, _ in groups)
    return [
        n
        for n, row in enumerate(rows)
        if least == 1 or (counts[row[column]] >= least and sources[row[column]] >= 2)
    ]


def clips_of(
    rows: list[dict[str, str]], chosen: list[int], column: str, arrays: Mapping[str, Any]
) -> EmbeddedClips:
    """The chosen clips of a set, of what was kept of all of them."""
    numbers = np.full(len(rows), -1)
    numbers[chosen] = np.arange(len(chosen))
    clip_index = numbers[arrays["clip_index"]]
    here = clip_index >= 0
    classes, index = np.unique([rows[n][column] for n in chosen], return_inverse=True)
    folds = group_numbers([rows[n]["fold"] for n in chosen])
    return EmbeddedClips(
        arrays["embeddings"][here],
        clip_index[here],
        arrays["weights"][here],
        np.eye(len(classes), dtype=np.float32)[index],
        tuple(classes.tolist()),
        group_numbers([rows[n]["group"] for n in chosen]),
        folds if rows[0]["fold"] else np.full(len(chosen), -1),
        quiet=arrays["quiet"],
    )


def hear_copies(data: Dataset, model: str, copies: int) -> FurtherWindows | None:
    """The windows of changed copies, from oido's own cache if they are there."""
    started = time.perf_counter()
    extra = embed(data, oido.load_model(model), augment=Augmentation(copies)).clips.extra
    print(f"{copies} copies heard in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return extra


def hear(folder: Path, files: list[str], model: str, kept: Path) -> None:
    """Embed every clip of a set once."""
    started = time.perf_counter()
    base = as_one_network(oido.load_model(model))
    embedder = oido.AudioEmbedder(with_evidence(base), jobs=1)
    results = [embedder.embed(folder / file) for file in files]
    windows = embedder.model.windows
    kept.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        kept,
        embeddings=np.concatenate([r.embeddings for r in results]),
        clip_index=np.repeat(np.arange(len(files)), [len(r.embeddings) for r in results]),
        weights=np.concatenate([r.weights for r in results]),
        quiet=np.stack(
            [
                embedder.embed(row, windows.sample_rate_hz).embeddings[0]
                for row in quiet_waveforms(windows.window_samples, windows.sample_rate_hz)
            ]
        ),
    )
    print(
        f"{folder.name}, {model}: heard in {time.perf_counter() - started:.0f} s", file=sys.stderr
    )


def by_folds(model: str, clips: EmbeddedClips) -> None:
    """The set's own folds; oido's selection is inside each of them."""
    print(f"\n### ESC-10, its five folds, {model}\n")
    print("| way | accuracy | ECE | seconds for five |\n|---|---:|---:|---:|")
    for name, way in WAYS.items():
        started = time.process_time()
        if way in (trained, trained_with_copies, trained_on_embedding):
            learnt = clips if way is trained_with_copies else replace(clips, extra=None)
            probabilities, _ = cross_validate(learnt.own if way is trained_on_embedding else learnt)
        else:
            probabilities = out_of_fold(way, clips, clips.folds, 0)
        seconds = time.process_time() - started
        error = expected_calibration_error(
            probabilities.max(axis=1), probabilities.argmax(axis=1) == clips.labels
        )
        print(f"| {name} | {accuracy(probabilities, clips):.4f} | {error:.3f} | {seconds:.1f} |")
    started = time.process_time()
    selection = select(replace(clips, extra=None))
    print(f"\nOne training on all clips: {time.process_time() - started:.1f} s.\n")
    print("| candidate | accuracy | log loss | margin, s.e. |\n|---|---:|---:|---:|")
    for row in selection.table:
        chosen = " (chosen)" if row.name == selection.chosen else ""
        print(
            f"| {row.name}{chosen} | {row.accuracy:.4f} | {row.log_loss:.4f} | {row.margin:+.1f} |"
        )


def by_few(model: str, clips: EmbeddedClips, seeds: int) -> None:
    """With few clips a class; those of the recordings that were drawn judge nothing."""
    print(f"\n### ESC-10, few clips a class, {seeds} seeds, {model}\n")
    print(f"| way | {' | '.join(map(str, FEW))} |\n|---|{'---:|' * len(FEW)}")
    draws = {few: [draw(clips, few, seed) for seed in range(seeds)] for few in FEW}
    for name, way in WAYS.items():
        cells = []
        for few in FEW:
            values = []
            for seed, (known, unknown) in enumerate(draws[few]):
                learnt, judged = without_folds(clips.subset(known)), clips.subset(unknown)
                values.append(accuracy(way(learnt, judged, seed), judged))
            cells.append(f"{np.mean(values):.4f} ± {np.std(values, ddof=1):.4f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def by_set(model: str, name: str, clips: EmbeddedClips) -> None:
    """A small set, by three grouped folds drawn three times."""
    print(f"\n### {name}: {len(clips)} clips, {len(clips.classes)} labels, {model}\n")
    print("| way | accuracy | ECE |\n|---|---:|---:|")
    for title, way in WAYS.items():
        drawn = []
        for seed in range(3):
            folds = stratified_folds(clips.labels, clips.groups, 3, seed)
            drawn.append(out_of_fold(way, clips, folds, seed))
        values = [accuracy(p, clips) for p in drawn]
        drawn_all = np.concatenate(drawn)
        right = drawn_all.argmax(axis=1) == np.tile(clips.labels, 3)
        error = expected_calibration_error(drawn_all.max(axis=1), right)
        print(
            f"| {title} | {np.mean(values):.3f} ± {np.std(values, ddof=1):.3f} | {error:.3f} |",
            flush=True,
        )


def by_novelty(model: str, clips: EmbeddedClips, others: EmbeddedClips) -> None:
    """Unknown sounds: two classes that were left out, and the clips of another set."""
    print(f"\n### Unknown sounds, {model}\n")
    print("| measure | two classes left out | everyday | known kept | everyday rejected |")
    print("|---|---:|---:|---:|---:|")
    figures: dict[str, list[tuple[float, ...]]] = {}
    for fold in np.unique(clips.folds):
        left = np.isin(clips.labels, [2 * fold, 2 * fold + 1])
        known = clips.subset(~left & (clips.folds != fold))
        held = clips.subset(clips.folds == fold)
        strange = left[clips.folds == fold]
        selection = select(known)
        head = selection.head
        detector = fit_novelty(known, square_root=head.square_root, folds=selection.folds)
        rows = []
        for judged in (held, others):
            p = clip_probabilities(head.scores(judged.embeddings), judged, head.output)
            rows.append((p.max(axis=1), detector.clip_similarities(judged)))
        for n, name in enumerate(("largest probability", "cosine to the nearest class")):
            own, other = rows[0][n], rows[1][n]
            kept, rejected = float("nan"), float("nan")
            if n == 1:
                kept = float((own[~strange] >= detector.threshold).mean())
                rejected = float((other < detector.threshold).mean())
            areas = (roc_auc(own[~strange], own[strange]), roc_auc(own[~strange], other))
            figures.setdefault(name, []).append((*areas, kept, rejected))
    for name, values in figures.items():
        cells = ("" if np.isnan(v) else f"{v:.3f}" for v in np.mean(values, axis=0))
        print(f"| {name} | {' | '.join(cells)} |")


def draw(clips: EmbeddedClips, few: int, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which clips teach, ``few`` of each class, and which judge."""
    random = np.random.default_rng([seed, few])
    known = np.zeros(len(clips), bool)
    for label in range(len(clips.classes)):
        known[random.permutation(np.flatnonzero(clips.labels == label))[:few]] = True
    return known, ~known & ~np.isin(clips.groups, clips.groups[known])


def without_folds(clips: EmbeddedClips) -> EmbeddedClips:
    """The clips as if no folds had come with them."""
    return replace(clips, folds=np.full(len(clips), -1))


def out_of_fold(
    way: Way, clips: EmbeddedClips, folds: NDArray[np.int64], seed: int
) -> NDArray[np.float32]:
    """f32[K, C]: each clip by what was learnt without its fold."""
    probabilities = np.zeros(clips.targets.shape, np.float32)
    for fold in np.unique(folds):
        known, unknown = clips.subset(folds != fold), clips.subset(folds == fold)
        probabilities[folds == fold] = way(known, unknown, seed)
    return probabilities


def accuracy(probabilities: NDArray[np.float32], clips: EmbeddedClips) -> float:
    """The share of clips whose largest probability is right."""
    return float((probabilities.argmax(axis=1) == clips.labels).mean())


def roc_auc(known: NDArray[np.float32], unknown: NDArray[np.float32]) -> float:
    """How often a known clip has more than an unknown one; a tie counts half."""
    above = (known[:, None] > unknown).mean() + 0.5 * (known[:, None] == unknown).mean()
    return float(above)


if __name__ == "__main__":
    sys.exit(main())
