# SPDX-License-Identifier: Apache-2.0
"""A source's windows as they are heard, block by block: the one path that everything runs.

source → decode → mono → resample → segments → (front end → network, in parallel) → blocks
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from oido.coarsening import Coarsening
from oido.ears import Ears
from oido.errors import AudioError
from oido.params import Windowing
from oido.reading import Picked
from oido.runtime.base import Outputs
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.framing import Segment, WindowFramer
from oido.signal.loudness import window_loudness
from oido.signal.mixing import Channel, mono_blocks
from oido.signal.resample import Resampler
from oido.threads import ordered_map

__all__ = [
    "BATCH_WINDOWS",
    "Block",
    "Framer",
    "HeardSource",
    "ScoreTransform",
    "Stream",
    "WindowStream",
    "heard_block",
]

BATCH_WINDOWS = 64
"""Windows per segment: half a minute of audio, some 20 MB of work memory."""


ScoreTransform = Callable[[NDArray[np.float32]], Picked]
"""Raw scores of all heads f32[N, all] → those wanted f32[N, C], each row by itself."""


class Block(NamedTuple):
    """Some neighbouring windows, heard.

    scores: f32[N, C], raw; embeddings: f32[N, D]; weights: f64[N], the share of each window that is
    not padding (1 but for the last window); loudness: f64[N] (`oido.signal.loudness`).
    times: f64[N, 2], start and end of each window in seconds of the stream. skipped: windows that
    were left out just before, because whoever takes them is too slow for a live source.
    similarities: f32[N], how near each window is to what the model was taught; None if it does not
    tell, or if scores are those of all heads.
    """

    first_window: int
    scores: NDArray[np.float32]
    embeddings: NDArray[np.float32]
    weights: NDArray[np.float64]
    loudness: NDArray[np.float64]
    times: NDArray[np.float64]
    skipped: int = 0
    similarities: NDArray[np.float32] | None = None


class Framer(Protocol):
    """Cuts a stream of samples into segments.

    n_samples: pushed so far; missing_samples: until there is another segment.
    """

    n_samples: int

    @property
    def missing_samples(self) -> int: ...

    def push(self, waveform: NDArray[np.float32]) -> list[Segment]: ...

    def flush(self) -> list[Segment]: ...


class HeardSource(Protocol):
    """What is known of a source that is heard; `WindowStream` says what the names mean."""

    @property
    def info(self) -> AudioInfo: ...

    @property
    def n_samples(self) -> int: ...

    @property
    def damaged_packets(self) -> int: ...


class Stream(HeardSource, Protocol):
    """One source's windows, to be iterated once."""

    @property
    def windowing(self) -> Windowing: ...

    def close(self) -> None: ...

    def __iter__(self) -> Iterator[Block]: ...


class WindowStream:
    """The windows of one opened source, once through.

    A live source that is heard too slowly, whether by the network or by whoever takes the blocks,
    gets a coarser hop where windows are heard one by one (`Coarsening`).

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
        self._coarsening = Coarsening() if batch_windows == 1 and framer is None else None
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

        next_window = 0
        with self._reader:
            for segment, outputs, loudness in ordered_map(hear, self._chosen(), self._workers):
                skipped = segment.first_window - next_window
                next_window = segment.first_window + segment.n_windows
                yield heard_block(
                    segment, outputs, loudness, self.windowing, self.n_samples, self._transform
                )._replace(skipped=skipped)

    def waveform(self) -> NDArray[np.float32]:
        """The whole recording instead, f32[n] at the model's rate, padded to whole windows."""
        with self._reader:
            segments = list(self._segments())
        hop = self.windowing.hop_samples
        pieces = [s.waveform[: s.n_windows * hop] for s in segments[:-1]]
        return np.concatenate([*pieces, segments[-1].waveform])

    def _chosen(self) -> Iterator[Segment]:
        coarsening = self._coarsening
        for segment in self._segments():
            if coarsening is None or coarsening.takes(segment.first_window, self._reader.fullness):
                yield segment

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


def heard_block(
    segment: Segment,
    outputs: Outputs,
    loudness: NDArray[np.float64],
    windowing: Windowing,
    n_samples: int,
    transform: ScoreTransform | None,
) -> Block:
    """What was heard in a segment; n_samples: of the source so far, its end included if known."""
    picked = Picked(outputs.scores, None) if transform is None else transform(outputs.scores)
    starts = (np.arange(segment.n_windows) + segment.first_window) * windowing.hop_samples
    ends = starts + windowing.window_samples
    padded = np.maximum(0, ends - n_samples)
    weights = np.asarray(1.0 - padded / windowing.window_samples)
    times = np.stack([starts, ends], axis=1) / windowing.sample_rate_hz
    return Block(
        segment.first_window,
        picked.scores,
        outputs.embeddings,
        weights,
        loudness,
        times,
        similarities=picked.similarities,
    )
