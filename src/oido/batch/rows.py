# SPDX-License-Identifier: Apache-2.0
"""Blocks of windows to table rows, at each level: events, windows, or the whole clip.

With a model that knows its training data, a row also says whether the recording is unlike all of
it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from oido.batch.plan import Plan
from oido.events.aggregation import Aggregator
from oido.inference.block import Block
from oido.inference.classifier import AudioClassifier
from oido.inference.embedder import l2_normalized
from oido.types import AnyRow, Category, EmbeddingRow, Event, Row

__all__ = ["RowMaker", "UnknownJudge", "event_row", "row_maker"]


class RowMaker(Protocol):
    """Makes the rows of one channel of one recording."""

    def push(self, block: Block) -> list[AnyRow]:
        """Rows that this block completes."""
        ...

    def flush(self, n_samples: int) -> list[AnyRow]:
        """The rest, when the recording ended after this many samples."""
        ...


def row_maker(plan: Plan, classifier: AudioClassifier, file: str, channel: int | None) -> RowMaker:
    """The maker for the plan's level. Raises UnknownLabelError for a wrong threshold label."""
    makers: dict[str, Callable[..., RowMaker]] = {
        "events": _EventRows,
        "windows": _WindowRows,
        "clip": _ClipRows,
    }
    if plan.what == "embeddings":
        return _EmbeddingRows(plan, classifier, file, channel)
    return makers[plan.level](plan, classifier, file, channel)


class _EventRows:
    """The events, by start time; kept to the end, so that they can be put in order."""

    def __init__(
        self, plan: Plan, classifier: AudioClassifier, file: str, channel: int | None
    ) -> None:
        self._segmenter = classifier.postprocessor.segmenter(classifier.windowing, plan.detection)
        self._top, self._file, self._channel = plan.top, file, channel
        self._events: list[Event] = []

    def push(self, block: Block) -> list[AnyRow]:
        self._events += self._segmenter.push(block.scores)
        return []

    def flush(self, n_samples: int) -> list[AnyRow]:
        events = self._events + self._segmenter.flush(n_samples)
        if self._top is not None:
            events = sorted(events, key=lambda e: -e.score)[: self._top]
        events.sort(key=lambda e: (e.start_time, e.label_index))
        return [event_row(self._file, self._channel, event) for event in events]


class _WindowRows:
    """The best categories of each window."""

    def __init__(
        self, plan: Plan, classifier: AudioClassifier, file: str, channel: int | None
    ) -> None:
        self._selector, self._windowing = classifier.postprocessor.selector, classifier.windowing
        self._top, self._file, self._channel = plan.top, file, channel

    def push(self, block: Block) -> list[AnyRow]:
        rate, hop = self._windowing.sample_rate_hz, self._windowing.hop_samples
        rows: list[AnyRow] = []
        for number, scores in enumerate(block.scores, start=block.first_window):
            start = number * hop / rate
            end = (number * hop + self._windowing.window_samples) / rate
            for c in self._selector.categories(scores, self._top):
                rows.append(_row(self._file, self._channel, start, end, c))
        return rows

    def flush(self, n_samples: int) -> list[AnyRow]:
        return []


class _ClipRows:
    """The best categories of the whole recording."""

    def __init__(
        self, plan: Plan, classifier: AudioClassifier, file: str, channel: int | None
    ) -> None:
        self._aggregator = Aggregator(plan.aggregation or classifier.postprocessor.aggregation)
        self._selector, self._windowing = classifier.postprocessor.selector, classifier.windowing
        self._top, self._file, self._channel = plan.top, file, channel

    def push(self, block: Block) -> list[AnyRow]:
        self._aggregator.push(block.scores, block.weights, block.loudness)
        return []

    def flush(self, n_samples: int) -> list[AnyRow]:
        end = n_samples / self._windowing.sample_rate_hz
        best = self._selector.categories(self._aggregator.flush(), self._top)
        return [_row(self._file, self._channel, 0.0, end, c) for c in best]


class _EmbeddingRows:
    """The embedding of each window, or their mean, each by its share of sound."""

    def __init__(
        self, plan: Plan, classifier: AudioClassifier, file: str, channel: int | None
    ) -> None:
        self._windowing = classifier.windowing
        self._file, self._channel = file, channel
        self._finish = l2_normalized if plan.l2_normalize else lambda vectors: vectors
        self._per_clip = plan.level == "clip"
        self._mean = Aggregator("mean")

    def push(self, block: Block) -> list[AnyRow]:
        if self._per_clip:
            self._mean.push(block.embeddings, block.weights, block.loudness)
            return []
        rate, hop = self._windowing.sample_rate_hz, self._windowing.hop_samples
        starts = [(block.first_window + n) * hop for n in range(len(block.embeddings))]
        return [
            EmbeddingRow(
                self._file,
                self._channel,
                start / rate,
                (start + self._windowing.window_samples) / rate,
                vector,
            )
            for start, vector in zip(starts, self._finish(block.embeddings))
        ]

    def flush(self, n_samples: int) -> list[AnyRow]:
        if not self._per_clip:
            return []
        end = n_samples / self._windowing.sample_rate_hz
        return [EmbeddingRow(self._file, self._channel, 0.0, end, self._finish(self._mean.flush()))]


def event_row(file: str, channel: int | None, event: Event) -> Row:
    """The row of an event."""
    return Row(
        file,
        channel,
        event.start_time,
        event.end_time,
        event.display_name,
        event.label_index,
        event.score,
        event.probability,
    )


def _row(file: str, channel: int | None, start: float, end: float, c: Category) -> Row:
    return Row(file, channel, start, end, c.display_name, c.index, c.score, c.probability)


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
