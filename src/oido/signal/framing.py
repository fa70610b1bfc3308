# SPDX-License-Identifier: Apache-2.0
"""Cutting a waveform into windows, a batch of overlapping windows at a time.

A `PieceFramer` cuts pieces shorter than what a network was trained on, and repeats each until it
fills the network.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oido.arrays import F32
from oido.params import Windowing


class Segment(NamedTuple):
    """Some neighbouring windows, as the one waveform that they share.

    first_window: index of the first window; window k starts at sample k · hop of the recording.
    n_windows: how many.
    waveform: f32[(n_windows − 1) · hop + window]. hop_samples: from window to window in it.
    """

    first_window: int
    n_windows: int
    waveform: F32
    hop_samples: int


class WindowFramer:
    """Cuts a stream of samples into segments of up to ``batch`` windows.

    Which windows there are depends only on the samples, not on how they arrive: the framer waits
    for a whole segment, or for ``flush``, which pads the last window with zeros. A ``batch`` of 1
    gives each window as soon as its last sample is there.
    """

    def __init__(self, windowing: Windowing, batch: int) -> None:
        self._windowing = windowing
        self._batch = batch
        self._pending: list[F32] = []
        self._pending_samples = 0
        self._next_window = 0
        self.n_samples = 0
        """Samples pushed so far."""

    def push(self, waveform: F32) -> list[Segment]:
        """The whole segments that these f32[n] samples complete."""
        if not len(waveform):
            return []
        # A copy, because a microphone's buffer will soon hold the next samples.
        self._pending.append(waveform.copy())
        self._pending_samples += len(waveform)
        self.n_samples += len(waveform)
        if self._pending_samples < self._samples_of(self._batch):
            return []
        held = np.concatenate(self._pending)
        segments = []
        while len(held) >= self._samples_of(self._batch):
            segments.append(self._segment(held, self._batch))
            held = held[self._batch * self._windowing.hop_samples :]
        # A copy, so that the small rest does not keep the large block alive.
        self._pending, self._pending_samples = [held.copy()], len(held)
        return segments

    def flush(self) -> list[Segment]:
        """The windows that are left, the last one padded with zeros.

        A recording shorter than one window is repeated, where the network predicts better so.
        """
        windows = self._windowing.count(self.n_samples) - self._next_window
        if windows < 1:
            return []
        held = np.concatenate([*self._pending, np.zeros(0, np.float32)])
        pause = self._windowing.repeat_pause_samples
        if pause is not None and len(held) and self.n_samples < self._windowing.window_samples:
            held = np.concatenate([held, np.zeros(pause, np.float32)])
            held = np.resize(held, self._windowing.window_samples)
        padded = np.zeros(self._samples_of(windows), np.float32)
        padded[: len(held)] = held[: len(padded)]
        self._pending, self._pending_samples = [], 0
        return [self._segment(padded, windows)]

    @property
    def missing_samples(self) -> int:
        """Samples that the next segment still lacks."""
        return self._samples_of(self._batch) - self._pending_samples

    def _samples_of(self, windows: int) -> int:
        return (windows - 1) * self._windowing.hop_samples + self._windowing.window_samples

    def _segment(self, held: F32, windows: int) -> Segment:
        waveform = held[: self._samples_of(windows)]
        segment = Segment(self._next_window, windows, waveform, self._windowing.hop_samples)
        self._next_window += windows
        return segment


def cut_windows(waveform: F32, window_samples: int, hop_samples: int) -> F32:
    """The windows of f32[(N − 1) · hop + window], as a view: f32[N, window]."""
    return np.lib.stride_tricks.sliding_window_view(waveform, window_samples)[::hop_samples]


class PieceFramer:
    """Cuts a stream into overlapping pieces, as `WindowFramer` does, and repeats each.

    windowing: of the pieces; its ``repeat_pause_samples`` of silence stand between repetitions.
    filled_samples: what a repeated piece fills. The last piece is as long as there is sound, and
    is repeated too; so there are no zeros but the pauses. A segment's waveform is its pieces, one
    filled window behind the other.
    """

    def __init__(self, windowing: Windowing, filled_samples: int, batch: int) -> None:
        self._windowing, self._filled, self._batch = windowing, filled_samples, batch
        self._held: F32 = np.zeros(0, np.float32)
        self._next_window = 0
        self._ready: list[F32] = []
        self.n_samples = 0
        """Samples pushed so far."""

    def push(self, waveform: F32) -> list[Segment]:
        """The segments that these f32[n] samples complete."""
        w = self._windowing
        self.n_samples += len(waveform)
        self._held = np.concatenate([self._held, waveform])
        # A piece is cut when more than it is there: else it might be the last, and flush's.
        while len(self._held) > w.window_samples:
            self._ready.append(self._repeat(self._held[: w.window_samples]))
            self._held = self._held[w.hop_samples :].copy()
        return self._segments(self._batch)

    def flush(self) -> list[Segment]:
        """The pieces that are left."""
        if len(self._held):
            self._ready.append(self._repeat(self._held))
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

    def _repeat(self, piece: F32) -> F32:
        pause = np.zeros(self._windowing.repeat_pause_samples or 0, np.float32)
        return np.resize(np.concatenate([piece, pause]), self._filled)
