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
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from oido.errors import AudioError
from oido.params import Windowing
from oido.signal.decode import AudioInfo
from oido.stream import Block, ScoreTransform, WindowStream

__all__ = ["EnsembleStream", "power_mean"]

_EXPONENT = 0.25


def power_mean(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """((a^¼ + b^¼) / 2)⁴, element by element; both 0 or more."""
    return np.asarray(((a**_EXPONENT + b**_EXPONENT) / 2) ** (1 / _EXPONENT), np.float32)


class EnsembleStream:
    """The windows of one source as both networks hear them; see `WindowStream` for the members.

    first, second: streams of readers that share the source; columns: for each label of the first,
    its column in the second's scores.
    """

    def __init__(
        self,
        first: WindowStream,
        second: WindowStream,
        columns: Sequence[int],
        transform: ScoreTransform | None = None,
    ) -> None:
        self._first, self._second = first, second
        self._columns = np.asarray(columns)
        self._transform = transform
        pieces = second.windowing
        self._hop = pieces.hop_samples / pieces.sample_rate_hz
        self._length = pieces.window_samples / pieces.sample_rate_hz
        self._rows: deque[tuple[int, NDArray[np.float32]]] = deque()

    @property
    def windowing(self) -> Windowing:
        return self._first.windowing

    @property
    def info(self) -> AudioInfo:
        return self._first.info

    @property
    def n_samples(self) -> int:
        return self._first.n_samples

    @property
    def damaged_packets(self) -> int:
        return self._first.damaged_packets

    def close(self) -> None:
        """Release the source of a stream that is not iterated to its end."""
        self._first.close()
        self._second.close()

    def __iter__(self) -> Iterator[Block]:
        # The second meets the same damage at the same place; the first one tells of it.
        second = _until_damage(self._second)
        try:
            for block in self._first:
                centres = self._centres(block)
                self._pull(second, float(centres[-1]))
                scores = block.scores
                if self._rows:  # there are none if the source was damaged at its very start
                    around = np.stack([self._around(float(centre)) for centre in centres])
                    scores = power_mean(scores, around)
                if self._transform is not None:
                    scores = self._transform(scores)
                yield block._replace(scores=scores)
        finally:
            self._second.close()

    def _centres(self, block: Block) -> NDArray[np.float64]:
        """The middle of each window in seconds, f64[N], but never behind the end."""
        w = self._first.windowing
        numbers = block.first_window + np.arange(len(block.scores))
        centres = (numbers * w.hop_samples + w.window_samples / 2) / w.sample_rate_hz
        end = (self._first.n_samples - 1) / w.sample_rate_hz
        # Until the end is known, no window's centre lies behind what was read.
        return np.minimum(centres, max(end, 0.0))

    def _pull(self, second: Iterator[Block], centre: float) -> None:
        """Read the second until a piece begins behind the centre, and forget what lies before."""
        while not self._rows or self._rows[-1][0] * self._hop <= centre:
            block = next(second, None)
            if block is None:
                break
            rows = block.scores[:, self._columns]
            self._rows.extend(enumerate(rows, start=block.first_window))

    def _around(self, centre: float) -> NDArray[np.float32]:
        """The mean of the second's scores over its pieces that cover this time, f32[C]."""
        while len(self._rows) > 1 and self._rows[0][0] * self._hop + self._length <= centre:
            self._rows.popleft()
        covering = [row for number, row in self._rows if number * self._hop <= centre]
        return np.asarray(np.mean(covering, axis=0), np.float32)


def _until_damage(stream: WindowStream) -> Iterator[Block]:
    try:
        yield from stream
    except AudioError:
        return
