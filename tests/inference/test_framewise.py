# SPDX-License-Identifier: Apache-2.0
"""Frames: each is the mean of the columns that cover its centre, however the windows come."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oido
from oido.inference.detector import FrameGrid, FrameScores
from oido.params import Windowing

COLUMNS, IMAGE = 3, 15_360


def grid_of(hop):
    return FrameGrid(Windowing(16_000, 15_600, hop), COLUMNS, IMAGE)


def by_definition(framewise, hop, n_frames):
    """The slow way, from the words of the module."""
    frames = np.zeros((n_frames, framewise.shape[2]))
    for t in range(n_frames):
        centre = t * 2_560 + 1_280
        rows = [
            framewise[window, (centre - window * hop) // 5_120]
            for window in range(len(framewise))
            if 0 <= centre - window * hop < IMAGE
        ]
        frames[t] = np.mean(rows, axis=0)
    return frames


@settings(max_examples=60, deadline=None)
@given(
    n_samples=st.integers(1, 160_000),
    hop=st.integers(1, 96).map(lambda steps: steps * 160),
    cuts=st.lists(st.integers(1, 9), max_size=30),
    seed=st.integers(0, 99),
    says=st.booleans(),
)
def test_frames_are_what_they_are_defined_to_be(n_samples, hop, cuts, seed, says):
    """says: whether it is told which windows have no padding."""
    grid = grid_of(hop)
    n_windows = grid.windowing.count(n_samples)
    framewise = np.random.default_rng(seed).random((n_windows, COLUMNS, 2)).astype(np.float32)
    frames, done, start = FrameScores(grid), [], 0
    for cut in [*cuts, n_windows]:
        block = framewise[start : start + cut]
        if len(block):
            end = (start + len(block) - 1) * hop + 15_600
            done.append(frames.push(block, is_padded=not says or end > n_samples))
        start += len(block)
    done.append(frames.flush(n_samples))
    result = np.concatenate(done)
    assert len(result) == grid.count(n_windows, n_samples)
    np.testing.assert_allclose(result, by_definition(framewise, hop, len(result)), atol=1e-6)


@pytest.mark.parametrize("seconds", [1.9, 2.1, 9.6])
def test_of_long_windows_the_nearest_says_what_is_known(seconds):
    """A window with a known sound and its neighbour, which holds more of what lies beside."""
    image = round(seconds * 16_000) // 6 * 6
    grid = FrameGrid(Windowing(16_000, image, image // 2), 3, image)
    parts = np.repeat(np.array([[0.8, 0.5], [0.9, 0.9], [0.1, 0.7]])[:, None], 3, axis=1)
    frames = FrameScores(grid, has_similarity=True)
    n_samples = 2 * image
    rows = [frames.push(parts.astype(np.float32)), frames.flush(n_samples)]
    found = np.concatenate(rows)
    plain = FrameScores(grid)
    means = np.concatenate([plain.push(parts.astype(np.float32)), plain.flush(n_samples)])
    np.testing.assert_allclose(found[:, 0], means[:, 0])
    is_long = seconds >= 2
    sure = found[(found[:, 0] > 0.83) & (found[:, 0] < 0.87), 1]  # of the first two windows
    unsure = found[(found[:, 0] > 0.4) & (found[:, 0] < 0.6), 1]  # of the last two
    assert min(len(sure), len(unsure)) > 0
    np.testing.assert_allclose(sure, 0.9 if is_long else 0.7, rtol=1e-6)
    np.testing.assert_allclose(unsure, 0.8, rtol=1e-6)
    np.testing.assert_allclose(found[0], [0.8, 0.5], rtol=1e-6)


def test_frames_come_with_the_last_window_that_covers_them():
    frames, window = FrameScores(grid_of(7_680)), np.zeros((1, COLUMNS, 2), np.float32)
    assert [len(frames.push(window, is_padded=False)) for _ in range(3)] == [3, 3, 3]


@pytest.mark.parametrize("n_samples", [1, 2_560, 2_561, 15_600, 15_601, 48_000, 480_000])
@pytest.mark.parametrize("hop", [1_600, 7_680, 15_360])
def test_frames_tile_the_recording(n_samples, hop):
    grid = grid_of(hop)
    times = grid.times(grid.windowing.count(n_samples), n_samples)
    assert times[0, 0] == 0.0
    assert times[-1, 1] == n_samples / 16_000
    np.testing.assert_array_equal(times[1:, 0], times[:-1, 1])
    assert (times[:, 1] > times[:, 0]).all()


@pytest.mark.parametrize("hop", [None, 0.96, 0.1])
def test_a_result_has_frames_of_its_head_at_any_hop(model, hop):
    sound = np.zeros(5 * 16_000, np.float32)
    sound[2 * 16_000 : 3 * 16_000] = np.random.default_rng(0).normal(0, 0.3, 16_000)
    result = oido.AudioClassifier(model, hop=hop).classify(sound, 16_000)
    frames, times = result.framewise_scores, result.frame_times
    assert frames.shape == (len(times), len(result.labels))
    assert frames.dtype == np.float32
    np.testing.assert_allclose(np.diff(times[:-1], axis=1), 0.16)
    silence = frames[:, result.labels.index("Silence")]
    inside = (times[:, 0] >= 2.0) & (times[:, 1] <= 3.0)
    far = (times[:, 1] <= 1.0) | (times[:, 0] >= 4.0)
    assert silence[inside].max() < silence[far].min()


def test_a_network_without_columns_gives_its_windows(model):
    windowing = Windowing(16_000, 15_600, 7_680)
    grid = FrameGrid(windowing, 0, 15_600)
    times = grid.times(4, 34_740)
    assert times.tolist() == [
        [start / 16_000, end / 16_000]
        for start, end in (windowing.cell(n, 4, 34_740) for n in range(4))
    ]
