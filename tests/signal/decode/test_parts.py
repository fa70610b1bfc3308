# SPDX-License-Identifier: Apache-2.0
"""Recordings behind what is none, and joined ones, each with its own priming and padding."""

from __future__ import annotations

import io
import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.errors import AudioError
from oido.signal.decode import open_audio
from oido.signal.decode.lost_bytes import xing_at
from oido.signal.decode.parts import beginning, recordings
from tests.signal.decode.clocks import click_at, with_clicks
from tests.signal.decode.encoding import by_av, by_soundfile
from tests.signal.decode.wav_bytes import wav
from tests.signal.sounds import read_all

RATE = 48_000
FIRST = with_clicks(4, RATE)
SECOND = with_clicks(3, RATE)[: 3 * RATE - 777]
KINDS = [
    ("mp3", "libmp3lame"),
    ("ipod", "aac"),
    ("ipod", "alac"),
    ("mov", "pcm_s16le"),
    ("mp4", "libopus"),
    ("matroska", "flac"),
    ("matroska", "libopus"),
    ("tta", "tta"),
    ("flv", "aac"),
]


@pytest.mark.parametrize(("container", "codec"), KINDS)
def test_joined_files_are_heard_to_the_sample(container, codec):
    parts = [by_av(sound, RATE, container, codec) for sound in (FIRST, SECOND, FIRST)]
    alone = np.concatenate([read_all(open_audio(part)) for part in parts])
    reader = open_audio(b"".join(parts))
    decoded = read_all(reader)
    np.testing.assert_array_equal(decoded, alone)
    assert reader.notes == ("3 recordings, one behind the other in one file",)
    assert (reader.damaged_packets, reader.gaps_seconds) == (0, 0.0)
    # Its click is where it is when it is alone.
    second = click_at(read_all(open_audio(parts[1])), RATE, 1.0, 2.0)
    start = len(read_all(open_audio(parts[0]))) / RATE
    assert click_at(decoded, RATE, start + 1.0, start + 2.0) - start == pytest.approx(second)


def test_joined_files_of_windows_media_lose_none_of_their_parts():
    parts = [by_av(sound, RATE, "asf", "libmp3lame") for sound in (FIRST, SECOND)]
    alone = np.concatenate([read_all(open_audio(part)) for part in parts])
    np.testing.assert_array_equal(read_all(open_audio(b"".join(parts))), alone)


def test_joined_voice_memos_lose_none_of_their_parts():
    """AMR: a mark, and frames of 20 ms; those of 12.2 kbit/s have 32 bytes."""
    parts = [b"#!AMR\n" + (b"\x3c" + bytes(31)) * count for count in (50, 100, 25)]
    reader = open_audio(b"".join(parts))
    assert len(read_all(reader)) == 175 * 160
    assert reader.damaged_packets == 0


def mp3(samples) -> bytes:
    return by_av(samples, RATE, "mp3", "libmp3lame")


ID3 = b"ID3\4\0\0\0\0\7\x68" + bytes(1_000)
APE = b"APETAGEX" + (2_000).to_bytes(4, "little") + (32).to_bytes(4, "little")
APE += bytes(4) + b"\0\0\0\x80" + bytes(8) + bytes(32)


@pytest.mark.parametrize("between", [ID3, b"TAG" + bytes(125), b"TAG" + bytes(125) + ID3])
def test_tags_between_joined_mp3s_change_nothing(between):
    alone = np.concatenate([read_all(open_audio(mp3(sound))) for sound in (FIRST, SECOND)])
    decoded = read_all(open_audio(ID3 + mp3(FIRST) + between + mp3(SECOND)))
    np.testing.assert_array_equal(decoded, alone)


def test_an_mp3_that_tells_no_length_goes_on_as_one():
    """Where its frames end nobody says."""
    content = mp3(FIRST)
    at = content.find(b"Info")
    headless = content[:at] + b"\0\0\0\0" + content[at + 4 :]
    assert len(recordings(content[:24], io.BytesIO(headless + content))) == 1
    decoded = read_all(open_audio(headless + content))
    assert len(decoded) / RATE == pytest.approx(8.0, abs=0.2)


@pytest.mark.parametrize(("container", "codec"), [*KINDS, ("asf", "libmp3lame"), ("adts", "aac")])
def test_one_recording_has_one_part(container, codec):
    content = by_av(FIRST, RATE, container, codec)
    assert recordings(content[:24], io.BytesIO(content)) == [(0, len(content))]
    assert open_audio(content).notes == ()


LEADING = [
    b"\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: audio/flac\r\n\r\n",
    bytes(4_096),
    random.Random(3).randbytes(10_000),
]
BEHIND = {
    "flac": by_av(FIRST, RATE, "flac", "flac"),
    "wav": wav(FIRST, RATE),
    "aiff": by_soundfile(FIRST, RATE, "AIFF", "PCM_16"),
    "caf": by_soundfile(FIRST, RATE, "CAF", "PCM_16"),
    "ogg": by_soundfile(FIRST, RATE, "OGG", "VORBIS"),
    "m4a": by_av(FIRST, RATE, "ipod", "aac"),
    "tta": by_av(FIRST, RATE, "tta", "tta"),
    "mkv": by_av(FIRST, RATE, "matroska", "flac"),
    "mp3": mp3(FIRST),
    "ac3": by_av(FIRST, RATE, "ac3", "ac3"),
}


@pytest.mark.parametrize("kind", [k for k in BEHIND if k not in ("mp3", "ac3")])
@pytest.mark.parametrize("leading", LEADING)
def test_what_stands_before_a_recording_is_passed_over_and_told(leading, kind):
    reader = open_audio(leading + BEHIND[kind])
    np.testing.assert_array_equal(read_all(reader), read_all(open_audio(BEHIND[kind])))
    assert reader.notes[0] == f"{len(leading)} bytes before the recording were passed over"
    assert (reader.damaged_packets, reader.gaps_seconds) == (0, 0.0)


@pytest.mark.parametrize("kind", BEHIND)
def test_a_tag_with_a_picture_of_a_megabyte_is_no_sound(kind):
    """Also before formats that know no such tag, and if it holds what looks like frames."""
    size = bytes([1 << 20 >> shift & 127 for shift in (21, 14, 7, 0)])
    frames = (b"\xff\xfb\x90\x64" + b"\x55" * 413) * 2_600 + b"\x0b\x77" * 100
    for picture in (random.Random(0).randbytes(1 << 20), frames[: 1 << 20].ljust(1 << 20, b"\0")):
        reader = open_audio(b"ID3\4\0\0" + size + picture + BEHIND[kind])
        np.testing.assert_array_equal(read_all(reader), read_all(open_audio(BEHIND[kind])))
        assert (reader.damaged_packets, reader.gaps_seconds) == (0, 0.0)


def test_an_archive_of_recordings_is_none():
    content = b"PK\3\4" + bytes(40) + BEHIND["wav"]
    assert beginning(content[:24], io.BytesIO(content)) == 0
    with pytest.raises(AudioError):
        open_audio(content)


@pytest.mark.parametrize("shape", [(48_000, 1), (44_100, 2), (22_050, 1), (16_000, 2)])
def test_the_header_of_a_whole_file_is_found_in_its_first_frame(shape):
    rate, channels = shape
    content = by_av(np.repeat(FIRST[:rate], channels, axis=1), rate, "mp3", "libmp3lame")
    start = content.find(b"\xff", 10 + content[9] if content.startswith(b"ID3") else 0)
    at = xing_at(content[start : start + 64])
    assert content[start + at : start + at + 4] in (b"Xing", b"Info")


@given(
    start=st.sampled_from([BEHIND[k][:200] for k in BEHIND] + [b"#!AMR\n", b"0&\xb2u"]),
    rest=st.binary(max_size=2_000),
)
@settings(max_examples=300, deadline=None)
def test_rubbish_ends(start, rest):
    content = start + rest + start
    spans = recordings(content[:24], io.BytesIO(content))
    assert (spans[0][0], spans[-1][1]) == (0, len(content))
    assert all(a[1] == b[0] and a[0] < a[1] for a, b in itertools.pairwise(spans))
    assert 0 <= beginning(content[:24], io.BytesIO(content)) < len(content)
