# SPDX-License-Identifier: Apache-2.0
"""Which evidence heads learn from: chosen on other sets than those it is judged on.

    python benchmarks/evidence.py [--audio ../shared/audio] [--models ../shared/models]
    python benchmarks/evidence.py --only yamnet/classification --seeds 3
    python benchmarks/evidence.py --ways penalties,mixing,pooling    and not the evidence

For each network, ways to make a head: its embedding alone, with earlier layers beside it, with
spreads over the last image, with windows weighed by their loudness; for the two networks in one,
what each of them adds. And of what is learnt from now: other penalties, one that is chosen inside
by grouped cross-validation, more directions of the embedding space; mixtures of two windows and
noise in that space; attention and multiple instances over windows (`instances.py`). Each set is
left out in turn: the way with the least log loss on the other sets (relative to the embedding
alone, a mean over sets) is judged on the one that was left out. Sets are ESC-10 (by its sources,
and with 2 and 5 clips of each class), everyday sounds and three-events. Prints Markdown: accuracy
and log loss out of fold, means over seeds, with the standard deviation of accuracy, ECE, and
processor minutes. `heads.py --only nested` is the same. What was heard is kept under .bench/.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
from evidence_parts import EmbeddedSet, embedded_set
from instances import Pooling, judged_by, out_of_fold
from numpy.typing import NDArray

from oido.calibration.scaling import log_losses
from oido.datasets.splits import stratified_folds
from oido.evaluation.ranking_and_calibration import expected_calibration_error
from oido.training import fit
from oido.training.embeddings import EmbeddedClips, FurtherWindows, clip_probabilities
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
    strength: that of `LinearOptions`; 0: the best of `PENALTIES`, chosen without what judges.
    directions: of the embedding space that a head uses, at most. mixed: each window has a copy in
    which another window is mixed. noise: each has one with noise of this share of the spread.
    """

    name: str
    parts: tuple[tuple[str, float], ...]
    strength: float = 10.0
    loudness: float = 0.0
    directions: int = fit.COMPONENTS
    mixed: bool = False
    noise: float = 0.0
    pooling: Pooling | None = None


def _yamnet() -> list[Way]:
    own = ("embedding", 1.0)
    return [
        Way("embedding alone", (own,)),
        *(Way(f"+ layer {n}, a third", (own, (f"layer {n}", 0.35))) for n in (12, 11, 10)),
        Way("+ spread over the image", (own, ("spread", 0.7))),
        Way("weaker penalty", (own,), strength=30.0),
        Way("+ layer 11, a third, weaker", (own, ("layer 11", 0.35)), strength=30.0),
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


PENALTIES = (10.0, 30.0, 100.0)


def _further(name: str, kinds: Collection[str]) -> list[Way]:
    """Ways to learn from what is learnt from now."""
    now = next(way for way in WAYS[name] if way.name == NOW[name])
    penalties = [
        *(replace(now, name=f"strength {s:g}", strength=s) for s in PENALTIES),
        replace(now, name="512 directions", directions=512),
        replace(now, name="strength chosen inside", strength=0.0),
    ]
    mixing = [
        replace(now, name="two windows mixed", mixed=True),
        *(replace(now, name=f"noise of {n:g}", noise=n) for n in (0.3, 1.0)),
    ]
    poolings = [replace(now, name=each, pooling=each) for each in get_args(Pooling)]
    found = [WAYS[name][0], now]
    for kind, ways in (("penalties", penalties), ("mixing", mixing), ("pooling", poolings)):
        found += ways if kind in kinds else []
    return found


WAYS = {"yamnet/classification": _yamnet(), "efficientat/mn04": _mn04(), "ensemble": _both()}
NOW = {
    "yamnet/classification": "+ layer 11, a third, weaker",
    "efficientat/mn04": "+ hidden, 3 excitations, weaker",
    "ensemble": "all, weaker penalty",
}
"""What `oido train` takes."""
KINDS = ("evidence", "penalties", "mixing", "pooling")


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
    parser.add_argument("--ways", default="evidence", help=f"of {','.join(KINDS)}; or all")
    parser.add_argument("--named", help="only ways of which this is in the name; none is chosen")
    arguments = parser.parse_args()
    known = os.environ.get("OIDO_MODEL_PATH", "")
    os.environ["OIDO_MODEL_PATH"] = os.pathsep.join(filter(None, [known, str(arguments.models)]))
    for name in WAYS if arguments.only is None else (arguments.only,):
        kinds = KINDS if arguments.ways == "all" else arguments.ways.split(",")
        nested(name, arguments.audio, arguments.seeds, kinds, arguments.named)
    return 0


def nested(
    name: str, audio: Path, seeds: int, kinds: Collection[str] = KINDS[:1], named: str | None = None
) -> None:
    """Every way on every set, and what would be chosen without each set."""
    started = time.process_time()
    sets = {folder: embedded_set(audio / folder, name, column) for folder, column in SETS}
    further = _further(name, kinds)
    ways = [*WAYS[name], *further[2:]] if KINDS[0] in kinds else further
    if named is not None:
        ways = [way for way in ways if named in way.name]
    print(f"\n### Evidence, sets left out in turn, {seeds} seeds, {name}\n")
    print(f"| way | {' | '.join(f'{each}: accuracy, log loss, ECE' for each in sets)} |")
    print(f"|---|{'---:|' * len(sets)}")
    found: dict[str, dict[str, Figures]] = {}
    for way in ways:
        found[way.name] = {each: figures(of, way, seeds) for each, of in sets.items()}
        mark = " (now)" if way.name == NOW[name] else ""
        print(f"| {way.name}{mark} | {' | '.join(map(shown, found[way.name].values()))} |")
        sys.stdout.flush()
    if named is not None:
        return
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
    clips, before = arranged(of, way), fit.COMPONENTS
    rows: dict[str, list[tuple[float, float, float]]] = {}
    fit.COMPONENTS = way.directions
    for seed in range(seeds):
        rows.setdefault("folds", []).append(measured(by_sources(clips, of, way, seed), clips))
        for few in FEW if len(clips) == 400 else ():
            known, unknown = draw(clips, few, seed)
            held = clips.subset(unknown)
            found = learnt(clips.subset(known), held, of, way, seed)
            rows.setdefault(f"few {few}", []).append(measured(found, held))
    fit.COMPONENTS = before
    means = np.array([np.mean(each, axis=0) for each in rows.values()])
    spread = np.mean([np.std([row[0] for row in each], ddof=1) for each in rows.values()])
    accuracy, loss, error = means.mean(axis=0)
    return Figures(float(accuracy), float(spread), float(loss), float(error))


def by_sources(clips: EmbeddedClips, of: EmbeddedSet, way: Way, seed: int) -> F32:
    """f32[K, C]: probabilities of each clip by a head of other sources."""
    if way.pooling is not None:
        return out_of_fold(clips, options_of(of, way), way.pooling, seed)[0]
    if way.strength:
        found = select(clips, candidates(of, way), seed=seed).out_of_fold
        assert found is not None
        return found
    count = min(5, *np.bincount(np.unique(np.c_[clips.labels, clips.groups], axis=0)[:, 0]))
    folds = stratified_folds(clips.labels, clips.groups, int(count), seed)
    found = np.zeros(clips.targets.shape, np.float32)
    for fold in np.unique(folds):
        held = clips.subset(folds == fold)
        found[folds == fold] = learnt(clips.subset(folds != fold), held, of, way, seed)
    return found


def learnt(
    known: EmbeddedClips, unknown: EmbeddedClips, of: EmbeddedSet, way: Way, seed: int
) -> F32:
    """f32[K, C]: probabilities of clips by a head that is taught on others."""
    if way.pooling is not None:
        return judged_by(known, unknown, options_of(of, way), way.pooling, seed)
    ways = candidates(of, way)
    if len(ways) > 1:
        losses = [row.log_loss for row in select(known, ways, seed=seed).table]
        ways = [ways[int(np.argmin(losses))]]
    head = select(known, ways, seed=seed).head
    return clip_probabilities(head.scores(unknown.embeddings), unknown, head.output)


def candidates(of: EmbeddedSet, way: Way) -> list[Candidate]:
    """The head of a way; of several penalties, one each."""
    strengths = (way.strength,) if way.strength else PENALTIES
    return [
        Candidate(f"{strength:g}", options_of(of, replace(way, strength=strength)))
        for strength in strengths
    ]


def options_of(of: EmbeddedSet, way: Way) -> LinearOptions:
    """How the head of a way is fitted."""
    return LinearOptions(strength=way.strength, square_root=of.takes_roots)


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
    assert of.clips.quiet is not None
    columns, quiet, spreads = [], [], []
    for name, share in way.parts:
        values = of.clips.embeddings[:, of.parts[name]]
        seen = np.sqrt(np.maximum(values, 0)) if of.takes_roots else values
        spread = float(np.sqrt(((seen - seen.mean(axis=0)) ** 2).sum(axis=1).mean()))
        spreads.append(spread)
        factor = np.float32(share * spreads[0] / max(spread, 1e-12))
        factor = factor**2 if of.takes_roots else factor
        columns.append(values * factor)
        quiet.append(of.clips.quiet[:, of.parts[name]] * factor)
    weights = of.clips.weights
    if way.loudness:
        starts = of.clips.starts
        loudest = np.maximum.reduceat(of.loudness, starts)[of.clips.clip_index]
        weights = weights * (of.loudness / np.maximum(loudest, 1e-12)) ** way.loudness + 1e-6
    clips = replace(
        of.clips,
        embeddings=np.concatenate(columns, axis=1),
        quiet=np.concatenate(quiet, axis=1),
        weights=weights,
        folds=np.full(len(of.clips), -1),
    )
    if not way.mixed and not way.noise:
        return clips
    return replace(clips, extra=copies_of(clips, way, of.takes_roots))


def copies_of(clips: EmbeddedClips, way: Way, takes_roots: bool) -> FurtherWindows:
    """A copy of each window, as the head sees windows: another one mixed in, or noise.

    A mixture stands under both labels, each by its share; a head that must not know the one clip
    does not know the mixture.
    """
    dice = np.random.default_rng(0)
    seen = np.sqrt(np.maximum(clips.embeddings, 0)) if takes_roots else clips.embeddings
    count = len(seen)
    own, weights = clips.clip_index, clips.weights
    if way.noise:
        spread = seen.std(axis=0)
        rows = seen + way.noise * spread * dice.standard_normal(seen.shape).astype(np.float32)
        rows = np.maximum(rows, 0) ** 2 if takes_roots else rows
        return FurtherWindows(rows.astype(np.float32), own, weights, np.full(count, -1))
    other = dice.permutation(count)
    share = dice.beta(0.4, 0.4, count)
    rows = share[:, None] * seen + (1 - share)[:, None] * seen[other]
    rows = (rows**2 if takes_roots else rows).astype(np.float32)
    index = np.concatenate([own, own[other]])
    order = np.argsort(index, kind="stable")
    beside = clips.groups[np.concatenate([own[other], own])]
    heavy = np.concatenate([share * weights, (1 - share) * weights[other]])
    return FurtherWindows(
        np.concatenate([rows, rows])[order], index[order], heavy[order], beside[order]
    )


if __name__ == "__main__":
    sys.exit(main())
