# SPDX-License-Identifier: Apache-2.0
"""A model ready to hear any number of sources: alone, or two together."""

from __future__ import annotations

from functools import partial
from typing import Protocol

from oido.ears import Ear, Ears, tried_out
from oido.ensemble import EnsembleStream
from oido.models.model import AudioModel, EnsembleNetwork
from oido.params import Windowing
from oido.signal.decode import AudioReader
from oido.signal.decode.sharing import shared
from oido.signal.mixing import Channel
from oido.signal.pieces import PieceFramer
from oido.stream import BATCH_WINDOWS, ScoreTransform, Stream, WindowStream

__all__ = ["Listener", "make_listener"]

_PIECES_PER_BATCH = 4


class Listener(Protocol):
    """Opens streams of heard windows; may be used by many threads."""

    model: AudioModel

    def open(
        self,
        reader: AudioReader,
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


def make_listener(model: AudioModel, windowing: Windowing) -> Listener:
    """The listener for this kind of model. Raises ModelFormatError if it cannot be run."""
    if isinstance(model.network, EnsembleNetwork):
        return _Ensemble(model, model.network, windowing)
    return _Alone(model, windowing)


class _Alone:
    def __init__(self, model: AudioModel, windowing: Windowing) -> None:
        self.model = model if model.card else tried_out(model)
        self._windowing = windowing
        self._ears = Ears(partial(Ear.of, self.model))

    def open(
        self,
        reader: AudioReader,
        *,
        channel: Channel,
        workers: int,
        transform: ScoreTransform | None,
        batch_windows: int = BATCH_WINDOWS,
    ) -> Stream:
        return WindowStream(
            reader,
            self._ears,
            self._windowing,
            channel=channel,
            workers=workers,
            batch_windows=batch_windows,
            transform=transform,
        )


class _Ensemble:
    def __init__(self, model: AudioModel, network: EnsembleNetwork, windowing: Windowing) -> None:
        self.model, self._network, self._windowing = model, network, windowing
        self._first = Ears(partial(Ear.of, network.first))
        self._second = Ears(partial(Ear.of, network.second))

    def open(
        self,
        reader: AudioReader,
        *,
        channel: Channel,
        workers: int,
        transform: ScoreTransform | None,
        batch_windows: int = BATCH_WINDOWS,
    ) -> Stream:
        pieces, network = self._network.pieces, self._network.second.windows
        framer = PieceFramer(pieces, network.window_samples, min(batch_windows, _PIECES_PER_BATCH))
        one, other = shared(reader, 2)
        return EnsembleStream(
            WindowStream(
                one,
                self._first,
                self._windowing,
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
