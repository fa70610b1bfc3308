# SPDX-License-Identifier: Apache-2.0
"""FFmpeg's frames of any sample format and size become the same float32 blocks."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.arrays import F32
from oido.signal.decode.frame_blocks import FrameBlocks, as_float

SCALES = {"u8": 128, "s16": 1 << 15, "s32": 1 << 31, "flt": 1, "dbl": 1}
TYPES = {"u8": np.uint8, "s16": np.int16, "s32": np.int32, "flt": np.float32, "dbl": np.float64}


def frame_of(samples: F32, sample_format: str) -> Any:
    """f32[n, channels], multiples of 1/128, as a frame."""
    packed = sample_format.removesuffix("p")
    scaled = samples.astype(np.float64) * SCALES[packed] + (128 if packed == "u8" else 0)
    values = scaled.astype(TYPES[packed])
    planes = values.T if sample_format.endswith("p") else values.reshape(1, -1)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[1]]
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), sample_format, layout)
    frame.sample_rate = 8000
    return frame


def sound(frames: int, channels: int) -> F32:
    rng = np.random.default_rng(frames)
    return (rng.integers(-128, 128, (frames, channels)) / 128).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("sample_format", [f + p for f in SCALES for p in ("", "p")])
def test_every_format_is_what_it_means(sample_format: str, channels: int) -> None:
    samples = sound(1000, channels)
    np.testing.assert_array_equal(as_float(frame_of(samples, sample_format)), samples)
    blocks = FrameBlocks(channels, 300)
    got = [*blocks.push(frame_of(samples, sample_format)), *blocks.flush()]
    assert [len(block) for block in got] == [300, 300, 300, 100]
    np.testing.assert_array_equal(np.concatenate(got), samples)


@given(
    st.lists(st.integers(1, 700), min_size=1, max_size=12),
    st.sampled_from(["s16", "s16p", "fltp"]),
    st.integers(256, 1024),
)
def test_blocks_do_not_depend_on_frames(
    sizes: list[int], sample_format: str, block_frames: int
) -> None:
    samples = sound(sum(sizes), 2)
    blocks, got = FrameBlocks(2, block_frames), []
    for part in np.split(samples, np.cumsum(sizes)[:-1]):
        got += blocks.push(frame_of(part, sample_format))
    assert all(len(block) == block_frames for block in got)
    got += blocks.flush()
    np.testing.assert_array_equal(np.concatenate(got), samples)
    assert list(blocks.flush()) == []


def test_a_block_that_was_given_out_is_not_written_to_again() -> None:
    samples = sound(1024, 2)
    blocks = FrameBlocks(2, 256)
    got = list(blocks.push(frame_of(samples, "s16")))
    before = [block.copy() for block in got]
    list(blocks.push(frame_of(-samples, "s16")))
    for block, then in zip(got, before):
        np.testing.assert_array_equal(block, then)
