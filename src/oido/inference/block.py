# SPDX-License-Identifier: Apache-2.0
"""A block of consecutive windows with their scores, and the work that leads to one."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from oido.arrays import F32, F64
from oido.inference.postprocess import SelectedScores
from oido.params import Windowing
from oido.runtime.base import Outputs
from oido.signal.decode import AudioInfo
from oido.signal.framing import Segment

__all__ = [
    "BATCH_WINDOWS",
    "Block",
    "Branch",
    "Framer",
    "PatchMemory",
    "ScoreTransform",
    "SourceInfo",
    "WorkItem",
    "make_block",
    "transformed",
]

BATCH_WINDOWS = 64
"""Windows per segment: half a minute of audio, some 20 MB of work memory."""


ScoreTransform = Callable[[F32], SelectedScores]
"""Raw scores of all heads f32[N, all] → those wanted f32[N, C], each row by itself."""


class Block(NamedTuple):
    """Some neighbouring windows.

    scores: f32[N, C], raw; embeddings: f32[N, D]; weights: f64[N], the share of each window that is
    not padding (1 but for the last window); loudness: f64[N] (`oido.signal.level`).
    times: f64[N, 2], start and end of each window in seconds of the stream. skipped: windows that
    were left out just before, because their consumer is too slow for a live source.
    similarities: f32[N], how near each window is to what the model was taught; None if it does not
    say, or if scores are those of all heads. framewise: f32[N, columns, C], the scores of equal
    parts of each window (`oido.inference.framewise`); None of a network that does not give them.
    """

    first_window: int
    scores: F32
    embeddings: F32
    weights: F64
    loudness: F64
    times: F64
    skipped: int = 0
    similarities: F32 | None = None
    framewise: F32 | None = None


class Framer(Protocol):
    """Cuts a stream of samples into segments.

    n_samples: pushed so far; missing_samples: until there is another segment.
    """

    n_samples: int

    @property
    def missing_samples(self) -> int: ...

    def push(self, waveform: F32) -> list[Segment]: ...

    def flush(self) -> list[Segment]: ...


class SourceInfo(Protocol):
    """What is known of a source: samples so far at the model's rate, pieces that were left out."""

    @property
    def info(self) -> AudioInfo: ...

    @property
    def n_samples(self) -> int: ...

    @property
    def damaged_packets(self) -> int: ...


class PatchMemory:
    """The last patch of a source, for whoever makes the next: its window's number, and itself."""

    __slots__ = ("patch", "window")

    def __init__(self) -> None:
        self.window = -2
        self.patch: F32 = np.zeros((0, 0), np.float32)


class WorkItem(NamedTuple):
    """A segment for one of a model's networks; branch: which; memory: of the source's branch."""

    branch: int
    segment: Segment
    memory: PatchMemory


class Branch(NamedTuple):
    """One network's view of a source: its windows, and the framer that cuts them."""

    windowing: Windowing
    framer: Framer


def make_block(
    segment: Segment,
    outputs: Outputs,
    loudness: F64,
    windowing: Windowing,
    n_samples: int,
    transform: ScoreTransform | None,
) -> Block:
    """A segment with its outputs; n_samples: of the source so far, its end included if known."""
    first, n = segment.first_window, segment.n_windows
    ends = (np.arange(n) + first) * windowing.hop_samples + windowing.window_samples
    weights = np.asarray(1.0 - np.maximum(0, ends - n_samples) / windowing.window_samples)
    block = Block(
        first,
        outputs.scores,
        outputs.embeddings,
        weights,
        loudness,
        windowing.times(first, n),
        framewise=outputs.framewise,
    )
    return transformed(block, transform)


def transformed(block: Block, transform: ScoreTransform | None) -> Block:
    """A block with the scores that are wanted of those of all heads; None: all of them."""
    if transform is None:
        return block
    scores, similarities = transform(block.scores)
    framewise = block.framewise
    if framewise is not None:
        n, columns, _ = framewise.shape
        rows = transform(framewise.reshape(n * columns, -1)).scores
        framewise = rows.reshape(n, columns, -1)
    return block._replace(scores=scores, similarities=similarities, framewise=framewise)
