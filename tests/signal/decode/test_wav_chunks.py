# SPDX-License-Identifier: Apache-2.0
"""When a recorder says that a WAV file began: bext, GUANO and WAMD."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oido.signal.decode import open_audio
from oido.signal.decode.wav_chunks import recorder_tags
from tests.signal.decode.encoding import by_av, by_soundfile

RATE_HZ = 8_000
SOUND = np.arange(RATE_HZ, dtype="<i2").tobytes()


def chunk(name: bytes, body: bytes, order: str = "<") -> bytes:
    return name + struct.pack(f"{order}I", len(body)) + body + b"\0" * (len(body) % 2)


def wav(before: bytes = b"", after: bytes = b"", data_size: int | None = None) -> bytes:
    fmt = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE_HZ, RATE_HZ * 2, 2, 16))
    size = len(SOUND) if data_size is None else data_size
    body = b"WAVE" + before + fmt + b"data" + struct.pack("<I", size) + SOUND + after
    return b"RIFF" + struct.pack("<I", len(body)) + body


def bext(date: bytes, time: bytes) -> bytes:
    body = bytearray(602)
    body[320 : 320 + len(date)], body[330 : 330 + len(time)] = date, time
    return chunk(b"bext", bytes(body))


def ixml(date: bytes, time: bytes) -> bytes:
    inside = b"<BWF_ORIGINATION_DATE>%s</BWF_ORIGINATION_DATE>\n" % date
    inside += b"<BWF_ORIGINATION_TIME>%s</BWF_ORIGINATION_TIME>" % time
    return chunk(b"iXML", b"<?xml version='1.0'?><BWFXML><BEXT>%s</BEXT></BWFXML>" % inside)


def wamd(text: bytes) -> bytes:
    entries = ((0, b"\1\0"), (1, b"SM4BAT-FS"), (5, text), (6, b"WGS84"))
    body = b"".join(struct.pack("<HI", number, len(entry)) + entry for number, entry in entries)
    return chunk(b"wamd", body)


ORIGINATION = {"origination_date": "2023-10-15", "origination_time": "06:30:00"}
GUANO = (
    b"GUANO|Version: 1.0\nMake: X\nTimestamp: 2023-10-15T06:30:00-03:00\r\nNote: Timestamp: no\n"
)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (bext(b"2023-10-15", b"06:30:00"), b"", ORIGINATION),
        (b"", bext(b"2023:10:15", b"06-30-00"), ORIGINATION),
        (bext(b"2023_10_15", b"06 30 00"), b"", ORIGINATION),
        (bext(b"", b""), b"", {}),
        (bext(b"2023-10-15", b""), b"", {}),
        (b"", chunk(b"guan", GUANO), {"guano_timestamp": "2023-10-15T06:30:00-03:00"}),
        (b"", chunk(b"guan", b"GUANO|Version: 1.0\n"), {}),
        (
            wamd(b"2023-10-15 06:30:00-03:00\0"),
            b"",
            {"wamd_timestamp": "2023-10-15 06:30:00-03:00"},
        ),
        (chunk(b"JUNK", b"odd"), bext(b"2023-10-15", b"06:30:00"), ORIGINATION),
        (bext(b"2023-10-15", b"06:30:00")[:100], b"", {}),
        (b"", ixml(b"2023-10-15", b"06:30:00"), ORIGINATION),
        (bext(b"2023-10-15", b"06:30:00"), ixml(b"2022-01-01", b"01:00:00"), ORIGINATION),
        (ixml(b"2022-01-01", b"01:00:00"), bext(b"2023-10-15", b"06:30:00"), ORIGINATION),
        (bext(b"", b""), ixml(b"2023/10/15", b"06-30-00"), ORIGINATION),
        (b"", ixml(b"", b"06:30:00"), {}),
    ],
)
def test_what_recorders_write(
    tmp_path: Path, before: bytes, after: bytes, expected: dict[str, str]
) -> None:
    content = wav(before, after)
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert recorder_tags(str(path)) == expected
    file = io.BytesIO(content)
    file.seek(7)
    assert recorder_tags(file) == expected
    assert file.tell() == 7


def test_they_are_tags_of_the_recording_and_cost_no_sound(tmp_path: Path) -> None:
    content = wav(bext(b"2023-10-15", b"06:30:00"), chunk(b"guan", GUANO))
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    for source in (str(path), content, io.BytesIO(content)):
        with open_audio(source) as reader:
            tags = reader.tags()
            assert sum(len(block) for block in reader.blocks()) == RATE_HZ
        assert ORIGINATION.items() <= tags.items()
        assert tags["guano_timestamp"] == "2023-10-15T06:30:00-03:00"


def test_behind_a_size_that_is_no_size_nothing_is_looked_for() -> None:
    lied = wav(bext(b"2023-10-15", b"06:30:00"), chunk(b"guan", GUANO), data_size=0xFFFFFFF0)
    assert recorder_tags(io.BytesIO(lied)) == ORIGINATION


def test_of_rf64() -> None:
    ds64 = chunk(b"ds64", struct.pack("<QQQI", 0, len(SOUND), 0, 0))
    content = wav(ds64, chunk(b"guan", GUANO), data_size=0xFFFFFFFF).replace(b"RIFF", b"RF64", 1)
    assert recorder_tags(io.BytesIO(content)) == {"guano_timestamp": "2023-10-15T06:30:00-03:00"}


W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
SAID = {**ORIGINATION, "guano_timestamp": "2023-10-15T06:30:00-03:00"}


def as_w64(chunks: bytes) -> bytes:
    """Behind a W64 of libsndfile's, chunks as it writes them: names of 16 bytes, sizes of 8."""
    content, at = by_soundfile(np.zeros((96, 1)), RATE_HZ, "W64", "PCM_16"), 0
    content += bytes(-len(content) % 8)
    while at < len(chunks):
        name, size = chunks[at : at + 4], int.from_bytes(chunks[at + 4 : at + 8], "little")
        body = chunks[at + 8 : at + 8 + size]
        content += name + W64_TAIL + struct.pack("<Q", 24 + size) + body + bytes(-size % 8)
        at += 8 + size + size % 2
    return content[:16] + struct.pack("<Q", len(content)) + content[24:]


def as_flac(chunks: bytes) -> bytes:
    """As `flac --keep-foreign-metadata` keeps them: each in an application block, with its head."""
    content, at = by_av(np.zeros((RATE_HZ, 1)), RATE_HZ, "flac", "flac"), 0
    blocks = b""
    while at < len(chunks):
        size = 8 + int.from_bytes(chunks[at + 4 : at + 8], "little")
        body = b"riff" + chunks[at : at + size]
        blocks += b"\2" + len(body).to_bytes(3, "big") + body
        at += size + size % 2
    return content[:42] + blocks + content[42:]


def as_mp3_wav(chunks: bytes) -> bytes:
    """A codec that libsndfile's library for it would print about."""
    content = by_av(np.zeros((RATE_HZ * 2, 1)), 32_000, "wav", "libmp3lame")
    return content + chunks


def as_g726(chunks: bytes) -> bytes:
    """A codec that libsndfile refuses."""
    return by_av(np.zeros((RATE_HZ, 1)), RATE_HZ, "wav", "g726") + chunks


@pytest.mark.parametrize("write", [as_w64, as_flac, as_mp3_wav, as_g726])
def test_every_reader_gives_them(write) -> None:
    content = write(bext(b"2023-10-15", b"06:30:00") + chunk(b"guan", GUANO))
    with open_audio(content) as reader:
        half = next(blocks := reader.blocks())
        tags = reader.tags()
        assert tags.items() >= SAID.items()
        n = len(half) + sum(map(len, blocks))
    with open_audio(write(b"")) as plain:
        assert n == sum(map(len, plain.blocks()))
        assert not SAID.keys() & plain.tags().keys()


def test_a_chunk_of_odd_size_without_its_filling_byte() -> None:
    odd = b"JUNK" + struct.pack("<I", 3) + b"odd"
    assert recorder_tags(io.BytesIO(wav(odd + bext(b"2023-10-15", b"06:30:00")))) == ORIGINATION


@given(st.binary(max_size=80), st.integers(0, 60))
def test_any_bytes_are_survived(noise: bytes, cut: int) -> None:
    whole = wav(bext(b"2023-10-15", b"06:30:00"), wamd(noise))
    w64 = b"riff" + bytes(20) + b"wave" + bytes(12)
    starts = (b"RIFF0000WAVE", b"fLaC", b"fLaC\2\0\0\x50riffbext", w64, w64 + b"guan" + bytes(12))
    for content in (noise, whole[:cut] + noise + whole[cut:], *(start + noise for start in starts)):
        assert recorder_tags(io.BytesIO(content)).keys() <= {
            "origination_date",
            "origination_time",
            "wamd_timestamp",
            "guano_timestamp",
        }


def test_a_file_that_is_gone() -> None:
    assert recorder_tags("/nowhere/a.wav") == {}
