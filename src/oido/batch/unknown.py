# SPDX-License-Identifier: Apache-2.0
"""Whether a recording is unlike all that its model was taught."""

from __future__ import annotations

from oido.classifier import AudioClassifier
from oido.events.aggregation import Aggregator
from oido.stream import Block

__all__ = ["UnknownJudge"]


class UnknownJudge:
    """Takes the blocks of a recording; ``verdict`` is None for a model that does not tell."""

    def __init__(self, classifier: AudioClassifier) -> None:
        self._novelty = classifier.model.novelty
        self._mean = Aggregator("mean")
        self._is_empty = True

    def push(self, block: Block) -> None:
        """More windows, of any channel."""
        if block.similarities is not None and len(block.similarities):
            self._mean.push(block.similarities[:, None], block.weights, block.loudness)
            self._is_empty = False

    @property
    def verdict(self) -> bool | None:
        """As `ClassificationResult.is_unknown`, of all windows so far."""
        if self._novelty is None or self._is_empty:
            return None
        return bool(self._mean.flush()[0] < self._novelty.threshold)
