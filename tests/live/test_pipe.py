# SPDX-License-Identifier: Apache-2.0
"""Raw samples and containers on a pipe: the same samples as a file gives, as soon as they come."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from oido.errors import AudioError, EmptyAudioError, OptionError
from oido.live.pipe import ContainerReader, PcmReader
from oido.live.source import SourceGap
from oido.signal.decode import open_audio

STREET = Path(__file__).parents[2] / "examples" / "street.flac"


class Dribble(io.RawIOBase):
    """A pipe that brings a few bytes at a time."""

    def __init__(self, content: bytes, step: int) -> None:
        self._file, self._step = io.BytesIO(content), step

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self._file.readinto(buffer[: self._step])


def heard(reader: PcmReader | ContainerReader) -> np.ndarray:
    with reader:
        return np.concatenate(list(reader.blocks()))


@pytest.mark.parametrize("step", [1, 7, 4096])
@pytest.mark.parametrize(("encoding", "kind"), [("s16le", "<i2"), ("f32le", "<f4")])
@pytest.mark.parametrize("channels", [1, 3])
def test_raw_samples_however_they_are_cut(
    step: int, encoding: str, kind: str, channels: int
) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (501, channels))
    wire = noise.astype(kind) if kind == "<f4" else (noise * 32767).astype(kind)
    pipe = io.BufferedReader(Dribble(wire.tobytes() + b"!", step))
    reader = PcmReader(pipe, 8_000, encoding, channels)
    expected = wire if kind == "<f4" else wire.astype(np.float32) / 32768
    assert np.array_equal(heard(reader), expected)
    assert reader.damaged_packets == 1  # the byte that is no frame
    assert (reader.info.sample_rate_hz, reader.info.channels) == (8_000, channels)


@pytest.mark.parametrize(("rate", "encoding", "channels"), [(0, "s16le", 1), (8_000, "u8", 1)])
def test_what_raw_samples_cannot_be(rate: int, encoding: str, channels: int) -> None:
    with pytest.raises(OptionError):
        PcmReader(io.BytesIO(), rate, encoding, channels)
    with pytest.raises(OptionError):
        PcmReader(io.BytesIO(), 8_000, "s16le", 0)


def encoded(suffix: str) -> bytes:
    """The first seconds of the street as a container."""
    samples, rate = soundfile.read(STREET, frames=5 * 16_000, dtype="int16")
    codec = {"matroska": "flac", "ogg": "libopus", "mp3": "libmp3lame", "mpegts": "aac"}
    file = io.BytesIO()
    with av.open(file, "w", format=suffix) as container:
        stream = container.add_stream(codec.get(suffix, "pcm_s16le"), rate=rate, layout="mono")
        for start in range(0, len(samples), 1_600):
            frame = av.AudioFrame.from_ndarray(
                samples[None, start : start + 1_600], format="s16", layout="mono"
            )
            frame.sample_rate = rate
            frame.pts = start
            container.mux(stream.encode(frame))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]
    return file.getvalue()


@pytest.mark.parametrize("suffix", ["wav", "matroska", "ogg", "mp3", "mpegts"])
def test_containers_on_a_pipe_are_what_files_are(suffix: str) -> None:
    content = encoded(suffix)
    with open_audio(content) as reader:
        expected = np.concatenate(list(reader.blocks()))
        rate = reader.info.sample_rate_hz
    pipe = io.BufferedReader(Dribble(content, 3_000))
    live = ContainerReader(pipe)
    assert live.info.sample_rate_hz == rate
    got = heard(live)
    assert abs(len(got) - len(expected)) <= 2_400  # MPEG's decoders differ in their first frame
    n = min(len(got), len(expected))
    assert np.allclose(got[:n], expected[:n], atol=2e-4)


def test_samples_come_while_the_pipe_is_still_open() -> None:
    content = encoded("ogg")
    read, write = os.pipe()
    blocks: list[int] = []
    came = threading.Event()
    sent = threading.Event()

    def listen() -> None:
        with open(read, "rb") as pipe, ContainerReader(pipe) as reader:
            for block in reader.blocks():
                blocks.append(len(block))
                if sum(blocks) > 2 * 48_000:
                    came.set()
                    sent.wait(20)

    thread = threading.Thread(target=listen)
    thread.start()
    with open(write, "wb") as pipe:
        pipe.write(content[: len(content) * 3 // 4])
        pipe.flush()
        assert came.wait(20), "nothing was heard before the pipe was closed"
        sent.set()
        pipe.write(content[len(content) * 3 // 4 :])
    thread.join(20)
    assert sum(blocks) == pytest.approx(5 * 48_000, abs=2_000)
    assert max(blocks) <= 5_760  # one packet at a time


def test_what_the_containers_clock_leaves_out_is_silence() -> None:
    file = io.BytesIO()
    tone = (np.sin(np.arange(8_000) * 0.2) * 9_000).astype(np.int16)[None]
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream("pcm_s16le", rate=8_000, layout="mono")
        for pts in (0, 8_000, 28_000):
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8_000, pts
            container.mux(stream.encode(frame))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]
    told: list[SourceGap] = []
    pipe = io.BufferedReader(Dribble(file.getvalue(), 999))
    samples = heard(ContainerReader(pipe, on_gap=told.append))[:, 0]
    assert len(samples) == pytest.approx(36_000, abs=16)
    assert not samples[16_010:27_990].any()
    assert samples[28_010:].any()
    assert [(round(g.start_time, 2), round(g.seconds, 2)) for g in told] == [(2.0, 1.5)]


@pytest.mark.parametrize("content", [b"", b"hello, this is no sound", b"RIFF" + bytes(100)])
def test_what_is_no_sound_is_told(content: bytes) -> None:
    with pytest.raises(AudioError, match="<stdin>"):
        ContainerReader(io.BufferedReader(Dribble(content, 10)))


def test_a_pipe_on_which_nothing_comes_is_empty() -> None:
    with pytest.raises(EmptyAudioError, match="is empty"):
        ContainerReader(io.BufferedReader(Dribble(b"", 10)))


def test_a_playlist_on_the_pipe_opens_nothing(tmp_path: Path) -> None:
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{STREET}\n#EXT-X-ENDLIST\n"
    with pytest.raises(AudioError):
        heard(ContainerReader(io.BufferedReader(Dribble(playlist.encode(), 999))))
