# SPDX-License-Identifier: Apache-2.0
"""Loudness of windows against its formula, wherever a window stands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.signal.level import LevelMeter, is_silent, level_db, window_loudness


@settings(max_examples=40, deadline=None)
@given(
    windows=st.integers(1, 6),
    hop=st.sampled_from([160, 1_600, 7_680, 15_360]),
    seed=st.integers(0, 1 << 30),
)
def test_it_is_the_formula(windows: int, hop: int, seed: int) -> None:
    dice = np.random.default_rng(seed)
    waveform = dice.uniform(-1, 1, (windows - 1) * hop + 15_600).astype(np.float32)
    expected = [
        np.mean(waveform[k * hop : k * hop + 15_600].astype(np.float64) ** 2) ** 0.3
        for k in range(windows)
    ]
    np.testing.assert_allclose(window_loudness(waveform, 15_600, hop), expected, rtol=1e-12)


@pytest.mark.parametrize("hop", [1_600, 7_680])
def test_a_window_is_as_loud_wherever_it_stands(hop: int) -> None:
    waveform = np.random.default_rng(2).normal(0, 0.1, 15_600 + 40 * hop).astype(np.float32)
    together = window_loudness(waveform, 15_600, hop)
    alone = [window_loudness(waveform[k * hop :][:15_600], 15_600, hop)[0] for k in range(41)]
    assert together.tolist() == alone


def test_silence_has_none_and_ten_decibels_double_it() -> None:
    tone = np.sin(np.arange(15_600) * 0.3).astype(np.float32)
    loud, soft = (window_loudness(tone * level, 15_600, 160)[0] for level in (1.0, 10**-0.5))
    assert window_loudness(np.zeros(15_600, np.float32), 15_600, 160).tolist() == [0.0]
    assert loud / soft == pytest.approx(10**0.3, rel=1e-6)  # 1.995


def test_a_window_is_silent_that_is_no_louder_than_the_least_level() -> None:
    tone = np.sqrt(2) * np.sin(2 * np.pi * np.arange(15_600) / 16).astype(np.float32)
    levels = (-200.0, -90.1, -89.9, -75.0, 0.0)
    loudness = [window_loudness(tone * 10 ** (db / 20), 15_600, 160)[0] for db in levels]
    assert is_silent(np.array([0.0, *loudness])).tolist() == [True] * 3 + [False] * 3
    faintest = np.zeros(320_000, np.float32)  # 10 s at 32 kHz
    faintest[:1_280] = np.float32(10 ** (-65 / 20))
    assert not is_silent(window_loudness(faintest, 320_000, 320))[0]


def test_levels_are_those_of_a_sine_and_never_below_the_quietest() -> None:
    sine = 0.5 * np.sin(2 * np.pi * np.arange(48_000) * 100 / 48_000).astype(np.float32)
    both = np.stack([sine, sine], axis=1)
    assert level_db(both) == pytest.approx((20 * np.log10(0.5 / np.sqrt(2)), 20 * np.log10(0.5)))
    assert level_db(np.zeros((10, 2), np.float32)) == (-90.0, -90.0)
    assert level_db(np.full((10, 2), np.nan, np.float32)) == (-90.0, -90.0)


@settings(deadline=None)
@given(st.integers(0, 3000), st.lists(st.integers(0, 900), max_size=6))
def test_levels_are_those_of_their_own_20_ms_in_whatever_blocks(n: int, sizes: list[int]) -> None:
    samples = np.random.default_rng(n).normal(0, 0.1, n).astype(np.float32)
    meter, got, start = LevelMeter(16_000), [], 0
    for size in [*sizes, n]:
        got.append(meter.push(samples[start : start + size]))
        start += size
    levels = np.concatenate(got)
    assert len(levels) == n // 320
    for number, level in enumerate(levels):
        own = samples[number * 320 :][:320].astype(np.float64)
        assert level == pytest.approx(10 * np.log10(np.mean(own**2)), abs=1e-4)


def test_silence_has_the_least_level() -> None:
    assert LevelMeter(32_000).push(np.zeros(1280, np.float32)).tolist() == [-90.0, -90.0]
