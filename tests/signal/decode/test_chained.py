# SPDX-License-Identifier: Apache-2.0
"""Recordings one behind the other in one file: nothing of any of them is lost."""

from __future__ import annotations

import io
import os
import random

import pytest

from oido.signal.decode import open_audio
from oido.signal.decode.chained import FilePart, ogg_links
from tests.signal.decode.encoding import by_av, by_soundfile
from tests.signal.sounds import channel_sines, dominant_hz, read_all, sine

RATE = 48_000
FIRST = sine(440.0, RATE, 3 * RATE + 777)[:, None]
SECOND = sine(1_000.0, RATE, 2 * RATE + 555)[:, None]


def ogg(samples, rate_hz: int, codec: str) -> bytes:
    if codec == "vorbis":
        return by_soundfile(samples, rate_hz, "OGG", "VORBIS")
    return by_av(samples, rate_hz, "ogg", codec)


@pytest.mark.parametrize("codec", ["vorbis", "libopus", "flac"])
def test_links_of_one_shape_are_heard_to_the_sample(codec):
    content = ogg(FIRST, RATE, codec) + ogg(SECOND, RATE, codec)
    reader = open_audio(content)
    decoded = read_all(reader)
    assert reader.damaged_packets == 0
    alone = [len(read_all(open_audio(ogg(sound, RATE, codec)))) for sound in (FIRST, SECOND)]
    assert len(decoded) == sum(alone)
    assert dominant_hz(decoded[RATE : 2 * RATE, 0], RATE) == pytest.approx(440.0, abs=1.0)
    assert dominant_hz(decoded[4 * RATE : 5 * RATE, 0], RATE) == pytest.approx(1_000.0, abs=1.0)


@pytest.mark.parametrize("codec", ["vorbis", "flac"])
def test_a_link_of_another_rate_and_other_channels_goes_on(codec):
    second = channel_sines(16_000, 32_000, 2)
    content = ogg(FIRST, RATE, codec) + ogg(second, 16_000, codec) + ogg(SECOND, RATE, codec)
    reader = open_audio(content)
    decoded = read_all(reader)
    assert decoded.shape[1] == 1
    alone = [len(read_all(open_audio(ogg(sound, RATE, codec)))) for sound in (FIRST, SECOND)]
    assert len(decoded) - sum(alone) == pytest.approx(2 * RATE, abs=1_000)
    assert dominant_hz(decoded[-RATE:, 0], RATE) == pytest.approx(1_000.0, abs=1.0)
    assert "3 recordings" in reader.notes[0]


def test_one_recording_is_no_chain():
    content = ogg(FIRST, RATE, "libopus")
    assert ogg_links(io.BytesIO(content)) == [(0, len(content))]
    assert open_audio(content).notes == ()


def test_a_link_that_is_rubbish_costs_itself_only():
    good = [ogg(FIRST, RATE, "flac"), ogg(SECOND, RATE, "flac")]
    bad = bytearray(ogg(SECOND, RATE, "vorbis"))
    bad[28:] = random.Random(0).randbytes(len(bad) - 28)
    reader = open_audio(good[0] + bytes(bad) + good[1])
    decoded = read_all(reader)
    assert len(decoded) == len(FIRST) + len(SECOND)


def test_what_waits_when_decoding_breaks_off_is_given():
    """131,072 frames may wait to be turned into an array."""
    content = by_av(FIRST, RATE, "matroska", "flac")

    class Unplugged(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > len(content) * 3 // 4:
                raise OSError("unplugged")
            return super().read(size)

    blocks = []
    with pytest.raises(Exception, match="my file"), open_named(Unplugged(content)) as reader:
        blocks.extend(reader.blocks())
    assert sum(map(len, blocks)) > RATE


def open_named(file):
    file.name = "my file"
    return open_audio(file)


def test_a_part_of_a_file_is_a_file():
    whole = bytes(range(256)) * 4
    part = FilePart(io.BytesIO(whole), 100, 400)
    assert part.seek(0, os.SEEK_END) == 300
    assert part.read() == b""
    part.seek(-10, os.SEEK_END)
    assert part.read(50) == whole[390:400]
    part.seek(7)
    assert (part.read(3), part.tell()) == (whole[107:110], 10)
    buffer = bytearray(5)
    assert part.readinto(buffer) == 5
    assert bytes(buffer) == whole[110:115]
    assert part.readable()
    assert part.seekable()
