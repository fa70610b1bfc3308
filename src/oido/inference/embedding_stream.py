# SPDX-License-Identifier: Apache-2.0
"""Embeddings of another network than the one that classifies, of sound that is decoded once."""

from __future__ import annotations

from functools import partial

from oido.arrays import F32
from oido.inference.block import BATCH_WINDOWS, Block, WorkItem
from oido.inference.pipeline import Pipeline
from oido.inference.predictor import Predictor, PredictorPool, networks_of
from oido.models.model import AudioModel
from oido.params import Windowing
from oido.signal.decode import AudioInfo
from oido.signal.mixing import Channel


class EmbeddingNetwork:
    """A model that is run for its embeddings alone. Raises OptionError for one that has none."""

    def __init__(self, model: AudioModel) -> None:
        model.require_embeddings()
        self._model = model
        self._windowing = Windowing.from_seconds(model.windows, None)
        self._predictors = PredictorPool([partial(Predictor.of, n) for n in networks_of(model)])

    def stream(self, info: AudioInfo, channel: Channel) -> EmbeddingStream:
        """For a source that somebody else reads."""
        pipeline = Pipeline(
            self._model,
            info,
            self._windowing,
            channel=channel,
            batch_windows=BATCH_WINDOWS,
            measures_levels=False,
        )
        return EmbeddingStream(pipeline, self._predictors)


class EmbeddingStream:
    """The windows of one source, in the network's own windows, as its samples come."""

    def __init__(self, pipeline: Pipeline, predictors: PredictorPool) -> None:
        self.windowing = pipeline.windowing
        self._pipeline, self._predictors = pipeline, predictors

    def push(self, samples: F32) -> list[Block]:
        """The blocks that f32[n, channels] completes; none behind damaged samples."""
        if self._pipeline.damage is not None:
            return []
        return self._blocks(self._pipeline.push(samples))

    def flush(self, *, damaged: bool = False) -> list[Block]:
        """The blocks that are left; of a damaged source, whatever has a whole window."""
        items = self._pipeline.flush(damaged=damaged)
        return [*self._blocks(items), *self._pipeline.finish()]

    def _blocks(self, items: list[WorkItem]) -> list[Block]:
        return [
            block
            for item in items
            for block in self._pipeline.collect(
                item, self._predictors.predict(item), self._pipeline.loudness(item)
            )
        ]
