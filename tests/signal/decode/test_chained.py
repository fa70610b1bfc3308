# SPDX-License-Identifier: Apache-2.0
"""Recordings one behind the other in one file: nothing of any of them is lost."""

from __future__ import annotations

import io
import os
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.live.pipe import ContainerReader
from oido.signal.decode import open_audio
from oido.signal.decode.chained import FilePart, FileSpans, OggLinks, ogg_links
from tests.signal.decode.encoding import by_av, by_soundfile
from tests.signal.sounds import channel_sines, dominant_hz, read_all, sine, stack

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


@pytest.mark.parametrize("first", ["vorbis", "libopus", "flac"])
@pytest.mark.parametrize("second", ["vorbis", "libopus", "flac"])
@pytest.mark.parametrize(("rate", "channels"), [(48_000, 1), (48_000, 2), (24_000, 1)])
def test_a_pipe_goes_on_with_links_of_any_codec_rate_and_channels(first, second, rate, channels):
    other = np.repeat(sine(1_000.0, rate, 2 * rate)[:, None], channels, axis=1)
    content = ogg(FIRST, RATE, first) + ogg(other, rate, second) + ogg(SECOND, RATE, first)
    reader = ContainerReader(io.BytesIO(content))
    decoded = stack(reader.blocks(), 1)
    expected = read_all(open_audio(content))
    assert reader.damaged_packets == 0
    assert len(decoded) == pytest.approx(len(expected), abs=40)
    for second_of, hz in ((1, 440.0), (4, 1_000.0), (6, 1_000.0)):
        part = decoded[second_of * RATE : second_of * RATE + RATE // 2, 0]
        assert dominant_hz(part, RATE) == pytest.approx(hz, abs=2.0)


def test_a_link_on_a_pipe_that_is_rubbish_costs_itself_only():
    good = [ogg(FIRST, RATE, "flac"), ogg(SECOND, RATE, "flac")]
    bad = bytearray(ogg(SECOND, RATE, "vorbis"))
    bad[28:58] = bytes(30)
    reader = ContainerReader(io.BytesIO(good[0] + bytes(bad) + good[1]))
    assert len(stack(reader.blocks(), 1)) == len(FIRST) + len(SECOND)
    assert reader.damaged_packets == 1


LINKS = [ogg(FIRST[:9_000], RATE, codec) for codec in ("vorbis", "libopus", "flac")]


class Dripping:
    """A pipe that brings so many bytes at a time."""

    def __init__(self, content: bytes, sizes: list[int]) -> None:
        self._content, self._sizes, self._n = io.BytesIO(content), sizes, 0

    def read(self, size: int = -1) -> bytes:
        self._n += 1
        most = self._sizes[self._n % len(self._sizes)]
        return self._content.read(most if size < 0 else min(size, most))


def links_of(pipe: OggLinks, size: int) -> list[bytes]:
    found = []
    while True:
        found.append(b"".join(iter(lambda: pipe.read(size), b"")))
        if not pipe.advance():
            return found


@given(
    sizes=st.lists(st.integers(1, 5_000), min_size=1, max_size=5),
    size=st.integers(1, 9_000),
    rubbish=st.sampled_from([b"", b"Ogg", b"\0" * 700, b"OggS"]),
)
@settings(max_examples=40, deadline=None)
def test_links_of_a_pipe_are_found_however_its_bytes_come(sizes, size, rubbish):
    content = LINKS[0] + rubbish + LINKS[1] + LINKS[2]
    found = links_of(OggLinks(Dripping(content, sizes)), size)
    assert b"".join(found) == content
    if rubbish != b"OggS":
        assert found == [LINKS[0] + rubbish, LINKS[1], LINKS[2]]


@given(content=st.binary(max_size=500), size=st.integers(1, 99), is_ogg=st.booleans())
@settings(max_examples=100, deadline=None)
def test_what_is_no_ogg_passes_as_it_is(content, size, is_ogg):
    content = (b"OggS" if is_ogg else b"") + content
    assert b"".join(links_of(OggLinks(Dripping(content, [7])), size)) == content


def test_stretches_of_a_file_are_a_file():
    whole = bytes(range(256)) * 4
    file = FileSpans(io.BytesIO(whole), [(10, 20), (100, 400), (1_000, 1_024)])
    expected = whole[10:20] + whole[100:400] + whole[1_000:]
    assert file.read() == expected
    assert (file.read(), file.tell(), file.seek(0, os.SEEK_END)) == (b"", 334, 334)
    for at, size in ((0, 5), (5, 10), (9, 1), (10, 300), (309, 3), (330, 50), (400, 1)):
        file.seek(at)
        assert file.read(size) == expected[at : at + size]
    file.seek(-4, os.SEEK_END)
    buffer = bytearray(9)
    assert file.readinto(buffer) == 4
    assert file.readable()
    assert file.seekable()
    assert FileSpans(io.BytesIO(whole), []).read() == b""
    headed = FileSpans(io.BytesIO(whole), [(5, 9), (20, 22)], head=b"head")
    assert headed.read() == b"head" + whole[5:9] + whole[20:22]
    headed.seek(2)
    assert (headed.read(4), headed.tell()) == (b"ad" + whole[5:7], 6)
    assert headed.seek(0, os.SEEK_END) == 10
