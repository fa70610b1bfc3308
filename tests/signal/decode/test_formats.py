# SPDX-License-Identifier: Apache-2.0
"""Every common format, rate and channel count: what went in is heard again."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from oido.errors import EmptyAudioError
from oido.signal.decode import open_audio
from tests.signal.decode.encoding import by_av, by_soundfile
from tests.signal.sounds import channel_sines, dominant_hz, read_all

RATES_HZ = (4_000, 8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000)

LOSSLESS = [
    ("WAV", "PCM_16", 16),
    ("WAV", "PCM_24", 24),
    ("FLAC", "PCM_16", 16),
    ("FLAC", "PCM_24", 24),
    ("AIFF", "PCM_16", 16),
    ("AIFF", "PCM_24", 24),
    ("CAF", "PCM_16", 16),
    ("CAF", "ALAC_16", 16),
    ("AU", "PCM_16", 16),
    ("W64", "PCM_24", 24),
    ("RF64", "PCM_16", 16),
]
LOSSY = [
    ("OGG", "VORBIS", RATES_HZ),
    ("OGG", "OPUS", (8_000, 16_000, 48_000)),
    ("MP3", "MPEG_LAYER_III", (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000)),
    ("WAV", "ULAW", (8_000, 16_000)),
    ("WAV", "ALAW", (8_000,)),
    ("WAV", "IMA_ADPCM", (11_025, 44_100)),
    ("WAV", "MS_ADPCM", (22_050,)),
    ("WAV", "GSM610", (8_000,)),
    ("AIFF", "FLOAT", (44_100,)),
]
LOSSY_CASES = [(container, subtype, rate) for container, subtype, rates in LOSSY for rate in rates]

BY_FFMPEG = [
    ("adts", "aac", None),
    ("ipod", "aac", None),
    ("ipod", "alac", None),
    ("mp4", "aac", "mpeg4"),
    ("mov", "aac", "mpeg4"),
    ("mov", "pcm_s16le", "mjpeg"),
    ("3gp", "aac", None),
    ("matroska", "aac", "mpeg4"),
    ("matroska", "flac", "mjpeg"),
    ("webm", "libopus", None),
    ("webm", "libopus", "libvpx"),
    ("ogg", "libopus", None),
    ("ogg", "flac", None),
    ("mp3", "libmp3lame", None),
    ("avi", "mp2", "mpeg4"),
    ("mpegts", "aac", "mpeg4"),
    ("flv", "aac", None),
    ("wv", "wavpack", None),
    ("tta", "tta", None),
]


def assert_same_tone(decoded, rate_hz, expected, expected_rate_hz):
    """Length within an encoder's padding, 440 Hz in channel 0, at its level."""
    seconds = len(expected) / expected_rate_hz
    assert len(decoded) / rate_hz == pytest.approx(seconds, abs=max(0.05, 2_500 / rate_hz))
    middle = decoded[len(decoded) // 4 : -len(decoded) // 4, 0]
    assert dominant_hz(middle, rate_hz) == pytest.approx(440.0, abs=2.0)
    assert np.sqrt(2.0) * middle.std() == pytest.approx(0.5, rel=0.1)
    assert decoded.dtype == np.float32


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize(("container", "subtype", "bits"), LOSSLESS)
def test_lossless_is_exact_at_every_rate(tmp_path, container, subtype, bits, rate_hz, channels):
    samples = channel_sines(rate_hz, rate_hz // 10, channels)
    # Whole steps, so that no encoder has anything to round.
    samples = np.round(samples * 2.0 ** (bits - 1)) / 2.0 ** (bits - 1)
    path = tmp_path / "tone"  # no suffix: the content decides
    path.write_bytes(by_soundfile(samples, rate_hz, container, subtype))
    reader = open_audio(path)
    assert (reader.info.sample_rate_hz, reader.info.channels) == (rate_hz, channels)
    assert reader.info.duration_seconds == pytest.approx(0.1, abs=1e-3)
    np.testing.assert_array_equal(read_all(reader), samples.astype(np.float32))


@pytest.mark.parametrize(("container", "subtype", "rate_hz"), LOSSY_CASES)
def test_lossy_keeps_length_pitch_and_level(tmp_path, container, subtype, rate_hz):
    samples = channel_sines(rate_hz, rate_hz, 1)
    path = tmp_path / "tone"
    path.write_bytes(by_soundfile(samples, rate_hz, container, subtype))
    reader = open_audio(path)
    # Opus always decodes to 48 kHz, whatever went in.
    rate_heard = 48_000 if subtype == "OPUS" else rate_hz
    assert (reader.info.sample_rate_hz, reader.info.channels) == (rate_heard, 1)
    assert_same_tone(read_all(reader), rate_heard, samples, rate_hz)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
@pytest.mark.parametrize(("container", "codec", "video"), BY_FFMPEG)
def test_containers_of_sound_and_of_pictures(tmp_path, container, codec, video, rate_hz):
    rate_hz = 48_000 if codec == "libopus" else rate_hz
    samples = channel_sines(rate_hz, rate_hz, 2)
    path = tmp_path / "tone"
    path.write_bytes(by_av(samples, rate_hz, container, codec, video=video))
    reader = open_audio(path)
    assert (reader.info.sample_rate_hz, reader.info.channels) == (rate_hz, 2)
    decoded = read_all(reader)
    assert_same_tone(decoded, rate_hz, samples, rate_hz)
    levels = decoded[5_000:-5_000].std(axis=0)
    assert levels[1] / levels[0] == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 96_000])
def test_aac_at_other_rates(rate_hz):
    samples = channel_sines(rate_hz, rate_hz, 1)
    reader = open_audio(by_av(samples, rate_hz, "ipod", "aac"))
    assert reader.info.sample_rate_hz == rate_hz
    assert_same_tone(read_all(reader), rate_hz, samples, rate_hz)


@pytest.mark.parametrize("container", ["mp4", "matroska", "mov"])
def test_a_video_without_sound_says_so(tmp_path, container):
    path = tmp_path / "silent film.mp4"
    path.write_bytes(by_av(np.zeros((4_800, 1)), 48_000, container, "", video="mpeg4", audio=False))
    with pytest.raises(EmptyAudioError, match=r"silent film\.mp4: has no audio track"):
        open_audio(path)


@pytest.mark.parametrize("channels", range(1, 9))
@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_lossless_channels_stay_in_order(container, channels):
    samples = np.round(channel_sines(16_000, 1_600, channels) * 32768.0) / 32768.0
    decoded = read_all(open_audio(by_soundfile(samples, 16_000, container, "PCM_16")))
    np.testing.assert_array_equal(decoded, samples.astype(np.float32))


PRINT_LEVELS = """
import sys
import numpy as np
from oido.signal.decode import open_audio
with open_audio("-") as reader:
    decoded = np.concatenate(list(reader.blocks()))
    print(reader.info.channels, reader.info.sample_rate_hz, len(decoded))
    print(*decoded[len(decoded) // 4 : -len(decoded) // 4].std(axis=0))
"""

MANY_CHANNELS = [
    *[("soundfile OGG VORBIS", n) for n in (3, 4, 5, 6, 7, 8, 9, 12)],
    *[("soundfile OGG OPUS", n) for n in (3, 6, 8)],
    *[("av ipod aac", n) for n in (6, 7, 8)],
    *[("av webm libopus", n) for n in (6, 8)],
    *[("av matroska flac", n) for n in (6, 8)],
    *[("av mov pcm_s16le", n) for n in (6, 8)],
]


@pytest.mark.parametrize(("how", "channels"), MANY_CHANNELS)
def test_many_channels_of_compressed_audio(how, channels):
    """In a child process: a decoder that miscounts channels takes its process with it.

    Codecs put channels in their own order and narrow the low-frequency one, so each level that
    went in must come out, wherever it is.
    """
    library, container, codec = how.split()
    make = by_soundfile if library == "soundfile" else by_av
    content = make(channel_sines(48_000, 24_000, channels), 48_000, container, codec)
    result = subprocess.run(
        [sys.executable, "-c", PRINT_LEVELS],
        input=content,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, f"exit code {result.returncode}: {result.stderr.decode()[-500:]}"
    shape, levels = result.stdout.decode().splitlines()
    assert [int(v) for v in shape.split()[:2]] == [channels, 48_000]
    assert abs(int(shape.split()[2]) - 24_000) < 2_500
    heard = sorted((float(v) * np.sqrt(8.0) for v in levels.split()), reverse=True)
    sent = 1.0 / (1.0 + np.arange(channels))
    # At most one channel, the low-frequency one, may have lost its tone.
    kept = [any(abs(h - s) < 0.05 * s + 0.005 for h in heard) for s in sent]
    assert sum(kept) >= channels - (channels >= 6), (heard, list(sent))
