# SPDX-License-Identifier: Apache-2.0
"""What the tests of both networks share: sounds, and what LiteRT makes of them."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from tests.signal.sounds import noise, sine


@pytest.fixture(scope="session")
def real_clips(shared_audio):
    """Eight real recordings, spread over both sets."""
    paths = []
    for name in ("esc10", "everyday"):
        with open(shared_audio / name / "clips.csv", encoding="utf-8", newline="") as file:
            files = [row["file"] for row in csv.DictReader(file)]
        paths += [shared_audio / name / files[len(files) * k // 4] for k in range(4)]
    return paths


@pytest.fixture(scope="session")
def sounds():
    """Synthetic waveforms f32[n] by name, for a rate."""

    def make(rate_hz):
        n = 2 * rate_hz + 77
        click = np.zeros(n, np.float32)
        click[n // 3] = 1.0
        return {
            "noise": noise(n, level=0.3),
            "quiet noise": noise(n, level=1e-4),
            "tone": sine(440.0, rate_hz, n, 0.9).astype(np.float32),
            "silence": np.zeros(n, np.float32),
            "click": click,
            "short": noise(rate_hz // 10),
        }

    return make


@pytest.fixture
def network(model):
    """YAMNet as a module, as published; each test's own."""
    import oido.torch

    return oido.torch.YamNet.from_pretrained(model.path)


@pytest.fixture
def tell(capsys):
    """Prints a line that is seen also when tests pass."""

    def say(line):
        with capsys.disabled():
            print(f"\n{line}")

    return say
