# SPDX-License-Identifier: Apache-2.0
"""A span of a recording as samples: found again, entered where it can be, and cut."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oido.arrays import F32
from oido.errors import AudioError, EmptyAudioError
from oido.messages import tr
from oido.signal.decode import open_audio
from oido.signal.mixing import Channel, mono_blocks


class AudioExcerpt(NamedTuple):
    """f32[n] in −1..1 from ``start_time`` on; decoded_seconds: what had to be decoded for it."""

    waveform: F32
    rate_hz: int
    start_time: float
    decoded_seconds: float


class PastTheEndError(AudioError):
    """A recording that is shorter than it was."""


class TooFarInError(AudioError):
    """A recording that cannot be entered in the middle, and is longer than may be decoded."""


def read_excerpt(
    path: str,
    start_time: float = 0.0,
    end_time: float | None = None,
    least_seconds: float = 0.0,
    *,
    channel: Channel = "mix",
    most_decoded_seconds: float = float("inf"),
) -> AudioExcerpt:
    """The sound of a recording, mono, from one time to another; None: to its end.

    least_seconds: what is shorter is taken with what is around it. Raises an AudioError.
    """
    if end_time is not None and end_time - start_time < least_seconds:
        middle = (start_time + end_time) / 2
        start_time = max(0.0, middle - least_seconds / 2)
        end_time = start_time + least_seconds
    with open_audio(path) as reader:
        rate_hz = reader.info.sample_rate_hz
        first = round(start_time * rate_hz)
        stop = float("inf") if end_time is None else round(end_time * rate_hz)
        begin = position = first if reader.seek(first) else 0
        if end_time is not None and stop - position > most_decoded_seconds * rate_hz:
            raise TooFarInError(tr("{path}: is not decoded so far", path=path))
        pieces: list[F32] = []
        try:
            for block in mono_blocks(reader, channel):
                low, high = max(0, first - position), int(min(len(block), max(0, stop - position)))
                pieces.append(block[low:high].copy())
                position += len(block)
                if position >= stop:
                    break
        except EmptyAudioError:
            if not first:
                raise
            pieces = []  # from there on; before it there may be sound
    waveform = np.concatenate([*pieces, np.zeros(0, np.float32)])
    if not len(waveform):
        raise PastTheEndError(
            tr("{path}: ends before {start_time:.2f} s", path=path, start_time=start_time)
        )
    return AudioExcerpt(waveform, rate_hz, first / rate_hz, (position - begin) / rate_hz)
