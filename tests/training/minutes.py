# SPDX-License-Identifier: Apache-2.0
"""Recordings of more than half a minute, each with two seconds of a made sound somewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.signal.decode.wav_bytes import wav
from tests.training.taught_sounds import KINDS, RATE_HZ

SECONDS, SOUND_SECONDS = 36, 2


def make_minutes(folder: Path, each: int = 6, seed: int = 0) -> dict[Path, tuple[str, float]]:
    """``folder``/kind/number.wav, and of each its kind and when the sound begins, in seconds."""
    dice = np.random.default_rng(seed)
    time = np.arange(SOUND_SECONDS * RATE_HZ) / RATE_HZ
    made: dict[Path, tuple[str, float]] = {}
    for _ in range(each):
        pace = int(dice.integers(4, 9))
        beep = 0.4 * np.sin(2 * np.pi * dice.uniform(600, 2_000) * time)
        click = np.zeros(len(time))
        click[:: RATE_HZ // pace] = 0.9
        hiss = dice.normal(0, 0.15, len(time))
        for kind, sound in zip(KINDS, (beep, click, hiss)):
            minute = dice.normal(0, 0.002, SECONDS * RATE_HZ)
            start = float(dice.uniform(1, SECONDS - SOUND_SECONDS - 1))
            first = round(start * RATE_HZ)
            minute[first : first + len(sound)] += sound
            path = folder / kind / f"{dice.integers(10**9):09}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wav(np.clip(minute, -1, 1), RATE_HZ))
            made[path] = kind, start
    return made
