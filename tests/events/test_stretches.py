# SPDX-License-Identifier: Apache-2.0
"""Stretches of sound and silences, against the rules written for a whole recording at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.events.stretches import SILENT_DB, SilenceFinder, Stretch, StretchFinder
from oido.signal.level import LevelMeter

QUIET, LOUD = -60.0, -30.0


def levels_of(*parts: tuple[float, float]) -> np.ndarray:
    """Seconds and dB, one after the other."""
    return np.concatenate([np.full(round(50 * s), db, np.float32) for s, db in parts])


def found(levels: np.ndarray, sizes: list[int] | None = None) -> list[Stretch]:
    finder, start = StretchFinder(), 0
    for size in sizes or [len(levels)]:
        finder.push(levels[start : start + size])
        start += size
    finder.push(levels[start:])
    finder.flush()
    return list(finder.closed)


def reference(levels: np.ndarray) -> list[Stretch]:
    """The module's docstring, level by level."""
    spans: list[list[int]] = []
    for n in range(len(levels)):
        block_end = min(len(levels), (n // 25 + 1) * 25)
        known = levels[: max(block_end, min(250, len(levels)))][::5]
        recent = np.sort(known[-300:])
        if not levels[n] >= max(recent[int(0.2 * (len(recent) - 1))], -75) + 10:
            continue
        if spans and n - spans[-1][1] < 30:
            spans[-1][1] = n + 1
        else:
            spans.append([n, n + 1])
    stretches = []
    for first, end in spans:
        cuts = range(first + 1500, end, 1500)
        starts = [first, *cuts]
        stretches += [Stretch(start, cut, is_cut=True) for start, cut in zip(starts, cuts)]
        if end - starts[-1] >= 2:
            stretches.append(Stretch(starts[-1], end))
    return stretches


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.floats(0.02, 9), st.sampled_from([-90, -75, -60, -52, -50, -40, -10])),
        max_size=12,
    ),
    st.lists(st.integers(0, 400), max_size=8),
)
def test_they_follow_the_rules_in_whatever_blocks_levels_come(parts, sizes):
    levels = levels_of(*parts) if parts else np.zeros(0, np.float32)
    levels += np.random.default_rng(len(levels)).normal(0, 2, len(levels)).astype(np.float32)
    assert found(levels, sizes) == reference(levels)


def test_a_sound_between_silences_has_its_own_edges():
    assert found(levels_of((6, QUIET), (1.5, LOUD), (3, QUIET))) == [Stretch(300, 375)]


def test_what_begins_with_the_recording_is_found_when_silence_follows_within_five_seconds():
    assert found(levels_of((2, LOUD), (6, QUIET))) == [Stretch(0, 100)]


def test_behind_digital_silence_noise_is_no_sound_yet():
    assert found(levels_of((6, -90), (1, -66), (1.5, LOUD), (1, -66))) == [Stretch(350, 425)]


def test_a_recording_that_is_loud_all_along_has_none():
    assert found(levels_of((40, LOUD))) == []


@pytest.mark.parametrize(("pause", "n"), [(0.58, 1), (0.6, 2), (2.0, 2)])
def test_short_pauses_belong_to_a_stretch(pause, n):
    assert len(found(levels_of((6, QUIET), (1, LOUD), (pause, QUIET), (1, LOUD), (2, QUIET)))) == n


def test_a_click_of_one_level_is_none():
    assert found(levels_of((6, QUIET), (0.02, LOUD), (3, QUIET))) == []


def test_a_long_one_is_cut_and_goes_on():
    barks = [(0.5, LOUD), (0.5, QUIET)] * 40
    assert found(levels_of((10, QUIET), *barks)) == [
        Stretch(500, 2000, is_cut=True),
        Stretch(2000, 500 + 39 * 50 + 25),
    ]


def test_a_lasting_noise_becomes_the_background():
    stretches = found(levels_of((10, QUIET), (60, LOUD)))
    assert stretches[0].first == 500
    assert stretches[-1].end < 500 + 50 * 30


def test_what_is_known_is_never_taken_back():
    levels = levels_of((6, QUIET), (1, LOUD), (0.4, QUIET), (1, LOUD), (3, QUIET))
    finder, known = StretchFinder(), 0
    for level in levels:
        finder.push(np.array([level]))
        assert finder.n_known >= known
        known = finder.n_known
        assert finder.open_from in (None, 300)
    assert list(finder.closed) == [Stretch(300, 420)]


@pytest.mark.parametrize("before", [(6, QUIET), (1.3, -90)], ids=["later", "first"])
def test_a_stretch_is_over_as_soon_as_its_pause_is_long_enough(before):
    """Nobody waits for the end of a half second, or of the first five, that changes nothing."""
    levels = levels_of(before, (1, LOUD), (0.6, before[1]))
    finder = StretchFinder()
    finder.push(levels[:-1])
    assert not finder.closed
    finder.push(levels[-1:])
    first = len(levels) - 80
    assert list(finder.closed) == [Stretch(first, first + 50)]


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 70), st.sampled_from([-90, -89.9, -75, -20])), max_size=12),
    st.lists(st.integers(0, 90), max_size=8),
)
def test_silences_are_long_runs_of_quiet_levels_in_whatever_blocks_they_come(runs, sizes):
    levels = np.array([db for n, db in runs for _ in range(n)], np.float32)
    finder, start = SilenceFinder(), 0
    for size in [*sizes, len(levels)]:
        finder.push(levels[start : start + size])
        start += size
    expected, first = [], 0
    for n in range(1, len(levels) + 1):
        if levels[n - 1] > -90:
            first = n
        elif n == len(levels) or levels[n] > -90:
            expected += [(first, None if n == len(levels) else n)] * (n - first >= 30)
    assert finder.found() == expected


def test_zeros_and_the_dither_of_16_bits_are_silent():
    rng = np.random.default_rng(0)
    dither = np.rint(rng.uniform(-0.5, 0.5, 16_000) + rng.uniform(-0.5, 0.5, 16_000)) / 32_768
    assert np.abs(dither).max() > 0
    for waveform in (np.zeros(16_000), dither):
        levels = LevelMeter(16_000).push(waveform.astype(np.float32))
        assert (levels == SILENT_DB).all()


def test_a_silence_that_goes_on_is_not_forgotten():
    finder = SilenceFinder()
    finder.push(levels_of((1, -90), (1, -20), (1, -90)))
    assert finder.found() == [(0, 50), (100, None)]
    finder.drop_until(49)
    assert finder.found() == [(0, 50), (100, None)]
    finder.drop_until(500)
    assert finder.found() == [(100, None)]
