# SPDX-License-Identifier: Apache-2.0
"""Windows for training are the classifier's, parts that are held out share no source."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from oido.errors import EmptyAudioError, InvalidSamplesError, OptionError
from oido.models.networks.yamnet import YAMNET_FRONT_END
from oido.params import Windowing, WindowParams
from oido.signal.framing import WindowFramer, cut_windows
from oido.signal.level import rms
from oido.torch.clips import LabelledSounds, LazyWaveforms, clip_windows, random_window
from tests.signal.sounds import noise

YAMNET = YAMNET_FRONT_END.windows
REPEATED = WindowParams(32_000, 64_000, 320, 32_000, 64_000, repeat_pause_samples=6_400)


def sounds(labels, groups=None, **options):
    """A row of a hot one for each number."""
    targets = np.eye(max(labels) + 1, dtype=np.float32)[labels]
    waveforms = [np.zeros(10, np.float32)] * len(labels)
    return LabelledSounds(waveforms, targets, None if groups is None else np.array(groups))


@pytest.mark.parametrize("windows", [YAMNET, REPEATED], ids=["yamnet", "repeated"])
@pytest.mark.parametrize("share", [0.01, 0.5, 1.0, 1.0001, 1.7, 4.3])
def test_windows_are_those_of_the_classifier(windows, share):
    waveform = noise(round(share * windows.window_samples))
    framer = WindowFramer(Windowing.from_seconds(windows, None), batch=1_000)
    (segment,) = [*framer.push(waveform), *framer.flush()]
    expected = cut_windows(segment.waveform, windows.window_samples, windows.hop_samples)
    found, weights = clip_windows(waveform, windows)
    np.testing.assert_array_equal(found, expected)
    ends = np.arange(len(expected)) * windows.hop_samples + windows.window_samples
    heard = 1 - np.maximum(0, ends - len(waveform)) / windows.window_samples
    is_repeated = share < 1 and windows is REPEATED
    np.testing.assert_allclose(weights, [1.0] if is_repeated else heard)


def test_a_random_window_is_from_anywhere_in_the_clip():
    waveform = np.arange(20_000, dtype=np.float32)
    random = np.random.default_rng(0)
    starts = []
    for _ in range(200):
        window = random_window(waveform, YAMNET, random)
        assert (np.diff(window) == 1).all()
        assert len(window) == YAMNET.window_samples
        starts.append(window[0])
    assert min(starts) < 200
    assert max(starts) > 20_000 - YAMNET.window_samples - 200


def test_a_short_clip_is_anywhere_in_its_window():
    waveform = noise(1_000)
    random = np.random.default_rng(0)
    starts = set()
    for _ in range(20):
        window = random_window(waveform, YAMNET, random)
        (first, *_), n = np.flatnonzero(window), len(np.flatnonzero(window))
        np.testing.assert_array_equal(window[first : first + n], waveform[waveform != 0])
        starts.add(int(first))
    assert len(starts) > 15


def test_a_short_clip_is_repeated_where_the_network_hears_it_so():
    waveform = np.arange(1, 10_001, dtype=np.float32)
    window = random_window(waveform, REPEATED, np.random.default_rng(0))
    period = 10_000 + 6_400
    assert len(window) == 64_000
    np.testing.assert_array_equal(window[period:], window[:-period])
    assert set(window[:period]) == {0, *waveform}


def test_levels_are_root_mean_squares():
    windows = np.array([[3.0, 4.0, 0.0, 0.0], [0.0] * 4], np.float32)
    np.testing.assert_allclose(rms(windows), [2.5, 0.0])


@pytest.mark.parametrize("seed", range(5))
def test_sources_are_not_split_and_each_class_stays(seed):
    labels = [0] * 12 + [1] * 6 + [2] * 2 + [3]
    groups = [*np.arange(12) // 3, *np.arange(6) // 2 + 10, 20, 21, 30]
    mask = sounds(labels, groups).held_out(0.25, seed)
    assert not set(np.array(groups)[mask]) & set(np.array(groups)[~mask])
    assert set(np.array(labels)[~mask]) == {0, 1, 2, 3}
    assert set(np.array(labels)[mask]) == {0, 1, 2}, "a class of one source is only learnt"
    assert list(np.bincount(np.array(labels)[mask])) == [3, 2, 1]


def test_a_source_of_two_classes_is_kept_if_one_would_be_lost():
    targets = np.array([[1, 1], [1, 0], [1, 0], [1, 0]], np.float32)
    clips = LabelledSounds([noise(9)] * 4, targets, np.arange(4), multi_label=True)
    for seed in range(10):
        assert not clips.held_out(0.25, seed)[0]


def test_nothing_to_hold_out_is_told():
    with pytest.raises(OptionError, match="no class has two source recordings"):
        sounds([0, 0, 1, 1], [0, 0, 1, 1]).held_out(0.25, 0)
    with pytest.raises(OptionError, match="between 0 and 1"):
        sounds([0, 0, 1, 1]).held_out(1.0, 0)


def test_classes_weigh_the_same_however_many_clips_they_have():
    clips = sounds([0] * 9 + [1] * 3)
    weights = clips.weights(balance=True)
    assert weights[:9].sum() == pytest.approx(weights[9:].sum())
    assert weights.mean() == pytest.approx(1.0)
    assert (clips.weights(balance=False) == 1).all()


def test_unknown_targets_weigh_nothing():
    targets = np.array([[1, np.nan], [0, 1], [0, 0], [0, 0]], np.float32)
    clips = LabelledSounds([noise(9)] * 4, targets, multi_label=True)
    weights = clips.weights(balance=True)
    assert weights[0, 1] == 0
    assert weights[0, 0] == pytest.approx(np.sqrt(3))
    assert weights[1, 1] == pytest.approx(np.sqrt(2))
    assert (weights[2:] == 1).all()


def test_a_subset_loads_only_what_is_asked_for():
    asked = []

    class Loading(list):
        def __getitem__(self, index):
            asked.append(index)
            return super().__getitem__(index)

    clips = dataclasses.replace(
        sounds([0, 1, 0]), waveforms=Loading([noise(9, seed=n) for n in range(3)])
    )
    part = clips.subset(np.array([2, 0]))
    assert len(part) == 2
    assert not asked
    np.testing.assert_array_equal(part.waveform(0), noise(9, seed=2))
    assert asked == [2]
    np.testing.assert_array_equal(part.targets, clips.targets[[2, 0]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": np.zeros((2, 2), np.float32)}, "do not fit"),
        ({"waveforms": []}, "at least one"),
        ({"targets": np.ones((3, 1), np.float32)}, "one class alone"),
        ({"groups": np.zeros(2, np.int64)}, "3 waveforms need as many groups"),
        ({"targets": np.full((3, 2), 0.5, np.float32)}, "1, 0, or NaN"),
        ({"targets": np.ones((3, 2), np.float32)}, "need multi_label"),
        ({"targets": np.full((3, 2), np.nan, np.float32)}, "need multi_label"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(OptionError, match=message):
        dataclasses.replace(sounds([0, 1, 0]), **change)


@pytest.mark.parametrize(("kept_bytes", "loads"), [(0, 9), (399, 9), (400, 7), (10_000, 3)])
def test_the_first_waveforms_may_be_kept(kept_bytes, loads):
    loaded = []

    def load(number):
        loaded.append(number)
        return np.full(100, number, np.float32)  # 400 bytes

    waveforms = LazyWaveforms(load, 3, kept_bytes)
    for _ in range(3):
        assert [float(waveforms[n][5]) for n in range(3)] == [0.0, 1.0, 2.0]
    assert len(loaded) == loads


def test_what_is_no_sound_is_refused():
    bad = noise(9)
    bad[3] = np.nan
    clips = dataclasses.replace(
        sounds([0, 1, 0]), waveforms=[bad, np.zeros(0, np.float32), np.zeros((2, 9), np.float32)]
    )
    with pytest.raises(InvalidSamplesError, match="clip 0 has samples that are NaN"):
        clips.waveform(0)
    for n in (1, 2):
        with pytest.raises(EmptyAudioError, match=f"clip {n} is no waveform"):
            clips.waveform(n)
