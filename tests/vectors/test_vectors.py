# SPDX-License-Identifier: Apache-2.0
"""The examples that JavaScript is held to are what Python says today, and enough of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from oido.events.calibration import Calibrator
from oido.events.segmentation import Segmenter
from oido.heads import ScoreCalibration, ScoreTransformation
from oido.params import Detection, Windowing

FOLDER = Path(__file__).parent


def cases(name: str) -> list[dict]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def test_the_files_are_up_to_date() -> None:
    script = FOLDER / "make_vectors.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_changed_rule_would_be_seen(tmp_path: Path) -> None:
    script = (FOLDER / "make_vectors.py").read_text(encoding="utf-8")
    changed = tmp_path / "make_vectors.py"
    changed.write_text(script.replace("off_ratio=float(", "off_ratio=0.5 * float("))
    for file in FOLDER.glob("*.json"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    done = subprocess.run(
        [sys.executable, changed, "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "differ: segmentation.json\n")


@pytest.mark.parametrize("case", cases("segmentation"), ids=lambda case: case["name"])
def test_all_windows_at_once_give_the_same_events(case: dict) -> None:
    options, scores = case["options"], np.array(case["scores"], np.float32)
    classes = len(options["labels"])
    on = options["thresholds"] or [options["threshold"]] * classes
    text = case["calibration"]
    segmenter = Segmenter(
        tuple(options["labels"]),
        Windowing(options["sampleRateHz"], options["windowSamples"], options["hopSamples"]),
        Detection(
            off_ratio=options["offRatio"],
            merge_gap=options["mergeGap"],
            min_duration=options["minDuration"],
        ),
        np.array(on, np.float32),
        np.array(options["allowed"] or [True] * classes),
        calibrator=text and Calibrator(ScoreCalibration.parse(text, classes)),
    )
    events = [*segmenter.push(scores), *segmenter.flush(case["nSamples"])]
    found = sorted((e.start_time, e.label_index, e.end_time, e.score) for e in events)
    told = [event for push in [*case["pushes"], case["flush"]] for event in push]
    assert found == sorted(
        (e["startTime"], e["labelIndex"], e["endTime"], e["score"]) for e in told
    )


def test_the_examples_have_all_that_can_happen() -> None:
    told = cases("segmentation")
    early = [case for case in told if any(case["pushes"])]
    assert len(early) > 10, "events that end while the recording goes on"
    assert sum(bool(case["flush"]) for case in told) > 10, "events that the end closes"
    assert any(not any(case["pushes"]) and not case["flush"] for case in told), "no event"
    assert any(case["calibration"] and any(case["pushes"]) for case in told)
    assert any(case["probabilities"] is None for case in cases("calibration"))
    assert {case["transformation"] for case in cases("calibration")} == {
        each.value for each in ScoreTransformation
    }
    assert any(case["pairs"] is None for case in cases("thresholds"))
