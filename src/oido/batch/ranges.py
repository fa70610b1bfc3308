# SPDX-License-Identifier: Apache-2.0
"""Long recordings in exact ranges: a range gives the windows that the whole recording would give.

A range begins at a window whose number is a multiple of a batch, so that even the batches of the
network are the same. Where the rate must change, the resampler begins earlier, at a sample where
its own blocks begin (`exact_period`), and what it needs to settle is thrown away.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from oido.batch.units import Source, Unit
from oido.classifier import AudioClassifier
from oido.errors import CorruptAudioError
from oido.models.model import EnsembleNetwork
from oido.params import Windowing
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.mixing import Channel, mono_blocks
from oido.signal.resample import Resampler, exact_period
from oido.stream import BATCH_WINDOWS

__all__ = ["RangeReader", "ranges_of"]


def ranges_of(
    source: Source, reader: AudioReader, classifier: AudioClassifier, split_seconds: float
) -> tuple[Unit, ...]:
    """The ranges of a long recording; none if it is short, or cannot be split exactly.

    The reader is spent afterwards.
    """
    info, w = reader.info, classifier.windowing
    seconds = info.duration_seconds
    if seconds is None or info.frames is None or seconds <= split_seconds:
        return ()
    n_windows = w.count(info.frames * w.sample_rate_hz // info.sample_rate_hz)
    batches = max(1, round(split_seconds * w.sample_rate_hz / w.hop_samples / BATCH_WINDOWS))
    each = batches * BATCH_WINDOWS
    of = max(1, round(n_windows / each))
    period = exact_period(info.sample_rate_hz, w.sample_rate_hz)
    hears_pieces = isinstance(classifier.model.network, EnsembleNetwork)
    # Two networks that listen together hear pieces that overlap any cut.
    if of == 1 or period is None or hears_pieces or not reader.seek(info.frames // 2):
        return ()
    return tuple(
        Unit(
            source,
            "range",
            first_window=number * each,
            windows=each if number < of - 1 else None,
            number=number,
            of=of,
        )
        for number in range(of)
    )


class RangeReader(AudioReader):
    """One channel of a range at the model's rate, as a source of its own.

    Raises CorruptAudioError, when opened or midway, where the range is not what the header
    promised: then the recording must be heard whole. ``n_samples``: of the whole recording, known
    at the end of the last range.
    """

    def __init__(
        self, reader: AudioReader, unit: Unit, windowing: Windowing, channel: Channel
    ) -> None:
        self._reader, self._channel = reader, channel
        rate, self._to_hz = reader.info.sample_rate_hz, windowing.sample_rate_hz
        self._first = unit.first_window * windowing.hop_samples
        self._samples: int | None = None
        if unit.windows is not None:
            self._samples = (unit.windows - 1) * windowing.hop_samples + windowing.window_samples
        period = exact_period(rate, self._to_hz)
        frames = reader.info.frames
        if period is None or frames is None:
            raise CorruptAudioError(f"{reader.info.name}: cannot be split")
        settling = 0 if rate == self._to_hz else rate
        wanted = self._first * rate // self._to_hz
        start = max(0, wanted - settling) // period * period
        if not reader.seek(start):
            raise CorruptAudioError(f"{reader.info.name}: cannot be read from the middle")
        self._skip = self._first - start * self._to_hz // rate
        self._left = frames - start
        self.info = AudioInfo(
            reader.info.name, self._to_hz, 1, None, reader.info.format, reader.info.decoder
        )
        self.n_samples = 0

    @property
    def damaged_packets(self) -> int:  # type: ignore[override]
        return self._reader.damaged_packets

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Blocks f32[n, 1] at the model's rate."""
        given = 0
        for resampled in self._resampled():
            block = resampled[self._skip :]
            self._skip -= len(resampled) - len(block)
            if self._samples is not None:
                block = block[: self._samples - given]
            given += len(block)
            if len(block):
                yield block[:, None]
            if given == self._samples:
                break
        self.n_samples = self._first + given
        if self._reader.damaged_packets or self._samples not in (None, given):
            raise CorruptAudioError(f"{self.info.name}: is damaged")

    def _resampled(self) -> Iterator[NDArray[np.float32]]:
        resampler = Resampler(self._reader.info.sample_rate_hz, self._to_hz)
        for mono in mono_blocks(self._reader, self._channel):
            self._left -= len(mono)
            yield resampler.push(mono)
        if self._left:
            raise CorruptAudioError(f"{self.info.name}: is not as long as its header says")
        yield resampler.flush()

    def close(self) -> None:
        """Close the recording."""
        self._reader.close()
