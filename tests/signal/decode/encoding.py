# SPDX-License-Identifier: Apache-2.0
"""Encoded files of known signals, with and without a picture beside the sound."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

__all__ = ["by_av", "by_soundfile"]

_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


def by_soundfile(
    samples: NDArray[Any], rate_hz: int, container: str, subtype: str | None = None
) -> bytes:
    """f64[n, channels] as a file of libsndfile's."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format=container, subtype=subtype)
    return buffer.getvalue()


def by_av(
    samples: NDArray[Any],
    rate_hz: int,
    container: str,
    codec: str,
    *,
    video: str | None = None,
    audio: bool = True,
) -> bytes:
    """f64[n, channels] as a file of FFmpeg's; ``video``: a codec for a small picture beside it."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        picture: Any = _add_video(output, video) if video else None
        if audio:
            sound: Any = output.add_stream(codec, rate=rate_hz)
            sound.layout = _LAYOUTS[samples.shape[1]]
            sound.time_base = Fraction(1, rate_hz)
        if picture is not None:
            _write_video(output, picture, seconds=len(samples) / rate_hz)
        if audio:
            _write_audio(output, sound, samples, rate_hz)
    return buffer.getvalue()


def _add_video(output: Any, codec: str) -> Any:
    stream = output.add_stream(codec, rate=10)
    stream.width, stream.height = 64, 48
    stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    return stream


def _write_video(output: Any, stream: Any, seconds: float) -> None:
    for index in range(max(1, round(seconds * 10))):
        picture = np.full((48, 64, 3), (index * 20) % 255, np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = index
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def _write_audio(output: Any, stream: Any, samples: NDArray[Any], rate_hz: int) -> None:
    interleaved = samples.astype(np.float32).reshape(1, -1)
    layout = _LAYOUTS[samples.shape[1]]
    frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
    frame.sample_rate, frame.pts = rate_hz, 0
    frame.time_base = Fraction(1, rate_hz)
    output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
