# SPDX-License-Identifier: Apache-2.0
"""Changing waveforms as the world does: their level, noise, their place in time, other sounds.

Levels are those of what is not digital silence (`active_rms`). Nothing is clipped: copies that
would leave −1..1 are turned down. And what a microphone picks up where nothing is heard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oido.arrays import F32
from oido.errors import OptionError
from oido.messages import tr
from oido.signal.level import active_rms


def apply_gain(waveform: F32, gain_db: float) -> F32:
    """f32[n] → f32[n], louder by ``gain_db`` (fainter if below 0)."""
    return waveform * np.float32(10 ** (gain_db / 20))


def noise(samples: int, slope: float, random: np.random.Generator, level_below: float = 0.0) -> F32:
    """f32[samples] of Gaussian noise with a root mean square of 1.

    slope: its power falls with frequency^−slope: 0 is white, 1 pink; steeper ones hum and rumble.
    level_below: it does so from this frequency on, in cycles per sample.
    """
    drawn = random.standard_normal(samples)
    if slope and samples > 1:
        # A length that FFTs are fast with: those of a large prime take a second.
        spectrum = np.fft.rfft(random.standard_normal(1 << (samples - 1).bit_length()))
        bins = np.arange(len(spectrum), dtype=np.float64)
        bins = np.maximum(bins, max(1.0, level_below * 2 * (len(bins) - 1)))
        drawn = np.fft.irfft(spectrum * bins ** (-slope / 2))[:samples]
    return np.asarray(drawn / max(float(np.sqrt((drawn**2).mean())), 1e-30), np.float32)


def add_noise(waveform: F32, snr_db: float, random: np.random.Generator, slope: float = 0.0) -> F32:
    """f32[n] → f32[n]: with noise ``snr_db`` below its level everywhere; see `noise`.

    Digital silence stays as it is: there is no level to be below.
    """
    return mix(waveform, noise(len(waveform), slope, random), snr_db)


def quiet_waveforms(samples: int, sample_rate_hz: int) -> F32:
    """f32[Q, samples]: digital silence, then the noise of quiet rooms, always the same.

    Of white, pink and brown noise at -80, -65 and -50 dB of full scale: from a good recorder in a
    quiet room to a phone in a ventilated one. A head that never met it takes it for the class whose
    clips have most of it between their sounds: a clock's tick is then heard in every quiet room.
    """
    random = np.random.default_rng(0)
    rows = [np.zeros(samples, np.float32)]
    for level_db in (-80.0, -65.0, -50.0):
        for slope in (0.0, 1.0, 2.0):
            made = noise(samples, slope, random, level_below=_LOWEST_HZ / sample_rate_hz)
            rows.append(apply_gain(made, level_db))
    return np.stack(rows)


_LOWEST_HZ = 30.0
"""Below, a microphone picks up no more."""


def mix(waveform: F32, other: F32, snr_db: float) -> F32:
    """f32[n], f32[m] → f32[n]: with ``other`` behind it, ``snr_db`` below its level.

    other: repeated or cut to n samples. If either is digital silence, nothing is added.
    """
    own, of_other = active_rms(waveform), active_rms(other)
    if not own or not of_other:
        return waveform
    return waveform + np.resize(other, len(waveform)) * np.float32(
        own / of_other * 10 ** (-snr_db / 20)
    )


@dataclass(frozen=True)
class Augmentation:
    """Which changed copies of a clip a head learns from, beside the clip itself.

    copies: how many; 0 is none. seed: another one draws other copies.
    gain_db: from and to. shift: to a drawn place in time, circularly. noise, background: how often
    (0..1) noise between white and pink, or a recording of background, is put behind a copy;
    noise_snr_db, background_snr_db: how far below the copy's level (dB), from and to. Raises
    OptionError.
    """

    copies: int = 4
    seed: int = 0
    gain_db: tuple[float, float] = (-12.0, 6.0)
    shift: bool = True
    noise: float = 0.5
    noise_snr_db: tuple[float, float] = (10.0, 40.0)
    background: float = 0.5
    background_snr_db: tuple[float, float] = (5.0, 30.0)

    def __post_init__(self) -> None:
        if self.copies < 0:
            raise OptionError(
                tr("augment must be 0 or more copies, not {copies}", copies=self.copies)
            )
        for name in ("gain_db", "noise_snr_db", "background_snr_db"):
            low, high = getattr(self, name)
            if not -np.inf < low <= high < np.inf:
                raise OptionError(
                    tr(
                        "{name} is from and to, not {low:g} to {high:g}",
                        name=name,
                        low=low,
                        high=high,
                    )
                )
        for name in ("noise", "background"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise OptionError(
                    tr(
                        "{name} is a chance from 0 to 1, not {getattr:g}",
                        name=name,
                        getattr=getattr(self, name),
                    )
                )

    def copies_of(
        self, waveform: F32, content: str, backgrounds: Sequence[F32] = ()
    ) -> list[tuple[F32, int]]:
        """Copies f32[n] of f32[n], each with the number of the background behind it, −1 for none.

        content: identifies what the clip holds, such as its SHA-256: the same content, options and
        backgrounds always give the same copies.
        """
        digest = hashlib.sha256(f"{self.seed} {content}".encode()).digest()
        random = np.random.default_rng(np.frombuffer(digest, np.uint32))
        return [self._copy(waveform, backgrounds, random) for _ in range(self.copies)]

    def _copy(
        self, waveform: F32, backgrounds: Sequence[F32], random: np.random.Generator
    ) -> tuple[F32, int]:
        # All is drawn whether it is used or not, so that one option does not change the others.
        turn, gain_db = random.random(), random.uniform(*self.gain_db)
        with_noise, snr_db, slope = (
            random.random(),
            random.uniform(*self.noise_snr_db),
            random.random(),
        )
        with_background, below_db = random.random(), random.uniform(*self.background_snr_db)
        number, start = int(random.integers(max(1, len(backgrounds)))), random.random()
        copy, behind = waveform, -1
        if self.shift:
            copy = np.roll(copy, int(turn * len(copy)))
        own = copy
        if with_noise < self.noise:
            copy = add_noise(copy, snr_db, random, slope)
        if with_background < self.background and len(backgrounds):
            other = np.roll(backgrounds[number], -int(start * len(backgrounds[number])))
            copy, behind = copy + (mix(own, other, below_db) - own), number
        copy = apply_gain(copy, gain_db)
        peak = float(np.abs(copy).max(initial=0))
        return (copy / np.float32(peak) if peak > 1 else copy), behind
