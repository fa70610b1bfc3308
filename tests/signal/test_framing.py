# SPDX-License-Identifier: Apache-2.0
"""Windows: how many there are, what is in each, and that arrival does not matter."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.errors import OptionError
from oido.params import FrontEndParams, Windowing
from oido.signal.framing import WindowFramer
from tests.signal.sounds import noise

YAMNET = FrontEndParams(16_000, 400, 160, 512, 96)
DEFAULT = Windowing(16_000, 15_600, 7_680)

TABLE = [(0, 1), (1, 1), (15_600, 1), (15_601, 2), (16_000, 2), (23_280, 2), (23_281, 3)]
TABLE += [(48_000, 6), (160_000, 20), (57_600_000, 7_499)]


def windows_by_definition(waveform, windowing):
    """f32[N, window]: pad with zeros to whole hops, then cut; nothing else."""
    window, hop = windowing.window_samples, windowing.hop_samples
    n = max(len(waveform), window)
    count = 1
    while (count - 1) * hop + window < n:
        count += 1
    padded = np.zeros((count - 1) * hop + window, np.float32)
    padded[: len(waveform)] = waveform
    return np.stack([padded[k * hop : k * hop + window] for k in range(count)])


def framed(waveform, windowing, batch, cuts=()):
    """The windows as the framer gives them, and the segments' sizes."""
    framer = WindowFramer(windowing, batch)
    segments = []
    for piece in np.split(waveform, list(cuts)):
        segments += framer.push(piece)
    segments += framer.flush()
    assert framer.n_samples == len(waveform)
    windows, sizes = [], []
    for segment in segments:
        assert segment.first_window == len(windows)
        assert segment.waveform.dtype == np.float32
        span = (segment.n_windows - 1) * windowing.hop_samples + windowing.window_samples
        assert segment.waveform.shape == (span,)
        for k in range(segment.n_windows):
            start = k * windowing.hop_samples
            windows.append(segment.waveform[start : start + windowing.window_samples])
        sizes.append(segment.n_windows)
    return np.stack(windows), sizes


@pytest.mark.parametrize(("n_samples", "windows"), TABLE)
def test_the_published_arithmetic(n_samples, windows):
    assert DEFAULT.count(n_samples) == windows
    if n_samples < 1_000_000:
        assert len(framed(noise(n_samples), DEFAULT, 64)[0]) == windows


@pytest.mark.parametrize(("n_samples", "windows"), TABLE)
def test_padding_is_never_a_whole_hop_beyond_the_first_window(n_samples, windows):
    padded = DEFAULT.padded_samples(n_samples)
    assert n_samples + padded == (windows - 1) * 7_680 + 15_600
    assert padded < 7_680 or windows == 1


@settings(max_examples=120)
@given(
    n_samples=st.integers(0, 50_000),
    chunk=st.sampled_from([17, 509, 7_680, 15_600, 44_100]),
    batch=st.sampled_from([1, 2, 3, 64]),
    hop_frames=st.sampled_from([1, 7, 10, 48, 96]),
)
def test_windows_are_those_of_the_definition(n_samples, chunk, batch, hop_frames):
    windowing = Windowing(16_000, 15_600, hop_frames * 160)
    waveform = noise(n_samples)
    windows, sizes = framed(waveform, windowing, batch, range(chunk, n_samples, chunk))
    np.testing.assert_array_equal(windows, windows_by_definition(waveform, windowing))
    assert max(sizes) <= batch


@settings(max_examples=60)
@given(n_samples=st.integers(0, 50_000), batch=st.sampled_from([1, 2, 64]), data=st.data())
def test_where_the_stream_is_cut_does_not_matter(n_samples, batch, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, n_samples), max_size=12)))
    waveform = noise(n_samples)
    windows, _ = framed(waveform, DEFAULT, batch, cuts)
    np.testing.assert_array_equal(windows, windows_by_definition(waveform, DEFAULT))


@pytest.mark.parametrize("n_samples", [0, 1, 15_600, 15_601, 30_000])
def test_single_samples(n_samples):
    waveform = noise(n_samples)
    windows, _ = framed(waveform, DEFAULT, 1, range(1, n_samples))
    np.testing.assert_array_equal(windows, windows_by_definition(waveform, DEFAULT))


@pytest.mark.parametrize("n_samples", [0, 100, 15_599, 15_601, 20_000, 160_001])
def test_only_trailing_zeros_are_added(n_samples):
    waveform = np.ones(n_samples, np.float32)
    windows, _ = framed(waveform, DEFAULT, 64)
    hop = DEFAULT.hop_samples
    joined = np.concatenate([windows[:-1, :hop].reshape(-1), windows[-1]])
    np.testing.assert_array_equal(joined[:n_samples], waveform)
    assert not joined[n_samples:].any()


def test_a_batch_of_one_gives_a_window_with_its_last_sample():
    framer = WindowFramer(DEFAULT, 1)
    assert framer.push(noise(15_599)) == []
    (first,) = framer.push(noise(1))
    assert (first.first_window, first.n_windows) == (0, 1)
    assert framer.push(noise(7_679)) == []
    (second,) = framer.push(noise(1))
    assert second.first_window == 1
    assert framer.flush() == []


def test_a_caller_may_use_its_buffer_again():
    """A microphone fills the same memory again and again."""
    waveform, buffer = noise(50_000), np.zeros(1_000, np.float32)
    framer, segments = WindowFramer(DEFAULT, 2), []
    for start in range(0, len(waveform), 1_000):
        buffer[:] = waveform[start : start + 1_000]
        segments += framer.push(buffer)
    segments += framer.flush()
    heard = np.concatenate([s.waveform[: s.n_windows * 7_680] for s in segments])
    np.testing.assert_array_equal(heard[:46_080], waveform[:46_080])


@pytest.mark.parametrize(
    ("seconds", "samples"),
    [(None, 7_680), (0.48, 7_680), (0.01, 160), (0.1, 1_600), (0.96, 15_360), (0.29, 4_640)],
)
def test_the_hop_in_seconds(seconds, samples):
    windowing = Windowing.from_seconds(YAMNET.windows, seconds)
    assert windowing == Windowing(16_000, 15_600, samples)


@pytest.mark.parametrize(
    "seconds", [0.0, -0.48, 0.005, 0.015, 0.97, 10.0, 1e-9, float("nan"), float("inf")]
)
def test_a_hop_that_is_no_whole_number_of_frames_is_refused(seconds):
    with pytest.raises(OptionError, match=r"hop must be a multiple of 0\.01 s"):
        Windowing.from_seconds(YAMNET.windows, seconds)


@settings(max_examples=200)
@given(n_samples=st.integers(0, 500_000), hop_frames=st.integers(1, 96))
def test_the_cells_of_the_windows_tile_the_recording(n_samples, hop_frames):
    windowing = Windowing(16_000, 15_600, hop_frames * 160)
    windows = windowing.count(n_samples)
    cells = [windowing.cell(k, windows, n_samples) for k in range(windows)]
    assert cells[0][0] == 0
    assert cells[-1][1] == n_samples
    assert all(before[1] == after[0] for before, after in pairwise(cells))
    assert all(start <= end for start, end in cells)


@pytest.mark.parametrize("chunk", [1, 7, 100])
@pytest.mark.parametrize("length", [1, 10, 30, 99])
def test_a_short_recording_is_repeated_where_the_network_hears_better_so(length, chunk):
    sound = np.arange(1, length + 1, dtype=np.float32)
    framer = WindowFramer(Windowing(16_000, 100, 50, repeat_pause_samples=20), batch=4)
    for start in range(0, length, chunk):
        assert framer.push(sound[start : start + chunk]) == []
    (segment,) = framer.flush()
    assert segment.n_windows == 1
    period = length + 20
    for n, value in enumerate(segment.waveform):
        place = n % period
        assert value == (sound[place] if place < length else 0.0)


def test_a_recording_of_a_window_or_more_is_never_repeated():
    sound = np.ones(101, np.float32)
    framer = WindowFramer(Windowing(16_000, 100, 50, repeat_pause_samples=20), batch=4)
    framer.push(sound)
    (segment,) = framer.flush()
    assert segment.waveform[:101].all()
    assert not segment.waveform[101:].any()
