# SPDX-License-Identifier: Apache-2.0
"""A source's windows, block by block: the one path from samples to scores that everything runs.

    source → decode → mono → resample → segments → (front end → network, in parallel) → blocks

One network alone (`WindowStream`), or two together (`EnsembleStream`); a
`StreamFactory` makes the right one for a model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from oido.errors import AudioError
from oido.inference.backpressure import AdaptiveHop
from oido.inference.block import (
    BATCH_WINDOWS,
    Block,
    Branch,
    Framer,
    ScoreTransform,
    Stream,
    make_block,
)
from oido.inference.ensemble import EnsembleCombiner
from oido.inference.pipeline import EnsemblePipeline, Pipeline, SinglePipeline
from oido.inference.predictor import Predictor, PredictorPool, validated
from oido.models.model import AudioModel, EnsembleNetwork
from oido.parallel import ordered_map
from oido.params import Windowing
from oido.runtime.base import Outputs
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.decode.sharing import shared
from oido.signal.framing import PieceFramer, Segment, WindowFramer
from oido.signal.level import window_loudness
from oido.signal.mixing import Channel, mono_blocks
from oido.signal.resample import Resampler

__all__ = ["EnsembleStream", "StreamFactory", "WindowStream", "make_stream_factory"]


class WindowStream:
    """The windows of one opened source, once through.

    A live source that is heard too slowly, whether by the network or by whoever takes the blocks,
    gets a coarser hop where windows are heard one by one (`AdaptiveHop`).

    An AudioError raised midway comes after the blocks of everything before the damage.

    info: of the source. n_samples: samples heard so far, at the model's rate; all of them when the
    iteration is over. damaged_packets: pieces that could not be decoded and were left out.
    """

    def __init__(
        self,
        reader: AudioReader,
        ears: PredictorPool,
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
        self._coarsening = AdaptiveHop() if batch_windows == 1 and framer is None else None
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
                yield make_block(
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


class EnsembleStream:
    """The windows of one source as both networks hear them; see `WindowStream` for the members.

    first, second: streams of readers that share the source; columns: for each label of the first,
    its column in the second's scores.
    """

    def __init__(
        self,
        first: WindowStream,
        second: WindowStream,
        columns: Sequence[int],
        transform: ScoreTransform | None = None,
    ) -> None:
        self._first, self._second = first, second
        self._around = EnsembleCombiner(columns, first.windowing, second.windowing)
        self._transform = transform

    @property
    def windowing(self) -> Windowing:
        return self._first.windowing

    @property
    def info(self) -> AudioInfo:
        return self._first.info

    @property
    def n_samples(self) -> int:
        return self._first.n_samples

    @property
    def damaged_packets(self) -> int:
        return self._first.damaged_packets

    def close(self) -> None:
        """Release the source of a stream that is not iterated to its end."""
        self._first.close()
        self._second.close()

    def __iter__(self) -> Iterator[Block]:
        # The second meets the same damage at the same place; the first one tells of it.
        second = _until_damage(self._second)
        try:
            for block in self._first:
                centres = self._around.centres(block, self.n_samples)
                while not self._around.reaches(centres):
                    pieces = next(second, None)
                    if pieces is None:
                        break
                    self._around.push(pieces)
                yield self._around.combined(block, centres, self._transform)
        finally:
            self._second.close()


def _until_damage(stream: WindowStream) -> Iterator[Block]:
    try:
        yield from stream
    except AudioError:
        return


_PIECES_PER_BATCH = 4


class StreamFactory(Protocol):
    """Opens streams of heard windows; may be used by many threads.

    networks: the models that hear, one or two; a pushed stream's work says for which it is.
    """

    model: AudioModel
    networks: tuple[AudioModel, ...]

    def open(
        self,
        reader: AudioReader,
        windowing: Windowing,
        *,
        channel: Channel,
        workers: int,
        transform: ScoreTransform | None,
        batch_windows: int = BATCH_WINDOWS,
    ) -> Stream:
        """The windows of an opened source, to be iterated once.

        batch_windows: that are heard together; 1 gives each as soon as its last sample is there.
        """
        ...

    def pushed(
        self,
        info: AudioInfo,
        windowing: Windowing,
        *,
        channel: Channel,
        transform: ScoreTransform | None,
        batch_windows: int = 1,
        weighs: bool = True,
    ) -> Pipeline:
        """The windows of a source that is pushed."""
        ...


def make_stream_factory(model: AudioModel) -> StreamFactory:
    """The listener for this kind of model. Raises ModelFormatError if it cannot be run."""
    if isinstance(model.network, EnsembleNetwork):
        return _Ensemble(model, model.network)
    return _Alone(model)


class _Alone:
    def __init__(self, model: AudioModel) -> None:
        self.model = model if model.card else validated(model)
        self.networks: tuple[AudioModel, ...] = (self.model,)
        self._ears = PredictorPool(partial(Predictor.of, self.model))

    def open(
        self,
        reader: AudioReader,
        windowing: Windowing,
        *,
        channel: Channel,
        workers: int,
        transform: ScoreTransform | None,
        batch_windows: int = BATCH_WINDOWS,
    ) -> Stream:
        return WindowStream(
            reader,
            self._ears,
            windowing,
            channel=channel,
            workers=workers,
            batch_windows=batch_windows,
            transform=transform,
        )

    def pushed(
        self,
        info: AudioInfo,
        windowing: Windowing,
        *,
        channel: Channel,
        transform: ScoreTransform | None,
        batch_windows: int = 1,
        weighs: bool = True,
    ) -> Pipeline:
        branch = Branch(windowing, WindowFramer(windowing, batch_windows))
        return SinglePipeline(info, channel, branch, transform, weighs=weighs)


class _Ensemble:
    def __init__(self, model: AudioModel, network: EnsembleNetwork) -> None:
        self.model, self._network = model, network
        self.networks: tuple[AudioModel, ...] = (network.first, network.second)
        self._first, self._second = (
            PredictorPool(partial(Predictor.of, one)) for one in self.networks
        )

    def open(
        self,
        reader: AudioReader,
        windowing: Windowing,
        *,
        channel: Channel,
        workers: int,
        transform: ScoreTransform | None,
        batch_windows: int = BATCH_WINDOWS,
    ) -> Stream:
        pieces, framer = self._network.pieces, self._piece_framer(batch_windows)
        one, other = shared(reader, 2)
        return EnsembleStream(
            WindowStream(
                one,
                self._first,
                windowing,
                channel=channel,
                workers=workers,
                batch_windows=batch_windows,
            ),
            WindowStream(
                other, self._second, pieces, channel=channel, workers=workers, framer=framer
            ),
            self._network.columns,
            transform,
        )

    def pushed(
        self,
        info: AudioInfo,
        windowing: Windowing,
        *,
        channel: Channel,
        transform: ScoreTransform | None,
        batch_windows: int = 1,
        weighs: bool = True,
    ) -> Pipeline:
        parts = (
            Branch(windowing, WindowFramer(windowing, batch_windows)),
            Branch(self._network.pieces, self._piece_framer(batch_windows)),
        )
        columns = self._network.columns
        return EnsemblePipeline(info, channel, parts, columns, transform, weighs=weighs)

    def _piece_framer(self, batch_windows: int) -> PieceFramer:
        filled = self._network.second.windows.window_samples
        return PieceFramer(self._network.pieces, filled, min(batch_windows, _PIECES_PER_BATCH))
