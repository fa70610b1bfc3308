# SPDX-License-Identifier: Apache-2.0
"""Two networks that hear together: the windows of one, each also as the other hears around it.

The first gives the windows and the embeddings. The second hears longer pieces, which overlap; what
it says of a window is the mean over the pieces that cover the window's centre (or the end of the
recording, for a window whose centre lies in padding). A score of the two is their power mean with
the exponent 1/4, ((a^¼ + b^¼) / 2)⁴: nearer to the lower one, so that both must agree, and defined
where one is 0. `benchmarks/combining.py` compares it with others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from oido.arrays import F32, F64
from oido.inference.block import Block
from oido.params import Windowing

_EXPONENT = 0.25


def power_mean(a: F32, b: F32) -> F32:
    """((a^¼ + b^¼) / 2)⁴, element by element; both 0 or more."""
    return np.asarray(((a**_EXPONENT + b**_EXPONENT) / 2) ** (1 / _EXPONENT), np.float32)


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
            scores = power_mean(scores, around)
            if framewise is not None:
                framewise = power_mean(framewise, around[:, None])
        return block._replace(scores=scores, framewise=framewise)

    def _mean(self, centre: float) -> F32:
        """The mean of the second's scores over its pieces that cover this time, f32[C]."""
        while len(self._rows) > 1 and self._rows[0][0] * self._hop + self._length <= centre:
            self._rows.popleft()
        covering = [row for number, row in self._rows if number * self._hop <= centre]
        return np.asarray(np.mean(covering, axis=0), np.float32)
