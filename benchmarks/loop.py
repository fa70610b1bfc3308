# SPDX-License-Identifier: Apache-2.0
"""Learning a sound from answers: what 20, 50 and 100 of them bring, by how they are chosen.

    python benchmarks/loop.py                judged on the sounds that chose no rule
    python benchmarks/loop.py --choose       the rules that were tried, on the other sounds
    python benchmarks/loop.py --windows 1000000     seconds and memory of a round in a large archive

A made archive: scenes of ten seconds, each a clip of ../shared/audio (ESC-10, everyday sounds,
three events) in front of another one, 6 dB below to 12 dB above it, embedded once by YAMNet.
A sound is looked for in the scenes of one half of all sources; those with it are drawn until 1 % of
the windows have it. A window has it where 0.3 s or half of the sound is in it; windows with less
of it are left out. Another source's clip is the example to begin with. After each ten answers the
head is fitted again.

Average precision over the windows that were not asked, and over scenes of the other half of all
sources (1 % again, the example's source apart); mean over sounds and five seeds, and the deviation
over seeds. Every second sound, by the alphabet, was used to choose the rule (one seed).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import resource
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from oido.batch.parquet_parts import WindowPlaces
from oido.datasets.clip import Clip
from oido.datasets.waveforms import clip_waveform
from oido.evaluation.ranking_and_calibration import average_precision
from oido.inference.embedder import AudioEmbedder, l2_normalized
from oido.review.windows import ArchiveWindows
from oido.search.shard import Shard, write_shard
from oido.training.active import (
    BACKGROUND_WINDOWS,
    OURS,
    AnswersFit,
    AskingRule,
    Unanswered,
    archive_shares,
    choose_next,
    is_enough,
    learning_curve,
)
from oido.training.embeddings import EmbeddedClips
from oido.training.fit import one_thread
from oido.training.head import EmbeddingHead

RATE_HZ, SECONDS, SHARE = 16_000, 10, 0.01
SETS = ("esc10", "everyday", "three-events")
FURTHER_TARGETS = ("Clapping", "Drum", "Guitar", "Marimba, xylophone")
WITH_TARGET, OTHERS = (24, 12), (400, 160)
"""Scenes of each target, and of other sounds: in the archive, and held out."""

ASKED, EACH = (20, 50, 100), 10
RANDOM_TOO = 300
RULES = {
    "random": AskingRule(0, 0, 10, 0.0),
    "top": AskingRule(10, 0, 0, 0.0),
    "margin": AskingRule(0, 10, 0, 0.0),
    "ours": OURS,
}
_TRIED = (
    *((shares, 0.25, 1.0) for shares in ((10, 0, 0), (6, 4, 0), (3, 7, 0), (5, 3, 2))),
    *(((6, 4, 0), spread, weight) for spread, weight in ((0.0, 1.0), (0.25, 0.3), (0.25, 3.0))),
)
TRIED = {
    f"top {top} margin {margin} random {chance}, spread {spread:g}, background {weight:g}": (
        AskingRule(top, margin, chance, spread, weight)
    )
    for (top, margin, chance), spread, weight in _TRIED
}


class Sound(NamedTuple):
    """A clip, what it is, and which half of the sources it is of."""

    path: Path
    label: str
    names: frozenset[str]
    source: str
    half: int


class Windows(NamedTuple):
    """Windows of scenes: f32[n, 1024], the scene of each, and seconds and share of its event."""

    vectors: np.ndarray
    scene: np.ndarray
    seconds: np.ndarray
    share: np.ndarray


def sounds_of(audio: Path) -> list[Sound]:
    found: list[Sound] = []
    for name in SETS:
        with (audio / name / "clips.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                label = row["audioset_label"]
                names = frozenset([label, *filter(None, row["audioset_also"].split("|"))])
                source = f"{name} {row['group'] or row['file']}"
                found.append(Sound(audio / name / row["file"], label, names, source, 0))
    sources: dict[str, list[str]] = defaultdict(list)
    for sound in found:
        if sound.source not in sources[sound.label]:
            sources[sound.label].append(sound.source)
    nth = {
        source: number % 2
        for group in sources.values()
        for number, source in enumerate(sorted(group, key=lambda s: zlib.crc32(s.encode())))
    }
    return [sound._replace(half=nth[sound.source]) for sound in found]


def targets_of(sounds: list[Sound]) -> list[str]:
    esc10 = {sound.label for sound in sounds if sound.source.startswith("esc10")}
    return sorted({*esc10, *FURTHER_TARGETS})


def waveform_of(sound: Sound) -> np.ndarray:
    return clip_waveform(Clip(str(sound.path)), RATE_HZ)[0]


def scene_of(
    event: np.ndarray, behind: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """f32[10 s], and bool[1000] where the event sounds, by hundredths of a second."""
    length = RATE_HZ * SECONDS
    event = event[:length]
    hop = RATE_HZ // 100
    frames = event[: len(event) // hop * hop].reshape(-1, hop)
    power = (frames**2).mean(axis=1)
    sounding = power > power.max(initial=1e-12) * 1e-3
    sounding = (
        np.convolve(sounding, np.ones(11))[5 : 5 + len(sounding)] > 0
    )  # gaps of a tenth are none
    bed = np.resize(behind, length)
    level = np.sqrt((bed**2).mean() + 1e-12)
    loud = np.sqrt(power[sounding].mean() + 1e-12) if sounding.any() else 1.0
    gain = level / loud * 10 ** (random.uniform(-6, 12) / 20)
    start = int(random.integers(0, length - len(event) + 1)) // hop * hop
    mixed = bed.copy()
    mixed[start : start + len(event)] += gain * event
    where = np.zeros(100 * SECONDS, bool)
    where[start // hop : start // hop + len(sounding)] = sounding
    return (mixed * (0.3 / max(np.abs(mixed).max(), 1e-6))).astype(np.float32), where


def plan(sounds: list[Sound], targets: list[str]) -> list[tuple[int, int]]:
    """(event, what is behind it) of each scene, of one half of the sources each."""
    random = np.random.default_rng(7)
    scenes = []
    for half in (0, 1):
        own = [n for n, sound in enumerate(sounds) if sound.half == half]
        others = [n for n in own if sounds[n].label not in targets]
        events: list[int] = []
        for target in targets:
            of_target = [n for n in own if sounds[n].label == target]
            events += [of_target[n % len(of_target)] for n in range(WITH_TARGET[half])]
        events += [others[n % len(others)] for n in range(OTHERS[half])]
        for event in events:
            behind = event
            while sounds[behind].names & sounds[event].names:
                behind = own[int(random.integers(len(own)))]
            scenes.append((event, behind))
    return scenes


def embedded(audio: Path, cache: Path) -> tuple[list[Sound], list[tuple[int, int]], Windows, dict]:
    """All scenes, and the mean vectors of the targets' own clips; made once, and kept."""
    sounds = sounds_of(audio)
    targets = targets_of(sounds)
    scenes = plan(sounds, targets)
    kept = cache / "loop-yamnet-1.npz"
    if not kept.exists():
        embedder, random = AudioEmbedder(), np.random.default_rng(11)
        waveforms = [waveform_of(sound) for sound in sounds]
        rows: list[tuple[np.ndarray, ...]] = []
        for number, (event, behind) in enumerate(scenes):
            mixed, where = scene_of(waveforms[event], waveforms[behind], random)
            found = embedder.embed(mixed, RATE_HZ)
            full = found.weights >= 0.99
            spans = np.rint(found.times[full] * 100).astype(int)
            seconds = np.array([where[a:b].sum() / 100 for a, b in spans])
            share = seconds / max(where.sum() / 100, 1e-6)
            scene = np.full(len(seconds), number)
            rows.append((found.embeddings[full].astype(np.float16), scene, seconds, share))
            if number % 200 == 0:
                print(f"embedded {number} of {len(scenes)} scenes", file=sys.stderr)
        own = {
            str(n): embedder.embed(waveforms[n], RATE_HZ).clip_embedding
            for n, sound in enumerate(sounds)
            if sound.label in targets
        }
        names = Windows._fields
        np.savez(kept, **{f: np.concatenate(c) for f, c in zip(names, zip(*rows))}, **own)
    content = np.load(kept)
    windows = Windows(*(content[name] for name in Windows._fields))
    windows = windows._replace(vectors=windows.vectors.astype(np.float32))
    clips = {int(n): content[n] for n in content.files if n.isdigit()}
    return sounds, scenes, windows, clips


class Archive(NamedTuple):
    """Windows of one half of the sources, those with a sound among them, and scenes as groups."""

    vectors: np.ndarray
    roots: np.ndarray
    has_it: np.ndarray
    scene: np.ndarray

    def logits(self, head: EmbeddingHead) -> np.ndarray:
        """Of a head that takes square roots, which are kept: sixty heads see the same windows."""
        assert head.square_root
        layer = head.layers[0]
        return (self.roots @ layer.weights[0] + layer.bias[0]).astype(np.float32)


class World:
    """Made archives with one sound at a time."""

    def __init__(self, audio: Path, cache: Path) -> None:
        self.sounds, self.scenes, self.windows, self.clips = embedded(audio, cache)
        self.targets = targets_of(self.sounds)

    def archive(self, target: str, half: int, seed: int, without: str = "") -> Archive:
        random = np.random.default_rng([seed, half])
        sounds = self.sounds
        kinds = []
        for event, behind in self.scenes:
            both = sounds[event], sounds[behind]
            if both[0].half != half or any(s.source == without for s in both):
                kinds.append("none")
            elif both[0].label == target:
                kinds.append("with")
            elif any(target in sound.names for sound in both):
                kinds.append("none")
            else:
                kinds.append("other")
        kind = np.array(kinds)
        windows = self.windows
        sounding = (windows.seconds >= 0.3) | (windows.share >= 0.5)
        clear = sounding | (windows.seconds == 0)
        others = np.flatnonzero(kind[windows.scene] == "other")
        wanted = round(SHARE * len(others) / (1 - SHARE))
        chosen, positives = [], 0
        for scene in random.permutation(np.flatnonzero(kind == "with")):
            if positives >= wanted:
                break
            own = np.flatnonzero((windows.scene == scene) & clear)
            chosen.append(own)
            positives += int(sounding[own].sum())
        rows = np.sort(np.concatenate([others, *chosen]))
        has_it = (kind[windows.scene[rows]] == "with") & sounding[rows]
        vectors = windows.vectors[rows]
        return Archive(vectors, np.sqrt(vectors), has_it, windows.scene[rows])

    def example(self, target: str, seed: int) -> int:
        """A clip of the other half of the sources."""
        of_target = [n for n in self.clips if self.sounds[n].label == target]
        of_target = [n for n in of_target if self.sounds[n].half == 1]
        return of_target[int(np.random.default_rng(seed).integers(len(of_target)))]


class Run:
    """One person's answers in one archive."""

    def __init__(self, archive: Archive, example: np.ndarray, rule: AskingRule, seed: int) -> None:
        self.archive, self.rule = archive, rule
        self.dice = np.random.default_rng([seed, 1])
        self.asked: list[int] = []
        self.askable = np.ones(len(archive.scene), bool)
        mean = archive.vectors.mean(axis=0)
        self.logits = l2_normalized(archive.vectors - mean) @ l2_normalized(example - mean)
        self.example = example[None]
        drawn = np.random.default_rng(seed).permutation(len(archive.scene))
        self.background = drawn[: 2 * BACKGROUND_WINDOWS]
        self.fit: AnswersFit | None = None

    def ask(self, count: int) -> None:
        rule = self.rule
        if self.fit is None and rule.random != 10:
            rule = AskingRule(10, 0, 0, rule.spread)  # like the example
        found = choose_next(
            self.logits,
            self.askable,
            count,
            vectors=lambda numbers: self.archive.vectors[numbers],
            near=self._near,
            dice=self.dice,
            rule=rule,
        )
        for number in found.tolist():
            self.asked.append(number)
            self.askable[self._near(number)] = False

    def learn(self) -> None:
        background = self.background[~np.isin(self.background, self.asked)][:BACKGROUND_WINDOWS]
        self.fit = AnswersFit(
            self.clips(), Unanswered(self.archive.vectors[background], self.example), self.rule
        )
        self.head = self.fit.head
        self.logits = self.archive.logits(self.head)

    def clips(self) -> EmbeddedClips:
        asked, count = np.array(self.asked), len(self.asked)
        return EmbeddedClips(
            self.archive.vectors[asked],
            np.arange(count),
            np.ones(count),
            self.archive.has_it[asked][:, None].astype(np.float32),
            ("sound",),
            self.archive.scene[asked].astype(np.int64),
            np.full(count, -1),
            multi_label=True,
        )

    def _near(self, number: int) -> np.ndarray:
        scene = self.archive.scene
        near = np.arange(max(0, number - 2), min(len(scene), number + 3))
        return near[scene[near] == scene[number]]


Figures = dict[int, list[tuple[float, float]]]


def judge(world: World, target: str, seed: int, rule: AskingRule, asked: tuple[int, ...]) -> dict:
    example = world.example(target, seed)
    source = world.sounds[example].source
    archive, held_out = world.archive(target, 0, seed), world.archive(target, 1, seed, source)
    run = Run(archive, world.clips[example], rule, seed)
    found: dict[int, tuple[float, float]] = {}
    stop, spent, fits = 0, 0.0, 0
    estimate = (float("nan"),) * 3
    while len(run.asked) < asked[-1]:
        run.ask(EACH)
        if rule.random == 10 and len(run.asked) not in asked:
            continue
        started = time.perf_counter()
        run.learn()
        spent, fits = spent + time.perf_counter() - started, fits + 1
        assert run.fit is not None
        answers = len(run.asked)
        if rule is OURS and answers % 20 == 0 and (answers == 100 or (not stop and answers >= 40)):
            answered = run.logits[run.asked]
            curve = learning_curve(run.fit, archive_shares(answered, run.logits))
            positives = int(archive.has_it[run.asked].sum())
            if curve and answers == 100:
                estimate = tuple(curve[-1][1:])
            if not stop and is_enough(curve, positives):
                stop = answers
        if answers in asked:
            rest = np.ones(len(archive.scene), bool)
            rest[run.asked] = False
            found[answers] = (
                average_precision(archive.has_it[rest], run.logits[rest]),
                average_precision(held_out.has_it, held_out.logits(run.head)),
            )
    return {
        "ap": found,
        "positives": int(archive.has_it[run.asked].sum()),
        "of": int(archive.has_it.sum()),
        "windows": len(archive.scene),
        "seconds": spent / fits,
        "stop": stop,
        "estimate": estimate,
    }


def resumed(
    kept: Path | None,
    world: World,
    target: str,
    seed: int,
    rule: AskingRule,
    asked: tuple[int, ...],
) -> dict:
    """`judge`, or what it gave before, of the same sources."""
    if kept is None:
        return judge(world, target, seed, rule, asked)
    facts = [target, seed, astuple(rule), asked, rule is OURS]
    path = kept / f"{hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]}.json"
    if not path.exists():
        kept.mkdir(exist_ok=True)
        path.write_text(json.dumps(judge(world, target, seed, rule, asked)))
    found = json.loads(path.read_text())
    found["ap"] = {int(count): each for count, each in found["ap"].items()}
    return found


def row(name: str, cells: list[tuple[float, float] | None]) -> str:
    shown = ["      –      " if c is None else f"{c[0]:.3f} ± {c[1]:.3f}" for c in cells]
    return f"{name:56s} " + "  ".join(shown)


def table(
    world: World,
    targets: list[str],
    rules: dict[str, AskingRule],
    seeds: int,
    most: int,
    kept: Path | None,
) -> None:
    results: dict[str, list[dict]] = {}
    for name, rule in rules.items():
        asked = tuple(n for n in ASKED if n <= most)
        asked = (*asked, RANDOM_TOO) if rule.random == 10 else asked
        results[name] = [
            {**resumed(kept, world, target, seed, rule, asked), "seed": seed, "target": target}
            for target in targets
            for seed in range(seeds)
        ]
        print(f"{name}: done", file=sys.stderr, flush=True)
    for place, title in enumerate(("windows that were not asked", "held-out sources")):
        print(f"\nAverage precision, {title}, after")
        print(f"{'':56s} " + "  ".join(f"{n:^13d}" for n in (*ASKED, RANDOM_TOO)))
        for name, runs in results.items():
            cells: list[tuple[float, float] | None] = []
            for count in (*ASKED, RANDOM_TOO):
                if count not in runs[0]["ap"]:
                    cells.append(None)
                    continue
                each = [
                    np.nanmean([r["ap"][count][place] for r in runs if r["seed"] == seed])
                    for seed in range(seeds)
                ]
                cells.append((float(np.mean(each)), float(np.std(each))))
            print(row(name, cells))
    print()
    for name, runs in results.items():
        yes, of = (np.mean([r[key] for r in runs]) for key in ("positives", "of"))
        seconds = np.median([r["seconds"] for r in runs])
        print(f"{name:56s} {yes:5.1f} yes of {of:.0f} windows; {seconds:.2f} s to fit and score")
    runs = results.get("ours", [])
    if runs and "random" in results:
        estimates = np.array([r["estimate"] for r in runs])
        true = np.array([r["ap"][100][1] for r in runs])
        inside = (estimates[:, 1] <= true) & (true <= estimates[:, 2])
        known = np.isfinite(estimates[:, 0])
        print(
            f"\nours at 100: estimated {np.nanmean(estimates[:, 0]):.3f}, on held-out sources "
            f"{true.mean():.3f}; {inside[known].mean():.2f} of {known.sum()} intervals hold it"
        )
        stops = [r["stop"] for r in runs if r["stop"]]
        print(
            f"it said stop in {len(stops)} of {len(runs)} runs, "
            f"after {np.median(stops) if stops else float('nan'):.0f} answers (median)"
        )
        for target in targets:
            ours = np.mean([r["ap"][50][1] for r in runs if r["target"] == target])
            fair = [r["ap"] for r in results["random"] if r["target"] == target]
            print(
                f"  {target:34s} held out: ours at 50 {ours:.3f}, "
                f"random at 50 {np.mean([r[50][1] for r in fair]):.3f}, "
                f"at 300 {np.mean([r[300][1] for r in fair]):.3f}"
            )


class MadeArchive:
    """Stands for an opened archive: parts of real windows with noise, on the grid of int8."""

    def __init__(self, real: np.ndarray, rows: int, folder: Path) -> None:
        random, step = np.random.default_rng(0), real[real > 0].min()
        self._made: list[tuple[Shard, WindowPlaces]] = []
        for number, start in enumerate(range(0, rows, _PART_ROWS)):
            count = min(_PART_ROWS, rows - start)
            values = real[random.integers(0, len(real), count)]
            values = values + real.std() * 0.3 * random.standard_normal(values.shape, np.float32)
            codes = np.clip(np.rint(np.maximum(values, 0) / step), 0, 255)
            blocks = np.array_split((codes * step).astype(np.float16), 4)
            facts = write_shard(folder, f"{number:05d}", blocks, count)
            files = tuple(f"{number}-{n}.wav" for n in range(-(-count // _FILE_ROWS)))
            at = np.arange(count)
            starts = at % _FILE_ROWS * 0.48
            nothing = np.full(count, -1)
            places = WindowPlaces(files, at // _FILE_ROWS, nothing, starts, starts + 0.975)
            self._made.append((Shard(folder, facts), places))

    def all_windows(self) -> list[tuple[Shard, WindowPlaces]]:
        return self._made


_PART_ROWS, _FILE_ROWS = 50_000, 1_250


def round_of(world: World, rows: int, folder: Path) -> None:
    """What a round costs with a hundred answers: medians of five."""
    archive = MadeArchive(world.windows.vectors, rows, folder)
    started = time.perf_counter()
    windows = ArchiveWindows(archive)  # type: ignore[arg-type]
    opened = time.perf_counter() - started
    dice = np.random.default_rng(1)
    numbers = dice.choice(rows, 100 + BACKGROUND_WINDOWS, replace=False)
    clips = EmbeddedClips(
        windows.vectors(numbers[:100]),
        np.arange(100),
        np.ones(100),
        (np.arange(100) % 3 == 0)[:, None].astype(np.float32),
        ("sound",),
        np.arange(100) // 2,
        np.full(100, -1),
        multi_label=True,
    )
    background = windows.vectors(numbers[100:])
    seconds: dict[str, list[float]] = defaultdict(list)
    askable = np.ones(rows, bool)

    def timed(name: str, work: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        found = work()
        seconds[name].append(time.perf_counter() - begun)
        return found

    for _ in range(5):
        with one_thread():
            beside = Unanswered(background, background[:1])
            fit = timed("fit", lambda b=beside: AnswersFit(clips, b))
            head = timed("head", lambda f=fit: f.head)
            logits = timed("score the archive", lambda h=head: windows.logits(h))
            shares = archive_shares(logits[numbers[:100]], logits)
            timed("curve", lambda f=fit, s=shares: learning_curve(f, s))
        timed(
            "choose 20",
            lambda found=logits: choose_next(
                found,
                askable,
                20,
                vectors=windows.vectors,
                near=lambda number: windows.touching(windows.place(number)),
                dice=dice,
            ),
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    parts = ", ".join(f"{name} {np.median(each):.3f} s" for name, each in seconds.items())
    print(f"{rows} windows: opened in {opened:.2f} s; {parts}; peak {peak:.0f} MB of the process")


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = Path(__file__).parents[1]
    parser.add_argument("--audio", type=Path, default=root.parent / "shared" / "audio")
    parser.add_argument("--cache", type=Path, default=root / ".bench")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--choose", action="store_true", help="try rules on the other sounds")
    parser.add_argument("--rules", nargs="+", choices=RULES, default=list(RULES))
    parser.add_argument("--resume", type=Path, help="keep each run's figures in this folder")
    parser.add_argument("--windows", type=int, nargs="*", default=[])
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    world = World(arguments.audio, arguments.cache)
    for rows in arguments.windows:
        with tempfile.TemporaryDirectory(prefix="loop-", dir=arguments.cache) as folder:
            round_of(world, rows, Path(folder))
    if arguments.windows:
        return 0
    targets = world.targets[0 if arguments.choose else 1 :: 2]
    archive = world.archive(targets[0], 0, 0)
    print(
        f"{len(targets)} sounds ({', '.join(targets)}), {arguments.seeds} seeds; "
        f"some {len(archive.scene)} windows in {len(np.unique(archive.scene))} scenes"
    )
    with one_thread():
        rules = TRIED if arguments.choose else {name: RULES[name] for name in arguments.rules}
        most = 50 if arguments.choose else 100
        table(world, targets, rules, arguments.seeds, most, arguments.resume)
    return 0


if __name__ == "__main__":
    sys.exit(main())
