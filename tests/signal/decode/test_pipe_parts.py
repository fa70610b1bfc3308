# SPDX-License-Identifier: Apache-2.0
"""Recordings with sizes, one behind the other on a pipe: all are heard, and true sizes believed."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.live.pipe import ContainerReader
from oido.signal.decode.pipe_parts import links_on
from tests.signal.decode.encoding import by_av, by_soundfile
from tests.signal.decode.test_sizes import DATA, HALF, LIST, RATE, SOUND, lying
from tests.signal.decode.wav_bytes import chunk, fmt, riff, wav

CONTAINERS = ["WAV", "AIFF", "CAF", "W64", "AU", "RF64"]


def pipe_of(content: bytes, step: int) -> Any:
    """What brings up to so many bytes at a time, and cannot go back."""
    file = io.BytesIO(content)
    return SimpleNamespace(read=lambda size: file.read(min(step, size)))


def heard(content: bytes, step: int = 1 << 16) -> np.ndarray:
    reader = ContainerReader(pipe_of(content, step))
    return np.concatenate(list(reader.blocks()))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(("count", "step"), [(1, 1 << 16), (2, 1_000), (3, 1 << 16)])
def test_joined_recordings_are_heard_whole(container, count, step):
    decoded = heard(by_soundfile(SOUND, RATE, container) * count, step)
    np.testing.assert_array_equal(decoded, np.tile(SOUND.astype(np.float32), (count, 1)))


def test_one_of_another_kind_and_shape_goes_on():
    stereo = by_soundfile(np.repeat(SOUND, 2, axis=1), 2 * RATE, "AIFF")
    decoded = heard(wav(SOUND, RATE) + stereo)
    assert decoded.shape[1] == 1
    assert len(decoded) == pytest.approx(1.5 * len(SOUND), abs=32)


@pytest.mark.parametrize("size", [44, 0, 0xFFFFFFFF, 4_096, len(DATA) // 2])
def test_sizes_that_lie(size):
    np.testing.assert_array_equal(heard(lying(size), 997), SOUND.astype(np.float32))


_CHUNKS = [(LIST,), (LIST, LIST), (chunk(b"XyZ1", bytes(1_001)),)]


@pytest.mark.parametrize(
    ("after", "count"),
    [*((after, count) for after in _CHUNKS for count in (1, 2)), ((b"\1\2",), 1)],
)
def test_what_stands_behind_the_samples_is_no_sound(after, count):
    decoded = heard(lying(len(DATA), *after) * count)
    np.testing.assert_array_equal(decoded, np.tile(SOUND.astype(np.float32), (count, 1)))


def test_samples_in_several_chunks():
    data = chunk(b"data", DATA[:HALF]), LIST, chunk(b"data", DATA[HALF:])
    decoded = heard(2 * riff(fmt(RATE, 1, "s16"), *data))
    np.testing.assert_array_equal(decoded, np.tile(SOUND.astype(np.float32), (2, 1)))


def test_what_has_chunks_and_is_no_recording_of_these_passes_at_once():
    """AVI: nothing of it is waited for, and nothing changed."""
    content = b"RIFF\xff\xff\xff\xffAVI LIST" + bytes(200_000)
    file = io.BytesIO(content)
    links = links_on(SimpleNamespace(read=lambda size: file.read(min(size, 100))))
    first = links.read(32_768)
    assert file.tell() <= 200
    assert first + b"".join(iter(lambda: links.read(32_768), b"")) == content
    film = by_av(SOUND, RATE, "avi", "pcm_s16le")
    np.testing.assert_array_equal(heard(film), SOUND.astype(np.float32))


@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4),
    step=st.integers(1, 700),
    size=st.integers(1, 400),
)
@settings(max_examples=100, deadline=None)
def test_the_parts_of_a_pipe_are_found_however_its_bytes_come(sizes, step, size):
    rng = np.random.default_rng(1)
    # Small values: no bytes of them are the letters of a chunk's name.
    parts = [rng.integers(0, 31, n, dtype=np.uint8) / 128.0 - 1.0 for n in sizes]
    content = b"".join(wav(part, RATE, "u8") for part in parts)
    links, found = links_on(pipe_of(content, step)), []
    while True:
        read = b"".join(iter(lambda: links.read(size), b""))
        found.append(read[read.index(b"data") + 8 :])
        if not links.advance():
            break
    expected = [np.round(part * 128.0 + 128.0).astype(np.uint8).tobytes() for part in parts]
    assert found == expected


@given(
    content=st.binary(max_size=2_000), step=st.integers(1, 700), magic=st.sampled_from(CONTAINERS)
)
@settings(max_examples=150, deadline=None)
def test_any_bytes_end(content, step, magic):
    head = {"WAV": b"RIFF\0\0\0\0WAVE", "AIFF": b"FORM\0\0\0\0AIFF", "CAF": b"caff\0\1\0\0desc"}
    links = links_on(pipe_of(head.get(magic, b"") + content, step))
    passed = 0
    while True:
        passed += sum(map(len, iter(lambda: links.read(256), b"")))
        if not links.advance():
            break
    assert passed <= len(content) + 12 + 200 * (1 + content.count(b"WAVE"))
