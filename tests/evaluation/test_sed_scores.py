# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import pytest

import oido
from oido.datasets.regions import TimedLabel
from oido.evaluation.sed_scores import PSDS_1, PSDS_2, JudgedFile, Tables

Times = Sequence[tuple[float, float, str]]


def judged(truth: Times, found: Times, duration: float = 10.0) -> JudgedFile:
    """Scores are 0.9 in what was found and 0.1 elsewhere, in cells of a tenth of a second."""
    edges = np.arange(round(duration * 10) + 1) / 10
    scores = np.full((len(edges) - 1, 2), 0.1)
    for start, end, label in found:
        scores[round(start * 10) : round(end * 10), "ab".index(label)] = 0.9
    return JudgedFile(
        [TimedLabel(*each) for each in truth],
        [TimedLabel(*each) for each in found],
        scores,
        edges,
        duration,
    )


HAND_TRUTH = ((1.0, 2.0, "a"), (5.0, 7.0, "a"), (3.0, 4.0, "b"))
HAND_FOUND = ((1.2, 2.1, "a"), (5.0, 7.4, "a"), (3.3, 4.0, "b"))


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sed_scores_eval", None)
    with pytest.raises(oido.MissingExtraError, match=r"pip install 'oido\[evaluate\]'"):
        Tables([judged(HAND_TRUTH, HAND_FOUND)], "ab")


class TestCounts:
    @pytest.fixture(autouse=True)
    def library(self) -> None:
        pytest.importorskip("sed_scores_eval", reason="needs oido[evaluate]")

    def test_by_hand(self) -> None:
        """A start off by exactly the collar counts; the second end may be off by a fifth of 2 s."""
        tables = Tables([judged(HAND_TRUTH, HAND_FOUND)], "ab")
        hits, alarms, truths = tables.events(0.2, 0.2, 0.2)
        assert (hits.tolist(), alarms.tolist(), truths.tolist()) == ([[2, 0]], [[0, 1]], [[2, 1]])
        hits, alarms, _ = tables.events(0.2, 0.2, 0.0)
        assert (hits.tolist(), alarms.tolist()) == ([[1, 0]], [[1, 1]])

    def test_segments_by_hand(self) -> None:
        """a: true in seconds 1, 5, 6 and found in 1, 2, 5, 6, 7; b: 3 and 3."""
        hits, alarms, truths = Tables([judged(HAND_TRUTH, HAND_FOUND)], "ab").segments(1.0)
        assert (hits.tolist(), alarms.tolist(), truths.tolist()) == ([[3, 1]], [[2, 0]], [[3, 1]])

    def test_each_true_event_counts_once(self) -> None:
        found = ((1.0, 2.0, "a"), (2.1, 2.2, "a"), (3.0, 4.0, "b"))
        tables = Tables([judged(HAND_TRUTH, found), judged((), ((0.0, 1.0, "b"),))], "ab")
        hits, alarms, _ = tables.events(2.0, 2.0, 0.0)
        assert hits.tolist() == [[1, 1], [0, 0]]
        assert alarms.tolist() == [[1, 0], [0, 1]]

    def test_psds_of_the_truth_is_1_and_of_silence_0(self) -> None:
        tables = Tables([judged(HAND_TRUTH, HAND_TRUTH)], "ab")
        for kind in (PSDS_1, PSDS_2):
            value, of_class = tables.psds(kind)
            assert value == pytest.approx(1)
            assert of_class == pytest.approx({"a": 1, "b": 1})
        nothing = Tables([judged(HAND_TRUTH, ())], "ab")
        assert nothing.psds(PSDS_1)[0] == 0
        swapped = [(start, end, "ba"["ab".index(label)]) for start, end, label in HAND_TRUTH]
        assert Tables([judged(HAND_TRUTH, swapped)], "ab").psds(PSDS_1)[0] == 0

    def test_a_single_class_cannot_be_confused(self) -> None:
        file = judged(HAND_TRUTH[:2], HAND_TRUTH[:2])
        only = JudgedFile(file.truth, file.detections, file.scores[:, :1], file.edges, 10.0)
        assert Tables([only], ["a"]).psds(PSDS_2)[0] == pytest.approx(1)

    @pytest.mark.parametrize("seed", range(3))
    def test_counts_are_those_of_sed_eval(self, seed: int) -> None:
        sed_eval = pytest.importorskip("sed_eval")
        dice = np.random.default_rng(seed)
        files = [judged(*made(dice)) for _ in range(6)]
        options = {"t_collar": 0.25, "percentage_of_length": 0.21, "event_matching_type": "optimal"}
        events = sed_eval.sound_event.EventBasedMetrics(["a", "b"], **options)
        segments = sed_eval.sound_event.SegmentBasedMetrics(["a", "b"], time_resolution=1.0)
        for file in files:
            lists = [
                [
                    {"event_label": e.label, "event_onset": e.start, "event_offset": e.end}
                    for e in part
                ]
                for part in (file.truth, file.detections)
            ]
            events.evaluate(*lists)
            segments.evaluate(*lists, evaluated_length_seconds=file.duration)
        tables = Tables(files, "ab")
        for counts, other in (
            (tables.events(0.25, 0.25, 0.21), events),
            (tables.segments(1), segments),
        ):
            expected = [other.class_wise[label] for label in "ab"]
            assert counts.hits.sum(axis=0).tolist() == [each["Ntp"] for each in expected]
            assert counts.alarms.sum(axis=0).tolist() == [each["Nfp"] for each in expected]
            assert counts.truths.sum(axis=0).tolist() == [each["Nref"] for each in expected]

    def test_f1_is_that_of_the_library_at_a_threshold_of_the_scores(self) -> None:
        library = pytest.importorskip("sed_scores_eval")
        dice = np.random.default_rng(9)
        files = {f"f{n}": judged(*made(dice)) for n in range(5)}
        make = library.base_modules.scores.create_score_dataframe
        found, _, _, _ = library.collar_based.fscore(
            {name: make(file.scores, file.edges, ["a", "b"]) for name, file in files.items()},
            {name: [tuple(e) for e in file.truth] for name, file in files.items()},
            threshold=0.5,
            onset_collar=0.5,
            offset_collar=0.5,
            offset_collar_rate=0.2,
        )
        hits, alarms, truths = Tables(list(files.values()), "ab").events(0.5, 0.5, 0.2)
        f1 = 2 * hits.sum(0) / (hits.sum(0) + alarms.sum(0) + truths.sum(0))
        assert found["a"] > 0
        assert f1.tolist() == pytest.approx([found["a"], found["b"]])
        micro = 2 * hits.sum() / (hits.sum() + alarms.sum() + truths.sum())
        assert micro == pytest.approx(found["micro_average"])


def made(dice: np.random.Generator) -> tuple[Times, Times]:
    """Two events of each class, and what was found of them: moved, and some of it missing."""
    truth, found = [], []
    for label in "ab":
        for place in (0.5, 5.5):
            start = place + round(float(dice.uniform(0, 1)), 1)
            end = start + round(float(dice.uniform(0.5, 2)), 1)
            truth.append((round(start, 1), round(end, 1), label))
            if dice.random() < 0.8:
                moved = np.round(np.array([start, end]) + dice.uniform(-0.4, 0.4, 2), 1)
                found.append((max(0.0, float(moved[0])), float(moved[1]), label))
    return truth, [each for each in found if each[1] > each[0]]
