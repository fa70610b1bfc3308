# SPDX-License-Identifier: Apache-2.0
"""Parameters: derived sizes, window counts, cells that tile, and values that are refused."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.errors import OptionError
from oido.params import Detection, FrontEndParams, Selection, Windowing

YAMNET = FrontEndParams(16_000, 400, 160, 512, 96)
DEFAULT = Windowing.from_seconds(YAMNET.windows, None)


def test_yamnets_numbers_follow():
    assert YAMNET.patch_samples == 15_600
    assert YAMNET.fft_bins == 257
    assert Windowing(16_000, 15_600, 7_680) == DEFAULT


@pytest.mark.parametrize(
    ("samples", "windows"),
    [
        (0, 1),
        (1, 1),
        (15600, 1),
        (15601, 2),
        (16000, 2),
        (23280, 2),
        (23281, 3),
        (48000, 6),
        (160000, 20),
    ],
)
def test_window_counts_of_the_design(samples, windows):
    assert DEFAULT.count(samples) == windows


@given(n=st.integers(0, 2_000_000), frames=st.integers(1, 96))
def test_counts_and_padding_are_those_of_the_formula(n, frames):
    windowing = Windowing(16_000, 15_600, 160 * frames)
    expected = 1 + math.ceil((max(n, 15_600) - 15_600) / (160 * frames))
    assert windowing.count(n) == expected
    padding = windowing.padded_samples(n)
    assert padding == (expected - 1) * 160 * frames + 15_600 - n
    assert padding >= 0
    if n >= 15_600:
        assert padding < 160 * frames


@given(n=st.integers(1, 300_000), frames=st.integers(1, 96))
def test_cells_tile_the_recording(n, frames):
    windowing = Windowing(16_000, 15_600, 160 * frames)
    windows = windowing.count(n)
    if windows > 300:
        n = 15_600 + 300 * 160 * frames
        windows = windowing.count(n)
    cells = [windowing.cell(k, windows, n) for k in range(windows)]
    assert cells[0][0] == 0
    assert cells[-1][1] == n
    for (start, end), (next_start, _) in zip(cells, [*cells[1:], (n, n)]):
        assert start < end == next_start
    for k, (start, end) in enumerate(cells[1:-1], start=1):
        assert end - start == windowing.hop_samples
        assert start + end == pytest.approx(2 * k * windowing.hop_samples + 15_600, abs=1)


@pytest.mark.parametrize(
    ("hop", "samples"),
    [
        (None, 7680),
        (0.48, 7680),
        (0.96, 15360),
        ("window", 15360),
        (0.01, 160),
        (0.1, 1600),
        (0.07, 1120),
        (0.29, 4640),
        (0.57, 9120),
        (1 / 100, 160),
    ],
)
def test_hops(hop, samples):
    assert Windowing.from_seconds(YAMNET.windows, hop).hop_samples == samples


def test_a_hop_that_is_a_word_is_the_word_window():
    with pytest.raises(OptionError, match="hop must be seconds, or \"window\", not 'wide'"):
        Windowing.from_seconds(YAMNET.windows, "wide")


@pytest.mark.parametrize(
    ("hop", "nearest"),
    [
        (0, "0.01"),
        (-1, "0.01"),
        (0.005, "0.01"),
        (0.97, "0.96"),
        (0.975, "0.96"),
        (0.485, "0.48"),
        (10, "0.96"),
        (math.inf, "0.96"),
        (math.nan, "0.01"),
        (-math.inf, "0.01"),
    ],
)
def test_a_hop_that_is_no_whole_number_of_frames_names_the_nearest(hop, nearest):
    with pytest.raises(OptionError, match=rf"multiple of 0.01 s.*the nearest is {nearest}$"):
        Windowing.from_seconds(YAMNET.windows, hop)


@pytest.mark.parametrize("name", ["threshold", "off_ratio"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan, math.inf])
def test_ratios_are_from_0_to_1(name, value):
    with pytest.raises(OptionError, match=f"{name} must be from 0 to 1"):
        Detection(**{name: value})


@pytest.mark.parametrize("name", ["min_duration", "merge_gap"])
@pytest.mark.parametrize("value", [-0.1, math.nan, -math.inf])
def test_durations_are_not_negative(name, value):
    with pytest.raises(OptionError, match=f"{name} must be 0 s or more"):
        Detection(**{name: value})


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_thresholds_of_labels_name_the_label(value):
    with pytest.raises(OptionError, match="'Dog'"):
        Detection(thresholds=(("Cat", 0.5), ("Dog", value)))


@pytest.mark.parametrize("params", [YAMNET, DEFAULT, Detection(), Selection()])
def test_parameters_are_frozen_and_hashable(params):
    field = dataclasses.fields(params)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(params, field, 1)
    assert hash(params) == hash(dataclasses.replace(params))


@pytest.mark.parametrize("thresholds", [["Siren"], 0.3, "Siren"])
def test_thresholds_are_a_dictionary(thresholds):
    with pytest.raises(OptionError, match=r"a dictionary of labels, such as \{'Speech': 0.3\}"):
        Detection.of(thresholds)
