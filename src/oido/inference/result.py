# SPDX-License-Identifier: Apache-2.0
"""What was heard in one recording."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from oido.arrays import F32, F64
from oido.errors import OptionError
from oido.heads import SCORES_ARE
from oido.inference.block import Block, transformed
from oido.inference.detector import FrameGrid, FrameScores
from oido.inference.postprocess import HeadPostprocessor, category_row, event_row, strength
from oido.messages import tr
from oido.options import OPTIONS, check
from oido.params import DEFAULT_TOP, Detection, EventOptions, Windowing
from oido.signal.decode import AudioInfo, AudioSource
from oido.types import AnyRow, Category, Event, FrameRow, Row

if TYPE_CHECKING:
    from typing_extensions import Unpack

Level = Literal["events", "windows", "frames", "clip"]


class WindowCategories(NamedTuple):
    """The categories of one window, best first; times are seconds."""

    start_time: float
    end_time: float
    categories: list[Category]

    def __repr__(self) -> str:
        best = ", ".join(f"{c.display_name} {c.score:.2f}" for c in self.categories[:3])
        more = f", and {len(self.categories) - 3} more" if len(self.categories) > 3 else ""
        return f"WindowCategories({self.start_time:.2f}–{self.end_time:.2f} s: {best}{more})"


class Prediction(NamedTuple):
    """One recording as a model has predicted it, whatever head is then looked at.

    windows: all of them, with the raw scores of all heads. n_samples: at the model's rate.
    image_samples: as of `FrameGrid`. aggregation: the one that was asked for; None: the head's.
    channel: the one that was heard; None: the mean of all.
    """

    info: AudioInfo
    windowing: Windowing
    n_samples: int
    windows: Block
    image_samples: int = 0
    aggregation: str | None = None
    damaged_packets: int = 0
    gaps_seconds: float = 0.0
    findings: tuple[str, ...] = ()
    channel: int | None = None


def _strongest(events: list[Event], limit: int | None) -> list[Event]:
    return events if limit is None else sorted(events, key=strength, reverse=True)[:limit]


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
    that could not be decoded and were left out. gaps_seconds: of silence that stands in it where
    the source's clock goes on and no sound is there. findings: what is wrong with its sound.
    """

    def __init__(
        self, prediction: Prediction, postprocessors: Mapping[str, HeadPostprocessor], head: str
    ) -> None:
        self._prediction, windows = prediction, prediction.windows
        self._postprocessors, self._postprocessor = postprocessors, postprocessors[head]
        self.labels, self.heads = self._postprocessor.labels, tuple(postprocessors)
        self.info, self.damaged_packets = prediction.info, prediction.damaged_packets
        self.gaps_seconds, self.findings = prediction.gaps_seconds, prediction.findings
        self.scores = self._postprocessor.scores(windows.scores)
        self.probabilities = self._postprocessor.probabilities(self.scores)
        self.embeddings, self.times = windows.embeddings, windows.times
        self.weights, self.loudness = windows.weights, windows.loudness
        self.duration = prediction.n_samples / prediction.windowing.sample_rate_hz
        columns = 0 if windows.framewise is None else windows.framewise.shape[1]
        self._grid = FrameGrid(prediction.windowing, columns, prediction.image_samples)

    def of_head(self, name: str) -> ClassificationResult:
        """The same recording, as another head of the model hears it."""
        if name not in self._postprocessors:
            raise OptionError(
                tr(
                    "there is no head {name!r}, only {postprocessors}",
                    name=name,
                    postprocessors=", ".join(self._postprocessors),
                )
            )
        return ClassificationResult(self._prediction, self._postprocessors, name)

    @cached_property
    def framewise_scores(self) -> F32:
        """f32[T, C]: raw scores, not probabilities, of short frames (`oido.inference.detector`).

        YAMNet's frames are 0.16 s long at any hop. Of a network that knows no parts of its windows,
        these are the scores of the windows. They are made when they are asked for, and kept: 13 kB
        for each second at 521 classes, 47 MB an hour.
        """
        framewise = self._windows.framewise
        if framewise is None:
            return self.scores
        frames = FrameScores(self._grid)
        complete = frames.push(framewise)
        return np.concatenate([complete, frames.flush(self._prediction.n_samples)])

    @cached_property
    def _windows(self) -> Block:
        """With the scores of this head."""
        return transformed(self._prediction.windows, self._postprocessor.select)

    @property
    def frame_times(self) -> F64:
        """f64[T, 2]: start and end of each frame of ``framewise_scores`` in seconds."""
        return self._grid.times(len(self.scores), self._prediction.n_samples)

    @property
    def similarities(self) -> F32 | None:
        """f32[N]: how near each window is to the nearest class that was taught, -1..1.

        None for a head that does not tell.
        """
        return self._postprocessor.similarities(self._prediction.windows.scores)

    @property
    def is_unknown(self) -> bool | None:
        """Whether the whole recording is unlike all that the model was taught; None as above."""
        least_similarity, similarities = self._postprocessor.least_similarity, self.similarities
        if least_similarity is None or similarities is None:
            return None
        return bool(self._aggregated(similarities[:, None], "mean")[0] < least_similarity)

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
        own = self._prediction.aggregation or self._postprocessor.aggregation
        return self._aggregated(self.scores, aggregation or own)

    def top(self, k: int | None = None, aggregation: str | None = None) -> list[Category]:
        """The best ``k`` categories of the whole recording (None: all that the options leave)."""
        return self._postprocessor.selector.categories(self.clip(aggregation), k, of_clip=True)

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
        unknown: bool = False,
    ) -> list[Event]:
        """What is heard, from when to when (`oido.events.segmentation` has the rules).

        threshold: what the pooled score (the probability, where there is a calibration) must reach;
        None is the classifier's ``score_threshold``, or else the model's own threshold of the
        label, or else 0.2. off_ratio: outside of stretches of sound, an event lasts while scores of
        frames are at least threshold · off_ratio; min_duration, merge_gap: seconds; thresholds:
        per-label values that replace ``threshold``. unknown: of a taught model, stretches unlike
        all that it was taught, too, with the label "unknown" and the index -1.
        """
        detection = Detection.of(
            thresholds,
            threshold=threshold,
            off_ratio=off_ratio,
            min_duration=min_duration,
            merge_gap=merge_gap,
            unknown=unknown,
        )
        detector = self._postprocessor.detector(
            self._prediction.windowing, self._prediction.image_samples, detection
        )
        events = detector.push(self._windows) + detector.flush(self._prediction.n_samples)
        events = _strongest(events, self._postprocessor.selector.selection.max_results)
        return sorted(events, key=lambda e: (e.start_time, e.label_index))

    def rows(
        self,
        level: Level = "events",
        top: int | None = None,
        thresholds: Mapping[str, float] | None = None,
        **options: Unpack[EventOptions],
    ) -> list[Row]:
        """What tables are made of: the rows of `oido classify`.

        level: "events", "windows", "frames" or "clip". top: as many of each window, frame or clip,
        or the strongest events; None: of events all, else five, or what the classifier's
        ``score_threshold`` and ``max_results`` leave. thresholds, options: of ``events``.
        """
        OPTIONS["level"].read(level)
        check("top", top)
        place = self._place
        if level == "events":
            events = _strongest(self.events(thresholds=thresholds, **options), top)
            events.sort(key=lambda e: (e.start_time, e.label_index))
            return [event_row(*place, event) for event in events]
        if options or thresholds:
            what = ", ".join(options) or tr("thresholds")
            raise OptionError(
                tr("{what}: only for events; a classifier's score_threshold is for all", what=what)
            )
        selector = self._postprocessor.selector
        chosen = selector.selection
        if top is None and (chosen.max_results, chosen.score_threshold) == (None, None):
            top = DEFAULT_TOP
        spans, scores = self.times, self.scores
        if level == "frames":
            spans, scores = self.frame_times, self.framewise_scores
        elif level == "clip":
            spans, scores = np.array([[0.0, self.duration]]), self.clip_scores[None]
        return [
            category_row(*place, start, end, category)
            for (start, end), row in zip(spans.tolist(), scores)
            for category in selector.categories(row, top, of_clip=level == "clip")
        ]

    def to_dict(
        self,
        top: int = DEFAULT_TOP,
        thresholds: Mapping[str, float] | None = None,
        **options: Unpack[EventOptions],
    ) -> dict[str, Any]:
        """The recording, the best ``top`` labels of all of it, and its events, as JSON has them."""
        from oido.inference.result_tables import dicts_of

        calibrated = self.probabilities is not None
        events = self.rows(thresholds=thresholds, **options)
        return {
            **dict(zip(("file", "channel"), self._place)),
            "duration": self.duration,
            "sample_rate": self.info.sample_rate_hz,
            "channels": self.info.channels,
            "windows": len(self.scores),
            "damaged_packets": self.damaged_packets,
            "gaps_seconds": self.gaps_seconds,
            "findings": list(self.findings),
            "unknown": self.is_unknown,
            "scores": SCORES_ARE[self._postprocessor.head.kind],
            "clip": dicts_of(self.rows("clip", top), calibrated),
            "events": dicts_of(events, calibrated),
        }

    def to_dataframe(
        self,
        level: Level | Literal["scores", "framewise_scores"] = "events",
        top: int | None = None,
        thresholds: Mapping[str, float] | None = None,
        **options: Unpack[EventOptions],
    ) -> Any:
        """A ``pandas.DataFrame`` (extra ``oido[pandas]``).

        Of `rows`, with the columns of every table of oido; or "scores" (of windows) and
        "framewise_scores": a column for each label, the index ``start_time``.
        """
        from oido.inference.result_tables import frame_of_rows, frame_of_scores

        if level == "scores" or level == "framewise_scores":  # noqa: PLR1714 (narrows its type)
            if top is not None or options or thresholds:
                raise OptionError(
                    tr(
                        "{level} has the raw scores of all labels, and no other options",
                        level=level,
                    )
                )
            times = self.times if level == "scores" else self.frame_times
            return frame_of_scores(getattr(self, level), times[:, 0], self.labels)
        calibrated = self.probabilities is not None
        return frame_of_rows(self.rows(level, top, thresholds, **options), calibrated)

    def save(
        self,
        path: str | os.PathLike[str],
        level: Level | None = None,
        top: int | None = None,
        thresholds: Mapping[str, float] | None = None,
        **options: Unpack[EventOptions],
    ) -> Path:
        """Write `rows` to a file in the format of its ending; returns its path.

        .csv, .jsonl, .json, .parquet, .txt (Audacity), .selections.txt (Raven), .srt, .vtt; or
        .npz: the scores of all frames. What is named is replaced, when the new file is whole; in a
        folder (``events.csv``) only what oido wrote. Raises OptionError, OutputError.
        """

        def rows(all_scores: bool) -> Sequence[AnyRow]:
            if not all_scores:
                return self.rows(level or "events", top, thresholds, **options)
            if top is not None or options or thresholds:
                raise OptionError(tr("npz has the scores of all labels, and no other options"))
            frames = zip(self.frame_times.tolist(), self.framewise_scores)
            return [FrameRow(*self._place, start, end, row) for (start, end), row in frames]

        if level is not None:
            OPTIONS["level"].read(level)
        from oido.inference.result_tables import save_rows

        return save_rows(
            os.fspath(path),
            level,
            rows,
            recording=self.info.name,
            labels=self.labels,
            calibrated=self.probabilities is not None,
        )

    def plot(
        self,
        sound: AudioSource | None = None,
        sample_rate: int | None = None,
        *,
        labels: Sequence[str] | None = None,
        thresholds: Mapping[str, float] | None = None,
        **options: Unpack[EventOptions],
    ) -> Any:
        """The sound, the scores of frames and the events, one below the other.

        sound: what was classified, with its ``sample_rate`` if it is an array; None: the file, if
        there is one. Its spectrogram is drawn, or, without it and above ten minutes, its loudness.
        labels: which; None: those of the events. thresholds, options: of ``events``. Returns a
        ``matplotlib.figure.Figure`` (extra ``oido[plot]``).
        """
        from oido.inference.result_plot import Sound, draw_result

        postprocessor = self._postprocessor
        if labels is not None and (isinstance(labels, str) or not labels):
            example = [labels] if labels else ["Dog"]
            raise OptionError(tr("labels is a list of labels, such as {example}", example=example))
        wanted = None if labels is None else postprocessor.label_indices(labels)
        values = postprocessor.decision_values(self.framewise_scores)
        levels = self._prediction.windows.levels
        if levels is None:
            levels = np.zeros(0, np.float32)
        return draw_result(
            postprocessor.selector.display_names,
            values,
            self.frame_times,
            self.events(thresholds=thresholds, **options),
            Sound(self.info, self._prediction.channel, self.duration, levels),
            sound,
            sample_rate,
            wanted,
            calibrated=self.probabilities is not None,
        )

    @property
    def _place(self) -> tuple[str, int | None]:
        """What rows begin with: names may be any bytes, and tables are UTF-8."""
        name = self.info.name.encode("utf-8", "backslashreplace").decode()
        return name, self._prediction.channel

    def _repr_html_(self) -> str:
        from oido.inference.result_tables import result_html

        title = f"{self.info.name}: {self.duration:.2f} s, {len(self.scores)} windows"
        return result_html(title, self.events(), calibrated=self.probabilities is not None)

    def _aggregated(self, scores: F32, aggregation: str) -> F32:
        aggregator = self._postprocessor.aggregator(aggregation)
        aggregator.push(scores, self.weights, self.loudness)
        return aggregator.flush()

    def __repr__(self) -> str:
        best = ", ".join(f"{c.display_name} {c.score:.2f}" for c in self.top(3))
        return f"<{self.info.name}: {self.duration:.2f} s, {len(self.scores)} windows, {best}>"
