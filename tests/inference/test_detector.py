# SPDX-License-Identifier: Apache-2.0
"""Events of blocks: limits of length and gap, the end of the recording, windows left out."""

from __future__ import annotations

import numpy as np
import pytest

import oido
from oido.inference.block import Block
from oido.inference.detector import EventDetector
from oido.params import Detection
from oido.types import Event

HOP = 0.48


@pytest.fixture(scope="module")
def classifier() -> oido.AudioClassifier:
    return oido.AudioClassifier()


def block(scores: np.ndarray, first: int = 0, levels: int = 0, **more: object) -> Block:
    """Windows of one score each for Dog, without columns; levels: so many quiet ones."""
    n = len(scores)
    rows = np.zeros((n, 521), np.float32)
    rows[:, 69] = scores  # Dog
    quiet = np.full(levels, -60, np.float32)
    ones, nothing = np.ones(n), np.zeros((n, 0), np.float32)
    return Block(first, rows, nothing, ones, ones, np.zeros((n, 2)), levels=quiet, **more)  # type: ignore[arg-type]


def detector(classifier: oido.AudioClassifier, **options: object) -> EventDetector:
    return classifier.detector(Detection(**options))  # type: ignore[arg-type]


def events(found: EventDetector, scores: list[float]) -> list[Event]:
    n_samples = int(((len(scores) - 1) * HOP + 0.975) * 16_000)
    return [*found.push(block(np.array(scores), levels=n_samples // 320)), *found.flush(n_samples)]


def spans(found: list[Event]) -> list[tuple[float, float]]:
    return [(round(e.start_time, 4), round(e.end_time, 4)) for e in found]


TWO = [0.0, 0.9, 0.9, 0.0, 0.0, 0.9, 0.0]


def test_a_window_without_columns_answers_for_the_hop_around_its_centre(classifier):
    assert spans(events(detector(classifier), TWO)) == [(0.7275, 1.6875), (2.6475, 3.1275)]


@pytest.mark.parametrize(("gap", "n"), [(0.959, 2), (0.96, 1), (1e300, 1)])
def test_events_that_are_merge_gap_apart_or_less_are_one(classifier, gap, n):
    assert len(events(detector(classifier, merge_gap=gap), TWO)) == n


@pytest.mark.parametrize(("shortest", "n"), [(0.48, 2), (0.481, 1), (0.97, 0)])
def test_shorter_events_are_dropped(classifier, shortest, n):
    assert len(events(detector(classifier, min_duration=shortest), TWO)) == n


def test_the_last_window_answers_for_all_that_is_left(classifier):
    (event,) = events(detector(classifier), [0.0, 0.9])
    assert event.end_time == pytest.approx(HOP + 0.975, abs=1e-4)
    assert (event.label, event.label_index, event.also) == ("Dog", 69, ())
    assert event.score == pytest.approx(0.9, abs=1e-6)


def test_nothing_came(classifier):
    assert detector(classifier).flush(0) == []
    assert detector(classifier).begun() == []


def test_windows_that_were_left_out_are_as_the_one_before(classifier):
    found = detector(classifier)
    first = found.push(block(np.array([0.0, 0.9]), levels=100))
    rest = found.push(block(np.array([0.0]), first=5, levels=200, skipped=3))
    assert spans([*first, *rest, *found.flush(80_000)]) == [(0.7275, 2.6475)]


def test_what_begins_is_announced_once_and_told_when_it_is_over(classifier):
    found = detector(classifier)
    begun, done = [], []
    for window, score in enumerate([0.0, 0.9, 0.9, 0.9, 0.9, 0.0, 0.0, 0.0]):
        done += found.push(block(np.array([score]), window, levels=48 if window else 250))
        begun += found.begun()
    assert [(e.label, round(e.start_time, 4)) for e in begun] == [("Dog", 0.7275)]
    assert spans(done) == [(0.7275, 2.6475)]


def test_of_what_began_and_came_to_nothing_no_trace_is_kept(classifier):
    """A station is listened to for weeks."""
    found = detector(classifier)
    rng = np.random.default_rng(1)
    for window in range(1500):
        loud = window % 9 < 3
        piece = block(np.array([rng.choice([0.0, 0.15, 0.3])]), window, levels=24)
        levels = np.full(24, -20 if loud else -60, np.float32)
        found.push(piece._replace(levels=levels))
        found.begun()
    assert len(found._announced) < 20


def test_events_of_a_recording_are_those_of_its_stream(classifier):
    whole = classifier.classify("examples/street.flac").events()
    found = classifier.detector(Detection())
    with_blocks: list[Event] = []
    stream = classifier.stream("examples/street.flac", batch_windows=1)
    for piece in stream:
        with_blocks += found.push(piece)
    with_blocks += found.flush(stream.n_samples)
    assert sorted(with_blocks, key=lambda e: (e.start_time, e.label_index)) == whole
    assert whole
