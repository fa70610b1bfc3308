# SPDX-License-Identifier: Apache-2.0
"""The examples that JavaScript is held to are what Python says today, and enough of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from oido.heads import ScoreTransformation
from tests.vectors.make_vectors import blocks_of, detector_of

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
@pytest.mark.parametrize("sizes", [(1_000,), (7, 1, 20, 3) * 20], ids=["at once", "in pieces"])
def test_other_blocks_give_the_same_events(case: dict, sizes: tuple[int, ...]) -> None:
    detector = detector_of(case)
    events = [event for block in blocks_of(case, sizes) for event in detector.push(block)]
    events += detector.flush(case["nSamples"])
    found = sorted((e.start_time, e.label_index, e.end_time, e.score, list(e.also)) for e in events)
    told = [event for push in [*case["pushes"].values(), case["flush"]] for event in push]
    names = ("startTime", "labelIndex", "endTime", "score", "also")
    assert found == sorted(tuple(event[name] for name in names) for event in told)


def test_the_examples_have_all_that_can_happen() -> None:
    told = cases("segmentation")
    early = [case for case in told if case["pushes"]]
    assert len(early) > 10, "events that end while the recording goes on"
    assert sum(bool(case["flush"]) for case in told) > 10, "events that the end closes"
    assert any(not case["pushes"] and not case["flush"] for case in told), "no event"
    assert any(case["calibration"] and case["pushes"] for case in told)
    events = [
        e for case in told for push in [*case["pushes"].values(), case["flush"]] for e in push
    ]
    assert any(event["also"] for event in events)
    assert any(event["label"] == "unknown" for event in events)
    assert {case["options"]["columns"] for case in told if case["pushes"]} == {0, 3}
    assert any(len(case["begun"]) > 1 for case in told)
    assert any(each[2] for case in cases("stretches") for each in case["stretches"]), "one is cut"
    assert any(also for case in cases("choice") for _, also in case["kept"])
    assert any(case["probabilities"] is None for case in cases("calibration"))
    assert {case["transformation"] for case in cases("calibration")} == {
        each.value for each in ScoreTransformation
    }
    assert any(case["pairs"] is None for case in cases("thresholds"))
