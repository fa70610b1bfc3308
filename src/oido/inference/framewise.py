# SPDX-License-Identifier: Apache-2.0
"""Framewise scores: those of short frames, from the parts of the windows that cover them.

A network that gives scores of the columns of its last image (`oido.models.tflite.framewise`) says
more of the time than its windows do: YAMNet's columns are 0.32 s long. Frames are half a column
(0.16 s), whatever the hop; the score of a frame is the mean over the windows that cover its centre,
of the column of each that covers it. Of other networks, a frame is a window's cell.
"""

from __future__ import annotations

import numpy as np

from oido.arrays import F32, F64, I64
from oido.params import Windowing


class FrameGrid:
    """Where the frames of a stream lie, in samples; columns: of each window, 0 for none.

    image_samples: what a window's columns cover together, from its start on.
    """

    def __init__(self, windowing: Windowing, columns: int, image_samples: int) -> None:
        self.windowing, self.columns = windowing, columns
        self.column_samples = image_samples // columns if columns else 0
        self.frame_samples = self.column_samples // 2 if columns else windowing.hop_samples

    def count(self, n_windows: int, n_samples: int) -> int:
        """Frames of a whole recording."""
        if not self.columns:
            return n_windows
        frame = self.frame_samples
        covered = (n_windows - 1) * self.windowing.hop_samples + self.columns * self.column_samples
        centres = -(-(covered - frame // 2) // frame)  # that a window covers
        return max(1, min(centres, -(-n_samples // frame)))

    def spans(self, first: int, count: int) -> I64:
        """Start and end in samples of frames that more will follow, i64[count, 2]."""
        if self.columns:
            numbers = np.arange(first, first + count)
            return np.stack([numbers, numbers + 1], axis=1) * self.frame_samples
        cells = [self.windowing.cell(n, n + 2, 1 << 62) for n in range(first, first + count)]
        return np.array(cells, np.int64).reshape(-1, 2)

    def times(self, n_windows: int, n_samples: int) -> F64:
        """Start and end of every frame in seconds, f64[T, 2]; they tile the recording."""
        rate = self.windowing.sample_rate_hz
        if not self.columns:
            cells = [self.windowing.cell(n, n_windows, n_samples) for n in range(n_windows)]
            return np.array(cells, np.float64).reshape(-1, 2) / rate
        numbers = np.arange(self.count(n_windows, n_samples))
        spans = np.stack([numbers, numbers + 1], axis=1) * self.frame_samples
        spans[-1, 1] = n_samples  # the last frame answers for what is left
        return np.minimum(spans, n_samples) / rate


class FrameScores:
    """The scores of frames, as soon as the next window is there, and no other can cover them.

    Until then a frame may lie behind the end of the recording, in the padding of its last window.
    """

    def __init__(self, grid: FrameGrid) -> None:
        self._grid = grid
        self._first_window = self._next_frame = 0
        self._pending: F32 | None = None  # f32[n, columns, C], from window _first_window on
        self._none_left: F32 = np.zeros((0, 0), np.float32)

    def push(self, framewise: F32) -> F32:
        """The next windows' columns f32[N, columns, C] → frames that are complete, f32[m, C].

        Of windows that have no columns, f32[N, 1, C].
        """
        if not self._grid.columns:
            self._none_left = framewise[:0, 0]
            return framewise[:, 0]
        if self._pending is not None:
            framewise = np.concatenate([self._pending, framewise])
        self._pending = framewise
        last_window = self._first_window + len(framewise) - 1
        return self._frames(
            last_window * self._grid.windowing.hop_samples // self._grid.frame_samples
        )

    def flush(self, n_samples: int) -> F32:
        """The recording ended after so many samples: the frames that are left, f32[m, C]."""
        if self._pending is None:
            return self._none_left
        n_windows = self._first_window + len(self._pending)
        return self._frames(self._grid.count(n_windows, n_samples))

    def _frames(self, end: int) -> F32:
        """Frames from the next one to ``end``; windows that no later frame needs are dropped."""
        grid, hop = self._grid, self._grid.windowing.hop_samples
        assert self._pending is not None
        numbers = np.arange(self._next_frame, max(self._next_frame, end))
        self._next_frame += len(numbers)
        centres = numbers * grid.frame_samples + grid.frame_samples // 2
        image = grid.columns * grid.column_samples
        last = self._first_window + len(self._pending) - 1
        total = np.zeros((len(numbers), self._pending.shape[2]), np.float32)
        covering = np.zeros(len(numbers), np.float32)
        for back in range(-(-image // hop)):
            window = centres // hop - back
            inside = centres - window * hop
            valid = (window >= self._first_window) & (window <= last) & (inside < image)
            column = inside[valid] // grid.column_samples
            total[valid] += self._pending[window[valid] - self._first_window, column]
            covering[valid] += 1
        needed = max(0, (self._next_frame * grid.frame_samples - image) // hop)
        dropped = min(max(0, needed - self._first_window), len(self._pending) - 1)
        self._pending = self._pending[dropped:]
        self._first_window += dropped
        return np.asarray(total / np.maximum(covering, 1)[:, None])
