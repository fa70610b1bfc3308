# SPDX-License-Identifier: Apache-2.0
"""Changed windows: each change does what its numbers say, and chance is that of the seed."""

from __future__ import annotations

import numpy as np
import pytest

from oido.errors import OptionError
from oido.models.networks.yamnet import YAMNET_FRONT_END
from oido.torch.clips import Augmenter, AugmentOptions
from tests.signal.sounds import noise, sine

WINDOWS = YAMNET_FRONT_END.windows
NOTHING = {"gain_db": (0.0, 0.0), "noise": 0.0, "background": 0.0, "mixup": 0.0}
TONE = sine(1_000.0, 16_000, WINDOWS.window_samples, 0.3).astype(np.float32)
CHIRP = sine(3_000.0, 16_000, 40_000, 0.01).astype(np.float32)


def augmenter(seed=0, backgrounds=(), **options):
    chosen = AugmentOptions(**{**NOTHING, **options})
    return Augmenter(chosen, WINDOWS, backgrounds, np.random.default_rng(seed))


def decibels(signal, other):
    return 10 * np.log10(np.mean(np.square(signal)) / np.mean(np.square(other)))


def test_nothing_changes_nothing():
    window, level = augmenter().window(TONE)
    np.testing.assert_array_equal(window, TONE)
    assert level == pytest.approx(0.3 / np.sqrt(2), rel=1e-3)


def test_gain_is_between_its_bounds():
    gains = [decibels(augmenter(s, gain_db=(-12.0, 6.0)).window(TONE)[0], TONE) for s in range(60)]
    assert -12.01 <= min(gains) < -10
    assert 4 < max(gains) <= 6.01


@pytest.mark.parametrize("snr_db", [3.0, 20.0])
def test_noise_is_so_far_below(snr_db):
    for seed in range(5):
        changed, level = augmenter(seed, noise=1.0, noise_snr_db=(snr_db, snr_db)).window(TONE)
        assert decibels(TONE, changed - TONE) == pytest.approx(snr_db, abs=0.05)
        assert level == pytest.approx(0.3 / np.sqrt(2), rel=1e-3), "of the window before"


@pytest.mark.parametrize("snr_db", [0.0, 12.0])
def test_backgrounds_are_so_far_below(snr_db):
    options = {"background": 1.0, "background_snr_db": (snr_db, snr_db)}
    added = augmenter(1, [CHIRP], **options).window(TONE)[0] - TONE
    assert decibels(TONE, added) == pytest.approx(snr_db, abs=0.05)
    spectrum = np.abs(np.fft.rfft(added))
    peak_hz = spectrum.argmax() * 16_000 / len(added)
    assert peak_hz == pytest.approx(3_000, abs=2)


def test_nothing_is_added_to_silence():
    silence = np.zeros(WINDOWS.window_samples, np.float32)
    window, level = augmenter(noise=1.0, background=1.0, backgrounds=[CHIRP]).window(silence)
    assert level == 0
    assert not window.any()


def test_the_seed_is_all_chance():
    options = {"noise": 0.5, "background": 0.5, "backgrounds": [CHIRP], "gain_db": (-9.0, 9.0)}
    waveform = noise(40_000)
    first, again, other = ([augmenter(s, **options).window(waveform)[0]] for s in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_mixup_shares():
    shares, others = augmenter(mixup=0.5).shares(500)
    assert shares.min() >= 0.5
    assert shares.max() <= 1.0
    assert 0.7 < shares.mean() < 0.95
    assert sorted(others) == list(range(500))
    assert augmenter().shares(500) is None
    assert augmenter(mixup=0.5).shares(1) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gain_db": (3.0, -3.0)}, "gain_db is from and to"),
        ({"noise": 1.5}, "noise is a chance"),
        ({"background": -0.5}, "background is a chance"),
        ({"mixup": -1.0}, "mixup must be 0 or more"),
    ],
)
def test_options_are_checked(options, message):
    with pytest.raises(OptionError, match=message):
        AugmentOptions(**options)
