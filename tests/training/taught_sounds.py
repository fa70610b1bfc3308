# SPDX-License-Identifier: Apache-2.0
"""A folder of made sounds of three kinds, which a head can learn to tell apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.signal.decode.wav_bytes import wav

__all__ = ["KINDS", "make_sounds"]

KINDS = ("beep", "click", "hiss")
RATE_HZ = 16_000


def make_sounds(folder: Path, each: int = 6, seconds: float = 2.0, seed: int = 0) -> Path:
    """``folder``/kind/number.wav: tones, trains of clicks, and noise; no two alike."""
    dice = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    for number in range(each):
        pitch, pace = dice.uniform(600, 2_000), dice.integers(3, 9)
        beep = 0.4 * np.sin(2 * np.pi * pitch * time) * (np.sin(2 * np.pi * pace * time) > 0)
        click = np.zeros(len(time))
        click[:: RATE_HZ // int(pace)] = 0.9
        hiss = dice.normal(0, dice.uniform(0.03, 0.2), len(time))
        for kind, sound in zip(KINDS, (beep, click, hiss)):
            noisy = np.clip(sound + dice.normal(0, 0.001, len(time)), -1, 1)
            path = folder / kind / f"{kind}-{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wav(noisy, RATE_HZ))
    return folder
