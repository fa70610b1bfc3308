# SPDX-License-Identifier: Apache-2.0
"""Birds of one's own with few clips: heads on BirdNET's embedding, YAMNet's and mn04's.

    python benchmarks/birds.py [--audio ../shared/audio] [--models ../shared/models] [--seeds 20]

The recordings at hand have one kind of bird with many clips (the roosters of ESC-10, 40 of them)
and three with some (chickens, ducks and owls of the sound libraries in everyday). Printed are, as
Markdown, mean ± standard deviation over seeds:

- roosters among ESC-10's ten classes: k clips of each class teach a head, all clips of other
  source recordings judge it; the average precision of "Rooster", and the accuracy of all classes;
- chicken, duck or owl: k = 2 recordings of each teach, the others judge (accuracy). Five and ten
  are not there.

The same draws for every model. Embeddings are kept under .bench/heads, as `heads.py` keeps them.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from heads import accuracy, draw, embedded, trained, without_folds
from numpy.typing import NDArray

import oido
from oido.training.embeddings import EmbeddedClips

ROOT = Path(__file__).resolve().parents[1]
MODELS = ("birdnet/2.4", "yamnet/classification", "efficientat/mn04")
FEW = (2, 5, 10)
KINDS = {
    "chicken": {"chickens", "hen", "rooster", "Rooster"},
    "duck": {"Duck", "duck", "drake"},
    "owl": {"Owl", "owl"},
}
"""Labels of everyday by the kind of bird."""


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--audio", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared" / "models")
    parser.add_argument("--seeds", type=int, default=20)
    arguments = parser.parse_args()
    known = os.environ.get("OIDO_MODEL_PATH", "")
    os.environ["OIDO_MODEL_PATH"] = os.pathsep.join(filter(None, [known, str(arguments.models)]))
    sets: dict[str, tuple[EmbeddedClips, EmbeddedClips]] = {}
    for model in MODELS:
        try:
            esc10 = embedded(arguments.audio / "esc10", model, "label")
            everyday = embedded(arguments.audio / "everyday", model, "label", least=1)
        except oido.OidoError as error:
            print(f"{model} is left out: {str(error).splitlines()[0]}", file=sys.stderr)
            continue
        sets[model] = esc10, birds_of(everyday)
    print(f"### Roosters among ten classes of ESC-10, k clips a class, {arguments.seeds} seeds\n")
    columns = [f"{what}, k = {few}" for few in FEW for what in ("AP of roosters", "accuracy")]
    print(f"| embedding | {' | '.join(columns)} |\n|---|{'---:|' * len(columns)}")
    for model, (clips, _) in sets.items():
        cells = []
        for few in FEW:
            precisions, accuracies = zip(*(roosters(clips, few, s) for s in range(arguments.seeds)))
            cells += [spread(precisions), spread(accuracies)]
        print(f"| `{model}` | {' | '.join(cells)} |", flush=True)
    print(f"\n### Chicken, duck or owl, two recordings of each, {arguments.seeds} seeds\n")
    print("| embedding | accuracy | clips that judge |\n|---|---:|---:|")
    for model, (_, clips) in sets.items():
        values, judges = zip(*(kinds(clips, seed) for seed in range(arguments.seeds)))
        print(f"| `{model}` | {spread(values)} | {np.mean(judges):.0f} |", flush=True)
    return 0


def birds_of(clips: EmbeddedClips) -> EmbeddedClips:
    """The birds of everyday, by kind."""
    kind_of = {label: kind for kind, labels in KINDS.items() for label in labels}
    kinds = [kind_of.get(clips.classes[label]) for label in clips.labels]
    chosen = clips.subset(np.array([kind is not None for kind in kinds]))
    numbers = [list(KINDS).index(kind) for kind in kinds if kind is not None]
    targets = np.eye(len(KINDS), dtype=np.float32)[numbers]
    return replace(chosen, targets=targets, classes=tuple(KINDS))


def roosters(clips: EmbeddedClips, few: int, seed: int) -> tuple[float, float]:
    """The average precision of roosters, and the accuracy, of one draw."""
    known, unknown = draw(clips, few, seed)
    judged = clips.subset(unknown)
    probabilities = trained(without_folds(clips.subset(known)), judged, seed)
    rooster = clips.classes.index("Rooster")
    precision = average_precision(probabilities[:, rooster], judged.labels == rooster)
    return precision, accuracy(probabilities, judged)


def kinds(clips: EmbeddedClips, seed: int) -> tuple[float, int]:
    """The accuracy of one draw of two recordings a kind, and how many clips judged."""
    known, unknown = draw(clips, 2, seed)
    judged = clips.subset(unknown)
    return accuracy(trained(without_folds(clips.subset(known)), judged, seed), judged), len(judged)


def average_precision(scores: NDArray[np.float32], is_right: NDArray[np.bool_]) -> float:
    """The mean of the precision at each right clip, best scores first."""
    right = is_right[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return float(precision[right].mean())


def spread(values: tuple[float, ...]) -> str:
    """Mean and standard deviation."""
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


if __name__ == "__main__":
    sys.exit(main())
