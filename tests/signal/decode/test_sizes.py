# SPDX-License-Identifier: Apache-2.0
"""Sizes that lie: placeholders, wrapped ones, too small ones; and joined files."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oido.signal.decode import open_audio
from oido.signal.decode.sizes import sound_bytes
from tests.signal.decode.encoding import by_soundfile
from tests.signal.decode.wav_bytes import chunk, encode_samples, fmt, riff, wav
from tests.signal.sounds import channel_sines, noise, read_all

RATE = 16_000
SOUND = np.round(noise(3 * RATE).astype(np.float64) * 32768.0)[:, None] / 32768.0
DATA = encode_samples(SOUND, "s16")


def lying(size: int, *after: bytes, data: bytes = DATA) -> bytes:
    return riff(fmt(RATE, 1, "s16"), b"data" + struct.pack("<I", size) + data, *after)


def heard(content: bytes):
    reader = open_audio(content)
    return reader, read_all(reader)


@pytest.mark.parametrize("size", [44, 2, 4_096, len(DATA) // 2, len(DATA) - 400])
def test_a_size_with_no_chunk_behind_it_is_not_believed(size):
    reader, decoded = heard(lying(size))
    np.testing.assert_array_equal(decoded, SOUND.astype(np.float32))
    assert reader.info.frames == len(SOUND)
    assert f"tells {size} bytes" in reader.notes[0]


@pytest.mark.parametrize(
    "after",
    [
        (),
        (chunk(b"LIST", b"INFOISFT\4\0\0\0oido"),),
        (chunk(b"XyZ1", bytes(1_000)),),
        (chunk(b"bext", b"\1" * 602), chunk(b"iXML", b"<a/>")),
        (b"ID3\4" + bytes(range(64)),),
        (b"TAG" + b"x" * 125,),
        (bytes(30_000),),
        (b"\1\2\3",),
    ],
    ids=["nothing", "LIST", "unknown", "two", "ID3", "TAG", "zeros", "3 bytes"],
)
def test_a_size_is_believed_where_something_known_follows(after):
    reader, decoded = heard(lying(len(DATA), *after))
    np.testing.assert_array_equal(decoded, SOUND.astype(np.float32))
    assert reader.notes == ()


@pytest.mark.parametrize("kind", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF"])
def test_a_file_that_was_cut_off_says_so(kind: str, tmp_path):
    """It is heard as far as it goes; but whoever counts hours must know that some are lost."""
    whole = by_soundfile(SOUND, RATE, kind, "PCM_16")
    assert open_audio(whole).notes == ()
    reader, decoded = heard(whole[: len(whole) // 2])
    assert 0.45 * len(SOUND) < len(decoded) < 0.51 * len(SOUND)
    assert f"its header tells {len(DATA)} bytes of sound, and only" in reader.notes[0]
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    assert open_audio(tmp_path / "cut").notes == reader.notes


@pytest.mark.parametrize("size", [0x7FFFFFFF, 0x7FFFFFFF - 36, 0xFFFFFFFF - 44, 0x80000000])
def test_what_was_written_to_a_pipe_was_not_cut_off(size):
    assert heard(lying(size))[0].notes == ()
    assert heard(lying(len(DATA) + 44))[0].notes == ()  # the header is counted too


@pytest.mark.parametrize("encoding", ["u8", "s24", "s32", "f32", "f64"])
@pytest.mark.parametrize("extensible", [False, True])
def test_every_sample_format_is_read_to_the_end(encoding, extensible):
    whole = wav(channel_sines(RATE, RATE, 2), RATE, encoding, extensible)
    at = whole.index(b"data") + 4
    _, expected = heard(whole)
    _, decoded = heard(whole[:at] + struct.pack("<I", 48) + whole[at + 4 :])
    np.testing.assert_array_equal(decoded, expected)


CONTAINERS = {
    "AIFF": (b"SSND", 4, ">I", 8 + 44),
    "AU": (b".snd", 8, ">I", 44),
    "W64": (b"data\xf3\xac\xd3\x11", 16, "<Q", 24 + 44),
    "RF64": (b"ds64", 16, "<Q", 44),
    "CAF": (b"data", 4, ">q", 4 + 44),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_other_containers_are_read_to_the_end_too(container, subtype):
    name, skipped, form, size = CONTAINERS[container]
    whole = by_soundfile(SOUND, RATE, container, subtype)
    reader, expected = heard(whole)
    assert reader.notes == ()
    at = whole.index(name) + skipped
    reader, decoded = heard(
        whole[:at] + struct.pack(form, size) + whole[at + struct.calcsize(form) :]
    )
    np.testing.assert_array_equal(decoded, expected)
    assert reader.notes


def test_a_size_beyond_32_bits_holds_what_is_left_of_it(tmp_path):
    """The file is sparse: it takes no place."""
    path = tmp_path / "long.wav"
    channels, rate = 8, 192_000
    size = (1 << 32) + 4 * channels * rate
    head = riff(fmt(rate, channels, "s32"), b"data" + struct.pack("<I", size - (1 << 32)))
    with path.open("wb") as file:
        file.write(head)
        try:
            file.truncate(len(head) + size)
        except OSError:
            pytest.skip("this file system has no files of 4 GiB")
    with open_audio(path) as reader:
        assert reader.info.frames == size // (4 * channels)
        assert reader.seek(reader.info.frames - 1_000)
        assert sum(map(len, reader.blocks())) == 1_000


def test_a_compressed_wav_is_read_to_the_end():
    whole = by_soundfile(SOUND, RATE, "WAV", "IMA_ADPCM")
    at = whole.index(b"data") + 4
    reader, decoded = heard(whole[:at] + struct.pack("<I", 512) + whole[at + 4 :])
    assert len(decoded) == pytest.approx(len(SOUND), abs=1_100)
    assert reader.notes


@pytest.mark.parametrize("container", ["WAV", "AIFF", "W64", "CAF", "AU"])
def test_joined_files_are_heard_one_after_the_other(container):
    first = by_soundfile(SOUND, RATE, container, "PCM_16")
    second = by_soundfile(SOUND[::-1], RATE, container, "PCM_16")
    reader, decoded = heard(first + second)
    np.testing.assert_array_equal(decoded, np.concatenate([SOUND, SOUND[::-1]]).astype(np.float32))
    assert "2 recordings" in reader.notes[0]


def test_a_joined_file_of_another_shape_gets_the_first_ones():
    content = wav(SOUND, RATE) + wav(channel_sines(48_000, 48_000, 2), 48_000, "f32")
    reader, decoded = heard(content)
    assert (reader.info.sample_rate_hz, reader.info.channels) == (RATE, 1)
    assert len(decoded) == pytest.approx(4 * RATE, abs=2)
    assert np.abs(decoded[-RATE // 2 :]).max() == pytest.approx(0.375, abs=0.01)


@given(size=st.integers(0, 2**32 - 1), tail=st.binary(max_size=60), cut=st.integers(0, 400))
@settings(max_examples=200, deadline=None)
def test_no_size_loses_sound_that_is_not_told(size, tail, cut):
    """Whatever the field says: all is heard, or what is left out is a chunk or a tag."""
    content = lying(size, tail)[: -cut or None]
    (part,) = sound_bytes(io.BytesIO(content))[:1]
    assert part.start == 44
    assert part.start <= part.stop <= part.end <= len(content)
    if part.is_believed and part.stop < len(content) - 16:
        behind = content[part.stop :]
        assert behind[:4].isascii() or behind[1:5].isascii()


@given(content=st.binary(max_size=200), magic=st.sampled_from(list(CONTAINERS)))
@settings(max_examples=200, deadline=None)
def test_headers_that_are_rubbish_end_the_search(content, magic):
    head = by_soundfile(SOUND[:10], RATE, magic, "PCM_16")[:40]
    for part in sound_bytes(io.BytesIO(head + content)):
        assert part.begin < part.end


def unpadded(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content


FORM = fmt(RATE, 1, "s16")
ODD = {
    "before": (unpadded(b"LIST", b"INFOx"), FORM, chunk(b"data", DATA)),
    "between": (FORM, unpadded(b"junk", b"abc"), chunk(b"data", DATA)),
    "twice": (unpadded(b"LIST", b"abc"), FORM, unpadded(b"LIST", b"abcde"), chunk(b"data", DATA)),
}


@pytest.mark.parametrize("chunks", ODD.values(), ids=ODD)
def test_odd_chunks_without_the_byte_that_makes_them_even(chunks):
    reader, decoded = heard(riff(*chunks))
    np.testing.assert_array_equal(decoded, SOUND.astype(np.float32))
    assert reader.info.frames == len(SOUND)


def test_a_filling_byte_of_any_value_is_one():
    odd = b"LIST" + struct.pack("<I", 5) + b"INFOx" + b"\xff"
    np.testing.assert_array_equal(
        heard(riff(odd, FORM, chunk(b"data", DATA)))[1], SOUND.astype(np.float32)
    )


def unfinished() -> dict[str, bytes]:
    """Headers as recorders begin them, before they know how much it will be."""
    ds64 = chunk(b"ds64", bytes(28))
    rf64 = riff(ds64, FORM, b"data" + struct.pack("<I", 0xFFFFFFFF) + DATA)
    big = np.frombuffer(DATA, "<i2").astype(">i2").tobytes()
    comm = struct.pack(">hLh", 1, 0, 16) + struct.pack(">HQ", 0x400E, RATE << 48)
    aiff = b"AIFF" + b"COMM" + struct.pack(">I", 18) + comm
    aiff += b"SSND" + struct.pack(">I", 8) + bytes(8) + big
    return {
        "RF64": b"RF64" + struct.pack("<I", 0xFFFFFFFF) + rf64[8:],
        "AU": b".snd" + struct.pack(">IIIII", 24, 0, 3, RATE, 1) + big,
        "AIFF": b"FORM" + struct.pack(">I", 0) + aiff,
    }


@pytest.mark.parametrize("content", unfinished().values(), ids=unfinished())
def test_a_size_of_nothing_is_a_placeholder(content):
    reader, decoded = heard(content)
    np.testing.assert_array_equal(decoded, SOUND.astype(np.float32))
    assert reader.info.sample_rate_hz == RATE


HALF = len(DATA) // 2
SILENT = 1_000
PAUSE = chunk(b"slnt", struct.pack("<I", SILENT))
LIST = chunk(b"LIST", b"INFOISFT\4\0\0\0oido")


@pytest.mark.parametrize(
    "behind",
    [
        [chunk(b"data", DATA[HALF:])],
        [LIST, chunk(b"data", DATA[HALF:]), LIST],
        [
            chunk(b"data", b""),
            chunk(b"data", DATA[HALF : HALF + 4]),
            chunk(b"data", DATA[HALF + 4 :]),
        ],
        [b"data" + struct.pack("<I", 0xFFFFFFFF) + DATA[HALF:]],
        [b"data" + struct.pack("<I", len(DATA)) + DATA[HALF:]],
    ],
    ids=["two", "with others", "four", "no size", "cut"],
)
def test_samples_in_several_chunks(behind):
    content = riff(fmt(RATE, 1, "s16"), chunk(b"data", DATA[:HALF]), *behind)
    is_whole = all(struct.unpack_from("<I", part, 4)[0] == len(part) - 8 for part in behind)
    for whole, count in ((content, 1), (content + content, 2))[: 1 + is_whole]:
        reader, decoded = heard(whole)
        np.testing.assert_array_equal(decoded, np.tile(SOUND.astype(np.float32), (count, 1)))
        assert reader.damaged_packets == 0


@pytest.mark.parametrize("encoding", ["u8", "s16", "s24", "f32"])
def test_pauses_in_a_list_of_waves_are_silence(encoding):
    data = encode_samples(SOUND, encoding)
    half = len(data) // 2
    waves = chunk(b"data", data[:half]) + PAUSE + chunk(b"data", data[half:])
    _, expected = heard(wav(SOUND, RATE, encoding))
    silence, middle = np.zeros((SILENT, 1), np.float32), len(SOUND) // 2
    fact = chunk(b"fact", struct.pack("<I", len(SOUND)))
    reader, decoded = heard(riff(fmt(RATE, 1, encoding), fact, chunk(b"LIST", b"wavl" + waves)))
    pieces = [expected[:middle], silence, expected[middle:]]
    np.testing.assert_array_equal(decoded, np.concatenate(pieces))
    assert reader.gaps_seconds == SILENT / RATE
    waves = PAUSE + chunk(b"data", data) + PAUSE
    reader, decoded = heard(riff(fmt(RATE, 1, encoding), chunk(b"LIST", b"wavl" + waves)))
    np.testing.assert_array_equal(decoded, np.concatenate([silence, expected, silence]))
    assert reader.info.frames == len(SOUND) + 2 * SILENT
    days = chunk(b"slnt", struct.pack("<I", 0xFFFFFFFF))
    waves = chunk(b"data", data) + days + chunk(b"data", data)
    _, decoded = heard(riff(fmt(RATE, 1, encoding), chunk(b"LIST", b"wavl" + waves)))
    assert len(decoded) == 2 * len(SOUND), "nobody recorded days of nothing"
