# SPDX-License-Identifier: Apache-2.0
"""A container as it comes: the samples of the file, what its clock leaves out, and its end."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from oido.errors import AudioError, CorruptAudioError, EmptyAudioError, UnknownFormatError
from oido.signal.decode import open_audio
from oido.signal.decode.pyav_stream import Demuxer
from tests.signal.decode.encoding import by_av, by_soundfile
from tests.signal.sounds import channel_sines, noise

RATE = 16_000


class Pipe(io.RawIOBase):
    """Bytes that come once: it cannot seek, and gives what it has, a little at a time."""

    def __init__(self, content: bytes, breaks_with: Exception | None = None) -> None:
        self._content, self._at, self._error = content, 0, breaks_with

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        piece = self._content[self._at : self._at + min(size, 1_000)]
        self._at += len(piece)
        if not piece and self._error is not None:
            raise self._error
        return piece


def opened(content: bytes, **options: Any) -> Demuxer:
    return Demuxer(Pipe(content), "my stream", options={}, **options)  # type: ignore[arg-type]


def samples_of(demuxer: Demuxer) -> NDArray[np.float32]:
    return np.concatenate([block.samples for block in demuxer.blocks()])


@pytest.mark.parametrize(("container", "codec"), [("matroska", "flac"), ("ogg", "flac")])
def test_samples_are_those_of_the_file(container: str, codec: str) -> None:
    sound = channel_sines(RATE, RATE * 2, 2)
    content = by_av(sound, RATE, container, codec)
    demuxer = opened(content)
    assert (demuxer.rate_hz, demuxer.channels, demuxer.damaged_packets) == (RATE, 2, 0)
    assert demuxer.format.endswith(codec)
    with open_audio(content) as reader:
        expected = np.concatenate(list(reader.blocks()))
    np.testing.assert_array_equal(samples_of(demuxer), expected)
    demuxer.close()


def test_a_picture_beside_the_sound_is_passed_over() -> None:
    content = by_av(channel_sines(RATE, RATE, 1), RATE, "matroska", "flac", video="mjpeg")
    assert len(samples_of(opened(content))) == RATE


def with_gap(seconds: float) -> bytes:
    """A second of tone, a stretch that its clock leaves out, and another second."""
    file = io.BytesIO()
    tone = (np.sin(np.arange(RATE) * 0.2) * 9_000).astype(np.int16)[None]
    with av.open(file, "w", format="matroska") as container:
        stream: Any = container.add_stream("flac", rate=RATE)
        stream.layout = "mono"
        for start in (0, RATE + int(seconds * RATE)):
            frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(("seconds", "told"), [(0.05, 0.05), (2.5, 2.5), (4_000.0, 0.0)])
def test_what_the_clock_leaves_out_is_told_before_its_samples(seconds: float, told: float) -> None:
    """A jump of hours is no loss."""
    blocks = list(opened(with_gap(seconds)).blocks())
    assert sum(len(block.samples) for block in blocks) == 2 * RATE
    assert sum(block.missing for block in blocks) == pytest.approx(told, abs=0.002)
    if told:
        before = [block.missing > 0 for block in blocks].index(True)
        heard = sum(len(block.samples) for block in blocks[:before])
        assert heard == pytest.approx(RATE, abs=4_700)


def test_a_source_that_is_opened_again_keeps_its_rate_and_channels() -> None:
    first = opened(by_av(channel_sines(RATE, RATE, 2), RATE, "matroska", "flac"))
    other = by_av(channel_sines(48_000, 48_000, 1), 48_000, "matroska", "flac")
    again = opened(other, like=first)
    assert (again.rate_hz, again.channels) == (RATE, 2)
    found = samples_of(again)
    assert found.shape[1] == 2
    assert len(found) == pytest.approx(RATE, abs=200)


def test_a_stream_that_is_cut_off_gives_what_came() -> None:
    content = by_av(noise(RATE * 4)[:, None].astype(float), RATE, "ogg", "flac")
    demuxer = opened(content[: len(content) // 2])
    lengths: list[int] = []
    with contextlib.suppress(CorruptAudioError):  # an end is right, too
        lengths.extend(len(block.samples) for block in demuxer.blocks())
    assert RATE < sum(lengths) < RATE * 3


def test_a_source_that_breaks_is_told_after_its_samples() -> None:
    content = by_av(noise(RATE * 4)[:, None].astype(float), RATE, "ogg", "flac")
    broken = Pipe(content[: len(content) * 3 // 4], ConnectionResetError("unplugged"))
    demuxer = Demuxer(broken, "my stream", options={})  # type: ignore[arg-type]
    lengths: list[int] = []
    with pytest.raises(CorruptAudioError, match="my stream: broke off"):
        lengths.extend(len(block.samples) for block in demuxer.blocks())
    assert sum(lengths) > RATE


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", UnknownFormatError),
        (b"no sound at all, whatever anybody says" * 50, AudioError),
        (by_av(np.zeros((100, 1)), RATE, "matroska", "flac", video="mjpeg", audio=False),
         EmptyAudioError),
    ],
    ids=["empty", "text", "picture"],
)  # fmt: skip
def test_what_is_no_sound_is_one_sentence(content: bytes, kind: type[AudioError]) -> None:
    with pytest.raises(kind) as raised:
        opened(content)
    assert str(raised.value).startswith("my stream: ")
    assert "\n" not in str(raised.value)


def test_the_length_is_known_where_the_header_promises_it() -> None:
    wav = by_soundfile(noise(RATE * 3).astype(float), RATE, "WAV", "PCM_16")
    demuxer = Demuxer(io.BytesIO(wav), "my stream", options={})
    assert demuxer.seconds == pytest.approx(3.0)
    assert demuxer.container == "wav"
