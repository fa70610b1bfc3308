# SPDX-License-Identifier: Apache-2.0
"""What the tests of pushed sources share: a sink that keeps what comes, and sounds to push."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from oido.inference.block import Block
from oido.signal.decode import AudioInfo

__all__ = ["Kept", "info", "noise"]


class Kept:
    """A sink that keeps what it is told; ``gate`` holds the threads that tell it."""

    def __init__(self) -> None:
        self.heard: list[Block] = []
        self.error: Exception | None = None
        self.over = threading.Event()
        self.entered, self.gate = threading.Event(), threading.Event()
        self.gate.set()

    def blocks(self, blocks: list[Block]) -> None:
        self.entered.set()
        self.gate.wait(20)
        self.heard += blocks

    def ended(self, error: Exception | None) -> None:
        assert not self.over.is_set()
        self.error = error
        self.over.set()

    def scores(self) -> NDArray[np.float32]:
        return np.concatenate([block.scores for block in self.heard])


def info(rate_hz: int, channels: int = 1) -> AudioInfo:
    return AudioInfo("<stream>", rate_hz, channels, None, "pcm", "stream")


def noise(
    seconds: float, rate_hz: int = 16_000, channels: int = 1, seed: int = 7
) -> NDArray[np.float32]:
    shape = (int(seconds * rate_hz), channels)
    samples = np.random.default_rng(seed).uniform(-0.4, 0.4, shape).astype(np.float32)
    return samples * np.linspace(0, 1, len(samples), dtype=np.float32)[:, None]
