# SPDX-License-Identifier: Apache-2.0
"""A segment with its outputs becomes windows with their times and their shares of sound."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from oido.inference.block import PatchMemory, joined_blocks, make_block, transformed
from oido.inference.postprocess import SelectedScores
from oido.params import Windowing
from oido.runtime.base import Outputs
from oido.signal.framing import Segment, WindowFramer


def outputs(n_windows: int) -> Outputs:
    scores = np.arange(n_windows * 3, dtype=np.float32).reshape(n_windows, 3)
    return Outputs(scores, -scores[:, :2])


@given(
    n_samples=st.integers(1, 5_000),
    window=st.integers(1, 900),
    hop=st.integers(1, 900),
    batch=st.integers(1, 5),
)
def test_blocks_of_a_source_are_its_windows_one_after_the_other(
    n_samples: int, window: int, hop: int, batch: int
) -> None:
    """Against the definition: a window's weight is the share of it that the source has."""
    windowing = Windowing(1_000, window, min(hop, window))
    framer = WindowFramer(windowing, batch)
    segments = [*framer.push(np.ones(n_samples, np.float32)), *framer.flush()]
    blocks = [
        make_block(s, outputs(s.n_windows), np.zeros(s.n_windows), windowing, n_samples)
        for s in segments
    ]
    numbers = [block.first_window + row for block in blocks for row in range(len(block.scores))]
    assert numbers == list(range(windowing.count(n_samples)))
    joined = joined_blocks(blocks)
    assert (joined.first_window, joined.framewise) == (0, None)
    assert len(joined.scores) == len(joined.embeddings) == len(joined.loudness) == len(numbers)
    for number, weight, (start, end) in zip(numbers, joined.weights, joined.times):
        first = number * windowing.hop_samples
        share = Fraction(min(window, n_samples - first), window)
        assert abs(weight - float(share)) < 1e-12
        assert (start, end) == (first / 1_000, (first + window) / 1_000)


def test_a_transform_chooses_scores_and_brings_the_similarities() -> None:
    def transform(raw: NDArray[np.float32]) -> SelectedScores:
        return SelectedScores(raw[:, 1:2], raw[:, 2])

    windowing = Windowing(16_000, 400, 160)
    segment = Segment(7, 4, np.zeros(880, np.float32), 160)
    loudness = np.array([0.1, 0.2, 0.3, 0.4])
    plain = make_block(segment, outputs(4), loudness, windowing, 10_000)
    assert plain.scores.shape == (4, 3)
    assert (plain.similarities, plain.skipped, plain.first_window) == (None, 0, 7)
    chosen = transformed(plain, transform)
    assert chosen.scores.tolist() == [[1.0], [4.0], [7.0], [10.0]]
    assert chosen.similarities is not None
    assert chosen.similarities.tolist() == [2.0, 5.0, 8.0, 11.0]
    assert (chosen.embeddings == plain.embeddings).all()
    assert (chosen.loudness == loudness).all()


def test_a_memory_that_is_empty_is_before_no_window() -> None:
    """Its window is never the one before another, which would take frames that are not there."""
    assert PatchMemory().window + 1 < 0
