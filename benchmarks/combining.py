# SPDX-License-Identifier: Apache-2.0
"""How windows should become a clip, and how YAMNet and mn04 should be heard together.

    python benchmarks/combining.py             all sets of ../shared/audio (some 8 minutes; then 3)
    python benchmarks/combining.py --limit 60  some clips of each set, spread evenly

Every way is measured on the same random halves of each set's source groups (20 splits, both halves
in turn), and the way that is best on one half is measured on the other. "Best" is the mAP, each set
counting by its number of source groups. Window scores are kept below .bench/ (--fresh hears anew).
A last table is about single windows: clips of esc10 end to end, in random order, without silence.
MediaPipe is among the ways if benchmarks/peers/make_envs.py has made its environment.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from combining_hearing import (
    CACHE,
    HOP,
    HOPS,
    LABELS,
    MN04_WAYS,
    PEER,
    Heard,
    Listener,
    Scores,
    hear,
    mediapipe,
)
from mn04_windowing import Recordings, _half, read_set
from numpy.typing import NDArray
from precision import PRECISIONS, ROOT, average_precision, quality

from oido.signal.resample import Resampler

SETS = ("esc10", "everyday", "three-events")
SPLITS = 20
STEP = 1 / 256
"""Of int8 scores; half of it stands for a score of 0 where a logarithm is taken."""
ClipScores = dict[str, list[NDArray[np.float32]]]
"""By set: f32[521] of each clip."""


def mean(scores: Scores, weights: NDArray[np.float64], p: float = 1.0) -> Scores:
    """The weighted power mean, f64[C]."""
    return np.asarray(np.average(scores**p, axis=0, weights=weights) ** (1 / p))


def logit(scores: Scores) -> Scores:
    kept = np.clip(scores, STEP / 2, 1 - STEP / 2)
    return np.log(kept / (1 - kept))


def sigmoid(values: Scores) -> Scores:
    return np.asarray(1 / (1 + np.exp(-values)))


def loud_only(decibels: float) -> Callable[[Heard, Scores], Scores]:
    """The mean without windows that are so much quieter than the loudest."""

    def clip(heard: Heard, scores: Scores) -> Scores:
        near = heard.power >= heard.power.max() * 10 ** (-decibels / 10)
        return mean(scores, heard.weights * near if near.any() else heard.weights)

    return clip


def by_power(exponent: float, p: float = 1.0) -> Callable[[Heard, Scores], Scores]:
    return lambda heard, scores: mean(scores, heard.loudness(exponent), p)


AGGREGATIONS: dict[str, Callable[[Heard, Scores], Scores]] = {
    "mean": lambda h, s: mean(s, h.weights),
    "max": lambda h, s: (s * h.weights[:, None]).max(axis=0),
    "mean of the best 3": lambda h, s: np.sort(s * h.weights[:, None], axis=0)[-3:].mean(axis=0),
    "mean of logits": lambda h, s: sigmoid(np.average(logit(s), axis=0, weights=h.weights)),
    "power mean, p = 2": lambda h, s: mean(s, h.weights, 2),
    "log-mean-exp, 4": lambda h, s: np.log(mean(np.exp(4 * s), h.weights)) / 4,
    "mean, down to -40 dB": loud_only(40),
    "mean by loudness": by_power(0.3),
    "mean by power^0.5": by_power(0.5),
    "mean by power": by_power(1.0),
    "power mean by loudness, p = 2": by_power(0.3, 2),
}


def power_mean(p: float, share: float = 0.5) -> Callable[[Scores, Scores], Scores]:
    return lambda y, m: (share * y**p + (1 - share) * m**p) ** (1 / p)


COMBINATIONS: dict[str, Callable[[Scores, Scores], Scores]] = {
    "mean": power_mean(1),
    "mean, YAMNet 30 %": power_mean(1, 0.3),
    "mean, YAMNet 70 %": power_mean(1, 0.7),
    "power mean, p = 1/2": power_mean(0.5),
    "power mean, p = 1/4": power_mean(0.25),
    "power mean, p = 1/4, YAMNet 30 %": power_mean(0.25, 0.3),
    "power mean, p = 1/4, YAMNet 40 %": power_mean(0.25, 0.4),
    "power mean, p = 1/4, YAMNet 60 %": power_mean(0.25, 0.6),
    "geometric mean": lambda y, m: np.sqrt(np.maximum(y, STEP / 2) * np.maximum(m, STEP / 2)),
    "mean of logits": lambda y, m: sigmoid((logit(y) + logit(m)) / 2),
    "mean of logits, YAMNet 30 %": lambda y, m: sigmoid(0.3 * logit(y) + 0.7 * logit(m)),
    "max": np.maximum,
}


class Study:
    """Ways of making clip scores, on the same halves of the sets."""

    def __init__(self, sets: dict[str, Recordings]) -> None:
        self._clips = {name: r.clips for name, r in sets.items()}
        rng = np.random.default_rng(0)
        self._halves: list[dict[str, NDArray[np.bool_]]] = []
        for _ in range(SPLITS):
            half = {name: _half(r.groups, rng) for name, r in sets.items()}
            self._halves += [half, {name: ~inside for name, inside in half.items()}]
        groups = np.array([len(set(r.groups)) for r in sets.values()])
        self._share = groups / groups.sum()

    def table(self, ways: dict[str, ClipScores], reference: str, free: Sequence[str]) -> str:
        """Whole sets, and halves less the reference on the same half (mean ± sd, and the share of
        halves with a better mAP). Those in ``free`` cannot be chosen."""
        whole = {w: [self._quality(n, s[n]) for n in s] for w, s in ways.items()}
        halves = {
            w: np.array([[self._quality(n, s[n], h[n]) for n in s] for h in self._halves])
            for w, s in ways.items()
        }  # f64[halves, sets, 3]
        names = [w for w in ways if w not in free]
        best = [
            max(names, key=lambda w: float(halves[w][k, :, 0] @ self._share))
            for k in range(len(self._halves))
        ]
        # Half k ^ 1 is the other half of the same split.
        other = np.arange(len(best)) ^ 1
        chosen = np.array([halves[w][k ^ 1] for k, w in enumerate(best)])
        lines = [
            "| way | " + " | ".join(f"{n} | on halves" for n in self._clips) + " | chosen |",
            "|---|" + "---:|" * (2 * len(self._clips) + 1),
        ]
        for way in ways:
            less = halves[way] - halves[reference]
            lines.append(_row(way, whole[way], less, str(best.count(way))))
        lines.append(_row("chosen on the other half", [], chosen - halves[reference][other], ""))
        seen = np.array([halves[w][k] for k, w in enumerate(best)])
        for title, figures in ((reference, halves[reference]), ("chosen, held out", chosen)):
            told = ", ".join(f"{v:.3f}" for v in figures[:, :, 0].mean(axis=0))
            lines.append(f"\nmAP on halves, {title}: {told}")
        told = ", ".join(f"{v:.3f}" for v in seen[:, :, 0].mean(axis=0))
        return "\n".join([*lines, f"\nmAP on halves, chosen, where it was chosen: {told}"])

    def _quality(
        self, name: str, rows: list[NDArray[np.float32]], inside: NDArray[np.bool_] | None = None
    ) -> tuple[float, float, float]:
        clips = self._clips[name]
        kept = range(len(clips)) if inside is None else np.flatnonzero(inside).tolist()
        return quality([clips[k] for k in kept], [rows[k] for k in kept], LABELS)


def _row(
    way: str, whole: list[tuple[float, float, float]], less: NDArray[np.float64], chosen: str
) -> str:
    cells = []
    for k in range(less.shape[1]):
        cells.append(" ".join(f"{v:.3f}" for v in whole[k]) if whole else "")
        ap, top_1 = less[:, k, 0], less[:, k, 1]
        cells.append(
            f"{ap.mean():+.3f} ± {ap.std():.3f} ({np.mean(ap > 0):.0%}), "
            f"top-1 {top_1.mean():+.3f} ± {top_1.std():.3f}"
        )
    return f"| {way} | {' | '.join(cells)} | {chosen} |"


def changing(recordings: Recordings, listener: Listener) -> str:
    """Single windows where the sound changes: mAP and accuracy over the set's classes, and cost."""
    rng, rate = np.random.default_rng(1), 32_000
    scores: dict[str, list[Scores]] = {}
    truth: list[int] = []
    for names in np.array_split(
        rng.permutation(len(recordings.clips)), -(-len(recordings.clips) // 20)
    ):
        pieces = [_without_ends(recordings.waveforms[k]) for k in names]
        ends = np.cumsum([len(piece) for piece in pieces]) / rate
        wave32 = np.concatenate(pieces)
        resampler = Resampler(rate, 16_000)
        wave16 = np.concatenate([resampler.push(wave32), resampler.flush()])
        heard = listener.hear(wave16, wave32, HOP)
        yamnet = heard.scores["int8"]
        centres = np.minimum(np.arange(len(yamnet)) * 0.48 + 0.4875, ends[-1])
        labels = [recordings.clips[k].label for k in names]
        truth += [LABELS.index(labels[k]) for k in np.searchsorted(ends, centres)]
        scores.setdefault("YAMNet", []).append(yamnet)
        for way, mn04 in heard.mn04.items():
            scores.setdefault(f"mn04, {way}", []).append(mn04)
            for title, combine in COMBINATIONS.items():
                scores.setdefault(f"{title}, {way}", []).append(combine(yamnet, mn04))
    right, classes = np.array(truth), np.unique(truth)
    lines = ["| windows | mAP | accuracy among the classes |", "|---|---:|---:|"]
    for way, blocks in scores.items():
        rows = np.concatenate(blocks)
        ap = np.mean([average_precision(rows[:, c], right == c) for c in classes])
        accuracy = np.mean(classes[rows[:, classes].argmax(axis=1)] == right)
        lines.append(f"| {way} | {ap:.3f} | {accuracy:.3f} |")
    once = listener.seconds["YAMNet"]
    cost = (f"{way} {listener.seconds[way] / once:.2f}" for way in MN04_WAYS)
    return "\n".join([*lines, f"\nmn04's time, in YAMNet's network's: {', '.join(cost)}"])


ENSEMBLE = ("power mean, p = 1/4", "5 s repeated to 10 s")
"""What oido's ensemble does."""


def reported(sets: dict[str, Recordings], heard: dict[str, dict[int, list[Heard]]]) -> str:
    """What windows report at each threshold: how often, and how much of it is right.

    Of the classes that a set has clips of; right is what the clip is labelled with, or may be.
    """
    combine = COMBINATIONS[ENSEMBLE[0]]
    ways: dict[str, Callable[[Heard], Scores]] = {
        "YAMNet": lambda h: h.scores["int8"],
        "mn04": lambda h: h.mn04[ENSEMBLE[1]],
        "both": lambda h: combine(h.scores["int8"], h.mn04[ENSEMBLE[1]]),
    }
    lines = [
        "| set | threshold | " + " | ".join(f"{way}: per 100 windows, precision" for way in ways),
        "|---|---:|" + "---|" * len(ways),
    ]
    for name, recordings in sets.items():
        classes = sorted({LABELS.index(clip.label) for clip in recordings.clips})
        truth = []
        for clip in recordings.clips:
            names = {clip.label, *clip.also}
            truth.append(np.array([LABELS[c] in names for c in classes]))
        for threshold in (0.1, 0.15, 0.2, 0.25, 0.3, 0.4):
            cells = []
            for way in ways.values():
                said = right = windows = 0
                for answer, hearing in zip(truth, heard[name][HOP]):
                    found = way(hearing)[:, classes] >= threshold
                    said, windows = said + int(found.sum()), windows + len(found)
                    right += int((found & answer).sum())
                precision = f"{right / said:.3f}" if said else "-"
                cells.append(f"{100 * said / windows:.1f}, {precision}")
            lines.append(f"| {name} | {threshold:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _without_ends(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Less what stands before and after the sound, 45 dB below its loudest 10 ms."""
    power = np.square(waveform[: len(waveform) // 320 * 320], dtype=np.float64).reshape(-1, 320)
    on = np.flatnonzero(power.mean(axis=1) > power.mean(axis=1).max() * 10**-4.5)
    return waveform[on[0] * 320 : (on[-1] + 1) * 320]


def _alone(aggregate: Callable[[Heard, Scores], Scores], kind: str, heard: Heard) -> Scores:
    return aggregate(heard, heard.scores[kind])


def _both(combine: Callable[[Scores, Scores], Scores], way: str, heard: Heard) -> Scores:
    return mean(combine(heard.scores["int8"], heard.mn04[way]), heard.loudness())


def main() -> None:
    """Hear what was not heard yet; measure; print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    shared = ROOT.parent / "shared"
    parser.add_argument("--audio", type=Path, default=shared / "audio")
    parser.add_argument("--weights", type=Path, default=shared / "models/mn04_as_mAP_432.pt")
    parser.add_argument("--limit", type=int, help="about so many clips of each set")
    parser.add_argument("--fresh", action="store_true", help="hear everything anew")
    options = parser.parse_args()
    CACHE.mkdir(parents=True, exist_ok=True)
    sets = {name: read_set(options.audio / name, options.limit) for name in SETS}
    listener, heard = Listener(options.weights), {}
    for name, recordings in sets.items():
        path = CACHE / f"{name}-{len(recordings.clips)}.pickle"
        if options.fresh or not path.exists():
            path.write_bytes(pickle.dumps(hear(name, recordings, listener)))
        heard[name] = pickle.loads(path.read_bytes())

    def clips(make: Callable[[Heard], Scores], hop: int = HOP) -> ClipScores:
        return {n: [make(h).astype(np.float32) for h in by[hop]] for n, by in heard.items()}

    study, peer = Study(sets), {}
    if PEER.exists():
        rows = {n: mediapipe(r.clips, listener.model) for n, r in sets.items()}
        peer = {"MediaPipe, mean": rows}
    for kind in PRECISIONS:
        ways = {w: clips(partial(_alone, f, kind)) for w, f in AGGREGATIONS.items()}
        for title, hop in HOPS.items():
            for way in ("mean", "mean by loudness"):
                ways[f"{way}, {title}"] = clips(partial(_alone, AGGREGATIONS[way], kind), hop)
        print(f"\nYAMNet, {kind}\n\n{study.table({**peer, **ways}, 'mean', list(peer))}")
    alone = {
        "mn04": clips(lambda h: mean(h.mn04["10 s"], h.weights)),
        "YAMNet": clips(lambda h: mean(h.scores["int8"], h.loudness())),
    }
    both = {
        f"{title}, {way}": clips(partial(_both, combine, way))
        for way in MN04_WAYS
        for title, combine in COMBINATIONS.items()
    }
    print(f"\nBoth, by loudness\n\n{study.table({**alone, **both}, 'mn04', list(alone))}\n")
    print(f"\nReports of windows\n\n{reported(sets, heard)}\n")
    listener.seconds.clear()
    print(changing(sets["esc10"], listener))


if __name__ == "__main__":
    main()
