# SPDX-License-Identifier: Apache-2.0
"""WAV: every sample format to the last bit, and files that are not what the book says."""

from __future__ import annotations

import numpy as np
import pytest

from oido.errors import AudioError
from oido.signal.decode import open_audio
from tests.signal.decode.wav_bytes import chunk, encode_samples, fmt, riff, wav
from tests.signal.sounds import channel_sines, read_all, sine

RATE = 16_000
TONE = sine(440.0, RATE, 4_001)  # odd, so that one-byte mono data need a padding byte
DATA = encode_samples(TONE[:, None], "s16")
HEARD = (np.round(TONE * 32768.0) / 32768.0).astype(np.float32)
"""What a 16-bit file of TONE holds, exactly."""

STEPS = {"u8": 2.0**7, "s16": 2.0**15, "s24": 2.0**23, "s32": 2.0**31}


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 3, 8, 12])
@pytest.mark.parametrize("encoding", ["u8", "s16", "s24", "s32", "f32", "f64"])
def test_every_sample_format_is_exact(encoding, channels, extensible):
    samples = channel_sines(RATE, 1_001, channels)
    step = STEPS.get(encoding)
    expected = samples if step is None else np.round(samples * step) / step
    reader = open_audio(wav(samples, RATE, encoding, extensible))
    assert (reader.info.sample_rate_hz, reader.info.channels) == (RATE, channels)
    assert reader.info.frames == 1_001
    np.testing.assert_array_equal(read_all(reader), expected.astype(np.float32))


@pytest.mark.parametrize("encoding", ["u8", "s16", "s24", "s32"])
def test_full_scale_is_minus_one_and_just_below_one(encoding):
    below = 1.0 - 1.0 / STEPS[encoding]
    decoded = read_all(open_audio(wav(np.array([-1.0, 0.0, below] * 100), RATE, encoding)))
    np.testing.assert_array_equal(decoded[:3, 0], np.float32([-1.0, 0.0, below]))


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param((chunk(b"JUNK", bytes(28)), fmt(RATE, 1, "s16")), id="JUNK before fmt"),
        pytest.param((fmt(RATE, 1, "s16"), chunk(b"JUNK", bytes(4_000))), id="JUNK before data"),
        pytest.param((fmt(RATE, 1, "s16"), chunk(b"LIST", b"INFOabc")), id="odd LIST, padded"),
        pytest.param((fmt(RATE, 1, "s16"), chunk(b"fact", DATA[:4])), id="fact"),
        pytest.param((chunk(b"bext", bytes(603)), fmt(RATE, 1, "s16")), id="broadcast"),
        pytest.param((fmt(RATE, 1, "s16"), chunk(b"oido", b"")), id="unknown and empty"),
    ],
)
def test_other_chunks_are_stepped_over(chunks):
    decoded = read_all(open_audio(riff(*chunks, chunk(b"data", DATA))))
    np.testing.assert_array_equal(decoded[:, 0], HEARD)


def test_chunks_after_the_data_are_not_sound():
    content = riff(
        fmt(RATE, 1, "u8"),
        chunk(b"data", encode_samples(TONE[:, None], "u8")),
        chunk(b"LIST", b"INFO" + b"\xff" * 5_001),
    )
    assert len(read_all(open_audio(content))) == len(TONE)


@pytest.mark.parametrize("kept", [3, 500, len(DATA) // 2, len(DATA) - 1])
def test_a_truncated_data_chunk_gives_what_is_there(kept):
    content = riff(fmt(RATE, 1, "s16"), chunk(b"data", DATA))
    decoded = read_all(open_audio(content[: len(content) - len(DATA) + kept]))
    np.testing.assert_array_equal(decoded[:, 0], HEARD[: kept // 2])


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0])
@pytest.mark.parametrize("riff_size", [0xFFFFFFFF, 0])
def test_a_streamed_file_whose_sizes_were_never_filled_in_is_heard_whole(size, riff_size):
    """What a program writes into a pipe: ffmpeg and sox leave 0xFFFFFFFF, others zero."""
    content = riff(fmt(RATE, 1, "s16"), b"data" + size.to_bytes(4, "little") + DATA, size=riff_size)
    decoded = read_all(open_audio(content))
    np.testing.assert_array_equal(decoded[:, 0], HEARD)


@pytest.mark.parametrize("size", [2, 100, 0xFFFFFFFF])
def test_a_wrong_riff_size_does_not_matter(size):
    content = riff(fmt(RATE, 1, "s16"), chunk(b"data", DATA), size=size)
    np.testing.assert_array_equal(read_all(open_audio(content))[:, 0], HEARD)


def test_float_samples_beyond_one_stay_as_they_are():
    decoded = read_all(open_audio(wav(np.array([1.5, -2.0, 0.25] * 50), RATE, "f32")))
    np.testing.assert_array_equal(decoded[:3, 0], np.float32([1.5, -2.0, 0.25]))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(riff(fmt(RATE, 1, "s16")), id="no data chunk"),
        pytest.param(riff(chunk(b"data", DATA)), id="no fmt chunk"),
        pytest.param(riff(fmt(RATE, 1, "s16"), chunk(b"data", b"")), id="no sample"),
        pytest.param(riff(fmt(0, 1, "s16"), chunk(b"data", DATA)), id="0 Hz"),
        pytest.param(riff(fmt(3, 1, "s16"), chunk(b"data", DATA)), id="3 Hz"),
        pytest.param(riff(fmt(2_000_000_000, 1, "s16"), chunk(b"data", DATA)), id="2 GHz"),
        pytest.param(riff(fmt(RATE, 0, "s16"), chunk(b"data", DATA)), id="no channel"),
        pytest.param(b"RIFF", id="four bytes"),
        pytest.param(b"RIFF\x24\0\0\0WAVEfmt ", id="cut inside the header"),
    ],
)
def test_a_header_without_sound_is_an_audio_error(content):
    with pytest.raises(AudioError, match="<bytes>"):
        read_all(open_audio(content))
