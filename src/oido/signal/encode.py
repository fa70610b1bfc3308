# SPDX-License-Identifier: Apache-2.0
"""Samples to the bytes of a sound file: the one place where sound is encoded."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from oido.arrays import F32
from oido.errors import AudioError
from oido.messages import tr


def flac_bytes(waveform: F32, rate_hz: int) -> bytes:
    """f32[n] in −1..1 as FLAC, mono, 16 bits: every browser plays it, and it is lossless.

    Values beyond ±1 are clipped. Raises AudioError for a rate that FLAC does not have.
    """
    return _encoded(waveform, rate_hz, "FLAC")


def wav_bytes(waveform: F32, rate_hz: int) -> bytes:
    """The same as WAV."""
    return _encoded(waveform, rate_hz, "WAV")


def _encoded(waveform: F32, rate_hz: int, format_name: str) -> bytes:
    file = io.BytesIO()
    samples = np.clip(waveform, -1, 1)
    try:
        soundfile.write(file, samples, rate_hz, format=format_name, subtype="PCM_16")
    except soundfile.LibsndfileError as error:
        raise AudioError(
            tr(
                "{format_name} cannot hold sound at {rate_hz} Hz: {error}",
                format_name=format_name,
                rate_hz=rate_hz,
                error=error,
            )
        ) from error
    return file.getvalue()
