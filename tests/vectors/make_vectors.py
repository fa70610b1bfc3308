# SPDX-License-Identifier: Apache-2.0
"""Examples that the rules of Python and of JavaScript are both held to.

    python tests/vectors/make_vectors.py [--check]

Writes segmentation.json, calibration.json, windows.json and thresholds.json beside itself, from
what oido in Python says; --check writes nothing, and fails if that is no longer what they say.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.events.calibration import Calibrator
from oido.events.segmentation import Segmenter
from oido.heads import ScoreCalibration, ScoreTransformation, parse_thresholds
from oido.params import Detection, Windowing
from oido.types import Event

FOLDER = Path(__file__).parent
YAMNET = Windowing(16_000, 15_600, 7_680)
WINDOWINGS = (YAMNET, Windowing(32_000, 64_000, 32_000), Windowing(16_000, 15_600, 15_360))
LABELS = ("Silence", "Dog", "Speech, shouted", "Sirène")
CALIBRATION = "1,4,-2\n0.9,-3,1.5,0.25\n\n1,0.5,0"


def segmentation() -> list[dict[str, Any]]:
    """Scores, options, and the events that come with each window and at the end."""
    dice = np.random.default_rng(6)
    cases = []
    edges = {
        "equal to both thresholds": [[0.5], [0.25], [0.25], [0.1]],
        "weak all along": [[0.49], [0.3], [0.49]],
        "one window": [[0.9]],
        "no window above": [[0.0], [0.0]],
        "falls and rises": [[0.9], [0.2], [0.3], [0.8], [0.1], [0.6]],
        "equal peaks": [[0.7], [0.7], [0.6]],
    }
    for name, rows in edges.items():
        for options in ({}, {"merge_gap": 0.48}, {"min_duration": 0.96}):
            scores = np.array(rows, np.float32)
            detection = Detection(threshold=0.5, **options)
            cases.append(_case(f"{name}, {options or 'plain'}", scores, YAMNET, detection))
    # 14,600.5 samples are 14,600, an even number, which is just what this event has.
    halfway = Detection(threshold=0.5, min_duration=14_600.5 / 16_000)
    cases.append(_case("half a sample", np.array([[0.9]], np.float32), YAMNET, halfway))
    for number in range(24):
        windowing = WINDOWINGS[number % len(WINDOWINGS)]
        walk = np.cumsum(dice.normal(0, 0.25, (12 + number, len(LABELS))), axis=0)
        scores = (np.sin(walk) / 2 + 0.5).astype(np.float32)
        detection = Detection(
            threshold=round(float(dice.uniform(0.2, 0.9)), 2),
            off_ratio=float(dice.choice([0.0, 0.5, 0.8, 1.0])),
            merge_gap=float(dice.choice([0.0, 0.48, 0.96, 1.3, 1e12])),
            min_duration=float(dice.choice([0.0, 0.48, 1.4, 2.00003125])),
        )
        on = np.linspace(0.1, 0.9, len(LABELS)).astype(np.float32) if number % 4 == 1 else None
        allowed = np.array([True, True, False, True]) if number % 5 == 2 else None
        calibration = CALIBRATION if number % 3 == 2 else None
        name = f"walk {number}"
        cases.append(_case(name, scores, windowing, detection, on, allowed, calibration))
    return cases


def _case(
    name: str,
    scores: NDArray[np.float32],
    windowing: Windowing,
    detection: Detection,
    on: NDArray[np.float32] | None = None,
    allowed: NDArray[np.bool_] | None = None,
    calibration: str | None = None,
) -> dict[str, Any]:
    windows, classes = scores.shape
    labels = LABELS[:classes]
    segmenter = Segmenter(
        labels,
        windowing,
        detection,
        np.full(classes, detection.threshold, np.float32) if on is None else on,
        np.ones(classes, bool) if allowed is None else allowed,
        calibrator=None
        if calibration is None
        else Calibrator(ScoreCalibration.parse(calibration, classes)),
    )
    n_samples = (windows - 1) * windowing.hop_samples + windowing.window_samples - 1_000
    pushes = [[_event(event) for event in segmenter.push(row[None])] for row in scores]
    return {
        "name": name,
        "options": {
            "labels": labels,
            **_windowing(windowing),
            "threshold": detection.threshold,
            "thresholds": None if on is None else on.tolist(),
            "allowed": None if allowed is None else allowed.tolist(),
            "offRatio": detection.off_ratio,
            "mergeGap": detection.merge_gap,
            "minDuration": detection.min_duration,
        },
        "calibration": calibration,
        "scores": scores.tolist(),
        "nSamples": n_samples,
        "pushes": pushes,
        "flush": [_event(event) for event in segmenter.flush(n_samples)],
    }


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
