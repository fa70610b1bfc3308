# SPDX-License-Identifier: Apache-2.0
"""A model ready to hear any number of sources: alone, or two together."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from oido.ears import Ear, Ears, tried_out
from oido.ensemble import EnsembleStream
from oido.models.model import AudioModel, EnsembleNetwork
from oido.params import Windowing
from oido.pushing import Part, PushedAlone, PushedStream, PushedTogether
from oido.signal.decode import AudioInfo, AudioReader
from oido.signal.decode.sharing import shared
from oido.signal.framing import WindowFramer
from oido.signal.mixing import Channel
from oido.signal.pieces import PieceFramer
from oido.stream import BATCH_WINDOWS, ScoreTransform, Stream, WindowStream

__all__ = ["Listener", "make_listener"]

_PIECES_PER_BATCH = 4


class Listener(Protocol):
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
    ) -> PushedStream:
        """The windows of a source that is pushed."""
        ...


def make_listener(model: AudioModel) -> Listener:
    """The listener for this kind of model. Raises ModelFormatError if it cannot be run."""
    if isinstance(model.network, EnsembleNetwork):
        return _Ensemble(model, model.network)
    return _Alone(model)


class _Alone:
    def __init__(self, model: AudioModel) -> None:
        self.model = model if model.card else tried_out(model)
        self.networks: tuple[AudioModel, ...] = (self.model,)
        self._ears = Ears(partial(Ear.of, self.model))

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
    ) -> PushedStream:
        part = Part(windowing, WindowFramer(windowing, batch_windows))
        return PushedAlone(info, channel, part, transform, weighs=weighs)


class _Ensemble:
    def __init__(self, model: AudioModel, network: EnsembleNetwork) -> None:
        self.model, self._network = model, network
        self.networks: tuple[AudioModel, ...] = (network.first, network.second)
        self._first, self._second = (Ears(partial(Ear.of, one)) for one in self.networks)

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
    ) -> PushedStream:
        parts = (
            Part(windowing, WindowFramer(windowing, batch_windows)),
            Part(self._network.pieces, self._piece_framer(batch_windows)),
        )
        columns = self._network.columns
        return PushedTogether(info, channel, parts, columns, transform, weighs=weighs)

    def _piece_framer(self, batch_windows: int) -> PieceFramer:
        filled = self._network.second.windows.window_samples
        return PieceFramer(self._network.pieces, filled, min(batch_windows, _PIECES_PER_BATCH))
