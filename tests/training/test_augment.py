# SPDX-License-Identifier: Apache-2.0
"""Changed copies of waveforms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.errors import OptionError
from oido.signal.level import active_rms
from oido.training.augment import Augmentation, add_noise, apply_gain, mix, noise, quiet_waveforms

RATE_HZ = 16_000


def tone(amplitude: float = 0.2, seconds: float = 1.0, hz: float = 440.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (amplitude * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def decibels(ratio: float) -> float:
    return 20 * float(np.log10(ratio))


def test_level_is_that_of_what_is_heard() -> None:
    assert active_rms(tone(0.2)) == pytest.approx(0.2 / np.sqrt(2), rel=1e-3)
    padded = np.concatenate([tone(0.2), np.zeros(50_000, np.float32)])
    assert active_rms(padded) == pytest.approx(active_rms(tone(0.2)), rel=0.01)
    assert active_rms(tone(0.2)[:1_000]) == pytest.approx(0.2 / np.sqrt(2), rel=0.01)
    assert active_rms(np.zeros(10, np.float32)) == 0 == active_rms(np.zeros(0, np.float32))


@given(st.floats(-60, 40))
def test_gain_is_in_decibels(gain_db: float) -> None:
    changed = apply_gain(tone(), gain_db)
    assert changed.dtype == np.float32
    assert decibels(active_rms(changed) / active_rms(tone())) == pytest.approx(gain_db, abs=1e-3)


@pytest.mark.parametrize("slope", [0.0, 1.0])
@pytest.mark.parametrize("samples", [1, 2, 17, 15_601, 65_537])
def test_noise_has_a_root_mean_square_of_one(samples: int, slope: float) -> None:
    drawn = noise(samples, slope, np.random.default_rng(0))
    assert drawn.shape == (samples,)
    assert drawn.dtype == np.float32
    assert np.sqrt((drawn.astype(np.float64) ** 2).mean()) == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_falls_as_its_slope_says(slope: float) -> None:
    """Measured by the power of octaves: flat per hertz for white, flat per octave for pink."""
    power = np.abs(np.fft.rfft(noise(1 << 17, slope, np.random.default_rng(1)))) ** 2
    octaves = [1 << n for n in range(8, 16)]
    densities = [float(power[low : 2 * low].mean()) for low in octaves]
    measured = -np.polyfit(np.log2(octaves), np.log2(densities), 1)[0]
    assert measured == pytest.approx(slope, abs=0.1)


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 20.0])
def test_noise_stands_below_the_sound(snr_db: float) -> None:
    added = add_noise(tone(), snr_db, np.random.default_rng(0), 1.0) - tone()
    assert decibels(active_rms(tone()) / active_rms(added)) == pytest.approx(snr_db, abs=0.05)


def test_what_is_mixed_in_is_repeated_and_below() -> None:
    short = tone(0.9, 0.3, 1_000)
    added = mix(tone(), short, 12.0) - tone()
    assert decibels(active_rms(tone()) / active_rms(added)) == pytest.approx(12.0, abs=0.05)
    np.testing.assert_allclose(added[: len(short)], added[len(short) : 2 * len(short)], atol=1e-6)
    silence = np.zeros(100, np.float32)
    assert (mix(tone(), silence, 0.0) == tone()).all()
    assert (mix(silence, tone(), 0.0) == 0).all()


def test_copies_are_as_long_and_stay_in_range() -> None:
    loud = tone(0.95)
    made = Augmentation(20, gain_db=(0, 12)).copies_of(loud, "a", [tone(0.5, 0.2, 900)])
    assert len(made) == 20
    for copy, _ in made:
        assert copy.shape == loud.shape
        assert copy.dtype == np.float32
        assert np.abs(copy).max() <= 1 + 1e-6
    assert len({copy.tobytes() for copy, _ in made}) == 20


def test_copies_come_from_the_seed_and_the_content_alone() -> None:
    options = Augmentation(3)
    backgrounds = [tone(0.1, 0.5, 100), tone(0.1, 0.5, 3_000)]

    def copies(augmentation: Augmentation, content: str) -> list[bytes]:
        return [c.tobytes() for c, _ in augmentation.copies_of(tone(), content, backgrounds)]

    assert copies(options, "a") == copies(options, "a")
    assert not set(copies(options, "a")) & set(copies(options, "b"))
    assert not set(copies(options, "a")) & set(copies(replace(options, seed=1), "a"))
    assert copies(options, "a") == copies(replace(options, copies=9), "a")[:3]


def test_the_background_behind_a_copy_is_named() -> None:
    still = Augmentation(40, gain_db=(0, 0), shift=False, noise=0.0, background_snr_db=(20, 20))
    backgrounds = [tone(0.1, 1.0, 100), tone(0.1, 1.0, 3_000)]
    made = still.copies_of(tone(), "a", backgrounds)
    assert {number for _, number in made} == {-1, 0, 1}
    for copy, number in made:
        added = copy - tone()
        if number < 0:
            assert not added.any()
        else:
            peak_hz = int(np.abs(np.fft.rfft(added)).argmax())  # of one second
            assert peak_hz == (100, 3_000)[number]
            assert decibels(active_rms(tone()) / active_rms(added)) == pytest.approx(20, abs=0.1)
    assert {number for _, number in still.copies_of(tone(), "a")} == {-1}


def test_silence_stays_silence() -> None:
    silence = np.zeros(1_000, np.float32)
    assert all((copy == 0).all() for copy, _ in Augmentation().copies_of(silence, "a", [tone()]))


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_silence_and_noise_of_each_level_and_colour(rate: int) -> None:
    rows = quiet_waveforms(rate, rate)
    assert (rows[0] == 0).all()
    levels = 20 * np.log10(np.sqrt((rows[1:] ** 2).mean(axis=1)))
    np.testing.assert_allclose(levels, np.repeat([-80, -65, -50], 3), atol=0.01)
    power = np.abs(np.fft.rfft(rows[1:])) ** 2  # a line a hertz
    # From 100..200 Hz to 1600..3200 Hz, four octaves: 0, 3 and 6 dB an octave less.
    low, high = power[:, 100:200].mean(axis=1), power[:, 1600:3200].mean(axis=1)
    np.testing.assert_allclose(10 * np.log10(low / high), [0, 12, 24] * 3, atol=2.5)
    np.testing.assert_array_equal(rows, quiet_waveforms(rate, rate))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"copies": -1}, "copies"),
        ({"gain_db": (3.0, -3.0)}, "gain_db"),
        ({"noise_snr_db": (0.0, float("nan"))}, "noise_snr_db"),
        ({"background": 1.5}, "background"),
        ({"noise": float("nan")}, "noise"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Augmentation(**options)  # type: ignore[arg-type]
