# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from oido.evaluation.drift_features import AcousticMeter, Acoustics
from oido.signal.decode import open_audio
from tests.signal.sounds import noise, sine

RATE_HZ = 16_000


def measured(samples: NDArray[Any], rate_hz: int = RATE_HZ) -> Acoustics:
    meter = AcousticMeter(rate_hz)
    with open_audio(np.asarray(samples, np.float32), rate_hz) as reader:
        for block in reader.blocks():
            meter.push(block)
    return meter.acoustics()


def test_a_sine() -> None:
    found = measured(sine(1000.0, RATE_HZ, 32_000, amplitude=0.5))
    assert found.level_db == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert found.seconds == 2.0
    assert found.sample_rate_hz == RATE_HZ
    assert found.silent_share == 0
    assert found.bandwidth_hz == pytest.approx(1000, abs=60)


def test_silence_and_noise() -> None:
    found = measured(np.concatenate([np.zeros(20_480), noise(20_480)]))
    assert found.silent_share == 0.5
    assert found.bandwidth_hz == pytest.approx(8000, abs=10)
    nothing = measured(np.zeros(5_000))
    assert nothing == Acoustics(RATE_HZ, 5_000 / RATE_HZ, -120.0, 1.0, 0.0)


def test_less_than_a_frame() -> None:
    found = measured(sine(2000.0, RATE_HZ, 600))
    assert found.silent_share == 0
    assert 2000 <= found.bandwidth_hz < 4000


def test_noise_without_highs() -> None:
    spectrum = np.fft.rfft(noise(32_000))
    spectrum[np.fft.rfftfreq(32_000, 1 / RATE_HZ) > 1500] = 0
    assert measured(np.fft.irfft(spectrum)).bandwidth_hz == pytest.approx(1500, abs=40)
