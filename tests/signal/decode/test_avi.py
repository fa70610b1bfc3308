# SPDX-License-Identifier: Apache-2.0
"""AVI: damage, pauses and late sound stand where its index says."""

from __future__ import annotations

import io
import random
import struct

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.signal.decode import open_audio
from oido.signal.decode.avi import AviIndex
from tests.signal.decode.clocks import click_at, with_clicks
from tests.signal.decode.encoding import by_av
from tests.signal.sounds import read_all

RATE = 48_000
SOUND = with_clicks(12, RATE)
CODECS = ["libmp3lame", "aac", "ac3", "mp2", "pcm_s16le", "adpcm_ms"]
FILES = {codec: by_av(SOUND, RATE, "avi", codec, video="mpeg4") for codec in CODECS}


def in_small_chunks(content: bytes) -> bytes:
    """The sound as cameras write it, and not as one chunk."""
    copy = io.BytesIO()
    with av.open(io.BytesIO(content)) as source, av.open(copy, "w", format="avi") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return copy.getvalue()


FILES["pcm_s16le"] = in_small_chunks(FILES["pcm_s16le"])


@pytest.mark.parametrize("is_random", [False, True])
@pytest.mark.parametrize("codec", CODECS)
def test_a_damaged_stretch_is_told_and_shifts_nothing(codec, is_random):
    content = FILES[codec]
    start, stop = len(content) * 4 // 10, len(content) // 2
    bad = random.Random(0).randbytes(stop - start) if is_random else bytes(stop - start)
    whole, reader = (
        read_all(open_audio(content)),
        open_audio(content[:start] + bad + content[stop:]),
    )
    decoded = read_all(reader)
    assert reader.damaged_packets > 0
    assert 0.5 < reader.gaps_seconds < 3.0
    assert abs(len(decoded) - len(whole)) <= 2
    for second in (1, 2, 8, 10):
        expected = click_at(whole, RATE, second, second + 1)
        found = click_at(decoded, RATE, expected - 0.5, expected + 0.6)
        assert found == pytest.approx(expected, abs=0.002), second


def index_of(content: bytes) -> int:
    return content.rindex(b"idx1")


def paused(content: bytes, number: int, chunks: int) -> bytes:
    """With so many chunks of no bytes before one of the sound: a pause, as FFmpeg writes it."""
    at = index_of(content)
    movi = content.index(b"movi")
    entries = [content[i : i + 16] for i in range(at + 8, len(content), 16)]
    sound = [n for n, entry in enumerate(entries) if entry[2:4] == b"wb"]
    first = entries[sound[number]]
    place = int.from_bytes(first[8:12], "little") + movi
    name, size = first[:4], 8 * chunks
    shifted = []
    for n, entry in enumerate(entries):
        if n == sound[number]:
            shifted += [
                name + struct.pack("<III", 16, place - movi + 8 * k, 0) for k in range(chunks)
            ]
        old = int.from_bytes(entry[8:12], "little")
        shifted.append(
            entry[:8] + struct.pack("<I", old + size * (n >= sound[number])) + entry[12:]
        )
    empty = (name + bytes(4)) * chunks
    index = b"".join(shifted)
    body = content[:place] + empty + content[place:at]
    lists = body[: movi - 4] + struct.pack("<I", len(body) - movi) + body[movi:]
    return lists + b"idx1" + struct.pack("<I", len(index)) + index


@pytest.mark.parametrize(("number", "at"), [(100, 2.4), (0, 0.0)])
def test_chunks_of_no_bytes_are_a_pause(number, at):
    """What the picture's side of a film goes on through; 24 ms each."""
    whole = read_all(open_audio(FILES["libmp3lame"]))
    reader = open_audio(paused(FILES["libmp3lame"], number, 125))
    decoded = read_all(reader)
    assert reader.gaps_seconds == pytest.approx(3.0, abs=0.001)
    assert reader.damaged_packets == 0
    assert len(decoded) == len(whole) + 3 * RATE
    expected = click_at(whole, RATE, 10, 11)
    assert click_at(decoded, RATE, 13, 14) == pytest.approx(expected + 3.0, abs=0.001)
    assert not decoded[round((at + 0.1) * RATE) : round((at + 2.9) * RATE)].any()


def test_a_clock_that_counts_wrongly_costs_no_sound():
    """The rate of a header is a guess where frames have any length: sound was cut by it."""
    content = bytearray(FILES["aac"])
    at = content.rindex(b"strh") + 8
    assert content[at : at + 4] == b"auds"
    scale = int.from_bytes(content[at + 20 : at + 24], "little")
    content[at + 20 : at + 24] = (scale // 2 or 1).to_bytes(4, "little")
    whole, reader = read_all(open_audio(FILES["aac"])), open_audio(bytes(content))
    np.testing.assert_array_equal(read_all(reader), whole)
    assert (reader.gaps_seconds, reader.overlap_seconds) == (0.0, 0.0)


def test_without_an_index_it_is_heard_as_it_comes():
    content = FILES["libmp3lame"]
    reader = open_audio(content[: index_of(content)])
    assert len(read_all(reader)) == len(read_all(open_audio(content)))
    assert reader.gaps_seconds == 0.0


def test_whole_files_have_no_losses():
    for codec, content in FILES.items():
        file = io.BytesIO(content)
        with av.open(io.BytesIO(content)) as container:
            stream = container.streams.audio[0]
            index = AviIndex(file, stream.index)
            assert not any(index.frames_before(packet) for packet in container.demux(stream)), codec
        assert open_audio(content).notes == ()


@given(at=st.integers(0, 8_000), noise=st.binary(min_size=1, max_size=64), in_index=st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_index_is_survived(at, noise, in_index):
    content = bytearray(FILES["libmp3lame"])
    place = (index_of(FILES["libmp3lame"]) if in_index else 0) + at
    content[place : place + len(noise)] = noise
    index = AviIndex(io.BytesIO(bytes(content)), 1)

    class Packet:
        pos, size = place, 192

    assert index.frames_before(Packet) >= 0.0
