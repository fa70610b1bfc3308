# SPDX-License-Identifier: Apache-2.0
"""Stretches that a live source lost: time goes on in them, as silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Gap", "GapTold", "Say", "no_gap", "no_words", "silence"]

_PIECE_SECONDS = 0.5


class Gap(NamedTuple):
    """Silence stands in the stream from ``start_time`` on, for ``seconds``; reason: a few words."""

    start_time: float
    seconds: float
    reason: str


GapTold = Callable[[Gap], None]
"""Called by the thread that hears, when a gap is over."""

Say = Callable[[str], None]
"""Takes one sentence for the user; may be called by any thread, and must not wait long."""


def no_gap(gap: Gap) -> None:
    """For those who do not want to know."""


def no_words(sentence: str) -> None:
    """For those who do not want to know."""


def silence(frames: int, channels: int, rate_hz: int) -> Iterator[NDArray[np.float32]]:
    """Zeros f32[n, channels], ``frames`` in all, in pieces of half a second at most."""
    piece = max(1, int(_PIECE_SECONDS * rate_hz))
    while frames > 0:
        yield np.zeros((min(frames, piece), channels), np.float32)
        frames -= piece
