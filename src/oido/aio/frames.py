# SPDX-License-Identifier: Apache-2.0
"""Patches of windows that come one by one, each frame computed once.

Windows of one source overlap: at YAMNet's own hop, half of a window's frames are those of the one
before. A source remembers its last patch, and only what is new is computed, for all sources in one
call.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from oido.ears import FrameMaker
from oido.params import FrontEndParams
from oido.pushing import Work

__all__ = ["SharedFrames"]


class SharedFrames:
    """Makes the patches of single windows of many sources; not shared between threads.

    frames: waveform f32[n] → frames f32[t, bands], each from its own samples alone.
    """

    def __init__(self, frames: FrameMaker, params: FrontEndParams) -> None:
        self._frames, self._params = frames, params

    def patches(self, works: Sequence[Work]) -> NDArray[np.float32]:
        """f32[N, patch_frames, bands]; the works of a source come in order."""
        p = self._params
        counts = [self._new_frames(work, works[:number]) for number, work in enumerate(works)]
        # A tail of t frames is (t − 1) · hop + window samples; the next begins at a whole hop.
        apart = [
            count + -(-(p.window_samples - p.hop_samples) // p.hop_samples) for count in counts
        ]
        starts = np.cumsum([0, *apart])
        joined = np.zeros(int(starts[-1]) * p.hop_samples, np.float32)
        for work, count, start in zip(works, counts, starts):
            tail = work.segment.waveform[(p.patch_frames - count) * p.hop_samples :]
            joined[start * p.hop_samples :][: len(tail)] = tail
        frames = self._frames(joined)  # f32[t, bands]
        patches = np.empty((len(works), p.patch_frames, frames.shape[1]), np.float32)
        for work, count, start, patch in zip(works, counts, starts, patches):
            kept = p.patch_frames - count
            if kept:
                patch[:kept] = work.memory.patch[count:]
            patch[kept:] = frames[start : start + count]
            # A copy, so that a source that falls silent does not keep the whole batch alive.
            work.memory.patch, work.memory.window = patch.copy(), work.segment.first_window
        return patches

    def _new_frames(self, work: Work, before: Sequence[Work]) -> int:
        """How many of a window's frames its source has not computed yet."""
        last = work.memory.window
        for earlier in before:
            if earlier.memory is work.memory:
                last = earlier.segment.first_window
        count = work.segment.hop_samples // self._params.hop_samples
        is_next = last == work.segment.first_window - 1
        return min(count, self._params.patch_frames) if is_next else self._params.patch_frames
