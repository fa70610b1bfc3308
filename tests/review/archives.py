# SPDX-License-Identifier: Apache-2.0
"""An archive to review: two recordings of tones, a hundred events, and windows with scores."""

from __future__ import annotations

from pathlib import Path

from tests.results.results_folders import FolderMaker, event, recording
from tests.results.test_clip_files import tones

HOP, WINDOW = 0.48, 0.96
NAMES = ("north/20231015_063000.wav", "south/b.wav")
SECONDS = 60.0


def tone_archive(folder: Path, *, events: int = 100, gone: bool = False) -> FolderMaker:
    """Owls of every score, one every second and a bit; a dog; windows of owls in the first file."""
    made = FolderMaker(folder / "results")
    rows = [tones(folder / "rec" / name, SECONDS) for name in NAMES]
    step = 2 * (SECONDS - 2) / events
    owls = [
        event(NAMES[n % 2], n // 2 * step, n // 2 * step + 0.8, "Owl", (n + 1) / (events + 1))
        for n in range(events)
    ]
    others = [event(NAMES[1], 20.0, 21.0, "Dog", 0.6), event(NAMES[0], 5.0, 6.0, "Dog", 0.7)]
    windows = [
        event(NAMES[0], k * HOP, k * HOP + WINDOW, "Owl", 0.1 + 0.8 * (k % 10) / 10)
        for k in range(int(SECONDS / HOP))
    ]
    if gone:
        rows.append(recording("gone/c.wav", 5.0))
        owls.append(event("gone/c.wav", 1.0, 2.0, "Owl", 0.999))
    made.commit({"recordings": rows, "events": [*owls, *others], "windows": windows})
    return made
