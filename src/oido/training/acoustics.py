# SPDX-License-Identifier: Apache-2.0
"""Plain facts of how a recording sounds: how loud, how much silence, up to which frequency."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from oido.signal.decode import AudioReader

__all__ = ["Acoustics", "MeasuringReader"]

_FRAME_SAMPLES = 2048
_SILENT_DB = -60.0
_FLOOR_DB = -120.0
_AUDIBLE_DB = 60.0


class Acoustics(NamedTuple):
    """sample_rate_hz: of the file. seconds: its length. level_db: RMS of the mean of its channels,
    0 dB being full scale, -120 at least. silent_share: of frames below -60 dB, 0..1.
    bandwidth_hz: the highest frequency at which its mean spectrum is within 60 dB of its peak."""

    sample_rate_hz: float
    seconds: float
    level_db: float
    silent_share: float
    bandwidth_hz: float


class MeasuringReader(AudioReader):
    """A reader that measures what is read through it. Frames are of 2,048 samples, Hann, apart."""

    def __init__(self, reader: AudioReader) -> None:
        self._reader = reader
        self.info = reader.info
        self._window = np.hanning(_FRAME_SAMPLES)
        self._power = np.zeros(_FRAME_SAMPLES // 2 + 1)
        self._energy, self._samples, self._frames, self._silent = 0.0, 0, 0, 0
        self._rest = np.zeros(0, np.float32)

    @property
    def damaged_packets(self) -> int:  # type: ignore[override]
        """Those of the reader."""
        return self._reader.damaged_packets

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        for block in self._reader.blocks():
            self._take(block.mean(axis=1, dtype=np.float32))
            yield block

    def close(self) -> None:
        self._reader.close()

    def acoustics(self) -> Acoustics:
        """Of what was read so far; what does not fill a frame counts if there is no whole one."""
        if not self._frames:
            padding = _FRAME_SAMPLES - len(self._rest)
            window = np.pad(np.hanning(len(self._rest)), (0, padding))
            self._measure(np.pad(self._rest, (0, padding))[None], window)
        rate = self.info.sample_rate_hz
        mean = self._energy / max(self._samples, 1)
        power = self._power / max(self._power.max(), 1e-300)
        audible = np.flatnonzero(power >= 10 ** (-_AUDIBLE_DB / 10))
        return Acoustics(
            rate,
            self._samples / rate,
            10 * float(np.log10(max(mean, 10 ** (_FLOOR_DB / 10)))),
            self._silent / self._frames,
            float(audible[-1] if len(audible) else 0) * rate / _FRAME_SAMPLES,
        )

    def _take(self, mono: NDArray[np.float32]) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            self._energy += float(np.dot(mono, mono))
        self._samples += len(mono)
        joined = np.concatenate([self._rest, mono])
        whole = len(joined) // _FRAME_SAMPLES * _FRAME_SAMPLES
        self._rest = joined[whole:]
        if whole:
            self._measure(joined[:whole].reshape(-1, _FRAME_SAMPLES), self._window)

    def _measure(self, frames: NDArray[np.float32], window: NDArray[np.float64]) -> None:
        """f32[n, 2048], and the window f64[2048] for their spectra."""
        with np.errstate(over="ignore", invalid="ignore"):
            loudness = np.square(frames, dtype=np.float64).mean(axis=1)
            self._power += np.square(np.abs(np.fft.rfft(frames * window))).sum(axis=0)
        self._silent += int((loudness < 10 ** (_SILENT_DB / 10)).sum())
        self._frames += len(frames)
