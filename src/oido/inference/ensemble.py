# SPDX-License-Identifier: Apache-2.0
"""Two networks that hear together: the windows of one, each also as the other hears around it.

The first gives the windows and the embeddings. The second hears longer pieces, which overlap; what
it says of a window is the mean over the pieces that cover the window's centre (or the end of the
recording, for a window whose centre lies in padding). A score of the two is a weighted mean of
their logits. Windows, and so clips, trust the second more: of sounds of the surroundings it is the
better one of the two. Frames trust the first more, because the second's pieces of 5 s reach into
what is heard before and after. `benchmarks/combining.py` compares ways to combine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from oido.arrays import F32, F64
from oido.inference.block import Block
from oido.params import Windowing

WINDOW_WEIGHT, FRAME_WEIGHT = 0.7, 0.3
"""Of the second network's logits in those of windows, and of frames."""

_LEAST = 1 / 512
"""Half a step of quantised scores: no score counts as nearer to 0 or 1."""


def logit_mean(a: F32, b: F32, weight: float) -> F32:
    """σ((1 − weight) · logit a + weight · logit b), element by element."""
    mean = (1 - weight) * _logit(a) + weight * _logit(b)
    return np.asarray(1 / (1 + np.exp(-mean)), np.float32)


def _logit(scores: F32) -> F32:
    limited = np.clip(scores, np.float32(_LEAST), np.float32(1 - _LEAST))
    return np.asarray(np.log(limited / (1 - limited)), np.float32)


class EnsembleCombiner:
    """What the second network hears around each window of the first.

    columns: for each label of the first, its column in the second's scores. windows: of the first;
    pieces: of the second.
    """

    def __init__(self, columns: Sequence[int], windows: Windowing, pieces: Windowing) -> None:
        self._columns, self._windows = np.asarray(columns), windows
        self._hop = pieces.hop_seconds
        self._length = pieces.window_samples / pieces.sample_rate_hz
        self._rows: deque[tuple[int, F32]] = deque()
        self._pending: deque[tuple[Block, F64]] = deque()

    def push(self, branch: int, block: Block, n_samples: int) -> list[Block]:
        """More windows of the first (branch 0), or pieces of the second; the blocks now complete.

        Those of a branch come in order. n_samples: of the branch so far.
        """
        if branch == 0:
            self._pending.append((block, self._centres(block, n_samples)))
        else:
            rows = block.scores[:, self._columns]
            self._rows.extend(enumerate(rows, start=block.first_window))
        complete = []
        last_start = self._rows[-1][0] * self._hop if self._rows else -np.inf
        # Where a piece begins behind all of a block's centres, no other will cover them.
        while self._pending and last_start > self._pending[0][1][-1]:
            complete.append(self._combined(*self._pending.popleft()))
        return complete

    def flush(self) -> list[Block]:
        """The blocks that are left."""
        blocks = [self._combined(*pending) for pending in self._pending]
        self._pending.clear()
        return blocks

    def _centres(self, block: Block, n_samples: int) -> F64:
        """The middle of each window in seconds, f64[N], but never behind the end."""
        w = self._windows
        numbers = block.first_window + np.arange(len(block.scores))
        centres = (numbers * w.hop_samples + w.window_samples / 2) / w.sample_rate_hz
        end = (n_samples - 1) / w.sample_rate_hz
        # Until the end is known, no window's centre lies behind what was read.
        return np.minimum(centres, max(end, 0.0))

    def _combined(self, block: Block, centres: F64) -> Block:
        """The first's block with the scores of both."""
        scores, framewise = block.scores, block.framewise
        if self._rows:  # there are none if the source was damaged at its very start
            around = np.stack([self._mean(float(c)) for c in centres])
            scores = logit_mean(scores, around, WINDOW_WEIGHT)
            if framewise is not None:
                framewise = logit_mean(framewise, around[:, None], FRAME_WEIGHT)
        return block._replace(scores=scores, framewise=framewise)

    def _mean(self, centre: float) -> F32:
        """The mean of the second's scores over its pieces that cover this time, f32[C]."""
        while len(self._rows) > 1 and self._rows[0][0] * self._hop + self._length <= centre:
            self._rows.popleft()
        covering = [row for number, row in self._rows if number * self._hop <= centre]
        return np.asarray(np.mean(covering, axis=0), np.float32)
