# SPDX-License-Identifier: Apache-2.0
"""A source's windows as they are heard, block by block: the one path that everything runs.

source → decode → mono → resample → segments → (front end → network, in parallel) → blocks
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from oido.ears import Ears
from oido.errors import AudioError
from oido.params import Windowing
from oido.runtime.base import Outputs
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.framing import Segment, WindowFramer
from oido.signal.loudness import window_loudness
from oido.signal.mixing import Channel, mono_blocks
from oido.signal.resample import Resampler
from oido.threads import ordered_map

__all__ = ["BATCH_WINDOWS", "Block", "Framer", "ScoreTransform", "Stream", "WindowStream"]

BATCH_WINDOWS = 64
"""Windows per segment: half a minute of audio, some 20 MB of work memory."""


ScoreTransform = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Raw scores of all heads f32[N, all] → those wanted f32[N, C], each row by itself."""


class Block(NamedTuple):
    """Some neighbouring windows, heard.

    scores: f32[N, C], raw; embeddings: f32[N, D]; weights: f64[N], the share of each window that is
    not padding (1 but for the last window); loudness: f64[N] (`oido.signal.loudness`).
    """

    first_window: int
    scores: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    weights: NDArray[np.float64]
    loudness: NDArray[np.float64]


class Framer(Protocol):
    """Cuts a stream of samples into segments; n_samples: pushed so far."""

    n_samples: int

    def push(self, waveform: NDArray[np.float32]) -> list[Segment]: ...

    def flush(self) -> list[Segment]: ...


class Stream(Protocol):
    """One source's windows, to be iterated once; `WindowStream` says what its names mean."""

    @property
    def info(self) -> AudioInfo: ...

    @property
    def windowing(self) -> Windowing: ...

    @property
    def n_samples(self) -> int: ...

    @property
    def damaged_packets(self) -> int: ...

    def close(self) -> None: ...

    def __iter__(self) -> Iterator[Block]: ...


class WindowStream:
    """The windows of one opened source, once through.

    An AudioError raised midway comes after the blocks of everything before the damage.

    info: of the source. n_samples: samples heard so far, at the model's rate; all of them when the
    iteration is over. damaged_packets: pieces that could not be decoded and were left out.
    """

    def __init__(
        self,
        reader: AudioReader,
        ears: Ears,
        windowing: Windowing,
        *,
        channel: Channel = "mix",
        workers: int = 1,
        batch_windows: int = BATCH_WINDOWS,
        transform: ScoreTransform | None = None,
        framer: Framer | None = None,
    ) -> None:
        self._reader = reader
        self._ears = ears
        self._channel = channel
        self._workers = workers
        self._transform = transform
        self._framer: Framer = framer or WindowFramer(windowing, batch_windows)
        self.windowing = windowing

    @property
    def info(self) -> AudioInfo:
        return self._reader.info

    @property
    def n_samples(self) -> int:
        return self._framer.n_samples

    @property
    def damaged_packets(self) -> int:
        return self._reader.damaged_packets

    def close(self) -> None:
        """Release the source of a stream that is not iterated to its end."""
        self._reader.close()

    def __iter__(self) -> Iterator[Block]:
        def hear(segment: Segment) -> tuple[Segment, Outputs, NDArray[np.float64]]:
            hop = segment.hop_samples
            loudness = window_loudness(segment.waveform, self.windowing.window_samples, hop)
            return segment, self._ears.hear(segment.waveform, hop), loudness

        with self._reader:
            for segment, outputs, loudness in ordered_map(hear, self._segments(), self._workers):
                scores, embeddings = outputs
                if self._transform is not None:
                    scores = self._transform(scores)
                weights = self._weights(segment)
                yield Block(segment.first_window, scores, embeddings, weights, loudness)

    def waveform(self) -> NDArray[np.float32]:
        """The whole recording instead, f32[n] at the model's rate, padded to whole windows."""
        with self._reader:
            segments = list(self._segments())
        hop = self.windowing.hop_samples
        pieces = [s.waveform[: s.n_windows * hop] for s in segments[:-1]]
        return np.concatenate([*pieces, segments[-1].waveform])

    def _segments(self) -> Iterator[Segment]:
        resampler = Resampler(self.info.sample_rate_hz, self.windowing.sample_rate_hz)
        damage = None
        try:
            for mono in mono_blocks(self._reader, self._channel):
                yield from self._framer.push(resampler.push(mono))
        except AudioError as error:
            # What came before the damage is heard to its last sample, and then the error is told.
            damage = error
        if damage is None or self._framer.n_samples >= self.windowing.window_samples:
            yield from self._framer.push(resampler.flush())
            yield from self._framer.flush()
        if damage is not None:
            raise damage

    def _weights(self, segment: Segment) -> NDArray[np.float64]:
        starts = np.arange(segment.n_windows) + segment.first_window
        ends = starts * self.windowing.hop_samples + self.windowing.window_samples
        padded = np.maximum(0, ends - self.n_samples)
        return np.asarray(1.0 - padded / self.windowing.window_samples)
