# SPDX-License-Identifier: Apache-2.0
"""Sentences follow from numbers by the rules that the functions state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from oido.evaluation.metrics import measure
from oido.evaluation.predictions import ClipPredictions
from oido.evaluation.verdict import Baseline, CurvePoint, Remark, verdict
from tests.evaluation.made_predictions import judged, random_judged

pytest.importorskip("sklearn")


def said(clips: ClipPredictions, **rest: Any) -> list[Remark]:
    return list(verdict(clips, measure(clips), **rest))


def the(remarks: list[Remark], words: str) -> Remark:
    [found] = [remark for remark in remarks if words in remark.text]
    return found


def answers(pairs: list[tuple[int, int, int]], classes: int = 2) -> ClipPredictions:
    """Clips by (true, said, how many); as many as there are classes is no event."""
    rows = [(true, named) for true, named, count in pairs for _ in range(count)]
    table = np.eye(classes + 1, dtype=np.float32)[:, :classes]
    return judged(
        table[[true for true, _ in rows]],
        table[[named for _, named in rows]] * 0.9 + 0.05,
        classes=("hoot", "owl", "wren")[:classes],
    )


def test_too_few_clips_are_told_with_their_recordings() -> None:
    labels = [0, 0, 0, *[1] * 8]
    clips = judged(
        np.eye(2)[labels],
        np.eye(2)[labels],
        classes=("hoot", "owl"),
        groups=["one night"] * 3 + [str(n) for n in range(8)],
    )
    remark = the(said(clips), "not enough data")
    assert remark == ("poor", "not enough data for 'hoot': 3 clips from 1 recording")


def test_a_class_without_clips_cannot_be_judged() -> None:
    clips = judged(np.eye(3)[[0, 1] * 6], np.eye(3)[[0, 1] * 6])
    assert the(said(clips), "no clips of").text == "no clips of 'robin' to judge by"


def test_classes_that_are_mistaken_for_each_other() -> None:
    remarks = said(answers([(0, 0, 14), (1, 1, 14), (0, 1, 6), (1, 0, 6)]))
    text = "hoot and owl are mistaken for each other in 12 of 40 clips"
    assert the(remarks, "mistaken").text == text
    remarks = said(answers([(0, 0, 20), (1, 1, 15), (1, 0, 5)]))
    assert the(remarks, "taken for").text == "owl is taken for hoot in 5 of 20 clips"
    remarks = said(answers([(0, 0, 20), (1, 1, 18), (1, 0, 2)]))  # two are no pattern
    assert not [remark for remark in remarks if "taken for" in remark.text]


@pytest.mark.parametrize(
    ("right", "wrong", "tone", "words"),
    [
        (100, 0, "good", "names the class of 200 of 200"),
        (85, 15, "fair", "the mistakes tell"),
        (8, 1, "fair", "more clips would tell"),
        (10, 0, "fair", "more clips would tell"),
        (60, 30, "poor", "too often"),
        (52, 48, "poor", "does not show"),
        (4, 1, "poor", "most frequent answer alone would reach 0.50"),
        (5, 1, "poor", "too few to tell"),
    ],
)
def test_accuracy_is_graded_by_its_low_end(right: int, wrong: int, tone: str, words: str) -> None:
    clips = answers([(0, 0, right), (1, 1, right), (0, 1, wrong), (1, 0, wrong)])
    remark = said(clips)[0]
    figures = measure(clips).clip_accuracy
    assert remark.tone == tone
    assert words in remark.text
    expected = f"accuracy {figures.value:.2f}, between {figures.low:.2f} and {figures.high:.2f}:"
    assert remark.text.startswith(expected)


def test_false_alarms_on_clips_without_an_event() -> None:
    remarks = said(answers([(0, 0, 10), (1, 1, 10), (2, 2, 37), (2, 0, 3)]))
    remark = the(remarks, "without an event")
    assert remark == ("good", "of 40 clips without an event, it hears one all the same in 3")
    remarks = said(answers([(0, 0, 10), (1, 1, 10), (2, 2, 5), (2, 0, 5)]))
    assert the(remarks, "without an event").tone == "poor"


def test_classes_that_stay_below_their_threshold() -> None:
    clips = answers([(0, 0, 10), (1, 1, 10)])
    high = replace(clips, thresholds=np.array([0.5, 0.99], np.float32))
    assert the(said(high), "stays below").text == (
        "owl stays below its threshold of 0.99 in 10 of its 10 clips"
    )


def test_probabilities_are_trusted_as_far_as_they_deserve() -> None:
    random = np.random.default_rng(0)
    certain = random.uniform(0.5, 1, 2_000).astype(np.float32)
    came = (random.random(2_000) < certain).astype(int)
    honest = judged(np.eye(2)[1 - came], np.stack([certain, 1 - certain], 1))
    assert the(said(honest), "probabilities are off").tone == "good"
    bold = replace(honest, probabilities=honest.probabilities**0.1 * [1, 0.1])
    remark = the(said(replace(bold, probabilities=bold.probabilities.astype(np.float32))), "off by")
    assert remark.tone == "poor"
    assert "over-confident, it says 0.97 where 0.7" in remark.text
    shy = np.stack([certain * 0 + 0.51, certain * 0 + 0.49], 1).astype(np.float32)
    remark = the(said(replace(honest, probabilities=shy)), "off by")
    assert "too cautious, it says 0.51 where 0.7" in remark.text
    few = judged(np.eye(2)[1 - came[:12]], honest.probabilities[:12])
    assert measure(few).reliability.ece > 0.05
    assert "no more than chance makes of 12 cases" in the(said(few), "off by").text


def test_scores_without_a_calibration_are_called_so() -> None:
    remarks = said(random_judged(calibrated=False))
    assert "not probabilities" in the(remarks, "scores rank").text
    assert not [remark for remark in remarks if "off by" in remark.text]


def test_baselines_are_compared_by_the_best_of_them() -> None:
    clips = answers([(0, 0, 45), (1, 1, 45), (0, 1, 5), (1, 0, 5)])  # accuracy 0.9
    rows = [Baseline("majority", 0.5), Baseline("nearest centroid", 0.7), Baseline("x", np.nan)]
    remark = the(said(clips, baselines=rows), "baseline")
    assert remark == (
        "good",
        "better than the best baseline (nearest centroid) by 0.200: 0.900 against 0.700",
    )
    close = the(said(clips, baselines=[Baseline("linear", 0.88)]), "baseline")
    assert close.tone == "fair"
    assert close.text.endswith("which may be chance")
    lost = the(said(clips, baselines=[Baseline("linear", 0.92)]), "baseline")
    assert (lost.tone, lost.text[:10]) == ("poor", "not better")
    level = the(said(clips, baselines=[Baseline("linear", 0.9)]), "baseline")
    assert (level.tone, level.text[:10]) == ("fair", "not better")


def test_nothing_is_better_than_no_mistake() -> None:
    """A caution on a model that is right everywhere says that it is bad."""
    clips = answers([(0, 0, 50), (1, 1, 50)])
    remarks = said(clips, baselines=[Baseline("linear", 1.0)])
    assert not [remark for remark in remarks if "baseline" in remark.text]


@pytest.mark.parametrize(("conflicts", "good"), [(0, True), (1, True), (20, False)])
def test_contradictions_are_said_and_leave_no_good_news(conflicts: int, good: bool) -> None:
    clips = answers([(0, 0, 50), (1, 1, 50)])
    remarks = verdict(clips, measure(clips), conflicts=conflicts)
    found = [r for r in remarks if "with different labels" in r.text]
    assert [r.tone for r in found] == ["poor"] * bool(conflicts)
    assert ("good" in {r.tone for r in remarks}) is good


def test_the_learning_curve_says_whether_more_would_help() -> None:
    clips = random_judged()
    rising = [CurvePoint(20, 0.9, 0.01), CurvePoint(10, 0.8, 0.02), CurvePoint(5, 0.7, 0.03)]
    remark = the(said(clips, learning_curve=rising), "would have had")
    assert remark == (
        "fair",
        "with 10 clips a class instead of 20 you would have had accuracy 0.80 instead of 0.90: "
        "more recordings will help",
    )
    flat = [CurvePoint(10, 0.9, 0.02), CurvePoint(20, 0.91, 0.02)]
    assert "will not help much" in the(said(clips, learning_curve=flat), "would have had").text
    chance = [CurvePoint(4, 0.79, 0.15), CurvePoint(8, 0.96, 0.12)]
    remark = the(said(clips, learning_curve=chance), "would have had")
    assert remark.tone == "fair"
    assert "may be chance: whether more recordings will help is not known" in remark.text
    assert len(said(clips, learning_curve=rising[:1])) == len(said(clips))


def test_the_exported_file_must_say_the_same() -> None:
    clips = random_judged()
    assert the(said(clips, parity=0.001), "exported").tone == "good"
    assert the(said(clips, parity=0.4), "do not ship it").tone == "poor"


def test_without_a_clip_without_an_event_false_alarms_are_not_known() -> None:
    remark = the(said(answers([(0, 0, 14), (1, 1, 14)])), "no clip without an event")
    assert remark.tone == "fair"
    assert "--background" in remark.text
