# SPDX-License-Identifier: Apache-2.0
"""libsndfile: lengths that headers do not know, and damage in the middle of a file."""

from __future__ import annotations

import contextlib
import io
import tracemalloc

import numpy as np
import pytest

from oido.errors import CorruptAudioError, EmptyAudioError, UnknownFormatError
from oido.signal.decode import open_audio
from oido.signal.decode.soundfile_reader import SoundFileReader, _Watched
from tests.signal.decode.encoding import by_soundfile
from tests.signal.decode.wav_bytes import wav
from tests.signal.sounds import channel_sines, noise, read_all

RATE = 16_000
NOISE = np.round(noise(100_000).astype(np.float64)[:, None] * 32768.0) / 32768.0


def test_the_format_is_told_in_libsndfiles_words():
    reader = SoundFileReader(io.BytesIO(wav(NOISE, RATE, "s24")), "tone")
    assert reader.info == ("tone", RATE, 1, 100_000, "WAV PCM_24", "soundfile")


@pytest.mark.parametrize("n_samples", [1_000, 100_000, 500_000])
def test_a_flac_stream_without_a_length_is_heard_whole(n_samples):
    """STREAMINFO may say 0 samples: "unknown", as encoders write into a pipe."""
    samples = np.resize(NOISE, (n_samples, 1))
    content = bytearray(by_soundfile(samples, RATE, "FLAC", "PCM_16"))
    content[21] &= 0xF0  # the 36-bit count of samples: half of byte 21, and bytes 22 to 25
    content[22:26] = bytes(4)
    decoded = read_all(open_audio(bytes(content)))
    np.testing.assert_array_equal(decoded, samples.astype(np.float32))


@pytest.mark.parametrize("position", [0.3, 0.5, 0.9])
def test_a_damaged_flac_frame_is_never_taken_for_sound(position):
    """What comes before is exact; then an error, or what the decoder finds after the damage."""
    samples = np.resize(NOISE, (400_000, 1))
    content = bytearray(by_soundfile(samples, RATE, "FLAC", "PCM_16"))
    start = int(len(content) * position)
    content[start : start + 3_000] = bytes(3_000)
    heard = [np.zeros((0, 1), np.float32)]
    with (
        contextlib.suppress(CorruptAudioError),
        SoundFileReader(io.BytesIO(bytes(content)), "tone") as reader,
    ):
        heard.extend(reader.blocks())
    total = np.concatenate(heard)
    sound = int(400_000 * position) - 10_000
    assert len(total) <= 400_000
    np.testing.assert_array_equal(total[:sound], samples[: len(total)][:sound].astype(np.float32))


def test_a_length_that_the_file_does_not_have_costs_no_memory():
    """The header promises four gigabytes; there are three hundred samples."""
    content = wav(NOISE[:300], RATE)
    content = content[:40] + (0xFFFFFF00).to_bytes(4, "little") + content[44:]
    tracemalloc.start()
    decoded = read_all(SoundFileReader(io.BytesIO(content), "tone"))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(decoded) == 300
    assert peak_bytes < 16 << 20


def test_blocks_are_of_even_size_whatever_the_channels():
    for channels in (1, 8, 64):
        content = wav(channel_sines(RATE, 60_000, channels), RATE, "s16", extensible=True)
        with SoundFileReader(io.BytesIO(content), "tone") as reader:
            assert max(block.nbytes for block in reader.blocks()) <= 1 << 20


def test_no_samples_and_no_audio_are_different_errors():
    with pytest.raises(EmptyAudioError, match="tone: holds no audio samples"):
        SoundFileReader(io.BytesIO(wav(NOISE[:0], RATE)), "tone")
    with pytest.raises(UnknownFormatError, match="tone: not a format"):
        SoundFileReader(io.BytesIO(b"words " * 100), "tone")
    with pytest.raises(UnknownFormatError, match="tone: "):
        SoundFileReader("/no/such/file.wav", "tone")


def test_a_damaged_header_that_seeks_before_the_file_prints_nothing(capfd):
    """Python's errors inside libsndfile's callbacks would go to the terminal."""
    file = _Watched(io.BytesIO(b"0123456789"))
    assert file.seek(4) == 4
    assert file.seek(-1) == 4
    assert file.read(2) == b"45"
    assert capfd.readouterr().err == ""
