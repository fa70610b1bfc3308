# SPDX-License-Identifier: Apache-2.0
"""A block of consecutive windows with their scores, and the work that leads to one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from oido.arrays import F32, F64
from oido.params import Windowing
from oido.runtime.base import Outputs
from oido.signal.framing import Segment

BATCH_WINDOWS = 64
"""Windows per segment: half a minute of audio, some 20 MB of work memory."""


class SelectedScores(NamedTuple):
    """What is wanted of N windows.

    scores: f32[N, C] of one head. similarities: f32[N], -1..1, how near each window is to what the
    model was taught; None of a model that does not tell.
    """

    scores: F32
    similarities: F32 | None


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
    parts of each window (`oido.inference.detector`); None of a network that does not give them.
    levels: f32[n], in dB, of the next 20 ms of the stream, as far as they were there.
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
    levels: F32 | None = None

    def __repr__(self) -> str:
        windows, classes = self.scores.shape
        return f"<Block: windows from {self.first_window} on, scores [{windows}, {classes}]>"


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


def make_block(
    segment: Segment, outputs: Outputs, loudness: F64, windowing: Windowing, n_samples: int
) -> Block:
    """A segment with its outputs; n_samples: of the source so far, its end included if known."""
    first, n = segment.first_window, segment.n_windows
    weights = np.ones(n)
    if (first + n - 1) * windowing.hop_samples + windowing.window_samples > n_samples:
        ends = (np.arange(n) + first) * windowing.hop_samples + windowing.window_samples
        weights -= np.maximum(0, ends - n_samples) / windowing.window_samples
    times = windowing.times(first, n)
    scores, embeddings, framewise = outputs
    return Block(first, scores, embeddings, weights, loudness, times, framewise=framewise)


def joined_blocks(blocks: Sequence[Block]) -> Block:
    """All blocks of a source as one."""
    columns = dict(zip(Block._fields, zip(*blocks)))
    arrays = ("scores", "embeddings", "weights", "loudness", "times", "framewise", "levels")
    joined: dict[str, Any] = {
        name: np.concatenate(columns[name]) for name in arrays if columns[name][0] is not None
    }
    return blocks[0]._replace(**joined)


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
