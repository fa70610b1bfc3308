# SPDX-License-Identifier: Apache-2.0
"""Small recordings for datasets: noise, each its own."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np

from tests.signal.decode.wav_bytes import wav
from tests.signal.sounds import noise

__all__ = ["RATE_HZ", "record", "record_all"]

RATE_HZ = 8_000

_SEEDS = count()


def record(path: Path, seconds: float = 0.5) -> Path:
    """A WAV file of noise that no other one holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = noise(round(seconds * RATE_HZ), seed=next(_SEEDS)).astype(np.float64)
    path.write_bytes(wav(samples, RATE_HZ))
    return path


def record_all(folder: Path, *names: str, seconds: float = 0.5) -> Path:
    """The folder, with these recordings in it."""
    for name in names:
        record(folder / name, seconds)
    return folder
