# SPDX-License-Identifier: Apache-2.0
"""Examples that the rules of Python and of JavaScript are both held to.

    python tests/vectors/make_vectors.py [--check]

Writes a file of each kind of examples beside itself (`vectors` lists them), from what oido in
Python says; --check writes nothing, and fails if that is no longer what they say.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.events.calibration import Calibrator
from oido.events.selection import Selector
from oido.events.spans import Choice, Kinship, Span
from oido.events.stretches import SilenceFinder, StretchFinder
from oido.events.thresholds import on_thresholds
from oido.heads import Head, ScoreCalibration, ScoreTransformation, parse_thresholds
from oido.inference.block import Block
from oido.inference.detector import EventDetector, FrameGrid, FrameScores
from oido.inference.postprocess import HeadPostprocessor
from oido.models.labels import label_indices
from oido.models.model import SimilarityColumn
from oido.models.taxonomy import ancestors, columns_above, parents
from oido.params import Detection, Selection, Windowing
from oido.signal.level import LevelMeter
from oido.types import Event

FOLDER = Path(__file__).parent
YAMNET = Windowing(16_000, 15_600, 7_680)
WINDOWINGS = (YAMNET, Windowing(32_000, 64_000, 32_000), Windowing(16_000, 15_600, 15_360))
CALIBRATION = "1,4,-2\n0.9,-3,1.5,0.25\n\n1,0.5,0"


def levels() -> list[dict[str, Any]]:
    """Samples at 1 kHz, so that a level is of 20 of them, and the levels of each push."""
    dice = np.random.default_rng(4)
    samples = np.round(dice.normal(0, 0.3, 131) * np.linspace(1, 0, 131) ** 4, 6)
    samples[40:80] = 0.0
    meter, pushes = LevelMeter(1_000), []
    for part in np.split(samples.astype(np.float32), (7, 20, 63)):
        pushes.append({"samples": part.tolist(), "levels": meter.push(part).tolist()})
    return [{"name": "fading noise", "sampleRateHz": 1_000, "pushes": pushes}]


def stretches() -> list[dict[str, Any]]:
    """Levels as [dB, how many] in a row, the stretches that are known after so many levels, and the
    silences."""
    dice = np.random.default_rng(5)
    noise = [[round(float(db), 1), 1] for db in dice.normal(-50, 4, 400)]
    plateaus = [
        [round(float(dice.choice([-60, -49, -50.5, -20, -35])), 1), int(dice.integers(1, 90))]
        for _ in range(60)
    ]
    cases = {
        "nothing": [[-90, 400]],
        "shorter than the first background": [[-60, 20], [-20, 30], [-60, 20]],
        "noise behind digital silence": [[-90, 300], [-66, 50], [-30, 75], [-66, 50]],
        "the least rise above it": [[-90, 300], [-65, 50], [-65.01, 50], [-90, 50]],
        "exactly the rise": [[-60, 200], [-50, 50], [-60, 200]],
        "just below the rise": [[-60, 200], [-50.01, 50], [-60, 200]],
        "a click": [[-60, 300], [-20, 1], [-60, 100], [-20, 2], [-60, 100]],
        "pauses": [[-60, 300], [-20, 9], [-60, 29], [-20, 9], [-60, 30], [-20, 9], [-60, 99]],
        "sound to the end": [[-60, 300], [-20, 40]],
        "just 30 s": [[-60, 400], *[[-20, 20], [-60, 20]] * 37, [-20, 20], [-60, 100]],
        "longer than 30 s": [[-60, 400], [-20, 1], [-60, 2], *[[-20, 20], [-60, 20]] * 80],
        "it gets louder for good": [[-60, 700], [-30, 1_600]],
        "silences": [[-90, 70], [-40, 20], [-90, 30], [-89.9, 1], [-90, 29], [-40, 5], [-90, 40]],
        "noise": noise,
        "plateaus": plateaus,
    }
    return [
        {
            "name": name,
            "levels": runs,
            **_stretches(np.array([db for db, n in runs for _ in range(n)])),
        }
        for name, runs in cases.items()
    ]


def _stretches(levels: NDArray[Any]) -> dict[str, Any]:
    finder, silence_finder, steps = StretchFinder(), SilenceFinder(), []
    for start in range(0, len(levels), 60):
        for each in (finder, silence_finder):
            each.push(levels[start : start + 60].astype(np.float32))
        steps.append([finder.n_known, finder.open_from, len(finder.closed)])
    finder.flush()
    return {
        "step": 60,
        "steps": steps,
        "stretches": [list(each) for each in finder.closed],
        "silences": [list(each) for each in silence_finder.found()],
    }


def frames() -> list[dict[str, Any]]:
    """Windows' columns in steps of 1/256, and the frames that come with each and at the end."""
    dice = np.random.default_rng(8)
    cases = []
    short, long = (15_600, 15_360, False), (35_000, 34_560, True)  # window, image, similarities?
    for columns, hop, count, (window, image, has_similarity) in (
        (3, 7_680, 9, short),
        (3, 1_600, 14, short),
        (3, 15_360, 4, short),
        (0, 7_680, 4, short),
        (3, 11_520, 6, long),
    ):
        windowing = Windowing(16_000, window, hop)
        steps = dice.integers(0, 257, (count, max(columns, 1), 2))
        if has_similarity:  # the same for all columns of a window
            steps[:, :, -1] = steps[:, :1, -1]
            steps[:3, :, 0] = 256 - steps[:3, :, 0] // 8  # sure of a class
        for missing, is_padded in (
            (0, True),
            (1_500, True),
            (7_000, True),
            (0, False),
            (7_000, False),
        ):
            grid = FrameGrid(windowing, columns, image)
            scores = FrameScores(grid, has_similarity=has_similarity)
            n_samples = (count - 1) * hop + window - missing
            padded = [is_padded] * (count - 1) + [is_padded or missing > 0]
            pushes = [
                scores.push((s[None] / 256).astype(np.float32), is_padded=p).tolist()
                for s, p in zip(steps, padded)
            ]
            cases.append(
                {
                    "name": f"{columns} columns, hop {hop}, {missing} samples less, {is_padded}",
                    "isPadded": padded,
                    **_windowing(windowing),
                    "imageSamples": image,
                    "columns": columns,
                    **({"hasSimilarity": True} if has_similarity else {}),
                    "windows": steps.tolist(),
                    "pushes": pushes,
                    "nSamples": n_samples,
                    "flush": scores.flush(n_samples).tolist(),
                    "spans": grid.spans(0, 3).tolist(),
                }
            )
    return cases


KINSHIP = Kinship(
    # 0 animal, 1 dog, 2 bark, 3 cat, 4 purr (of a cat or an engine), 5 engine, 6 music
    ancestors=tuple(map(frozenset, [(), (0,), (0, 1), (0,), (0, 3, 5), (), ()])),
    parents=tuple(map(frozenset, [(), (0,), (1,), (0,), (3, 5), (), ()])),
)
"""Made up."""


def choice() -> list[dict[str, Any]]:
    """Spans [class, start, end, strength], and those that are told, with what they stand for."""
    dice = np.random.default_rng(9)
    cases = {
        "a more general one goes": [[0, 0, 10, 0.9], [1, 0, 10, 0.3]],
        "a fifth is enough": [[0, 0, 10, 1.0], [1, 0, 10, 0.2]],
        "less than a fifth goes itself": [[0, 0, 10, 1.0], [1, 0, 10, 0.19]],
        "not where it lasts longer": [[0, 0, 21, 0.9], [1, 0, 10, 0.3]],
        "half is enough": [[0, 0, 20, 0.9], [1, 0, 10, 0.3]],
        "half as strong stays": [[6, 0, 10, 0.8], [5, 0, 10, 0.4]],
        "weaker goes": [[6, 0, 10, 0.8], [5, 0, 10, 0.39]],
        "siblings in a tie": [[0, 0, 10, 0.6], [1, 0, 10, 0.5], [3, 0, 10, 0.45]],
        "one has won": [[0, 0, 10, 0.6], [1, 0, 10, 0.5], [3, 0, 10, 0.24]],
        "a tie of which one stands for more": [
            [0, 0, 10, 0.6],
            [1, 0, 10, 0.5],
            [3, 0, 10, 0.48],
            [6, 0, 10, 0.2],
        ],
        "two parents": [[0, 0, 9, 0.3], [3, 0, 9, 0.5], [4, 0, 9, 0.5], [5, 0, 9, 0.5]],
        "equally strong": [[6, 0, 10, 0.5], [5, 0, 10, 0.5]],
    }
    for number in range(12):
        cases[f"any {number}"] = [
            [
                int(dice.integers(7)),
                int(dice.choice([0, 0, 5])),
                int(dice.choice([10, 10, 16])),
                round(float(dice.choice([0.3, 0.5, dice.random()])), 3),
            ]
            for _ in range(6)
        ]
    kinship = {
        name: [sorted(c) for c in getattr(KINSHIP, name)] for name in KINSHIP.__annotations__
    }
    told = []
    for name, spans in cases.items():
        for keeps_all in (False, True) if name == "siblings in a tie" else (False,):
            made = [Span(index, start, end, 1.0, 1) for index, start, end, _ in spans]
            strengths = {id(span): values[3] for span, values in zip(made, spans)}
            kept = Choice(KINSHIP, keeps_all).choose(made, lambda span, s=strengths: s[id(span)])
            numbers = {id(span): number for number, span in enumerate(made)}
            kept_numbers = [[numbers[id(span)], list(span.also)] for span in kept]
            case = {"name": name, "kinship": kinship, "keepsAll": keeps_all}
            told.append({**case, "spans": spans, "kept": kept_numbers})
    return told


HEADS = (
    ("Animal", "Dog", "Bark", "Cat", "Speech", "Silence"),
    ("Siren", "Sirène", "noise", "Speech, shouted"),
)


def segmentation() -> list[dict[str, Any]]:
    """Scores of columns in steps of 1/256, levels, options, and the events with each window."""
    # Of the second seed, those that tell which frames may end a stretch's events.
    more = _scenes(9)
    more = [more[number] for number in (4, 9, 26)]
    return [*_edges(), *_silences(), *_scenes(6), *more]


def _silences() -> list[dict[str, Any]]:
    """Of two classes of which one is an absence, that score as high all along, in silence too."""
    zeros, faint, loud = -90.0, -70.0, -20.0
    half = Detection(threshold=0.5)
    coarse = Windowing(16_000, 15_600, 15_360)
    scenes = {
        "a sound over silence": ([[zeros, 300], [loud, 40], [zeros, 360]], YAMNET),
        "a hum that is muted": ([[faint, 300], [zeros, 60], [faint, 340]], YAMNET),
        "muted for just less than a pause": ([[faint, 300], [zeros, 29], [faint, 371]], YAMNET),
        "muted for just a pause": ([[faint, 303], [zeros, 30], [faint, 367]], YAMNET),
        "muted within a frame": ([[faint, 295], [zeros, 30], [faint, 375]], coarse),
        "muted before a sound": ([[faint, 300], [zeros, 31], [loud, 40], [faint, 329]], YAMNET),
        "muted behind a sound": ([[faint, 300], [loud, 40], [zeros, 31], [faint, 329]], YAMNET),
    }
    cases = []
    for name, (runs, windowing) in scenes.items():
        count = 700 * 320 // windowing.hop_samples
        case = {
            "labels": ("Hum", "Silence"),
            "columns": 0,
            "windows": [[[200, 160]]] * count,
            "levels": runs,
            "nSamples": windowing.window_samples + (count - 1) * windowing.hop_samples - 1_000,
        }
        both = Selection(category_allowlist=("Hum", "Silence"), labels="all")
        cases.append(_case(name, case, windowing, half, both, None, None))
    return [*cases, *_scenes(10, quiet=-90)[2:20:3]]


def _edges() -> list[dict[str, Any]]:
    """Of two unrelated classes, in windows that are frames."""
    quiet, loud = -60.0, -20.0
    half = Detection(threshold=0.5)
    coarse = Windowing(16_000, 15_600, 15_360)
    long = [[0, 0]] * 7 + [[0, 200]] * 32 + [[0, 10]] * 3
    rare = [[0, 0]] * 7 + [[0, 255], [0, 64], [0, 10], [0, 10], [0, 10], [0, 10], [0, 10]]
    apart = [[0, 0]] * 6 + [[0, 200], [0, 0], [0, 200]] + [[0, 0]] * 20
    scenes = {
        "a stretch that is cut": (long, [[quiet, 330], [loud, 1_600]], coarse, half),
        "equal to the off threshold": (rare, [[quiet, 340], [loud, 334]], coarse, half),
        "just the gap": (apart, [[quiet, 700]], YAMNET, replace(half, merge_gap=0.48)),
        "just not the gap": (apart, [[quiet, 700]], YAMNET, replace(half, merge_gap=0.479)),
        "half a sample": (apart, [], YAMNET, replace(half, min_duration=7_680.5 / 16_000)),
        "equal to the threshold": ([[0, 0], [0, 128], [0, 0]], [], YAMNET, half),
        "just weaker": ([[0, 0], [0, 127], [0, 0]], [], YAMNET, half),
    }
    cases = []
    for name, (rows, runs, windowing, detection) in scenes.items():
        length = windowing.window_samples + (len(rows) - 1) * windowing.hop_samples - 1_000
        case = {
            "labels": ("Music", "Speech"),
            "columns": 0,
            "windows": [[row] for row in rows],
            "levels": runs,
            "nSamples": length,
        }
        cases.append(_case(name, case, windowing, detection, Selection(), None, None))
    return cases


def _scenes(seed: int, quiet: float = -62) -> list[dict[str, Any]]:
    dice = np.random.default_rng(seed)
    cases = []
    for number in range(30):
        labels, columns = HEADS[number % 4 == 3], (3, 3, 0)[number % 3]
        windowing = Windowing(16_000, 15_600, (7_680, 1_600, 15_360)[number // 3 % 3])
        if number % 10 == 9:
            windowing, columns = Windowing(32_000, 64_000, 32_000), 0
        seconds = 6 + number % 7 * 2
        count = max(2, round(seconds * windowing.sample_rate_hz / windowing.hop_samples))
        shape = (count, max(columns, 1), len(labels))
        steps = np.zeros(shape, int)
        at = 0
        while at < count:  # sounds one after the other, some of them nothing
            length = 1 + int(dice.integers(1, 3) * 7_680 // windowing.hop_samples)
            loud = 256 * dice.random(len(labels)) ** 3 * (dice.random() < 0.7)
            noise = dice.normal(0, 16, (len(steps[at : at + length]), *shape[1:]))
            steps[at : at + length] = np.clip(loud + noise * (loud.max() > 0), 0, 256)
            at += length
        n_samples = windowing.window_samples + (count - 1) * windowing.hop_samples - 1_000
        runs, left = [], n_samples * 50 // windowing.sample_rate_hz
        while left > 0:
            runs.append(
                [
                    float(dice.choice([-60, quiet, -58, -30, -49])),
                    min(left, 10 * int(dice.integers(1, 12))),
                ]
            )
            left -= runs[-1][1]
        case = {
            "labels": labels,
            "columns": columns,
            "windows": steps.tolist(),
            "levels": runs if number % 6 != 5 else [],
            "nSamples": n_samples,
        }
        detection = Detection(
            threshold=None if number % 5 == 0 else round(float(dice.uniform(0.1, 0.6)), 2),
            off_ratio=float(dice.choice([0.0, 0.5, 0.5, 0.8, 1.0])),
            merge_gap=float(dice.choice([0.0, 0.0, 0.48, 1.3, 1e12])),
            min_duration=float(dice.choice([0.0, 0.0, 0.48, 14_600.5 / 16_000])),
            thresholds=((labels[1], 0.5), (labels[0], 0.05)) if number % 4 == 1 else (),
            unknown=number % 8 == 6,
        )
        selection = Selection(
            category_denylist=labels[2:3] if number % 7 == 3 else (),
            category_allowlist=(labels[0], labels[-1]) if number % 7 == 5 else (),
            labels="all" if number % 9 == 7 else "specific",
        )
        lines = CALIBRATION.split("\n") + ["1,3,-1"] * (len(labels) - 4)
        calibration = "\n".join(lines) if number % 6 == 4 else None
        similarities = np.round(dice.normal(0.3, 0.3, count), 2) if number % 4 == 2 else None
        cases.append(
            _case(
                f"scene {seed}-{number}",
                case,
                windowing,
                detection,
                selection,
                calibration,
                similarities,
            )
        )
    return cases


def detector_of(case: dict[str, Any]) -> EventDetector:
    """The detector that a case of segmentation.json is of."""
    options, calibration = case["options"], case["calibration"]
    labels = tuple(options["labels"])
    parsed = None if calibration is None else ScoreCalibration.parse(calibration, len(labels))
    least = options["leastSimilarity"]
    postprocessor = HeadPostprocessor(
        Head("scores", labels, calibration=parsed),
        slice(0, len(labels)),
        Selection(**case["selection"]),
        locale="en",
        rolls_up=False,
        similarity=None if least is None else SimilarityColumn(-1, least),
    )
    windowing = Windowing(options["sampleRateHz"], options["windowSamples"], options["hopSamples"])
    detection = Detection(
        **{**case["detection"], "thresholds": tuple(map(tuple, case["detection"]["thresholds"]))}
    )
    return postprocessor.detector(windowing, options["imageSamples"], detection)


def blocks_of(case: dict[str, Any], sizes: Iterable[int]) -> Iterator[Block]:
    """The windows of a case in blocks of these sizes, each with the levels up to its end."""
    options = case["options"]
    scores = (np.array(case["windows"]) / 256).astype(np.float32)
    levels = np.array([db for db, count in case["levels"] for _ in range(count)], np.float32)
    similarities = case["similarities"]
    level = options["sampleRateHz"] // 50
    start = known = 0
    for size in sizes:
        end = min(start + size, len(scores))
        samples = (end - 1) * options["hopSamples"] + options["windowSamples"]
        there = len(levels) if end == len(scores) else samples // level
        part = scores[start:end]
        yield Block(
            start,
            part.mean(axis=1) if options["columns"] else part[:, 0],
            np.zeros((len(part), 0), np.float32),
            np.append(np.ones(len(part) - 1), samples <= case["nSamples"]),
            np.zeros(len(part)),
            np.zeros((len(part), 2)),
            similarities=None
            if similarities is None
            else np.array(similarities[start:end], np.float32),
            framewise=part if options["columns"] else None,
            levels=levels[known:there],
        )
        start, known = end, max(known, there)
        if end == len(scores):
            return


def _case(
    name: str,
    case: dict[str, Any],
    windowing: Windowing,
    detection: Detection,
    selection: Selection,
    calibration: str | None,
    similarities: NDArray[Any] | None,
) -> dict[str, Any]:
    labels = case.pop("labels")
    indices = partial(label_indices, labels)
    on = on_thresholds(len(labels), detection, indices)
    lists = (selection.category_allowlist, selection.category_denylist)
    allowed = Selector(labels, selection, indices).allowed_events.tolist()
    least = None if similarities is None else 0.25
    kinship = {
        n: [sorted(c) for c in columns_above(labels, f)]
        for n, f in (("ancestors", ancestors), ("parents", parents))
    }
    made = {
        "name": name,
        "options": {
            "labels": labels,
            **_windowing(windowing),
            "imageSamples": 15_360,
            "columns": case.pop("columns"),
            **({} if detection.threshold is None else {"threshold": detection.threshold}),
            "thresholds": on.tolist() if detection.thresholds else None,
            "allowed": allowed if any(lists) else None,
            "offRatio": detection.off_ratio,
            "mergeGap": detection.merge_gap,
            "minDuration": detection.min_duration,
            "unknown": detection.unknown,
            "keepsAll": selection.labels == "all",
            "kinship": kinship,
            "leastSimilarity": least,
        },
        "detection": asdict(detection),
        "selection": asdict(selection),
        "calibration": calibration,
        "similarities": None if similarities is None else similarities.tolist(),
        **case,
    }
    detector, pushes, begun = detector_of(made), {}, {}
    for number, block in enumerate(blocks_of(made, [1] * len(case["windows"]))):
        if events := detector.push(block):
            pushes[str(number)] = [_event(event) for event in events]
        if events := detector.begun():
            begun[str(number)] = [_event(event) for event in events]
    flush = [_event(event) for event in detector.flush(made["nSamples"])]
    return {**made, "pushes": pushes, "begun": begun, "flush": flush}


def _windowing(windowing: Windowing) -> dict[str, int]:
    return {
        "sampleRateHz": windowing.sample_rate_hz,
        "windowSamples": windowing.window_samples,
        "hopSamples": windowing.hop_samples,
    }


def _event(event: Event) -> dict[str, Any]:
    return {
        "label": event.label,
        "labelIndex": event.label_index,
        "startTime": event.start_time,
        "endTime": event.end_time,
        "score": event.score,
        "probability": event.probability,
        "also": list(event.also),
    }


def calibration() -> list[dict[str, Any]]:
    """Calibration files, scores, and the probabilities; null for a file that is refused."""
    dice = np.random.default_rng(7)
    row = [0.0, 1e-20, 1e-16, 1e-3, 0.25, 0.5, 0.999, 1.0]
    texts = {
        "plain": "1,4,-2",
        "steep": "1,1e4,-5e3",
        "falling, least score": "0.75,-3.25,1.5,0.25",
        "written otherwise": " 1.,+.5e1,-2E0",
        "carriage return": "1,4,-2\r",
    }
    cases = []
    for transformation in ScoreTransformation:
        for name, line in texts.items():
            text = "\n".join([line] * len(row))
            cases.append(_calibrated(name, text, transformation, 0.125, [row]))
        lines = [
            "" if dice.random() < 0.2 else ",".join(f"{v:.4g}" for v in dice.uniform(0, 5, 4))
            for _ in range(9)
        ]
        scores = dice.random((5, len(lines))).astype(np.float32).tolist()
        cases.append(_calibrated("random", "\n".join(lines), transformation, -1.5, scores))
    wrong = ["", "1,2", "1,2,3,4,5", "-1,2,3", "1,nan,0", "1,0x10,0", "1,1_0,0", "1,2,3\n", "1,,3"]
    identity = ScoreTransformation.IDENTITY
    return cases + [_calibrated(f"wrong: {t!r}", t, identity, 0.0, [[0.5]]) for t in wrong]


def _calibrated(
    name: str, text: str, g: ScoreTransformation, default: float, scores: list[list[float]]
) -> dict[str, Any]:
    values = np.array(scores, np.float32)
    try:
        calibrator = Calibrator(ScoreCalibration.parse(text, values.shape[1], g, default))
        probabilities = calibrator.apply(values).tolist()
    except OptionError:
        probabilities = None
    return {
        "name": f"{name}, {g.name}",
        "text": text,
        "transformation": g.value,
        "defaultScore": default,
        "scores": values.tolist(),
        "probabilities": probabilities,
    }


def windows() -> list[dict[str, Any]]:
    """How many windows there are, and the stretch of samples that each answers for."""
    lengths = (0, 1, 15_599, 15_600, 15_601, 16_000, 23_280, 23_281, 48_000, 64_000, 160_000)
    return [
        {
            **_windowing(windowing),
            "nSamples": n,
            "count": windowing.count(n),
            "cells": [windowing.cell(w, windowing.count(n), n) for w in range(windowing.count(n))],
        }
        for windowing in WINDOWINGS
        for n in lengths
    ]


def thresholds() -> list[dict[str, Any]]:
    """Files of thresholds, and their pairs; null for a file that is refused."""
    texts = [
        "label,threshold\nDog,0.4\n",
        "Dog,0.4\r\n\r\n\"Speech, shouted\",1\n'quoted',0",
        'label , threshold\n "Dog",0.4',
        '"say ""a""", 0.5 ',
        "Dog,0.4\nlabel,threshold",
        "Dog",
        "Dog,0.4,1",
        "Dog,1.5",
        "Dog,nan",
        "Dog,",
        '"Dog,0.4',
        '"Dog"x,0.4',
        "",
        "Sirène,1e-3",
    ]
    cases = []
    for text in texts:
        try:
            pairs = [list(pair) for pair in parse_thresholds(text)]
        except OptionError:
            pairs = None
        cases.append({"text": text, "pairs": pairs})
    return cases


def vectors() -> dict[str, str]:
    """All files, by name."""
    made = {
        "levels.json": levels(),
        "stretches.json": stretches(),
        "frames.json": frames(),
        "choice.json": choice(),
        "segmentation.json": segmentation(),
        "calibration.json": calibration(),
        "windows.json": windows(),
        "thresholds.json": thresholds(),
    }
    return {
        name: "[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n"
        for name, cases in made.items()
    }


def main(check: bool) -> int:
    differing = []
    for name, text in vectors().items():
        path = FOLDER / name
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            differing.append(name)
    if differing:
        print(f"differ: {', '.join(differing)}", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
