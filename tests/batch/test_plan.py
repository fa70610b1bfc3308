# SPDX-License-Identifier: Apache-2.0
"""The plan that options make, and what comes of a recording."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oido.batch.plan import Failure, Plan, make_detection, make_plan
from oido.errors import AudioNotFoundError, OptionError
from oido.options import OPTIONS

DEFAULTS: dict[str, Any] = {
    **{name: option.default for name, option in OPTIONS.items()},
    "allow": [],
    "deny": [],
    "level": "events",
}


def plan(**values: Any) -> Plan:
    return make_plan({**DEFAULTS, **values}, model="m")


def test_the_threshold_of_events_is_that_of_detection_and_of_others_that_of_selection() -> None:
    events = plan(threshold=0.4)
    assert (events.detection.threshold, events.selection.score_threshold) == (0.4, None)
    for level in ("windows", "frames", "clip"):
        other = plan(threshold=0.4, level=level)
        assert (other.detection.threshold, other.selection.score_threshold) == (None, 0.4)


@pytest.mark.parametrize(
    ("values", "top"),
    [
        ({}, None),  # all events
        ({"top": 3}, 3),
        ({"level": "windows"}, 5),
        ({"level": "frames"}, 5),
        ({"level": "windows", "threshold": 0.2}, None),  # a limit is enough
        ({"level": "clip", "top": 7, "threshold": 0.2}, 7),
    ],
)
def test_windows_and_clips_have_five_labels_unless_they_are_limited(
    values: dict[str, Any], top: int | None
) -> None:
    assert plan(**values).top == top


def test_a_file_of_thresholds_is_read_once_and_here(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("label,threshold\nDog,0.25\n")
    found = make_detection({**DEFAULTS, "thresholds": str(tmp_path / "t.csv")})
    assert found.thresholds == (("Dog", 0.25),)
    with pytest.raises(OptionError, match="nowhere"):
        make_detection({**DEFAULTS, "thresholds": str(tmp_path / "nowhere.csv")})


def test_a_plan_is_the_same_for_every_worker_and_plain_in_the_manifest() -> None:
    made = plan(allow=["Dog"], threshold=0.4)
    assert pickle.loads(pickle.dumps(made)) == made
    plain = json.loads(json.dumps(made.parameters()))
    assert plain["selection"]["category_allowlist"] == ["Dog"]
    assert Plan(level="clip").table_name == "clips"
    assert Plan(level="windows").table_name == "windows"
    assert Plan("embeddings", level="clip").table_name == "embeddings"


def test_a_failure_keeps_the_sentence_and_a_defect_names_itself() -> None:
    assert Failure.of(AudioNotFoundError("a.wav: no such file")) == Failure(
        "AudioNotFoundError", "a.wav: no such file"
    )
    defect = Failure.internal("a.wav", ZeroDivisionError("oh"))
    assert defect.reason == "a.wav: internal error, ZeroDivisionError: oh"


def test_no_numpy_is_loaded() -> None:
    code = "import sys, oido.batch.plan, oido.batch.units; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
