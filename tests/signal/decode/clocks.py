# SPDX-License-Identifier: Apache-2.0
"""Files whose container has a clock of its own: gaps, late sound, damage; made without ffmpeg."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tests.signal.decode.encoding import _add_video, _write_video

__all__ = ["click_at", "film", "packets_of", "with_clicks", "zeroed"]


def with_clicks(seconds: int, rate_hz: int) -> NDArray[np.float64]:
    """f64[n, 1]: quiet noise, and a loud tenth of a second at the middle of each second."""
    n = seconds * rate_hz
    samples = np.random.default_rng(0).standard_normal(n) * 0.003
    times = np.arange(n) / rate_hz
    loud = np.abs(times % 1.0 - 0.55) < 0.05
    samples[loud] += 0.5 * np.sin(2 * np.pi * 1_000.0 * times[loud])
    return samples[:, None]


def click_at(decoded: NDArray[np.float32], rate_hz: int, start: float, stop: float) -> float:
    """When the first loud sound begins between two times, in seconds; NaN: there is none."""
    part = np.abs(decoded[round(start * rate_hz) : round(stop * rate_hz), 0])
    loud = np.flatnonzero(part > 0.2)
    return start + float(loud[0]) / rate_hz if len(loud) else float("nan")


def film(
    samples: NDArray[Any],
    rate_hz: int,
    container: str,
    codec: str,
    *,
    later: Callable[[float], float] = lambda _: 0.0,
    video: str | None = "mpeg4",
) -> bytes:
    """f64[n, 1] as a file, each packet so many seconds later than it should be, by its time."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        picture: Any = _add_video(output, video) if video else None
        sound: Any = output.add_stream(codec, rate=rate_hz)
        sound.layout = "mono"
        sound.time_base = Fraction(1, rate_hz)
        if picture is not None:
            _write_video(output, picture, seconds=len(samples) / rate_hz)
        frame = av.AudioFrame.from_ndarray(
            samples.astype(np.float32).reshape(1, -1), format="flt", layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        for packet in [*sound.encode(frame), *sound.encode(None)]:
            step = round(later(float(packet.pts * packet.time_base)) / packet.time_base)
            packet.pts += step
            packet.dts += step
            output.mux(packet)
    return buffer.getvalue()


def packets_of(content: bytes) -> list[tuple[float, int, int]]:
    """(seconds, position, bytes) of each packet of sound."""
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.audio[0]
        return [
            (float(p.pts * p.time_base), p.pos, p.size)
            for p in container.demux(stream)
            if p.pts is not None and p.pos is not None and p.pos >= 0
        ]


def zeroed(content: bytes, start: float, stop: float) -> bytes:
    """The file with the packets between two times overwritten, as by a bad sector."""
    inside = [pos for seconds, pos, _ in packets_of(content) if start <= seconds <= stop]
    first, last = min(inside), max(inside)
    return content[:first] + bytes(last - first) + content[last:]
