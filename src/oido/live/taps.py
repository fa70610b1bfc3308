# SPDX-License-Identifier: Apache-2.0
"""Looking at a source's samples as they pass by."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from oido.signal.decode import AudioReader

__all__ = ["QUIETEST_DB", "TappedReader", "level_db"]

QUIETEST_DB = -90.0


class TappedReader(AudioReader):
    """Another reader, each block of which is shown to ``look`` just before it is heard."""

    def __init__(self, reader: AudioReader, look: Callable[[NDArray[np.float32]], None]) -> None:
        self._reader, self._look = reader, look
        self.info = reader.info

    @property
    def damaged_packets(self) -> int:  # type: ignore[override]
        return self._reader.damaged_packets

    @property
    def fullness(self) -> float:
        return self._reader.fullness

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Blocks f32[n, channels]."""
        for block in self._reader.blocks():
            self._look(block)
            yield block

    def close(self) -> None:
        """Close the reader inside."""
        self._reader.close()


def level_db(block: NDArray[np.float32]) -> tuple[float, float]:
    """RMS and peak of f32[n, channels], n > 0, in dB of full scale; -90 at the least."""
    with np.errstate(over="ignore", invalid="ignore"):
        rms = float(np.sqrt(np.mean(np.square(block, dtype=np.float64))))
        peak = float(np.max(np.abs(block)))
    return _db(rms), _db(peak)


def _db(amplitude: float) -> float:
    if not amplitude > 10.0 ** (QUIETEST_DB / 20.0):
        return QUIETEST_DB
    return float(20.0 * np.log10(amplitude))
