# SPDX-License-Identifier: Apache-2.0
"""Blocks of windows to table rows, at each level: events, windows, or the whole clip.

`UnknownJudge` decides, if the model knows its training data, whether a recording is unlike it.
"""

from __future__ import annotations

from oido.batch.plan import Plan
from oido.events.aggregation import Aggregator
from oido.inference.block import Block
from oido.inference.classifier import AudioClassifier
from oido.inference.embedder import l2_normalized
from oido.types import AnyRow, Category, EmbeddingRow, Event, Row

__all__ = ["RowMaker", "UnknownJudge", "event_row", "row_maker"]


class RowMaker:
    """Makes the rows of one channel of one recording; without a level of its own, none."""

    def __init__(
        self, plan: Plan, classifier: AudioClassifier, file: str, channel: int | None
    ) -> None:
        self._top, self._file, self._channel = plan.top, file, channel
        self._windowing, self._postprocessor = classifier.windowing, classifier.postprocessor

    def push(self, block: Block) -> list[AnyRow]:
        """Rows that this block completes."""
        return []

    def flush(self, n_samples: int) -> list[AnyRow]:
        """The rows that are left, when the recording ended after this many samples."""
        return []

    def _row(self, start: float, end: float, c: Category) -> Row:
        label = c.display_name
        return Row(self._file, self._channel, start, end, label, c.index, c.score, c.probability)


def row_maker(plan: Plan, classifier: AudioClassifier, file: str, channel: int | None) -> RowMaker:
    """The maker for the plan's level. Raises UnknownLabelError for a wrong threshold label."""
    makers = {"events": _EventRows, "windows": _WindowRows, "clip": _ClipRows}
    make = _EmbeddingRows if plan.what == "embeddings" else makers[plan.level]
    return make(plan, classifier, file, channel)


class _EventRows(RowMaker):
    """The events, by start time; kept to the end, so that they can be put in order."""

    def __init__(
        self, plan: Plan, classifier: AudioClassifier, file: str, channel: int | None
    ) -> None:
        super().__init__(plan, classifier, file, channel)
        self._segmenter = self._postprocessor.segmenter(self._windowing, plan.detection)
        self._events: list[Event] = []

    def push(self, block: Block) -> list[AnyRow]:
        self._events += self._segmenter.push(block.scores)
        return []

    def flush(self, n_samples: int) -> list[AnyRow]:
        events = self._events + self._segmenter.flush(n_samples)
        if self._top is not None:
            events = sorted(events, key=_strength, reverse=True)[: self._top]
        events.sort(key=lambda e: (e.start_time, e.label_index))
        return [event_row(self._file, self._channel, event) for event in events]


def _strength(event: Event) -> float:
    return event.score if event.probability is None else event.probability


class _WindowRows(RowMaker):
    """The best categories of each window."""

    def push(self, block: Block) -> list[AnyRow]:
        return [
            self._row(*self._windowing.span(window), category)
            for window, scores in enumerate(block.scores, start=block.first_window)
            for category in self._postprocessor.selector.categories(scores, self._top)
        ]


class _ClipRows(RowMaker):
    """The best categories of the whole recording."""

    def __init__(
        self, plan: Plan, classifier: AudioClassifier, file: str, channel: int | None
    ) -> None:
        super().__init__(plan, classifier, file, channel)
        self._aggregator = Aggregator(plan.aggregation or self._postprocessor.aggregation)

    def push(self, block: Block) -> list[AnyRow]:
        self._aggregator.push(block.scores, block.weights, block.loudness)
        return []

    def flush(self, n_samples: int) -> list[AnyRow]:
        end = n_samples / self._windowing.sample_rate_hz
        best = self._postprocessor.selector.categories(self._aggregator.flush(), self._top)
        return [self._row(0.0, end, category) for category in best]


class _EmbeddingRows(RowMaker):
    """The embedding of each window, or their mean, each by its share of sound."""

    def __init__(
        self, plan: Plan, classifier: AudioClassifier, file: str, channel: int | None
    ) -> None:
        super().__init__(plan, classifier, file, channel)
        self._finish = l2_normalized if plan.l2_normalize else lambda vectors: vectors
        self._per_clip, self._mean = plan.level == "clip", Aggregator("mean")

    def push(self, block: Block) -> list[AnyRow]:
        if self._per_clip:
            self._mean.push(block.embeddings, block.weights, block.loudness)
            return []
        vectors = enumerate(self._finish(block.embeddings), start=block.first_window)
        return [
            EmbeddingRow(self._file, self._channel, *self._windowing.span(window), vector)
            for window, vector in vectors
        ]

    def flush(self, n_samples: int) -> list[AnyRow]:
        if not self._per_clip:
            return []
        end = n_samples / self._windowing.sample_rate_hz
        return [EmbeddingRow(self._file, self._channel, 0.0, end, self._finish(self._mean.flush()))]


def event_row(file: str, channel: int | None, event: Event) -> Row:
    """The row of an event."""
    e = event
    times = e.start_time, e.end_time
    return Row(file, channel, *times, e.display_name, e.label_index, e.score, e.probability)


class UnknownJudge:
    """Takes the blocks of a recording; ``verdict`` is None for a model that cannot know."""

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
