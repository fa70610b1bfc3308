# SPDX-License-Identifier: Apache-2.0
"""Every kind of source, every name, and the choice of the decoder by content."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from oido.errors import (
    AudioError,
    AudioNotFoundError,
    EmptyAudioError,
    InvalidSamplesError,
    UnknownFormatError,
)
from oido.signal.decode import open_audio, source_name
from tests.signal.decode.encoding import by_av, by_soundfile
from tests.signal.decode.wav_bytes import wav
from tests.signal.sounds import channel_sines, dominant_hz, read_all

RATE = 16_000
SAMPLES = np.round(channel_sines(RATE, 3_200, 2) * 32768.0) / 32768.0
WAV = wav(SAMPLES, RATE)
FLAC = by_soundfile(SAMPLES, RATE, "FLAC", "PCM_16")
MKV = by_av(SAMPLES, RATE, "matroska", "flac")
CONTENTS = pytest.mark.parametrize("content", [WAV, FLAC, MKV], ids=["wav", "flac", "mkv"])

NAMES = [
    "plain.wav",
    "with some spaces.wav",
    "  leading and trailing  ",
    "no suffix",
    "wrong suffix.mp3",
    "录音 第一.flac",
    "été à Málaga, ¡oído!.wav",
    "🎧🐕.wav",
    "per%cent %s {brace}.wav",
    "http:colon.wav",
    "-dash.wav",
    "quote'\".wav",
    "x" * 200 + ".wav",
]


class Pipe(io.RawIOBase):
    """What a pipe or a web answer is: it can be read once, forward, and in small pieces."""

    def __init__(self, content: bytes, piece: int = 1_000) -> None:
        self._content, self._piece = io.BytesIO(content), piece

    def readable(self):
        return True

    def seekable(self):
        return False

    def readinto(self, buffer):
        return self._content.readinto(memoryview(buffer)[: self._piece])

    def seek(self, *_):
        raise OSError("a pipe cannot seek")

    tell = seek


class ReadOnly:
    """The least that a file object can be."""

    def __init__(self, content: bytes) -> None:
        self._content = io.BytesIO(content)

    def read(self, size=-1):
        return self._content.read(size)


def assert_heard(reader):
    assert reader.info.sample_rate_hz == RATE
    np.testing.assert_array_equal(read_all(reader), SAMPLES.astype(np.float32))


@CONTENTS
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes(content, kind):
    reader = open_audio(kind(content))
    assert reader.info.name == "<bytes>"
    assert_heard(reader)


@CONTENTS
def test_a_file_in_memory(content):
    assert_heard(open_audio(io.BytesIO(content)))


@CONTENTS
def test_a_file_object_is_read_from_where_it_stands(content):
    file = io.BytesIO(b"something before" + content)
    file.seek(16)
    assert_heard(open_audio(file))


@CONTENTS
@pytest.mark.parametrize("buffering", [0, -1])
def test_an_open_file(tmp_path, content, buffering):
    path = tmp_path / "tone"
    path.write_bytes(content)
    with open(path, "rb", buffering) as file:
        reader = open_audio(file)
        assert reader.info.name == str(path)
        assert_heard(reader)


@CONTENTS
def test_the_callers_file_stays_open(tmp_path, content):
    file = io.BytesIO(content)
    assert_heard(open_audio(file))
    assert not file.closed


@CONTENTS
@pytest.mark.parametrize("make", [Pipe, ReadOnly, lambda c: io.BufferedReader(Pipe(c))])
def test_a_stream_that_cannot_seek(content, make):
    assert_heard(open_audio(make(content)))


@CONTENTS
def test_dash_is_standard_input(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Pipe(content)))
    reader = open_audio("-")
    assert reader.info.name == "<stdin>"
    assert_heard(reader)


@CONTENTS
@pytest.mark.parametrize("how", ["pipe", "redirect"])
def test_dash_in_a_real_pipeline(tmp_path, content, how):
    (tmp_path / "tone").write_bytes(content)
    program = (
        "from oido.signal.decode import open_audio\n"
        "with open_audio('-') as r: print(r.info.name, sum(len(b) for b in r.blocks()))"
    )
    with open(tmp_path / "tone", "rb") as file:
        stdin = {"input": content} if how == "pipe" else {"stdin": file}
        output = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, timeout=60, check=True, **stdin
        )
    assert output.stdout.split() == [b"<stdin>", b"3200"]


@pytest.mark.parametrize("content", [b"", b"\n", b"no audio"])
def test_standard_input_without_audio(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=Pipe(content)))
    with pytest.raises(AudioError, match="<stdin>"):
        open_audio("-")


@CONTENTS
@pytest.mark.parametrize("kind", [str, lambda p: p], ids=["str", "Path"])
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_and_spellings_do_not_matter(tmp_path, name, kind, content):
    path = tmp_path / name
    path.write_bytes(content)
    reader = open_audio(kind(path))
    assert reader.info.name == str(path)
    assert_heard(reader)


@CONTENTS
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_relative_to_the_folder(tmp_path, monkeypatch, name, content):
    """A relative name must not be taken for an address or an option."""
    (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    assert_heard(open_audio(name))


@pytest.mark.skipif(os.name == "nt", reason="Windows file names are text")
def test_a_name_that_is_no_utf8(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.wav")
    try:
        with open(path, "wb") as file:
            file.write(WAV)
    except OSError:
        pytest.skip("this file system wants UTF-8 names")
    assert_heard(open_audio(os.fsdecode(path)))
    with open(path, "wb") as file:
        file.write(MKV)
    assert_heard(open_audio(os.fsdecode(path)))


@pytest.mark.parametrize("name", ["missing.wav", "录音.wav", "no/such/folder.wav"])
def test_a_missing_file(tmp_path, name):
    with pytest.raises(AudioNotFoundError, match=r"(missing|录音|folder)\.wav: no such file"):
        open_audio(tmp_path / name)


def test_a_folder(tmp_path):
    with pytest.raises(AudioNotFoundError, match="folder"):
        open_audio(tmp_path)


@pytest.mark.parametrize("path", ["", "nul\0byte.wav", "x" * 5_000])
def test_impossible_paths(path):
    with pytest.raises(AudioError):
        open_audio(path)


@pytest.fixture
def anyone() -> Iterator[Path]:
    """A folder, while this process may read no more than anyone, also where it is root's."""
    assert_heard(open_audio(io.BytesIO(WAV)))  # what decodes it is imported with all rights
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(_NOBODY)
        try:
            yield Path(name)
        finally:
            if is_root:
                os.seteuid(0)


_NOBODY = 65_534


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX modes")
def test_a_file_without_permission(anyone):
    path = anyone / "private.wav"
    path.write_bytes(WAV)
    assert_heard(open_audio(path))
    path.chmod(0)
    with pytest.raises(AudioNotFoundError, match=r"private\.wav: cannot be read \(Permission"):
        open_audio(path)


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX modes")
def test_a_folder_without_permission_is_no_wrong_name(anyone):
    path = anyone / "locked"
    path.mkdir()
    with pytest.raises(AudioNotFoundError, match=r"locked: is a folder, not a recording"):
        open_audio(path)
    path.chmod(0)
    with pytest.raises(AudioNotFoundError, match=r"locked: cannot be read \(Permission"):
        open_audio(path)
    path.chmod(0o700)


def test_empty_content(tmp_path):
    (tmp_path / "nothing.wav").touch()
    with pytest.raises(EmptyAudioError, match=r"nothing\.wav: is empty"):
        open_audio(tmp_path / "nothing.wav")
    for source in (b"", io.BytesIO(), Pipe(b"")):
        with pytest.raises(EmptyAudioError, match="is empty"):
            open_audio(source)


@pytest.mark.parametrize(
    "content",
    [b"x", b"RIFF", b"\xff", b"\xff\xfb", b"ID3", b"OggS", b"fLaC", bytes(100), b"#!/bin/sh\n" * 9],
)
def test_no_audio_names_the_file(tmp_path, content):
    path = tmp_path / "strange.wav"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=r"strange\.wav: \w"):
        read_all(open_audio(path))


@pytest.mark.parametrize("text", [io.StringIO("text"), io.TextIOWrapper(io.BytesIO(WAV))])
def test_a_text_file_object_is_told_to_be_binary(text):
    with pytest.raises(InvalidSamplesError, match="binary"):
        open_audio(text)


@pytest.mark.parametrize("source", [None, 7, 0.5, object(), {"file": 1}, {1.0}])
def test_what_is_no_source(source):
    with pytest.raises(AudioError):
        open_audio(source)


@pytest.mark.parametrize("source", [WAV, io.BytesIO(WAV), "some.wav", "-"])
def test_a_rate_for_a_file_is_refused(source):
    with pytest.raises(InvalidSamplesError, match="sample_rate is only for arrays"):
        open_audio(source, 16_000)


def test_source_names():
    assert source_name("-") == "<stdin>"
    assert source_name(b"") == "<bytes>"
    assert source_name(np.zeros(1)) == "<array>"
    assert source_name(io.BytesIO()) == "<file>"


@pytest.mark.parametrize("codec", ["libmp3lame", "ac3", "aac"])
def test_the_second_decoder_takes_what_the_first_cannot(codec):
    """A WAV is libsndfile's, but one that holds AC-3 or AAC is not."""
    content = by_av(channel_sines(48_000, 48_000, 2), 48_000, "wav", codec)
    assert content.startswith(b"RIFF")
    reader = open_audio(content)
    decoded = read_all(reader)
    assert reader.info.sample_rate_hz == 48_000
    assert dominant_hz(decoded[10_000:40_000, 0], 48_000) == pytest.approx(440.0, abs=2.0)


@pytest.mark.parametrize(
    ("container", "subtype"), [("PAF", "PCM_16"), ("MAT4", "PCM_16"), ("PVF", "PCM_16")]
)
def test_libsndfile_takes_what_ffmpeg_does_not_know(container, subtype):
    reader = open_audio(by_soundfile(SAMPLES, RATE, container, subtype))
    assert_heard(reader)


def test_when_no_decoder_can_the_cause_is_kept():
    with pytest.raises(UnknownFormatError, match="not a format that oido can decode") as caught:
        open_audio(b"no audio here, only words " * 40)
    assert caught.value.__cause__ is not None


MP4 = by_av(channel_sines(48_000, 96_000, 1), 48_000, "ipod", "aac")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (MP4[: MP4.index(b"moov") - 4], r"index \(moov\) is missing"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html><title>404</title></html>", "is a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is a web page"),
        (bytes(200_000), "nothing but zeros"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
    ],
    ids=["unfinished", "page", "xml", "zeros", "pointer"],
)
@pytest.mark.parametrize("ending", ["wav", "mp3", "m4a"])
def test_what_is_no_recording_is_told_apart(tmp_path, capfd, content, said, ending):
    path = tmp_path / f"strange.{ending}"
    path.write_bytes(content)
    with pytest.raises(AudioError, match=said) as raised:
        open_audio(path)
    assert "\n" not in str(raised.value)
    with pytest.raises(AudioError, match=said):
        open_audio(io.BytesIO(content))
    assert capfd.readouterr().err == ""  # libsndfile's library for MP3 writes there
