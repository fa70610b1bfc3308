# SPDX-License-Identifier: Apache-2.0
"""The quick decoder of FLAC: the same samples, the same words about damage, as FFmpeg alone."""

from __future__ import annotations

import io
from typing import NamedTuple

import numpy as np
import pytest

from oido.errors import AudioError
from oido.signal.decode import flac_frames, pyav_reader
from oido.signal.decode.flac_frames import StreamInfo, can_decode, sound_blocks
from oido.signal.decode.pyav_reader import PyAvReader
from tests.signal.decode.encoding import by_av, by_soundfile
from tests.signal.sounds import channel_sines

fastcrc = pytest.importorskip("fastcrc", reason="fastcrc is not there: FFmpeg decodes FLAC")
pytest.importorskip("miniaudio", reason="miniaudio is not there: FFmpeg decodes FLAC")

RATE = 16_000


def sound(n: int, channels: int = 2) -> np.ndarray:
    noise = np.random.default_rng(n).normal(0.0, 0.02, (n, channels))
    return 0.5 * channel_sines(RATE, n, channels) + noise


CONTENT = by_soundfile(sound(60_000), RATE, "FLAC", "PCM_16")


class Outcome(NamedTuple):
    samples: bytes
    shape: tuple[int, ...]
    damaged_packets: int
    gaps_seconds: float
    error: str


def outcome(content: bytes, start: int | None = None) -> Outcome:
    blocks, error, damaged, gaps = [np.zeros((0, 1), np.float32)], "", 0, 0.0
    try:
        with PyAvReader(io.BytesIO(content), "sound.flac") as reader:
            blocks = [np.zeros((0, reader.info.channels), np.float32)]
            try:
                if start is not None:
                    assert reader.seek(start)
                blocks += reader.blocks()
            finally:
                damaged, gaps = reader.damaged_packets, reader.gaps_seconds
    except AudioError as failure:
        error = str(failure)
    samples = np.concatenate(blocks)
    return Outcome(samples.tobytes(), samples.shape, damaged, gaps, error)


def by_both(content: bytes, monkeypatch, start: int | None = None) -> tuple[Outcome, Outcome]:
    quick = outcome(content, start)
    with monkeypatch.context() as patch:
        patch.setattr(pyav_reader, "can_decode", lambda _: False)
        return quick, outcome(content, start)


def quickly(content: bytes) -> tuple[int, bool]:
    """How many samples the quick decoder gives, and whether these are all."""
    file, n = io.BytesIO(content), 0
    info = StreamInfo.read(file)
    assert info is not None
    blocks = sound_blocks(file, info, info.frames_at, 0)
    while True:
        try:
            n += len(next(blocks))
        except StopIteration as end:
            return n, end.value


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("n", [20, 4_096, 4_097, 200_000])
def test_sound_files_are_decoded_by_it_alone_and_to_the_bit(subtype, channels, n, monkeypatch):
    content = by_soundfile(sound(n, channels), 44_100, "FLAC", subtype)
    assert quickly(content) == (n, True)
    quick, slow = by_both(content, monkeypatch)
    assert quick == slow
    assert quick.shape == (n, channels)
    assert quick.damaged_packets == 0


@pytest.mark.parametrize("rate_hz", [8_000, 12_345, 44_100, 96_000, 192_000])
def test_files_of_ffmpeg_and_any_rate(rate_hz, monkeypatch):
    content = by_av(sound(50_000), rate_hz, "flac", "flac")
    assert quickly(content) == (50_000, True)
    quick, slow = by_both(content, monkeypatch)
    assert quick == slow


def frames_of(content: bytes) -> tuple[bytes, list[bytes]]:
    """A file's header, and its frames."""
    info = StreamInfo.read(io.BytesIO(content))
    assert info is not None
    places, at, number = [info.frames_at], info.frames_at + 1, 1
    while (at := content.find(content[info.frames_at : info.frames_at + 2], at)) >= 0:
        frame = flac_frames._header(content, at)
        if frame is not None and frame.number == number and not frame.is_variable:
            places.append(at)
            number += 1
        at += 1
    ends = [*places[1:], len(content)]
    return content[: places[0]], [content[a:b] for a, b in zip(places, ends)]


HEADER, FRAMES = frames_of(CONTENT)


def coded(number: int) -> bytes:
    """As UTF-8 would (RFC 9639, section 9.1.5); Python's own stops at 0x10FFFF."""
    return chr(number).encode()


def with_sample_numbers() -> bytes:
    """The same file, as an encoder with frames of many lengths would number them."""
    frames, n_before = [], 0
    for frame in FRAMES:
        parsed = flac_frames._header(frame, 0)
        assert parsed is not None
        head = bytes([frame[0], frame[1] | 1, frame[2], frame[3]]) + coded(n_before)
        rest = frame[4 + len(coded(parsed.number)) : -2]
        extra = {6: 1, 7: 2}.get(frame[2] >> 4, 0)
        head += rest[:extra]
        whole = head + bytes([fastcrc.crc8.smbus(head)]) + rest[extra + 1 :]
        frames.append(whole + fastcrc.crc16.umts(whole).to_bytes(2, "big"))
        n_before += parsed.n_samples
    return HEADER + b"".join(frames)


def test_frames_that_are_numbered_by_their_samples(monkeypatch):
    content = with_sample_numbers()
    assert quickly(content) == (60_000, True)
    quick, slow = by_both(content, monkeypatch)
    assert quick == slow
    assert quick.samples == outcome(CONTENT).samples


def flipped(content: bytes, share: float) -> bytes:
    at = int(len(content) * share)
    return content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :]


def promising(n_samples: int) -> bytes:
    """A header that promises so many samples."""
    packed = int.from_bytes(CONTENT[18:26], "big") >> 36 << 36 | n_samples
    return CONTENT[:18] + packed.to_bytes(8, "big") + CONTENT[26:]


MIDDLE = len(FRAMES) // 2
FAULTS = {
    "a bit in the middle": flipped(CONTENT, 0.5),
    "a bit in the first frame": flipped(CONTENT, (len(HEADER) + 40) / len(CONTENT)),
    "a bit in the last frame": flipped(CONTENT, 0.999),
    "a frame is missing": HEADER + b"".join(FRAMES[:MIDDLE] + FRAMES[MIDDLE + 1 :]),
    "a frame is there twice": HEADER + b"".join(FRAMES[:MIDDLE] + FRAMES[MIDDLE - 1 :]),
    "the first frame is missing": HEADER + b"".join(FRAMES[1:]),
    "rubbish between two frames": HEADER + FRAMES[0] + b"rubbish" * 9 + b"".join(FRAMES[1:]),
    "zeros in the middle": CONTENT[:30_000] + bytes(9_000) + CONTENT[39_000:],
    "cut off": CONTENT[: len(CONTENT) * 2 // 3],
    "cut off between two frames": HEADER + b"".join(FRAMES[:MIDDLE]),
    "a tag behind it": CONTENT + b"TAG" + bytes(125),
    "rubbish behind it": CONTENT + b"\xff\xf8" * 50,
    "two files in one": CONTENT + CONTENT,
    "too many promised": promising(90_000),
    "too few promised": promising(30_000),
    "none promised": promising(0),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_as_it_should_be_is_left_to_ffmpeg(fault, monkeypatch):
    quick, slow = by_both(FAULTS[fault], monkeypatch)
    assert quick == slow


def test_the_faults_end_it():
    """So that the test before this is about both decoders."""
    ended = {fault for fault, content in FAULTS.items() if not quickly(content)[1]}
    assert ended == set(FAULTS) - {"none promised"}
    assert 0 < quickly(FAULTS["a frame is missing"])[0] < 60_000


@pytest.mark.parametrize("seed", range(12))
def test_bits_anywhere(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    content = bytearray(CONTENT)
    for at in rng.integers(len(HEADER), len(content), 1 + seed % 4):
        content[at] ^= 1 << rng.integers(8)
    quick, slow = by_both(bytes(content), monkeypatch)
    assert quick == slow


@pytest.mark.parametrize("start", [0, 1, 4_096, 33_333, 59_999])
@pytest.mark.parametrize("content", [CONTENT, with_sample_numbers()], ids=["frames", "samples"])
def test_from_any_sample_on(content, start, monkeypatch):
    quick, slow = by_both(content, monkeypatch, start)
    assert quick == slow
    assert quick.shape == (60_000 - start, 2)


def test_more_channels_and_longer_samples_are_left_to_ffmpeg():
    info = StreamInfo.read(io.BytesIO(CONTENT))
    assert info is not None
    assert can_decode(info)
    assert not can_decode(info._replace(channels=3))
    assert not can_decode(info._replace(sample_bits=32))


@pytest.mark.parametrize("content", [b"", b"fLaC", b"RIFF" + bytes(60), b"fLaC\0\0\0\x22" + b"x"])
def test_what_is_no_flac_file(content):
    assert StreamInfo.read(io.BytesIO(content)) is None
