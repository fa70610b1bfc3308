# SPDX-License-Identifier: Apache-2.0
"""Damaged Matroska and WebM: what is whole behind the damage is heard, and stands in its place."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.signal.decode import open_audio
from oido.signal.decode.matroska import Overlaid, damage_in
from tests.signal.decode.clocks import click_at, film, packets_of, with_clicks
from tests.signal.sounds import read_all

RATE = 48_000
SOUND = with_clicks(12, RATE)
KINDS = [
    ("matroska", "flac", None),
    ("matroska", "libopus", None),
    ("webm", "libopus", "libvpx"),
    ("matroska", "aac", "mpeg4"),
    ("matroska", "ac3", None),
]
FILES = {kind: film(SOUND, RATE, kind[0], kind[1], video=kind[2]) for kind in KINDS}


def damaged(content: bytes, start: float, stop: float, seed: int | None) -> bytes:
    """With the bytes between two times overwritten: by zeros, or by chance."""
    places = [place for seconds, place, _ in packets_of(content) if start <= seconds <= stop]
    first, last = min(places), max(places)
    size = last - first
    filling = bytes(size) if seed is None else random.Random(seed).randbytes(size)
    return content[:first] + filling + content[last:]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("start", "stop"), [(1.2, 2.2), (3.8, 6.2), (5.2, 5.4)])
@pytest.mark.parametrize("seed", [None, 1])
def test_only_what_is_damaged_is_lost(kind, start, stop, seed):
    """Clusters are 5 s long: FFmpeg loses up to so much, and more where the head of one is hit."""
    content = damaged(FILES[kind], start, stop, seed)
    reader = open_audio(content)
    decoded = read_all(reader)
    # A frame before, and one behind.
    assert reader.gaps_seconds == pytest.approx(stop - start, abs=0.22)
    assert reader.damaged_packets == 1
    whole = read_all(open_audio(FILES[kind]))
    for second in range(round(stop + 0.8), 12):
        at = click_at(whole, RATE, second, second + 1.0)
        assert click_at(decoded, RATE, second, second + 1.0) == pytest.approx(at, abs=0.006)
    assert len(decoded) == pytest.approx(len(whole), abs=0.006 * RATE)


def test_two_damaged_stretches_are_two():
    content = damaged(damaged(FILES[KINDS[0]], 1.2, 2.2, 3), 7.0, 7.6, None)
    reader = open_audio(content)
    decoded = read_all(reader)
    assert reader.damaged_packets == 2
    assert reader.gaps_seconds == pytest.approx(1.6, abs=0.22)
    np.testing.assert_array_equal(
        decoded[8 * RATE :], read_all(open_audio(FILES[KINDS[0]]))[8 * RATE :]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_and_pauses_are_no_damage(kind):
    assert damage_in(io.BytesIO(FILES[kind])) == []
    pause = film(SOUND, RATE, *kind[:2], later=lambda t: 3.0 * (t >= 6.0), video=kind[2])
    reader = open_audio(pause)
    read_all(reader)
    assert reader.gaps_seconds == pytest.approx(3.0, abs=0.1)
    assert reader.damaged_packets == 0
    assert damage_in(io.BytesIO(pause)) == []
    assert damage_in(io.BytesIO(FILES[kind][: len(pause) // 2])) == [], "cut short is not damaged"


@given(
    content=st.binary(max_size=300),
    patches=st.dictionaries(st.integers(0, 30), st.binary(min_size=1, max_size=9), max_size=5),
    start=st.integers(0, 300),
    size=st.integers(-1, 300),
)
@settings(max_examples=200, deadline=None)
def test_a_file_with_other_bytes(content, patches, start, size):
    spread = {10 * place: patch for place, patch in patches.items()}
    expected = bytearray(content)
    for place, patch in spread.items():
        fitting = patch[: max(0, len(content) - place)]
        expected[place : place + len(fitting)] = fitting
    file = Overlaid(io.BytesIO(content), spread)
    file.seek(start)
    stop = None if size < 0 else start + size
    assert file.read(size) == bytes(expected[start:stop])
    assert file.tell() == max(start, min(len(content), len(content) if size < 0 else start + size))


@given(place=st.integers(0, 20_000), rubbish=st.binary(min_size=1, max_size=400))
@settings(max_examples=100, deadline=None)
def test_any_damage_ends(place, rubbish):
    content = FILES[KINDS[1]]
    hit = content[:place] + rubbish + content[place + len(rubbish) :]
    for stretch in damage_in(io.BytesIO(hit)):
        assert all(0 < at < len(hit) for at in stretch)
