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


@given(st.binary(max_size=80), st.integers(0, 60))
def test_any_bytes_are_survived(noise: bytes, cut: int) -> None:
    whole = wav(bext(b"2023-10-15", b"06:30:00"), wamd(noise))
    for content in (noise, whole[:cut] + noise + whole[cut:], b"RIFF0000WAVE" + noise):
        assert recorder_tags(io.BytesIO(content)).keys() <= {
            "origination_date",
            "origination_time",
            "wamd_timestamp",
            "guano_timestamp",
        }


def test_a_file_that_is_gone() -> None:
    assert recorder_tags("/nowhere/a.wav") == {}
