# SPDX-License-Identifier: Apache-2.0
"""Patches made of shared frames are those of each window alone, whatever came before."""

from __future__ import annotations

import numpy as np
import pytest

from oido.inference.block import PatchMemory, WorkItem
from oido.inference.predictor import Predictor, SharedFrames
from oido.models.model import AudioModel, LogMelNetwork
from oido.signal.framing import Segment


@pytest.mark.parametrize("hop_frames", [1, 47, 48, 95, 96])
def test_patches_are_those_of_each_window_alone(model: AudioModel, hop_frames: int) -> None:
    assert isinstance(model.network, LogMelNetwork)
    ear, window = Predictor.of(model), model.windows.window_samples
    frames = SharedFrames(ear.frames, model.network.front_end)
    rng, hop = np.random.default_rng(hop_frames), hop_frames * 160
    sounds = rng.normal(0, 0.1, (3, window + 12 * hop)).astype(np.float32)
    memories = [PatchMemory() for _ in sounds]

    def work(source: int, number: int) -> WorkItem:
        waveform = sounds[source][number * hop :][:window]
        return WorkItem(0, Segment(number, 1, waveform, hop), memories[source])

    # Alone, side by side, several of one source at once, and with a window left out.
    for batch in ([(0, 0)], [(0, 1), (1, 0), (2, 0)], [(1, 1), (0, 2), (0, 3), (0, 4)],
                  [(2, 5), (0, 5), (1, 2)], [(2, 6), (1, 4), (1, 5)]):  # fmt: skip
        works = [work(*one) for one in batch]
        made = frames.patches(works)
        for one, patch in zip(works, made):
            assert np.array_equal(patch, ear.patches(one.segment.waveform, hop)[0])
