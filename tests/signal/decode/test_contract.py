# SPDX-License-Identifier: Apache-2.0
"""What every AudioReader promises, asked of all of them."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from oido.errors import AudioError, EmptyAudioError, UnknownFormatError
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.decode.pyav_reader import PyAvReader
from oido.signal.decode.readers import ArrayReader, block_frames
from oido.signal.decode.soundfile_reader import SoundFileReader
from tests.signal.decode.wav_bytes import riff, wav
from tests.signal.sounds import channel_sines, read_all

RATE = 16_000

Make = Callable[[NDArray[Any], Path], AudioReader]


def _by_path(reader: type[Any]) -> Make:
    def make(samples: NDArray[Any], folder: Path) -> AudioReader:
        path = folder / "tone.wav"
        path.write_bytes(wav(samples, RATE))
        return reader(str(path), "the tone")

    return make


def _by_file_object(reader: type[Any]) -> Make:
    return lambda samples, _: reader(io.BytesIO(wav(samples, RATE)), "the tone")


READERS: dict[str, Make] = {
    "soundfile, path": _by_path(SoundFileReader),
    "soundfile, file object": _by_file_object(SoundFileReader),
    "pyav, path": _by_path(PyAvReader),
    "pyav, file object": _by_file_object(PyAvReader),
    "array": lambda samples, _: ArrayReader((samples * 32768).astype(np.int16), RATE),
}


@pytest.fixture(params=READERS)
def make(request: pytest.FixtureRequest) -> Make:
    return READERS[request.param]


def whole_steps(n_samples: int, channels: int) -> NDArray[np.float64]:
    return np.round(channel_sines(RATE, n_samples, channels) * 32768.0) / 32768.0


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_info_is_true_before_anything_is_read(make, tmp_path, channels):
    with make(whole_steps(5_000, channels), tmp_path) as reader:
        info = reader.info
        assert isinstance(info, AudioInfo)
        assert (info.sample_rate_hz, info.channels, info.frames) == (RATE, channels, 5_000)
        assert info.duration_seconds == 5_000 / RATE
        assert info.name in {"the tone", "<array>"}
        assert info.decoder in {"soundfile", "pyav", "array"}
        assert reader.damaged_packets == 0


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("n_samples", [1, 255, 4_097, 300_001])
def test_blocks_are_the_recording_in_order(make, tmp_path, n_samples, channels):
    samples = whole_steps(n_samples, channels)
    with make(samples, tmp_path) as reader:
        blocks = list(reader.blocks())
        assert reader.damaged_packets == 0
    for block in blocks:
        assert block.dtype == np.float32
        assert block.ndim == 2
        assert block.shape[1] == channels
        assert 0 < len(block) <= block_frames(channels) + 4_096
    np.testing.assert_array_equal(np.concatenate(blocks), samples.astype(np.float32))


def test_a_block_given_stays_as_it_is(make, tmp_path):
    """A reader may not reuse the memory of a block that it handed over."""
    with make(whole_steps(300_001, 2), tmp_path) as reader:
        kept = [(block, block.copy()) for block in reader.blocks()]
    assert len(kept) > 1
    for block, copy in kept:
        np.testing.assert_array_equal(block, copy)


def test_reading_may_stop_halfway(make, tmp_path):
    with make(whole_steps(300_001, 2), tmp_path) as reader:
        assert len(next(iter(reader.blocks()))) > 0


def test_with_gives_the_reader_and_close_may_be_called_again(make, tmp_path):
    reader = make(whole_steps(5_000, 1), tmp_path)
    with reader as inside:
        assert inside is reader
    reader.close()
    reader.close()


def test_an_error_inside_with_comes_through(make, tmp_path):
    with pytest.raises(KeyError), make(whole_steps(5_000, 1), tmp_path):
        raise KeyError("from the caller")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts /proc/self/fd")
@pytest.mark.parametrize("reader", [SoundFileReader, PyAvReader])
def test_no_file_stays_open(reader, tmp_path):
    good, empty, bad = tmp_path / "good", tmp_path / "empty", tmp_path / "bad"
    good.write_bytes(wav(whole_steps(5_000, 1), RATE))
    empty.write_bytes(wav(whole_steps(0, 1), RATE))
    bad.write_bytes(b"no audio at all " * 100)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        read_all(reader(str(good), "good"))
        for path in (empty, bad):
            with pytest.raises(AudioError):
                reader(str(path), "no good")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("reader", [SoundFileReader, PyAvReader])
@pytest.mark.parametrize(
    "content", [b"x", b"just some text, no audio\n" * 50, bytes(4_096), b"\x89PNG\r\n\x1a\n" * 9]
)
def test_what_is_no_audio_is_refused_by_name(reader, content):
    with pytest.raises((UnknownFormatError, EmptyAudioError), match="my file: "):
        reader(io.BytesIO(content), "my file")


@pytest.mark.parametrize("reader", [SoundFileReader, PyAvReader])
def test_a_header_alone_is_refused_when_it_is_opened(reader):
    """So that the other decoder can be asked before anything was given out."""
    with pytest.raises(AudioError, match="my file: "):
        reader(io.BytesIO(wav(whole_steps(0, 1), RATE)), "my file")
    with pytest.raises(AudioError, match="my file: "):
        reader(io.BytesIO(riff()), "my file")


class FailsHalfway(io.BytesIO):
    """A file on a disk that goes away."""

    def _check(self) -> None:
        if self.tell() > len(self.getbuffer()) // 2:
            raise OSError("the disk is gone")

    def read(self, size=-1):
        self._check()
        return super().read(size)

    def readinto(self, buffer):
        self._check()
        return super().readinto(buffer)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("reader", [SoundFileReader, PyAvReader])
def test_a_file_that_fails_halfway_is_not_taken_for_a_shorter_one(reader):
    with pytest.raises(AudioError, match="my file: "):
        read_all(reader(FailsHalfway(wav(whole_steps(2_000_000, 1), RATE)), "my file"))
