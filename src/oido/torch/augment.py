# SPDX-License-Identifier: Apache-2.0
"""Changing waveforms as the world does: level, noise, other sounds behind them, two at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oido.errors import OptionError
from oido.params import WindowParams
from oido.torch.sounds import levels, random_window

__all__ = ["AugmentOptions", "Augmenter"]

_NOISE_SAMPLES = 1 << 15


@dataclass(frozen=True)
class AugmentOptions:
    """What may happen to a window; where it was cut from the clip is drawn anyway.

    gain_db: from and to. noise, background: how often (0..1) noise or a background sound is added,
    and noise_snr_db, background_snr_db: how far below the window it is, from and to.
    mixup: the parameter of the Beta distribution from which shares of two windows are drawn (Zhang
    et al. 2018); 0 is none. Raises OptionError.
    """

    gain_db: tuple[float, float] = (-12.0, 6.0)
    noise: float = 0.5
    noise_snr_db: tuple[float, float] = (10.0, 40.0)
    background: float = 0.5
    background_snr_db: tuple[float, float] = (0.0, 25.0)
    mixup: float = 0.2

    def __post_init__(self) -> None:
        for name in ("gain_db", "noise_snr_db", "background_snr_db"):
            low, high = getattr(self, name)
            if not low <= high:
                raise OptionError(f"{name} is from and to, not {low:g} to {high:g}")
        for name in ("noise", "background"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise OptionError(f"{name} is a chance from 0 to 1, not {getattr(self, name):g}")
        if not self.mixup >= 0.0:
            raise OptionError(f"mixup must be 0 or more, not {self.mixup:g}")


class Augmenter:
    """Draws windows from clips and changes them; all chance is that of ``random``.

    backgrounds: waveforms f32[n] of no class, to be put behind the others.
    """

    def __init__(
        self,
        options: AugmentOptions,
        windows: WindowParams,
        backgrounds: Sequence[NDArray[np.float32]],
        random: np.random.Generator,
    ) -> None:
        self._options, self._windows = options, windows
        self._backgrounds, self._random = backgrounds, random

    def window(self, waveform: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """A changed window, f32[window], and its RMS level before it was changed."""
        options, random = self._options, self._random
        window = random_window(waveform, self._windows, random)
        level = float(levels(window[None])[0])
        if random.random() < options.noise:
            window = _added(window, level, self._noise(len(window)), self._db(options.noise_snr_db))
        if random.random() < options.background and len(self._backgrounds):
            behind = self._backgrounds[int(random.integers(len(self._backgrounds)))]
            behind = random_window(np.asarray(behind, np.float32), self._windows, random)
            window = _added(window, level, behind, self._db(options.background_snr_db))
        gain = np.float32(10 ** (self._db(options.gain_db) / 20))
        return window * gain, level

    def shares(self, count: int) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
        """For mixup: f32[count], 0.5..1, of each window, and the number of the other; or None."""
        if not self._options.mixup or count < 2:
            return None
        drawn = self._random.beta(self._options.mixup, self._options.mixup, count)
        return np.maximum(drawn, 1 - drawn).astype(np.float32), self._random.permutation(count)

    def _db(self, span: tuple[float, float]) -> float:
        return float(self._random.uniform(*span))

    def _noise(self, samples: int) -> NDArray[np.float32]:
        """Noise between white and pink."""
        spectrum = np.fft.rfft(self._random.standard_normal(min(samples, _NOISE_SAMPLES)))
        slope = self._random.uniform(0.0, 0.5)  # of the amplitude: 0 is white, 0.5 pink
        spectrum *= np.arange(1, len(spectrum) + 1) ** -slope
        noise = np.fft.irfft(spectrum, min(samples, _NOISE_SAMPLES)).astype(np.float32)
        return np.resize(noise, samples)


def _added(
    window: NDArray[np.float32], level: float, other: NDArray[np.float32], snr_db: float
) -> NDArray[np.float32]:
    """``other`` added, so many dB below ``level``; nothing if either is silent."""
    of_other = float(levels(other[None])[0])
    if not of_other or not level:
        return window
    return window + other * np.float32(level / of_other * 10 ** (-snr_db / 20))
