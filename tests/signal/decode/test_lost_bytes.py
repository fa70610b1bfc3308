# SPDX-License-Identifier: Apache-2.0
"""Frames without a clock: what stands between them is lost time, unless it is a tag."""

from __future__ import annotations

import io
import random
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from oido.signal.decode import open_audio
from oido.signal.decode.lost_bytes import adts_holes, mpeg_frame_bytes
from tests.signal.decode.clocks import click_at, packets_of, with_clicks
from tests.signal.decode.encoding import by_av
from tests.signal.sounds import read_all

RATE = 48_000
ADTS = by_av(with_clicks(3, RATE), RATE, "adts", "aac")
MP3 = by_av(with_clicks(6, RATE), RATE, "mp3", "libmp3lame")


def starts() -> list[int]:
    """Of the frames of ADTS, by their own headers."""
    found, at = [], 0
    while at < len(ADTS):
        found.append(at)
        at += (ADTS[at + 3] & 3) << 11 | ADTS[at + 4] << 3 | ADTS[at + 5] >> 5
    return found


STARTS = starts()


def test_a_whole_stream_has_no_holes():
    assert adts_holes(io.BytesIO(ADTS)) == []
    tag = b"ID3\4\0\0\0\0\0\x14" + bytes(20)
    assert adts_holes(io.BytesIO(tag + ADTS + tag + ADTS + b"TAG" + bytes(125))) == []


@given(
    holes=st.dictionaries(
        st.integers(1, len(STARTS) // 4 - 3).map(lambda n: 4 * n), st.integers(1, 5_000), max_size=4
    ),
    filling=st.sampled_from([0, 0x55, 0x7F]),
)
@settings(max_examples=60, deadline=None)
def test_holes_are_found_where_they_are(holes, filling):
    content, before = b"", 0
    for number, size in sorted(holes.items()):
        content += ADTS[before : STARTS[number]] + bytes([filling]) * size
        before = STARTS[number]
    found = adts_holes(io.BytesIO(content + ADTS[before:]))
    assert {hole.frames: hole.lost for hole in found} == holes
    assert all(content[h.begin : h.stop] == bytes([filling]) * h.lost for h in found)


@given(content=st.binary(max_size=3_000))
@settings(max_examples=200, deadline=None)
def test_rubbish_ends(content):
    assert sum(hole.lost for hole in adts_holes(io.BytesIO(content))) <= len(content)


@pytest.mark.parametrize("filling", [b"\0", b"\x55"])
@pytest.mark.parametrize("frames", [1, 3, 40])
def test_bytes_of_a_constant_rate_are_frames(filling, frames):
    packets = packets_of(MP3)
    first, last = packets[100][1], packets[100 + frames][1]
    damaged = MP3[:first] + filling * (last - first) + MP3[last:]
    whole, reader = read_all(open_audio(MP3)), open_audio(damaged)
    decoded = read_all(reader)
    assert reader.damaged_packets > 0
    # What pads the last frame is cut by the number of frames, and some are missing.
    assert len(decoded) == pytest.approx(len(whole), abs=1_152)
    assert reader.gaps_seconds == pytest.approx(frames * 1_152 / RATE, abs=2 * 1_152 / RATE)


def sound_of_any_rate() -> NDArray[np.float64]:
    """f64[n, 1]: clicks over noise that a variable bit rate makes much of, and little."""
    sound = with_clicks(24, RATE)
    noise = np.random.default_rng(1).standard_normal(len(sound))[:, None]
    return sound + noise * 0.03 * (np.arange(len(sound)) % (6 * RATE) < 3 * RATE)[:, None]


def vbr(sound: NDArray[np.float64]) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp3") as output:
        stream = output.add_stream("libmp3lame", rate=RATE, options={"q": "4"})
        stream.layout, stream.time_base = "mono", Fraction(1, RATE)
        stream.codec_context.flags |= 2  # AV_CODEC_FLAG_QSCALE
        stream.codec_context.global_quality = 4 * 118
        frame = av.AudioFrame.from_ndarray(
            sound.astype(np.float32).reshape(1, -1), format="flt", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        output.mux([*stream.encode(frame), *stream.encode(None)])
    return buffer.getvalue()


@pytest.mark.parametrize("filling", ["zeros", "random"])
@pytest.mark.parametrize("part", [(0.2, 0.3), (0.45, 0.55), (0.6, 0.8)])
def test_a_variable_rate_that_tells_its_frames_loses_no_time(part, filling):
    content = vbr(sound_of_any_rate())
    sizes = {size for _, _, size in packets_of(content)}
    assert len(sizes) > 3
    start, stop = (round(share * len(content)) for share in part)
    bad = bytes(stop - start) if filling == "zeros" else random.Random(1).randbytes(stop - start)
    whole = read_all(open_audio(content))
    reader = open_audio(content[:start] + bad + content[stop:])
    decoded = read_all(reader)
    assert reader.damaged_packets > 0
    assert len(decoded) == pytest.approx(len(whole), abs=1_152)
    for second in (0, 1, 22, 23):
        expected = click_at(whole, RATE, second, second + 1)
        assert click_at(decoded, RATE, second, second + 1) == pytest.approx(expected, abs=0.002)


def test_two_holes_in_a_variable_rate_end_in_time():
    """How much of the loss is whose is a guess by their bytes; the sum is known."""
    content = vbr(sound_of_any_rate())
    places = [round(share * len(content)) for share in (0.2, 0.25, 0.6, 0.68)]
    a, b, c, d = places
    whole = read_all(open_audio(content))
    decoded = read_all(
        open_audio(content[:a] + bytes(b - a) + content[b:c] + bytes(d - c) + content[d:])
    )
    assert len(decoded) == pytest.approx(len(whole), abs=1_152)
    behind = slice(len(whole) - 2 * RATE, len(whole) - 1_152)
    np.testing.assert_allclose(decoded[behind], whole[behind], atol=1e-3)


def test_a_tag_between_joined_files_is_no_loss():
    picture = b"ID3\4\0\0\0\1\x7f\x76" + b"\x55" * ((1 << 14) + (0x7F << 7) + 0x76)
    plain, reader = read_all(open_audio(MP3 + MP3)), open_audio(MP3 + picture + MP3)
    decoded = read_all(reader)
    assert (reader.damaged_packets, reader.gaps_seconds) == (0, 0.0)
    assert len(decoded) == pytest.approx(len(plain), abs=2 * 1_152)


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ("fffb9000", 417),
        ("fffb9200", 418),
        ("fff35880", 180),
        ("fffda000", 626),
        ("ffff1000", 32),
        ("00000000", 0),
        ("fffbf000", 0),
        ("fffb9c00", 0),
        ("ffe38880", 576),
        ("fff99000", 0),
        ("ff", 0),
    ],
)
def test_the_bytes_of_a_frame_of_mpeg_audio(header, size):
    """By hand: 144 (layer I: 48, layer III of MPEG 2: 72) times the bit rate over the rate."""
    assert mpeg_frame_bytes(bytes.fromhex(header)) == size


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("is_inserted", [False, True])
def test_rubbish_that_looks_like_frames_is_none(seed, is_inserted):
    """FFmpeg took two bytes that happen to be the sign of a frame for one, and lost count."""
    content = by_av(with_clicks(9, RATE), RATE, "adts", "aac")
    packets = packets_of(content)
    first, last = packets[100][1], packets[200][1]
    rubbish = random.Random(seed).randbytes(last - first)
    kept = content[first:] if is_inserted else content[last:]
    reader = open_audio(content[:first] + rubbish + kept)
    decoded = read_all(reader)
    rate_of_bytes = 100 * 1_024 / RATE
    later = rate_of_bytes if is_inserted else 0.0
    assert click_at(decoded, RATE, 6.0 + later, 7.0 + later) == pytest.approx(6.5 + later, abs=0.06)
    assert reader.damaged_packets == 1
    assert reader.gaps_seconds == pytest.approx(rate_of_bytes, abs=0.06)
