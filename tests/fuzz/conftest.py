# SPDX-License-Identifier: Apache-2.0
"""Small files of every format, and a report of what the mutants did."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from tests.signal.decode.encoding import by_av, by_soundfile
from tests.signal.decode.wav_bytes import chunk, encode_samples, fmt, riff, wav
from tests.signal.sounds import channel_sines, noise

_REPORT = pytest.StashKey[list[str]]()

_BY_SOUNDFILE = [
    *[("WAV", s) for s in ("PCM_U8", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM", "GSM610")],
    *[("FLAC", "PCM_16"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"), ("OGG", "OPUS")],
    *[("MP3", "MPEG_LAYER_III"), ("AIFF", "PCM_16"), ("AIFF", "FLOAT"), ("CAF", "PCM_16")],
    *[("CAF", "ALAC_16"), ("AU", "PCM_16"), ("W64", "PCM_16"), ("RF64", "PCM_16")],
    *[("PAF", "PCM_16"), ("SVX", "PCM_16"), ("NIST", "PCM_16"), ("VOC", "PCM_16")],
    *[("MAT4", "PCM_16"), ("MAT5", "PCM_16"), ("WAVEX", "PCM_24"), ("IRCAM", "PCM_16")],
]
_BY_AV = [
    *[("adts", "aac", None), ("ipod", "aac", None), ("ipod", "alac", None)],
    *[("mp4", "aac", "mpeg4"), ("mov", "pcm_s16le", "mjpeg"), ("matroska", "aac", "mpeg4")],
    *[("matroska", "flac", None), ("webm", "libopus", "libvpx"), ("ogg", "libopus", None)],
    *[("avi", "mp2", "mpeg4"), ("mpegts", "aac", None), ("flv", "aac", None)],
    *[("mp3", "libmp3lame", None), ("wv", "wavpack", None), ("tta", "tta", None)],
    *[("ac3", "ac3", None), ("wav", "adpcm_ima_wav", None)],
]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small sound files, one of each kind."""
    folder = tmp_path_factory.mktemp("corpus")
    rate_hz = 16_000
    samples = channel_sines(rate_hz, 8_000, 2) * 0.8 + noise(16_000, level=0.02).reshape(-1, 2)
    for encoding in ("u8", "s16", "s24", "s32", "f32", "f64"):
        content = wav(samples[:2_000], rate_hz, encoding, extensible=encoding in {"s24", "f64"})
        (folder / f"{encoding}.wav").write_bytes(content)
    data = chunk(b"data", encode_samples(samples, "s16"))
    odd = riff(chunk(b"JUNK", bytes(31)), fmt(rate_hz, 2, "s16"), chunk(b"LIST", b"INFO"), data)
    (folder / "chunks.wav").write_bytes(odd)
    for container, subtype in _BY_SOUNDFILE:
        mono = samples[:, :1]  # some of these formats know no other, nor another rate
        rate = 8_000 if subtype == "GSM610" else rate_hz
        content = by_soundfile(mono, rate, container, subtype)
        (folder / f"soundfile-{container}-{subtype}").write_bytes(content)
    stereo = np.tile(samples, (3, 1))
    for container, codec, video in _BY_AV:
        content = by_av(stereo, 48_000, container, codec, video=video)
        (folder / f"av-{container}-{codec}").write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def wild_corpus(shared_audio: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The odd files from the wild that are small enough to be decoded by the thousand."""
    folder = tmp_path_factory.mktemp("wild")
    with open(shared_audio / "decode" / "clips.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        path = shared_audio / "decode" / row["file"]
        if 0 < path.stat().st_size < 100_000:
            (folder / f"{number:03}-{path.name}").write_bytes(path.read_bytes())
    assert len(os.listdir(folder)) > 30
    return folder


@pytest.fixture
def report(request: pytest.FixtureRequest) -> list[str]:
    """Lines that are printed at the end, whether tests passed or not."""
    return request.config.stash.setdefault(_REPORT, [])


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for line in config.stash.get(_REPORT, []):
        terminalreporter.write_line(line)
