# SPDX-License-Identifier: Apache-2.0
"""PyAV: sample formats, damaged packets, and streams that change midway."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile

from oido.errors import AudioError, CorruptAudioError
from oido.signal.decode.pyav_reader import PyAvReader
from tests.signal.decode.encoding import by_av, by_soundfile
from tests.signal.decode.wav_bytes import riff, wav
from tests.signal.sounds import channel_sines, dominant_hz, read_all, sine

RATE = 16_000
BOOK = {"u8": 2.0**7, "s16": 2.0**15, "s24": 2.0**23, "s32": 2.0**31}


def read(content: bytes):
    return read_all(PyAvReader(io.BytesIO(content), "tone"))


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("encoding", ["u8", "s16", "s24", "s32", "f32", "f64"])
def test_interleaved_sample_formats_are_exact(encoding, channels):
    samples = channel_sines(RATE, 2_000, channels)
    step = BOOK.get(encoding)
    expected = samples if step is None else np.round(samples * step) / step
    np.testing.assert_array_equal(read(wav(samples, RATE, encoding)), expected.astype(np.float32))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_planar_sample_formats_are_exact(channels):
    samples = np.round(channel_sines(RATE, 4_000, channels) * 32768.0) / 32768.0
    np.testing.assert_array_equal(
        read(by_av(samples, RATE, "ipod", "alac")), samples.astype(np.float32)
    )


def test_agrees_with_libsndfile_on_vorbis():
    """Two decoders that know nothing of each other."""
    content = by_soundfile(channel_sines(44_100, 44_100, 2), 44_100, "OGG", "VORBIS")
    theirs, _ = soundfile.read(io.BytesIO(content), dtype="float32")
    ours = read(content)
    n = min(len(ours), len(theirs))
    assert n > 43_000
    np.testing.assert_allclose(ours[:n], theirs[:n], atol=1e-4)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    ("container", "codec"),
    [("ipod", "aac"), ("ipod", "alac"), ("ac3", "ac3"), ("mp3", "libmp3lame")],
)
def test_damage_in_the_middle_costs_the_middle_only(container, codec, seed):
    """Decoders answer rubbish with many error numbers, and every one means: leave this packet."""
    content = bytearray(by_av(channel_sines(48_000, 96_000, 1), 48_000, container, codec))
    rng = np.random.default_rng(seed)
    start = int(rng.integers(len(content) // 3, len(content) * 2 // 3))
    content[start : start + 200] = rng.bytes(200)
    with PyAvReader(io.BytesIO(bytes(content)), "tone") as reader:
        decoded = np.concatenate(list(reader.blocks()))
    assert 60_000 < len(decoded) < 100_000
    beginning = decoded[4_000:24_000, 0]
    assert dominant_hz(beginning, 48_000) == pytest.approx(440.0, abs=2.0)


@pytest.mark.parametrize("filling", [b"\xff", b"\x55", b"\x00", b"\xaa"])
def test_packets_left_out_are_counted(filling):
    content = bytearray(by_av(channel_sines(48_000, 96_000, 1), 48_000, "ipod", "aac"))
    middle = (content.index(b"mdat") + content.index(b"moov")) // 2
    content[middle : middle + 300] = filling * 300
    with PyAvReader(io.BytesIO(bytes(content)), "tone") as reader:
        decoded = np.concatenate(list(reader.blocks()))
        assert reader.damaged_packets > 0
    assert len(decoded) > 85_000


def test_a_stream_that_changes_its_rate_midway_keeps_the_first_ones():
    """Broadcasts do: ADTS frames carry their own rate."""
    first = by_av(sine(440.0, 48_000, 48_000)[:, None], 48_000, "adts", "aac")
    second = by_av(sine(440.0, 24_000, 48_000)[:, None], 24_000, "adts", "aac")
    with PyAvReader(io.BytesIO(first + second), "tone") as reader:
        assert reader.info.sample_rate_hz == 48_000
        decoded = np.concatenate(list(reader.blocks()))
    assert len(decoded) / 48_000 == pytest.approx(3.0, abs=0.15)
    for start, stop in ((10_000, 40_000), (70_000, 130_000)):
        assert dominant_hz(decoded[start:stop, 0], 48_000) == pytest.approx(440.0, abs=2.0)


def test_a_stream_that_changes_from_mono_to_stereo_keeps_one_shape():
    first = by_av(channel_sines(48_000, 48_000, 1), 48_000, "adts", "aac")
    second = by_av(channel_sines(48_000, 48_000, 2), 48_000, "adts", "aac")
    for content, channels in ((first + second, 1), (second + first, 2)):
        with PyAvReader(io.BytesIO(content), "tone") as reader:
            blocks = list(reader.blocks())
        assert {block.shape[1] for block in blocks} == {channels}
        assert sum(map(len, blocks)) / 48_000 == pytest.approx(2.0, abs=0.1)


def test_the_first_of_two_sound_tracks_is_heard():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        tracks = [output.add_stream("flac", rate=RATE) for _ in range(2)]
        for track in tracks:
            track.layout = "mono"
        for track, hz in zip(tracks, (440.0, 1_760.0)):
            tone = (sine(hz, RATE, RATE) * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            output.mux(track.encode(frame))
            output.mux(track.encode(None))
    decoded = read(buffer.getvalue())
    assert dominant_hz(decoded[:, 0], RATE) == pytest.approx(440.0, abs=2.0)


def test_when_no_packet_can_be_decoded_it_is_damage_and_not_emptiness():
    content = bytearray(by_av(channel_sines(48_000, 48_000, 1), 48_000, "ipod", "aac"))
    start = content.index(b"mdat") + 4
    end = content.index(b"moov") - 4
    content[start:end] = b"\xff" * (end - start)
    with pytest.raises(CorruptAudioError, match=r"tone: (is damaged|cannot be decoded)"):
        read(bytes(content))


@pytest.mark.parametrize("content", [b"RIFF", riff(), b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)])
def test_wrappers_without_sound(content):
    with pytest.raises(AudioError, match="tone: "):
        read(content)


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp3", "libmp3lame"), ("adts", "aac"), ("mpegts", "aac"), ("ac3", "ac3"), ("mpegts", "mp2")],
)
def test_a_rate_that_changes_more_than_once_changes_nothing_that_is_heard(container, codec):
    """A header of LAME's between the parts may have a third shape."""
    shapes = [(48_000, 1, 440.0), (44_100, 2, 1_000.0), (32_000, 1, 600.0), (48_000, 1, 300.0)]
    content = b""
    for rate, channels, hz in shapes:
        tone = np.repeat(sine(hz, rate, 2 * rate)[:, None], channels, axis=1)
        content += by_av(tone, rate, container, codec)
    decoded = read(content)
    assert len(decoded) / 48_000 == pytest.approx(8.0, abs=0.3)
    for number, (_, _, hz) in enumerate(shapes):
        middle = decoded[round((2 * number + 0.6) * 48_000) :][:48_000, 0]
        assert dominant_hz(middle, 48_000) == pytest.approx(hz, abs=2.0)
