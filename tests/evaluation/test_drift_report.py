# SPDX-License-Identifier: Apache-2.0
"""What a comparison means: sentences by the stated rules, and JSON of all of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from oido.datasets.clip import LeftOut
from oido.evaluation.bootstrap import Estimate
from oido.evaluation.drift_report import Drift, MovedClass, MovedFact, SetSize


def said(area: float, shifted: bool, moved: int = 0, calibrated: bool = True) -> list[str]:
    entries = [MovedClass(f"c{n}", 0.7, 0.01, 0.1, 0.2, 0.0, 0.3, 0.1) for n in range(moved)]
    facts = (
        MovedFact("level_db", -20.0, -41.0, 0.001, True),
        MovedFact("seconds", 5.0, 5.0, 0.5, False),
    )
    size = SetSize(40, 40, 40)
    found = Drift(
        *("m", calibrated, 0.05, size, size, shifted, 0.01, Estimate(area, area, area), 0.01),
        *(0.1, 0.01, 9, 0.01, tuple(entries), facts),
    )
    assert all(remark.text in str(found) for remark in found.verdict)
    return [remark.text for remark in found.verdict]


def test_the_words_follow_from_the_figures() -> None:
    assert said(0.5, False) == [
        "no shift found: calibration and thresholds made on the reference can still be trusted",
        "new recordings are quieter, -41 dB against -20 dB, which the model does not mind",
    ]
    slight = said(0.6, True, calibrated=False)
    assert slight[0].startswith("a slight shift")
    assert "thresholds are likely to hold" in slight[0]
    assert "may be off for the classes that moved" in said(0.6, True, 1)[0]
    assert said(0.6, True, 1)[1] == "in new recordings 'c0' scores higher"
    assert said(0.7, True, 7)[0].startswith("a shift: ")
    assert said(0.7, True, 7)[1].endswith("'c4' and 2 more score higher")
    assert said(0.9, True)[0].startswith("a clear shift: ")
    assert said(0.9, True)[1] == "new recordings are quieter, -41 dB against -20 dB"


def compared(**changes: Any) -> Drift:
    size = SetSize(40, 40, 40)
    moved = tuple(
        MovedClass(f"c{n}", area, 0.01, 0.1, 0.2, 0.0, 0.3, 0.1)
        for n, area in enumerate((0.9, 0.1, 0.2, 0.8))
    )
    figures = (0.05, size, size, True, 0.01, Estimate(0.7, 0.6, 0.8), 0.01, 0.1, 0.01, 9, 0.01)
    found = Drift("m", True, *figures, moved, (), (LeftOut("bad.wav", "is no sound"),))
    return replace(found, **changes)


def test_classes_that_rise_and_fall_are_told_apart() -> None:
    texts = [remark.text for remark in compared().verdict]
    assert "in new recordings 'c0', 'c3' score higher" in texts
    assert "in new recordings 'c1', 'c2' score lower" in texts


def test_few_recordings_without_a_shift_are_a_caution() -> None:
    for recordings, cautions in ((30, 0), (29, 1)):
        found = compared(shifted=False, moved=(), new=SetSize(99, recordings, 99))
        told = [r for r in found.verdict if "none but a large shift would show" in r.text]
        assert len(told) == cautions
        assert all(remark.tone == "fair" for remark in told)


@pytest.mark.parametrize(
    ("area", "words", "tone"),
    [
        (0.649, "a slight shift: ", "fair"),
        (0.65, "a shift: ", "poor"),
        (0.799, "a shift: ", "poor"),
        (0.8, "a clear shift: ", "poor"),
    ],
)
def test_a_shift_is_graded_at_its_limits(area: float, words: str, tone: str) -> None:
    first = compared(area=Estimate(area, area, area)).verdict[0]
    assert first.text.startswith(words)
    assert first.tone == tone


def test_json_and_text_have_every_figure() -> None:
    found = compared()
    content = json.loads(found.to_json())
    assert content == json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (content["area"]["low"], content["shifted"], content["level"]) == (0.6, True, 0.05)
    assert content["moved"][0]["new_heard"] == 0.3
    assert content["left_out"] == [{"name": "bad.wav", "reason": "is no sound"}]
    assert content["verdict"][0]["text"] == found.verdict[0].text
    assert "left out: bad.wav: is no sound" in str(found)
    assert "AUC 0.70 [0.60, 0.80]" in str(found)
