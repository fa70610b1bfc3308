# SPDX-License-Identifier: Apache-2.0
"""What was heard in one recording."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np

from oido.arrays import F32, F64
from oido.errors import OptionError
from oido.events.aggregation import Aggregator
from oido.inference.framewise import FrameGrid, FrameScores
from oido.inference.postprocess import HeadPostprocessor
from oido.models.model import Novelty
from oido.params import Detection, Windowing
from oido.signal.decode import AudioInfo
from oido.types import Category, Event

__all__ = ["ClassificationResult", "WindowCategories"]


class WindowCategories(NamedTuple):
    """The categories of one window, best first; times are seconds."""

    start_time: float
    end_time: float
    categories: list[Category]


class ClassificationResult:
    """Scores of every window of one recording, and what follows from them.

    labels: the C labels of one head, in the order of the columns; heads: the names of all heads.
    scores: f32[N, C], the model's raw scores, 0..1; not probabilities.
    embeddings: f32[N, D].
    times: f64[N, 2], start and end of each window in seconds; the last may end in padding.
    weights: f64[N], the share of each window that is not padding. loudness: f64[N], of each window.
    probabilities: f32[N, C], the calibrated scores; None for a model without a calibration.
    framewise_scores: f32[T, C], those of frames shorter than a window; frame_times: f64[T, 2].
    duration: seconds of audio. info: what the source is. damaged_packets: pieces of the source
    that could not be decoded and were left out.
    """

    def __init__(
        self,
        *,
        info: AudioInfo,
        postprocessors: Mapping[str, HeadPostprocessor],
        head: str,
        windowing: Windowing,
        n_samples: int,
        raw_scores: F32,
        embeddings: F32,
        weights: F64,
        loudness: F64,
        image_samples: int = 0,
        raw_framewise: F32 | None = None,
        aggregation: str | None = None,
        novelty: Novelty | None = None,
        damaged_packets: int = 0,
    ) -> None:
        self.info = info
        self._postprocessors, self._postprocessor = postprocessors, postprocessors[head]
        self._raw_scores = raw_scores
        self.scores = self._postprocessor.scores(raw_scores)
        self.probabilities = self._postprocessor.probabilities(self.scores)
        self.embeddings = embeddings
        self.weights = weights
        self.loudness = loudness
        self.damaged_packets = damaged_packets
        self.duration = n_samples / windowing.sample_rate_hz
        self.times = windowing.times(0, len(raw_scores))
        self._windowing = windowing
        self._n_samples = n_samples
        self._aggregation = aggregation
        self._novelty = novelty
        columns = 0 if raw_framewise is None else raw_framewise.shape[1]
        self._raw_framewise, self._image_samples = raw_framewise, image_samples
        self._grid = FrameGrid(windowing, columns, image_samples)

    @property
    def labels(self) -> tuple[str, ...]:
        return self._postprocessor.labels

    @property
    def heads(self) -> tuple[str, ...]:
        return tuple(self._postprocessors)

    def of_head(self, name: str) -> ClassificationResult:
        """The same recording, as another head of the model hears it."""
        if name not in self._postprocessors:
            raise OptionError(f"there is no head {name!r}, only {', '.join(self._postprocessors)}")
        return ClassificationResult(
            info=self.info,
            postprocessors=self._postprocessors,
            head=name,
            windowing=self._windowing,
            n_samples=self._n_samples,
            raw_scores=self._raw_scores,
            embeddings=self.embeddings,
            weights=self.weights,
            loudness=self.loudness,
            image_samples=self._image_samples,
            raw_framewise=self._raw_framewise,
            aggregation=self._aggregation,
            novelty=self._novelty,
            damaged_packets=self.damaged_packets,
        )

    @cached_property
    def framewise_scores(self) -> F32:
        """f32[T, C]: raw scores, not probabilities, of short frames (`oido.inference.framewise`).

        YAMNet's frames are 0.16 s long at any hop. Of a network that knows no parts of its windows,
        these are the scores of the windows. They are made when they are asked for, and kept: 13 kB
        for each second at 521 classes, 47 MB an hour.
        """
        if self._raw_framewise is None:
            return self.scores
        n, columns, _ = self._raw_framewise.shape
        rows = self._postprocessor.scores(self._raw_framewise.reshape(n * columns, -1))
        frames = FrameScores(self._grid)
        complete = frames.push(rows.reshape(n, columns, -1))
        return np.concatenate([complete, frames.flush(self._n_samples)])

    @property
    def frame_times(self) -> F64:
        """f64[T, 2]: start and end of each frame of ``framewise_scores`` in seconds."""
        return self._grid.times(len(self.scores), self._n_samples)

    @property
    def similarities(self) -> F32 | None:
        """f32[N]: how near each window is to the nearest class that was taught, -1..1.

        None for a model that does not tell.
        """
        return None if self._novelty is None else self._raw_scores[:, -1]

    @property
    def is_unknown(self) -> bool | None:
        """Whether the whole recording is unlike all that the model was taught; None as above."""
        if self._novelty is None:
            return None
        aggregator = Aggregator("mean")
        aggregator.push(self._raw_scores[:, -1:], self.weights, self.loudness)
        return bool(aggregator.flush()[0] < self._novelty.threshold)

    @property
    def padded_share(self) -> float:
        """The share of the last window that is padding, 0..1."""
        return 1.0 - float(self.weights[-1])

    @property
    def clip_scores(self) -> F32:
        """f32[C]: the whole recording's scores by the classifier's aggregation."""
        return self.clip()

    @property
    def decision_values(self) -> F32:
        """f32[N, C]: probabilities where the model has them, else scores."""
        return self.scores if self.probabilities is None else self.probabilities

    @property
    def clip_probabilities(self) -> F32 | None:
        """f32[C]: the probabilities of ``clip_scores``; None for a model without a calibration."""
        return self._postprocessor.probabilities(self.clip_scores)

    def clip(self, aggregation: str | None = None) -> F32:
        """f32[C]: the whole recording's scores by one of the aggregations (None: its own)."""
        aggregator = Aggregator(aggregation or self._aggregation or self._postprocessor.aggregation)
        aggregator.push(self.scores, self.weights, self.loudness)
        return aggregator.flush()

    def top(self, k: int | None = None, aggregation: str | None = None) -> list[Category]:
        """The best ``k`` categories of the whole recording (None: all that the options leave)."""
        return self._postprocessor.selector.categories(self.clip(aggregation), k)

    def windows(self, k: int | None = None) -> list[WindowCategories]:
        """The best ``k`` categories of each window, in order of time."""
        return [
            WindowCategories(
                float(start), float(end), self._postprocessor.selector.categories(row, k)
            )
            for (start, end), row in zip(self.times, self.scores)
        ]

    def events(
        self,
        threshold: float | None = None,
        *,
        off_ratio: float = 0.5,
        min_duration: float = 0.0,
        merge_gap: float = 0.0,
        thresholds: Mapping[str, float] | None = None,
    ) -> list[Event]:
        """What is heard, from when to when (`oido.events.segmentation` has the rules).

        threshold: a score (a probability, where there is a calibration) of at least this makes an
        event; None is the classifier's ``score_threshold``, or else the model's own threshold of
        the label, or else 0.3. off_ratio: the event
        goes on while scores are at least threshold · off_ratio; min_duration, merge_gap: seconds;
        thresholds: per-label values that replace ``threshold``.
        """
        detection = Detection(
            threshold, off_ratio, min_duration, merge_gap, tuple((thresholds or {}).items())
        )
        segmenter = self._postprocessor.segmenter(self._windowing, detection)
        events = segmenter.push(self.scores) + segmenter.flush(self._n_samples)
        limit = self._postprocessor.selector.selection.max_results
        if limit is not None:
            values = [e.score if e.probability is None else e.probability for e in events]
            strongest = sorted(range(len(events)), key=lambda n: -values[n])[:limit]
            events = [events[n] for n in strongest]
        return sorted(events, key=lambda e: (e.start_time, e.label_index))

    def __repr__(self) -> str:
        best = ", ".join(f"{c.label} {c.score:.2f}" for c in self.top(3))
        return f"<{self.info.name}: {self.duration:.2f} s, {len(self.scores)} windows, {best}>"
