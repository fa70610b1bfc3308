# SPDX-License-Identifier: Apache-2.0
"""Signals made of whole numbers alone, and what the fixed-point front end makes of them.

`python -m tests.vectors.fixed_point` writes fixed_point.json anew: only where the front end is to
be another one, for students that were taught before would then take other features.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from oido.params import FixedPointParams
from oido.signal.fixed_point import FixedPointFrontEnd, FixedPointTables

FILE = Path(__file__).with_name("fixed_point.json")
SAMPLES = 16_000


def noise() -> NDArray[np.int64]:
    """x ← (1664525 · x + 1013904223) mod 2^32 from x = 1 on; the upper 16 bits, less 32,768."""
    x, found = 1, []
    for _ in range(SAMPLES):
        x = (1_664_525 * x + 1_013_904_223) % (1 << 32)
        found.append((x >> 16) - 32_768)
    return np.array(found, np.int64)


def square() -> NDArray[np.int64]:
    """±20,000, changing every 23 samples."""
    return np.where(np.arange(SAMPLES) // 23 % 2 == 0, 20_000, -20_000)


def pulses() -> NDArray[np.int64]:
    """32,767 every 1,000 samples."""
    return np.where(np.arange(SAMPLES) % 1_000 == 500, 32_767, 0)


def parabola() -> NDArray[np.int64]:
    """A tone that rises: the sample n is ((n² // 64) mod 512 − 256) · 100."""
    n = np.arange(SAMPLES, dtype=np.int64)
    return (n * n // 64 % 512 - 256) * 100


SIGNALS: dict[str, Callable[[], NDArray[np.int64]]] = {
    "silence": lambda: np.zeros(SAMPLES, np.int64),
    "noise": noise,
    "faint noise": lambda: noise() >> 10,
    "square": square,
    "pulses": pulses,
    "parabola": parabola,
    "full scale": lambda: np.tile(np.array([32_767, -32_768], np.int64), SAMPLES // 2),
}


def digest(values: NDArray[Any]) -> str:
    """SHA-256 of the values in order, as their decimal digits with commas between."""
    return hashlib.sha256(",".join(map(str, values.ravel().tolist())).encode()).hexdigest()


def main() -> None:
    front_end = FixedPointFrontEnd()
    tables = vars(FixedPointTables.of(FixedPointParams()))
    content: dict[str, Any] = {
        "tables_sha256": {name: digest(values) for name, values in tables.items()},
        "signals": {},
    }
    for name, make in SIGNALS.items():
        samples = make()
        frames = front_end.frames(samples)
        content["signals"][name] = {
            "what": (make.__doc__ or "").strip(),
            "first_samples": samples[:8].tolist(),
            "first_frame": frames[0].tolist(),
            "frames_sha256": digest(frames),
        }
    FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
