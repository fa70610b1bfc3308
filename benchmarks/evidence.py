# SPDX-License-Identifier: Apache-2.0
"""Which evidence heads learn from: chosen on other sets than those it is judged on.

    python benchmarks/evidence.py [--audio ../shared/audio] [--models ../shared/models]
    python benchmarks/evidence.py --only yamnet/classification --seeds 3

For each network, ways to make a head: its embedding alone, with earlier layers beside it, with
spreads over the last image, with windows weighed by their loudness, with other penalties; for the
two networks in one, what each of them adds. Each set is left out in turn: the way with the least
log loss on the other sets (relative to the embedding alone, a mean over sets) is judged on the one
that was left out. Sets are ESC-10 (by its sources, and with 2 and 5 clips of each class), everyday
sounds and three-events. Prints Markdown: accuracy and log loss out of fold, means over seeds, with
the standard deviation of accuracy, ECE, and processor minutes. `heads.py --only nested` is the
same. What was heard is kept under .bench/.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

import oido
from oido.calibration.scaling import log_losses
from oido.evaluation.ranking_and_calibration import expected_calibration_error
from oido.models.joint import as_one_network
from oido.models.model import AudioModel, LogMelNetwork, MnNetwork
from oido.models.tflite.evidence import EVIDENCE, EvidenceGraph
from oido.models.tflite.packing import operator_kind
from oido.training.embeddings import EmbeddedClips, clip_probabilities
from oido.training.fit import LinearOptions
from oido.training.model_selection import Candidate, select

ROOT = Path(__file__).resolve().parents[1]
SETS = (("esc10", "label"), ("everyday", "audioset_label"), ("three-events", "label"))
FEW = (2, 5)
F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Way:
    """parts: shares of the embedding's spread, by name; the embedding is the first, of share 1.

    loudness: windows weigh as they are loud beside the loudest of their clip, to this power.
    """

    name: str
    parts: tuple[tuple[str, float], ...]
    strength: float = 10.0
    loudness: float = 0.0


def _yamnet() -> list[Way]:
    own = ("embedding", 1.0)
    return [
        Way("embedding alone", (own,)),
        *(Way(f"+ layer {n}, a third", (own, (f"layer {n}", 0.35))) for n in (12, 11, 10)),
        Way("+ spread over the image", (own, ("spread", 0.7))),
        Way("weaker penalty", (own,), strength=30.0),
        Way("stronger penalty", (own,), strength=3.0),
        Way("windows by loudness", (own,), loudness=0.5),
    ]


def _mn04() -> list[Way]:
    own, hidden = ("embedding", 1.0), ("hidden", 1.0)
    inputs = tuple((f"excitation {n}", 0.5) for n in (1, 2, 3))
    return [
        Way("embedding alone", (own,)),
        Way("+ hidden", (own, hidden)),
        Way("+ hidden, 1 excitation", (own, hidden, *inputs[:1])),
        Way("+ hidden, 2 excitations", (own, hidden, *inputs[:2])),
        Way("+ hidden, 3 excitations", (own, hidden, *inputs)),
        Way("+ spread over the image", (own, ("spread", 0.7))),
        Way("weaker penalty", (own,), strength=30.0),
        Way("+ hidden, 3 excitations, weaker", (own, hidden, *inputs), strength=30.0),
    ]


def _both() -> list[Way]:
    own, rest = ("embedding", 1.0), ("mn04's rest", 1.3)
    mean, largest = "YAMNet, mean", "YAMNet, largest"
    return [
        Way("embedding alone", (own,)),  # mn04's
        Way("mn04 with its layers", (own, rest)),
        Way("both embeddings", (own, (mean, 1.0))),
        *(Way(f"all, {s:g} YAMNet", (own, rest, (mean, s), (largest, s))) for s in (0.5, 1.0, 1.6)),
        Way("all but the largest", (own, rest, (mean, 1.0))),
        Way("all, weaker penalty", (own, rest, (mean, 1.0), (largest, 1.0)), strength=30.0),
    ]


WAYS = {"yamnet/classification": _yamnet(), "efficientat/mn04": _mn04(), "ensemble": _both()}
NOW = {
    "yamnet/classification": "+ layer 11, a third",
    "efficientat/mn04": "+ hidden, 3 excitations",
    "ensemble": "all, 1 YAMNet",
}
"""What `oido train` takes, before this was run."""


class EmbeddedSet(NamedTuple):
    """A set's clips with every part that a way may take, by name.

    takes_roots: heads learn from square roots of what is never negative.
    """

    clips: EmbeddedClips
    parts: dict[str, slice]
    loudness: NDArray[np.float64]
    takes_roots: bool


class Figures(NamedTuple):
    """Means over tasks; spread: the standard deviation of accuracy over seeds."""

    accuracy: float
    spread: float
    log_loss: float
    error: float


def main() -> int:
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--audio", type=Path, default=ROOT.parent / "shared" / "audio")
    parser.add_argument("--models", type=Path, default=ROOT.parent / "shared" / "models")
    parser.add_argument("--only", choices=tuple(WAYS))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    known = os.environ.get("OIDO_MODEL_PATH", "")
    os.environ["OIDO_MODEL_PATH"] = os.pathsep.join(filter(None, [known, str(arguments.models)]))
    for name in WAYS if arguments.only is None else (arguments.only,):
        nested(name, arguments.audio, arguments.seeds)
    return 0


def nested(name: str, audio: Path, seeds: int) -> None:
    """Every way on every set, and what would be chosen without each set."""
    started = time.process_time()
    sets = {folder: embedded_set(audio / folder, name, column) for folder, column in SETS}
    ways = WAYS[name]
    print(f"\n### Evidence, sets left out in turn, {seeds} seeds, {name}\n")
    print(f"| way | {' | '.join(f'{each}: accuracy, log loss, ECE' for each in sets)} |")
    print(f"|---|{'---:|' * len(sets)}")
    found: dict[str, dict[str, Figures]] = {}
    for way in ways:
        found[way.name] = {each: figures(of, way, seeds) for each, of in sets.items()}
        mark = " (now)" if way.name == NOW[name] else ""
        print(f"| {way.name}{mark} | {' | '.join(map(shown, found[way.name].values()))} |")
        sys.stdout.flush()
    print("\n| left out | chosen on the others | there | embedding alone | now |")
    print("|---|---|---:|---:|---:|")
    base = found[ways[0].name]
    for left in sets:
        others = [each for each in sets if each != left]

        def cost(way: str, others: Sequence[str] = others) -> float:
            ratios = [found[way][each].log_loss / base[each].log_loss for each in others]
            return float(np.mean(ratios))

        best = min(found, key=cost)
        now = shown(found[NOW[name]][left])
        print(f"| {left} | {best} | {shown(found[best][left])} | {shown(base[left])} | {now} |")
    print(f"\nProcessor minutes: {(time.process_time() - started) / 60:.1f}.", flush=True)


def shown(values: Figures) -> str:
    """A cell."""
    return f"{values.accuracy:.3f} ± {values.spread:.3f}, {values.log_loss:.3f}, {values.error:.3f}"


def figures(of: EmbeddedSet, way: Way, seeds: int) -> Figures:
    """By sources held out; of ESC-10 with few clips, too, which count as much together."""
    clips = arranged(of, way)
    options = LinearOptions(strength=way.strength, square_root=of.takes_roots)
    candidate = (Candidate("linear", options),)
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(seeds):
        selection = select(clips, candidate, seed=seed)
        assert selection.out_of_fold is not None
        rows.setdefault("folds", []).append(measured(selection.out_of_fold, clips))
        for few in FEW if len(clips) == 400 else ():
            known, unknown = draw(clips, few, seed)
            head = select(clips.subset(known), candidate, seed=seed).head
            held = clips.subset(unknown)
            probabilities = clip_probabilities(head.scores(held.embeddings), held, head.output)
            rows.setdefault(f"few {few}", []).append(measured(probabilities, held))
    means = np.array([np.mean(each, axis=0) for each in rows.values()])
    spread = np.mean([np.std([row[0] for row in each], ddof=1) for each in rows.values()])
    accuracy, loss, error = means.mean(axis=0)
    return Figures(float(accuracy), float(spread), float(loss), float(error))


def measured(probabilities: F32, clips: EmbeddedClips) -> tuple[float, float, float]:
    """Accuracy, log loss and calibration error."""
    right = probabilities.argmax(axis=1) == clips.labels
    losses = log_losses(probabilities, clips.targets, "softmax")
    error = expected_calibration_error(probabilities.max(axis=1), right)
    return float(right.mean()), float(losses.mean()), error


def draw(clips: EmbeddedClips, few: int, seed: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which clips teach, ``few`` of each class, and which judge."""
    random = np.random.default_rng([seed, few])
    known = np.zeros(len(clips), bool)
    for label in range(len(clips.classes)):
        known[random.permutation(np.flatnonzero(clips.labels == label))[:few]] = True
    return known, ~known & ~np.isin(clips.groups, clips.groups[known])


def arranged(of: EmbeddedSet, way: Way) -> EmbeddedClips:
    """The clips with what a way takes; each part at its share of the embedding's spread."""
    assert of.clips.silence is not None
    columns, silence, spreads = [], [], []
    for name, share in way.parts:
        values = of.clips.embeddings[:, of.parts[name]]
        quiet = of.clips.silence[of.parts[name]]
        seen = np.sqrt(np.maximum(values, 0)) if of.takes_roots else values
        spread = float(np.sqrt(((seen - seen.mean(axis=0)) ** 2).sum(axis=1).mean()))
        spreads.append(spread)
        factor = np.float32(share * spreads[0] / max(spread, 1e-12))
        factor = factor**2 if of.takes_roots else factor
        columns.append(values * factor)
        silence.append(quiet * factor)
    weights = of.clips.weights
    if way.loudness:
        starts = of.clips.starts
        loudest = np.maximum.reduceat(of.loudness, starts)[of.clips.clip_index]
        weights = weights * (of.loudness / np.maximum(loudest, 1e-12)) ** way.loudness + 1e-6
    return replace(
        of.clips,
        embeddings=np.concatenate(columns, axis=1),
        silence=np.concatenate(silence),
        weights=weights,
        folds=np.full(len(of.clips), -1),
    )


class Layers(EvidenceGraph):
    """Adds to a graph every part that a way may take, side by side."""

    def parts(self, pooled: int) -> dict[str, int]:
        """Rows f32[1, n] of each."""
        kinds = {int(op.outputs[0]): operator_kind(self._model, op) for op in self._graph.operators}
        earlier = list(kinds)[: list(kinds).index(pooled)]
        op = schema.BuiltinOperator
        convolutions = [t for t in earlier if kinds[t] == op.CONV_2D]
        image = self._floats(int(self._makers()[pooled].inputs[0]))
        found = {"embedding": self._row(pooled), "spread": self._spread(image, self._row(pooled))}
        if (hidden := self._hidden(pooled)) is not None:
            found["hidden"] = hidden
            means = [t for t in earlier if kinds[t] == op.MEAN and t != pooled][::-1]
            found |= {f"excitation {n}": self._row(t) for n, t in enumerate(means[:3], start=1)}
        else:
            for n in (12, 11, 10):
                found[f"layer {n}"] = self.mean(self._floats(convolutions[n - 1]))
        return found

    def _spread(self, image: int, mean: int) -> int:
        """The standard deviation of each channel over an image."""
        squares = self.mean(self.multiply(image, image))
        rest = self.relu(self.subtract(squares, self.multiply(mean, mean)))
        return self.sqrt(rest)

    def _makers(self) -> dict[int, object]:
        return {int(op.outputs[0]): op for op in self._graph.operators}


def with_layers(model: AudioModel) -> tuple[AudioModel, dict[str, slice]]:
    """The model whose embedding is every part, and where they are."""
    network = model.network
    if not isinstance(network, LogMelNetwork | MnNetwork):
        joined = as_one_network(model)
        size = 1_024
        rest = slice(size + 384, -size)
        return joined, {
            "YAMNet, mean": slice(0, size),
            "embedding": slice(size, size + 384),
            "mn04's rest": rest,
            "YAMNet, largest": slice(-size, None),
        }
    content = network.content if isinstance(network, MnNetwork) else network.graph.network
    writer = Layers.on(content, batch=True)
    *scores, pooled = writer.outputs
    rows = writer.parts(pooled)
    ends = np.cumsum([writer.shape(row)[-1] for row in rows.values()]).tolist()
    parts = {name: slice(a, b) for name, a, b in zip(rows, [0, *ends], ends)}
    content = writer.finish([*scores, writer.side_to_side(list(rows.values()))])
    if isinstance(network, MnNetwork):
        return replace(model, network=replace(network, content=content)), parts
    graph = replace(network.graph, network=content)
    return replace(model, network=replace(network, graph=graph)), parts


def embedded_set(folder: Path, name: str, column: str, least: int = 4) -> EmbeddedSet:
    """A set's clips of labels with ``least`` clips or more, of two recordings at least."""
    from heads import chosen_rows, clips_of

    model, parts = with_layers(oido.load_model(name))
    kept = ROOT / ".bench" / "evidence" / f"{folder.name}-{name.replace('/', '-')}-{EVIDENCE}.npz"
    with open(folder / "clips.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not kept.exists():
        _embed_files(folder, [row["file"] for row in rows], model, kept)
    with np.load(kept) as arrays:
        chosen = chosen_rows(rows, column, least)
        clips = clips_of(rows, chosen, column, arrays)
        here = np.isin(arrays["clip_index"], chosen)
        loudness = arrays["loudness"][here].astype(np.float64)
    return EmbeddedSet(clips, parts, loudness, isinstance(model.network, LogMelNetwork))


def _embed_files(folder: Path, files: Sequence[str], model: AudioModel, kept: Path) -> None:
    started = time.process_time()
    classifier = oido.AudioClassifier(model, jobs=1)
    found: dict[str, list[NDArray[np.float32]]] = {}
    numbers = []
    for number, file in enumerate(files):
        for block in classifier.stream(folder / file):
            found.setdefault("embeddings", []).append(block.embeddings)
            found.setdefault("weights", []).append(block.weights)
            found.setdefault("loudness", []).append(block.loudness)
            numbers.append(np.full(len(block.weights), number))
    windows = model.windows
    silent = np.zeros(windows.window_samples, np.float32)
    silence = classifier.classify(silent, windows.sample_rate_hz).embeddings[0]
    kept.parent.mkdir(parents=True, exist_ok=True)
    joined = {name: np.concatenate(values) for name, values in found.items()}
    np.savez(kept, clip_index=np.concatenate(numbers), silence=silence, **joined)
    print(f"{folder.name}: heard in {time.process_time() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
