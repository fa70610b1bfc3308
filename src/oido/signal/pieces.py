# SPDX-License-Identifier: Apache-2.0
"""Pieces shorter than what a network was trained on, each repeated until it fills the network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oido.params import Windowing
from oido.signal.framing import Segment

__all__ = ["PieceFramer"]


class PieceFramer:
    """Cuts a stream into overlapping pieces, as `WindowFramer` does, and repeats each.

    windowing: of the pieces; its ``repeat_pause_samples`` of silence stand between repetitions.
    filled_samples: what a repeated piece fills. The last piece is as long as there is sound, and
    is repeated too; so no zeros are heard but the pauses. A segment's waveform is its pieces, one
    filled window behind the other.
    """

    def __init__(self, windowing: Windowing, filled_samples: int, batch: int) -> None:
        self._windowing, self._filled, self._batch = windowing, filled_samples, batch
        self._held: NDArray[np.float32] = np.zeros(0, np.float32)
        self._next_window = 0
        self._ready: list[NDArray[np.float32]] = []
        self.n_samples = 0
        """Samples pushed so far."""

    def push(self, waveform: NDArray[np.float32]) -> list[Segment]:
        """The segments that these f32[n] samples complete."""
        w = self._windowing
        self.n_samples += len(waveform)
        self._held = np.concatenate([self._held, waveform])
        # A piece is cut when more than it is there: else it might be the last, and flush's.
        while len(self._held) > w.window_samples:
            self._ready.append(self._repeated(self._held[: w.window_samples]))
            self._held = self._held[w.hop_samples :].copy()
        return self._segments(self._batch)

    def flush(self) -> list[Segment]:
        """The pieces that are left."""
        if len(self._held):
            self._ready.append(self._repeated(self._held))
            self._held = self._held[:0]
        return self._segments(1)

    @property
    def missing_samples(self) -> int:
        """Samples that the next piece still lacks."""
        return self._windowing.window_samples + 1 - len(self._held)

    def _segments(self, least: int) -> list[Segment]:
        segments = []
        while len(self._ready) >= least:
            pieces, self._ready = self._ready[: self._batch], self._ready[self._batch :]
            waveform = np.concatenate(pieces)
            segments.append(Segment(self._next_window, len(pieces), waveform, self._filled))
            self._next_window += len(pieces)
        return segments

    def _repeated(self, piece: NDArray[np.float32]) -> NDArray[np.float32]:
        pause = np.zeros(self._windowing.repeat_pause_samples or 0, np.float32)
        return np.resize(np.concatenate([piece, pause]), self._filled)
