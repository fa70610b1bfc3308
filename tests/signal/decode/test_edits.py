# SPDX-License-Identifier: Apache-2.0
"""Edit lists that cut inside: what players play, to the sample."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.signal.decode import open_audio
from oido.signal.decode.edits import inner_edits
from tests.signal.decode.clocks import with_clicks
from tests.signal.decode.encoding import by_av
from tests.signal.sounds import read_all

RATE = 48_000
SOUND = with_clicks(12, RATE)


def boxes(content: bytes, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    while start + 8 <= stop:
        length = int.from_bytes(content[start : start + 4], "big")
        yield content[start + 4 : start + 8], start, start + length
        start += length


def inside(content: bytes, start: int, stop: int, name: bytes) -> list[tuple[int, int]]:
    return [(a, b) for kind, a, b in boxes(content, start + 8, stop) if kind == name]


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def edited(
    content: bytes, edits: list[tuple[float, float | None]], *, is_long: bool = False
) -> bytes:
    """With another edit list for its sound: seconds, and where they begin (None: a pause)."""
    start, stop = inside(content, -8, len(content), b"moov")[0]
    header = inside(content, start, stop, b"mvhd")[0][0]
    movie_hz = struct.unpack_from(">I", content, header + 20)[0]
    for track, end in inside(content, start, stop, b"trak"):
        media, media_end = inside(content, track, end, b"mdia")[0]
        handler = inside(content, media, media_end, b"hdlr")[0][0]
        if content[handler + 16 : handler + 20] == b"soun":
            break
    clock = inside(content, media, media_end, b"mdhd")[0][0]
    media_hz = struct.unpack_from(">I", content, clock + 20)[0]
    entries = b"".join(
        struct.pack(
            ">QqI" if is_long else ">IiI",
            round(seconds * movie_hz),
            -1 if at is None else round(at * media_hz),
            1 << 16,
        )
        for seconds, at in edits
    )
    listed = box(b"edts", box(b"elst", struct.pack(">BxxxI", is_long, len(edits)) + entries))
    kept = b"".join(
        content[a:b] for kind, a, b in boxes(content, track + 8, end) if kind != b"edts"
    )
    first = inside(content, track, end, b"tkhd")[0]
    size = first[1] - first[0]
    new = box(b"trak", kept[:size] + listed + kept[size:])
    return content[:start] + box(b"moov", content[start + 8 : track] + new + content[end:stop])


FILES = {
    "aac": (by_av(SOUND, RATE, "ipod", "aac"), 1_024 / RATE),
    "alac": (by_av(SOUND, RATE, "ipod", "alac"), 0.0),
    "pcm": (by_av(SOUND, RATE, "mov", "pcm_s16le"), 0.0),
    "mp3": (by_av(SOUND, RATE, "mp4", "libmp3lame"), 1_105 / RATE),
    "opus": (by_av(SOUND, RATE, "mp4", "libopus"), 312 / RATE),
    "film": (by_av(SOUND, RATE, "mp4", "aac", video="mpeg4"), 1_024 / RATE),
}
WHOLE = {name: read_all(open_audio(content)) for name, (content, _) in FILES.items()}
LISTS = {
    "two": [(3, 0), (4, 6)],
    "three": [(2, 0), (2, 4), (2, 9)],
    "a pause inside": [(3, 0), (2, None), (4, 5)],
    "pauses": [(1, None), (3, 0), (2, None), (4, 5)],
    "small ones": [(0.5, 1), (0.25, 3), (0.125, 5)],
    "between samples of packets": [(3.011, 0), (4.007, 6.0123)],
    "a pause behind": [(6, 0), (3, None)],
    "back": [(3, 6), (3, 0)],
    "again": [(3, 1), (3, 1), (1, None), (2.5, 0.01), (1, 9)],
}


@pytest.mark.parametrize("is_long", [False, True])
@pytest.mark.parametrize("what", LISTS)
@pytest.mark.parametrize("name", FILES)
def test_pieces_and_pauses_are_those_of_the_list_to_the_sample(name, what, is_long):
    content, priming = FILES[name]
    edits = [(s, None if at is None else at + priming) for s, at in LISTS[what]]
    reader = open_audio(edited(content, edits, is_long=is_long))
    decoded = read_all(reader)
    expected = np.concatenate(
        [
            np.zeros((round(s * RATE), 1), np.float32)
            if at is None
            else WHOLE[name][round(at * RATE) :][: round(s * RATE)]
            for s, at in LISTS[what]
        ]
    )
    assert len(decoded) == reader.info.frames == len(expected)
    # An encoder's state is that of the whole track; its last bit may differ.
    np.testing.assert_allclose(decoded, expected, atol=1e-4)
    pauses = sum(s for s, at in LISTS[what] if at is None)
    assert reader.gaps_seconds == pytest.approx(pauses, abs=0.007)
    assert reader.overlap_seconds == 0.0
    assert "edit list" in reader.notes[0]


@pytest.mark.parametrize("name", ["aac", "pcm"])
def test_a_track_that_begins_with_a_pause(name):
    content, priming = FILES[name]
    decoded = read_all(open_audio(edited(content, [(3, None), (5, priming)])))
    assert len(decoded) == 8 * RATE
    assert not decoded[: 3 * RATE].any()
    np.testing.assert_allclose(decoded[3 * RATE :], WHOLE[name][: 5 * RATE], atol=1e-4)


def test_a_piece_without_a_length_goes_to_the_end():
    """FFmpeg gives nothing of it."""
    content, priming = FILES["aac"]
    decoded = read_all(open_audio(edited(content, [(0, priming)])))
    np.testing.assert_allclose(decoded[: 11 * RATE], WHOLE["aac"][: 11 * RATE], atol=1e-4)


@pytest.mark.parametrize(
    "edits", [[(12, 0.0)], [(8, 1_024 / RATE)], [(0.1, 6), (0.1, 0)] * 51, [], [(1, None)]]
)
def test_plain_lists_and_such_that_often_go_back_are_left_to_ffmpeg(edits):
    assert inner_edits(io.BytesIO(edited(FILES["aac"][0], edits))) is None


def test_files_as_encoders_make_them_have_plain_lists():
    for name, (content, _) in FILES.items():
        assert inner_edits(io.BytesIO(content)) is None, name
        assert open_audio(content).notes == ()


def test_a_list_of_pauses_without_end_makes_no_silence_without_end():
    edits = [(80_000, None), (80_000, None), (1, 0.0)]
    assert inner_edits(io.BytesIO(edited(FILES["pcm"][0], edits))) is None


@given(at=st.integers(0, 3_000), noise=st.binary(min_size=1, max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_boxes_are_survived(at, noise):
    content = bytearray(edited(FILES["pcm"][0], LISTS["pauses"]))
    place = content.rindex(b"moov") - 8 + at % (len(content) - content.rindex(b"moov"))
    content[place : place + len(noise)] = noise
    edits = inner_edits(io.BytesIO(bytes(content)))
    assert edits is None or sum(e.seconds or 0.0 for e in edits if e.start is None) <= 86_400.0
