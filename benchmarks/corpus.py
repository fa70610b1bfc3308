# SPDX-License-Identifier: Apache-2.0
"""The benchmark's recordings, made once below a cache folder: the same sound in every format.

From the real clips of ESC-10 where they are (`--clips`, else ../shared/audio, see its README), else
from examples/street.flac repeated; the report says which.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
MINUTE_SECONDS = 60


class Corpus(NamedTuple):
    """Where the recordings are, and what they were made from."""

    source: str
    minute: dict[str, Path]
    """One minute of sound by format: wav16 (16 kHz mono), flac44, mp3, m4a (44.1 kHz stereo)."""
    clip_10s: Path
    long: dict[int, Path]
    """16 kHz mono WAV of so many minutes."""


def make_corpus(folder: Path, clips: Path, long_minutes: tuple[int, ...]) -> Corpus:
    """Make whatever is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    found = sorted(clips.glob("esc10/audio/*.ogg"))[:60]
    found = found or [ROOT / "examples" / "street.flac"] * 4
    source = f"{len(found)} clips of ESC-10" if len(found) > 4 else "examples/street.flac"
    minute = {
        "wav16": folder / "minute-16k-mono.wav",
        "flac44": folder / "minute-44k-stereo.flac",
        "mp3": folder / "minute-44k-stereo.mp3",
        "m4a": folder / "minute-44k-stereo.m4a",
    }
    clip = folder / "clip-10s.wav"
    long = {minutes: folder / f"long-{minutes}min.wav" for minutes in long_minutes}
    if all(path.exists() for path in [*minute.values(), clip, *long.values()]):
        return Corpus(source, minute, clip, long)
    stereo = _stereo_minute(found)
    mono = soxr.resample(stereo.mean(1), 44_100, 16_000).astype(np.float32)
    soundfile.write(minute["wav16"], mono, 16_000, subtype="PCM_16")
    soundfile.write(clip, mono[: 16_000 * 10], 16_000, subtype="PCM_16")
    soundfile.write(minute["flac44"], stereo, 44_100, subtype="PCM_16")
    _encode(minute["mp3"], "mp3", "libmp3lame", stereo)
    _encode(minute["m4a"], "mp4", "aac", stereo)
    for minutes, path in long.items():
        with soundfile.SoundFile(path, "w", 16_000, 1, subtype="PCM_16", format="RF64") as file:
            for _ in range(minutes):
                file.write(mono)
    return Corpus(source, minute, clip, long)


def _stereo_minute(paths: list[Path]) -> NDArray[np.float32]:
    """f32[n, 2] at 44.1 kHz: one clip after the other, and on the right another order of them."""
    left = _minute(iter(paths))
    right = _minute(iter(reversed(paths)))
    return np.stack([0.7 * left + 0.3 * right, 0.3 * left + 0.7 * right], 1).astype(np.float32)


def _minute(paths: Iterator[Path]) -> NDArray[np.float32]:
    pieces: list[NDArray[np.float32]] = []
    wanted = MINUTE_SECONDS * 44_100
    for path in paths:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
        pieces.append(soxr.resample(samples.mean(1), rate, 44_100))
        if sum(map(len, pieces)) >= wanted:
            break
    whole = np.concatenate(pieces)
    return np.resize(whole, wanted).astype(np.float32)


def _encode(path: Path, container: str, codec: str, stereo: NDArray[np.float32]) -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=44_100, layout="stereo")
        stream.bit_rate = 128_000
        samples = (np.clip(stereo, -1, 1) * 32_767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = 44_100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    path.write_bytes(buffer.getvalue())
