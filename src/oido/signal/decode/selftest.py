# SPDX-License-Identifier: Apache-2.0
"""Does decoding work here? Each format is encoded and decoded, and the sound compared."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import soundfile

from oido.arrays import F32
from oido.signal.decode.opening import open_audio

_RATE_HZ = 48_000
_TONE_HZ = 1_000
_SOUNDFILE = {"WAV": "PCM_16", "FLAC": "PCM_24", "AIFF": "PCM_16", "OGG": "VORBIS", "MP3": None}
_PYAV = {
    "m4a": ("mp4", "aac"),
    "webm": ("webm", "libopus"),
    "mkv": ("matroska", "libopus"),
    "mp4": ("mp4", "libmp3lame"),
}


def working_formats() -> tuple[list[str], list[str]]:
    """Names of the formats that work, and of those that do not."""
    times = np.arange(_RATE_HZ) / _RATE_HZ
    tone = (0.5 * np.sin(2 * np.pi * _TONE_HZ * times)).astype(np.float32)
    working: list[str] = []
    broken: list[str] = []
    for name in [*_SOUNDFILE, *_PYAV]:
        try:
            encoded = _by_soundfile(name, tone) if name in _SOUNDFILE else _by_pyav(name, tone)
            sound = _decode(encoded)
        # Whatever a broken codec library raises means the same here.
        except Exception:
            broken.append(name)
        else:
            (working if _is_tone(sound) else broken).append(name)
    return working, broken


def _by_soundfile(name: str, tone: F32) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, tone, _RATE_HZ, format=name, subtype=_SOUNDFILE[name])
    return buffer.getvalue()


def _by_pyav(name: str, tone: F32) -> bytes:
    container_format, codec = _PYAV[name]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container_format) as container:
        stream: Any = container.add_stream(codec, rate=_RATE_HZ, layout="mono")
        samples = (tone * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = _RATE_HZ
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return buffer.getvalue()


def _decode(encoded: bytes) -> F32:
    with open_audio(encoded) as reader:
        return np.concatenate(list(reader.blocks()))[:, 0]


def _is_tone(sound: F32) -> bool:
    spectrum = np.abs(np.fft.rfft(sound))
    peak_hz = float(np.argmax(spectrum)) * _RATE_HZ / len(sound)
    return abs(len(sound) - _RATE_HZ) < 0.1 * _RATE_HZ and abs(peak_hz - _TONE_HZ) < 20
