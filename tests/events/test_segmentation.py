# SPDX-License-Identifier: Apache-2.0
"""Events against a slow reference that is written from the four rules, and their timing."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.events.segmentation import Segmenter
from oido.params import DEFAULT_THRESHOLD, Detection, Windowing
from oido.types import Event

RATE_HZ = 16_000
LABELS = ("a", "b", "c")


def cell(k: int, n_windows: int, hop: int, window: int, n_samples: int) -> tuple[int, int]:
    """Samples that window k answers for: the hop around its centre, and the recording's edges."""
    margin = (window - hop) // 2
    start = 0 if k == 0 else k * hop + margin
    end = n_samples if k == n_windows - 1 else (k + 1) * hop + margin
    return min(start, n_samples), min(end, n_samples)


def reference(scores, windowing, detection, on, allowed, n_samples) -> list[Event]:
    """The docstring of `oido.events.segmentation`, rule by rule, for one whole recording."""
    n, hop, rate = len(scores), windowing.hop_samples, windowing.sample_rate_hz
    events = []
    for c in range(scores.shape[1]):
        if not allowed[c]:
            continue
        off = np.float32(on[c] * np.float32(detection.off_ratio))
        # 1. Runs: longest stretches of windows at or above the off threshold.
        runs: list[list[int]] = []
        for k in range(n):
            if scores[k, c] >= off:
                if runs and runs[-1][-1] == k - 1:
                    runs[-1].append(k)
                else:
                    runs.append([k])
        # 2. A run counts if one of its windows reaches the on threshold.
        runs = [run for run in runs if any(scores[k, c] >= on[c] for k in run)]
        # 3. Neighbours that are merge_gap apart or less become one.
        gap = round(detection.merge_gap * rate)
        merged: list[list[int]] = []
        for run in runs:
            if merged:
                ends = (merged[-1][-1] + 1) * hop
                if run[0] * hop - ends <= gap:
                    merged[-1] = merged[-1] + run
                    continue
            merged.append(run)
        # 4. Short ones are dropped.
        for run in merged:
            start = cell(run[0], n, hop, windowing.window_samples, n_samples)[0]
            end = cell(run[-1], n, hop, windowing.window_samples, n_samples)[1]
            # The decimal that was written, not the double nearest to it.
            if end - start >= Fraction(repr(detection.min_duration)) * rate:
                peak = max(float(scores[k, c]) for k in run)
                events.append(Event(LABELS[c], c, start / rate, end / rate, peak))
    return sorted(events, key=lambda e: (e.start_time, e.label_index))


@st.composite
def cases(draw):
    """Scores on a coarse grid, so that equality with thresholds happens often."""
    hop = draw(st.sampled_from([160, 1_600, 7_680, 7_840, 15_360]))
    windowing = Windowing(RATE_HZ, 15_600, hop)
    n, classes = draw(st.integers(1, 40)), draw(st.integers(1, 3))
    levels = draw(st.integers(1, 8))
    values = draw(
        st.lists(st.integers(0, levels), min_size=n * classes, max_size=n * classes).map(
            lambda v: np.array(v, np.float32).reshape(n, classes) / np.float32(levels)
        )
    )
    detection = Detection(
        threshold=draw(st.sampled_from([0.0, 0.25, 0.3, 0.5, 0.875, 1.0])),
        off_ratio=draw(st.sampled_from([0.0, 0.25, 0.5, 0.8, 1.0])),
        min_duration=draw(st.sampled_from([0.0, 0.01, 0.48, 0.96, 1.0, 3.0])),
        merge_gap=draw(st.sampled_from([0.0, 0.009, 0.01, 0.1, 0.48, 0.96, 1.0, 100.0])),
    )
    on = np.full(classes, detection.threshold, np.float32)
    if draw(st.booleans()):
        on[draw(st.integers(0, classes - 1))] = draw(st.sampled_from([0.1, 0.5, 1.0]))
    allowed = np.array(draw(st.lists(st.booleans(), min_size=classes, max_size=classes)))
    # The last window's samples: the recording ends in the hop that it adds.
    longest = (n - 1) * hop + 15_600
    shortest = 1 if n == 1 else longest - hop + 1
    n_samples = draw(st.integers(shortest, longest))
    assert windowing.count(n_samples) == n
    cuts = draw(st.lists(st.integers(0, n), max_size=6).map(sorted))
    return values, windowing, detection, on, allowed, n_samples, [0, *cuts, n]


@settings(max_examples=400)
@given(cases())
def test_events_are_those_of_the_rules_however_the_scores_arrive(case):
    scores, windowing, detection, on, allowed, n_samples, cuts = case
    expected = reference(scores, windowing, detection, on, allowed, n_samples)
    labels = LABELS[: scores.shape[1]]

    one_shot = Segmenter(labels, windowing, detection, on, allowed)
    events = one_shot.push(scores) + one_shot.flush(n_samples)
    assert sorted(events, key=lambda e: (e.start_time, e.label_index)) == expected

    stream = Segmenter(labels, windowing, detection, on, allowed)
    events = []
    for start, end in itertools.pairwise(cuts):
        events += stream.push(scores[start:end])
    events += stream.flush(n_samples)
    assert sorted(events, key=lambda e: (e.start_time, e.label_index)) == expected


@settings(max_examples=400)
@given(cases())
def test_what_has_begun_is_what_will_be_an_event(case):
    """Each is told once, before it is over; but not one that only the end makes long enough."""
    scores, windowing, detection, on, allowed, _, _ = case
    segmenter = Segmenter(LABELS[: scores.shape[1]], windowing, detection, on, allowed)
    open_ones, begun, over = {}, [], []
    for row in scores:
        for event in segmenter.push(row[None]):
            over.append(event)
            first = open_ones.pop(event.label_index)
            assert first.start_time == event.start_time
            assert first.end_time <= event.end_time
            assert first.score <= event.score
        for event in segmenter.begun():
            assert event.label_index not in open_ones
            open_ones[event.label_index] = event
            begun.append((event.label_index, event.start_time))
        assert segmenter.begun() == []
    last = segmenter.flush((len(scores) - 1) * windowing.hop_samples + windowing.window_samples)
    assert len(begun) == len(set(begun))
    assert {(e.label_index, e.start_time) for e in over} <= set(begun)
    assert set(begun) <= {(e.label_index, e.start_time) for e in [*over, *last]}
    if detection.min_duration == 0:
        assert {(e.label_index, e.start_time) for e in last} <= set(begun)


def segment(scores, *, hop=7_680, n_samples=None, **options):
    """Events of one class from a list of scores; the recording ends with the last window."""
    rows = np.array(scores, np.float32)[:, None]
    windowing = Windowing(RATE_HZ, 15_600, hop)
    detection = Detection(**options)
    threshold = DEFAULT_THRESHOLD if detection.threshold is None else detection.threshold
    on = np.full(1, threshold, np.float32)
    segmenter = Segmenter(("a",), windowing, detection, on, np.ones(1, bool))
    n = (len(scores) - 1) * hop + 15_600 if n_samples is None else n_samples
    events = segmenter.push(rows) + segmenter.flush(n)
    return [(round(e.start_time * RATE_HZ), round(e.end_time * RATE_HZ), e.score) for e in events]


def test_one_loud_window_in_the_middle():
    """Window 2 begins at 15,360; the hop around its centre begins 3,960 samples later."""
    assert segment([0, 0, 0.5, 0, 0]) == [(15_360 + 3_960, 15_360 + 3_960 + 7_680, 0.5)]


def test_first_and_last_windows_reach_the_edges():
    assert segment([0.5, 0, 0.75]) == [(0, 11_640, 0.5), (19_320, 30_960, 0.75)]
    assert segment([0.5], n_samples=100) == [(0, 100, 0.5)]
    assert segment([0.5, 0.5], n_samples=15_601) == [(0, 15_601, 0.5)]


def test_equality_with_a_threshold_counts():
    assert len(segment([0.0, 0.5, 0.0], threshold=0.5)) == 1
    assert len(segment([0.0, 0.499, 0.0], threshold=0.5)) == 0
    # 0.3 as float32 is a little more than 0.3: what the network gives is compared as float32.
    assert len(segment([np.float32(0.3)], threshold=0.3)) == 1
    assert segment([0.25, 0.5, 0.25, 0.24], threshold=0.5, off_ratio=0.5) == [(0, 26_999 + 1, 0.5)]


def test_weak_edges_belong_to_an_event_but_make_none():
    assert segment([0.2, 0.2, 0.2], threshold=0.4) == []
    assert segment([0.0, 0.2, 0.4, 0.2, 0.0], threshold=0.4) == [
        (11_640, 34_680, pytest.approx(0.4))
    ]


def test_gaps_are_those_between_cells():
    """One silent window between two events is a gap of one hop, 0.48 s."""
    scores = [0.5, 0.0, 0.625, 0.0, 0.0, 0.5]
    assert len(segment(scores, merge_gap=0.479)) == 3
    assert segment(scores, merge_gap=0.48) == [(0, 27_000, 0.625), (42_360, 54_000, 0.5)]
    assert segment(scores, merge_gap=0.96) == [(0, 54_000, 0.625)]


def test_a_weak_run_between_two_events_does_not_bridge_them():
    assert len(segment([0.5, 0.0, 0.3, 0.0, 0.5], threshold=0.5, merge_gap=0.48)) == 2


def test_short_events_are_dropped_after_merging():
    assert segment([0, 0.5, 0, 0.5, 0], min_duration=1.0) == []
    assert len(segment([0, 0.5, 0, 0.5, 0], min_duration=1.0, merge_gap=0.48)) == 1
    assert len(segment([0, 0.5, 0], min_duration=0.48)) == 1
    assert len(segment([0, 0.5, 0], min_duration=0.481)) == 0


@pytest.mark.parametrize("frames", range(1, 97))
def test_an_event_as_long_as_the_least_duration_stays(frames):
    """Although few hundredths of a second are whole numbers of binary fractions."""
    assert len(segment([0, 0.5, 0], hop=160 * frames, min_duration=frames / 100)) == 1


@pytest.mark.parametrize("frames", [403, 407, 805, 1601])
def test_a_long_event_as_long_as_the_least_duration_stays(frames):
    """As doubles, 4.03 · 16,000 is a little more than the 64,480 samples that are meant."""
    assert frames / 100 * RATE_HZ > frames * 160
    scores = [0.0, *[0.5] * frames, 0.0]
    assert len(segment(scores, hop=160, min_duration=frames / 100)) == 1


def test_a_gap_without_end_makes_one_event_of_all():
    assert segment([0.5, 0, 0, 0, 0.75], merge_gap=float("inf")) == [(0, 46_320, 0.75)]


def test_a_duration_without_end_drops_all():
    assert segment([0.5] * 5, min_duration=float("inf")) == []


def test_an_event_is_given_as_soon_as_it_is_over():
    """Not at the end of the stream: with no merging, by the first window below."""
    windowing, detection = Windowing(RATE_HZ, 15_600, 7_680), Detection(0.5, merge_gap=0.48)
    one = Segmenter(("a",), windowing, detection, np.full(1, 0.5, np.float32), np.ones(1, bool))

    def push(value):
        return one.push(np.full((1, 1), value, np.float32))

    assert push(0.75) == []
    assert push(0.0) == [], "a next event could still be merged"
    (event,) = push(0.0)
    assert (event.start_time, event.end_time, event.score) == (0.0, 11_640 / 16_000, 0.75)
    assert push(0.0) == []
    assert one.flush(4 * 7_680 + 15_600) == []


def test_denied_classes_make_no_events():
    scores = np.ones((3, 2), np.float32)
    windowing, on = Windowing(RATE_HZ, 15_600, 7_680), np.full(2, 0.3, np.float32)
    segmenter = Segmenter(("a", "b"), windowing, Detection(), on, np.array([False, True]))
    events = segmenter.push(scores) + segmenter.flush(30_960)
    assert [e.label for e in events] == ["b"]
