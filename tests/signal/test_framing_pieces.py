# SPDX-License-Identifier: Apache-2.0
"""Pieces against their definition, however the samples arrive."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.params import Windowing
from oido.signal.framing import PieceFramer

PIECES = Windowing(100, 50, 25, repeat_pause_samples=20)
FILLED = 100


def by_definition(waveform: np.ndarray) -> list[list[float]]:
    """Every half a piece a piece, as long as something new is heard; repeated with the pause."""
    count = PIECES.count(len(waveform))
    pieces = [waveform[k * 25 : k * 25 + 50] for k in range(count)]
    return [np.resize(np.concatenate([p, np.zeros(20)]), FILLED).tolist() for p in pieces]


@settings(max_examples=200)
@given(
    n_samples=st.integers(1, 400),
    batch=st.integers(1, 5),
    cuts=st.lists(st.integers(0, 400), max_size=6).map(sorted),
)
def test_pieces_are_those_of_the_definition(n_samples: int, batch: int, cuts: list[int]) -> None:
    waveform = np.arange(1, n_samples + 1).astype(np.float32)
    framer = PieceFramer(PIECES, FILLED, batch)
    segments = []
    for start, end in itertools.pairwise([0, *cuts, n_samples]):
        segments += framer.push(waveform[start:end])
    segments += framer.flush()
    assert framer.n_samples == n_samples
    heard: list[list[float]] = []
    for segment in segments:
        assert segment.first_window == len(heard)
        assert segment.hop_samples == FILLED
        assert segment.n_windows <= batch
        heard += segment.waveform.reshape(segment.n_windows, FILLED).tolist()
    assert heard == by_definition(waveform)


@pytest.mark.parametrize("n_samples", [1, 49, 50])
def test_a_short_recording_is_one_piece(n_samples: int) -> None:
    framer = PieceFramer(PIECES, FILLED, 4)
    assert framer.push(np.ones(n_samples, np.float32)) == []
    (segment,) = framer.flush()
    assert segment.n_windows == 1
    assert segment.waveform[:n_samples].all()
    assert not segment.waveform[n_samples : n_samples + 20].any()
