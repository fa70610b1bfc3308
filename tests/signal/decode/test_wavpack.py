# SPDX-License-Identifier: Apache-2.0
"""WavPack: what is no block costs itself only, and shifts nothing."""

from __future__ import annotations

import io
import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.signal.decode import open_audio
from oido.signal.decode.wavpack import sound_blocks
from tests.signal.decode.clocks import with_clicks
from tests.signal.decode.encoding import by_av
from tests.signal.sounds import read_all

RATE = 48_000
SOUND = with_clicks(6, RATE)
FILE = by_av(SOUND, RATE, "wv", "wavpack")
WHOLE = read_all(open_audio(FILE))
END = FILE.index(b"APETAGEX")


@pytest.mark.parametrize("filling", ["zeros", "random", "removed"])
@pytest.mark.parametrize("part", [(0.3, 0.5), (0.5, 0.505), (0.55, 0.8)])
def test_a_damaged_stretch_is_told_and_shifts_nothing(part, filling):
    start, stop = (round(len(FILE) * share) for share in part)
    bad = {"zeros": bytes(stop - start), "removed": b""}.get(filling)
    bad = random.Random(1).randbytes(stop - start) if bad is None else bad
    reader = open_audio(FILE[:start] + bad + FILE[stop:])
    decoded = read_all(reader)
    assert reader.damaged_packets > 0
    assert reader.gaps_seconds > 0
    for kept in (slice(0, RATE), slice(-RATE // 10, None)):
        np.testing.assert_array_equal(decoded[kept], WHOLE[kept])
    assert len(decoded) == len(WHOLE)


def test_joined_files_are_heard_whole():
    """A tag of APE's stands between them."""
    reader = open_audio(FILE + FILE[:END] + FILE)
    np.testing.assert_array_equal(read_all(reader), np.concatenate([WHOLE] * 3))
    assert (reader.damaged_packets, reader.gaps_seconds) == (0, 0.0)


def test_a_whole_file_is_one_stretch():
    assert sound_blocks(io.BytesIO(FILE)) == [(0, END)]


@given(
    cuts=st.lists(st.integers(0, len(FILE)), min_size=2, max_size=6), noise=st.binary(max_size=99)
)
@settings(max_examples=60, deadline=None)
def test_stretches_hold_blocks_and_are_in_order(cuts, noise):
    content = noise.join(FILE[a:b] for a, b in itertools.pairwise(sorted(cuts)))
    spans = sound_blocks(io.BytesIO(content))
    places = [place for span in spans for place in span]
    assert places == sorted(places)
    assert all(content[start : start + 4] == b"wvpk" for start, _ in spans)
    assert all(stop <= len(content) for _, stop in spans)
