# SPDX-License-Identifier: Apache-2.0
"""One recording to rows, in flat memory, wherever it lies: what every engine's worker runs.

Blocks of windows become rows at each level: events, windows, frames, or the whole clip.
`UnknownJudge` decides, if the model knows its training data, whether a recording is unlike it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial

from oido.arrays import F32, F64
from oido.batch.plan import Failure, FileSummary, Plan, Task
from oido.batch.storage import is_remote
from oido.batch.units import Source
from oido.errors import AudioError, MissingExtraError, OptionError
from oido.events.aggregation import Aggregator
from oido.inference.block import Block
from oido.inference.classifier import AudioClassifier
from oido.inference.detector import FrameGrid, FrameScores
from oido.inference.embedder import l2_normalized
from oido.inference.pipeline import WindowStream
from oido.inference.postprocess import category_row, event_row, strength
from oido.inference.species import species_in_week, week_of
from oido.messages import text_of, tr
from oido.models.model import AudioModel
from oido.name_time import time_in_name
from oido.signal.decode import AudioInfo, AudioReader, open_audio
from oido.signal.decode.remote import FetchedFile, fetch, open_in_place
from oido.signal.mixing import Channel
from oido.types import AnyRow, Category, EmbeddingRow, Event, FrameRow, Row
from oido.urls import is_address


def make_classifier(plan: Plan, model: AudioModel | None = None) -> AudioClassifier:
    """The classifier that a plan asks for; model: the plan's, if it is loaded already."""
    classifier = AudioClassifier(
        plan.model if model is None else model,
        hop=plan.hop,
        aggregation=plan.aggregation,
        **asdict(plan.selection),
        display_names_locale=plan.locale,
        rollup=plan.rollup,
        precision=plan.precision,
        head=plan.head,
        calibration=plan.calibration,
        labels_file=plan.labels_file,
        jobs=1,
    )
    if plan.what == "embeddings":
        classifier.model.require_embeddings()
    # A wrong label in the thresholds is an error now, before the first recording.
    classifier.label_indices(label for label, _ in plan.detection.thresholds)
    return classifier


def of_its_week(classifier: AudioClassifier, plan: Plan, name: str) -> AudioClassifier:
    """The classifier for one recording: where the plan has a place, for species of its week."""
    moment = None if plan.place is None else time_in_name(name)
    if plan.place is None or moment is None:
        return classifier
    seen = species_in_week(plan.place, week_of(moment.date()))
    wanted = tuple(label for label in plan.selection.category_allowlist if label in seen)
    none = () if wanted else classifier.labels  # an empty list would allow all
    chosen = replace(plan.selection, category_allowlist=wanted, category_denylist=none)
    return classifier.selecting(chosen)


class RowMaker:
    """Makes the rows of one channel of one recording; without a level of its own, none."""

    unknown_stretches = 0
    """Known when all is flushed: those that are unlike all that the model was taught."""

    def __init__(
        self, plan: Plan, classifier: AudioClassifier, file: str, channel: int | None
    ) -> None:
        self._top, self._file, self._channel = plan.top, file, channel
        self._classifier = classifier
        self._windowing, self._postprocessor = classifier.windowing, classifier.postprocessor
        self._prepare(plan)

    def _prepare(self, plan: Plan) -> None:
        """What a level needs beside this."""

    def begin(self, stream: WindowStream) -> None:
        """The stream whose blocks come, before its first one."""

    def push(self, block: Block) -> list[AnyRow]:
        """Rows that this block completes."""
        return []

    def flush(self, n_samples: int) -> list[AnyRow]:
        """The rows that are left, when the recording ended after this many samples."""
        return []

    def _row(self, start: float, end: float, c: Category) -> Row:
        return category_row(self._file, self._channel, start, end, c)


def row_maker(plan: Plan, classifier: AudioClassifier, file: str, channel: int | None) -> RowMaker:
    """The maker for the plan's level. Raises UnknownLabelError for a wrong threshold label."""
    makers = {"events": _EventRows, "windows": _WindowRows, "frames": _FrameRows, "clip": _ClipRows}
    whole = {"embeddings": _EmbeddingRows, "scores": _FrameScoreRows}
    make = whole.get(plan.what) or makers[plan.level]
    return make(plan, classifier, file, channel)


class _EventRows(RowMaker):
    """The events, by start time; kept to the end, so that they can be put in order."""

    def _prepare(self, plan: Plan) -> None:
        self._detector = self._classifier.detector(plan.detection)
        self._events: list[Event] = []

    def push(self, block: Block) -> list[AnyRow]:
        self._events += self._detector.push(block)
        return []

    def flush(self, n_samples: int) -> list[AnyRow]:
        events = self._events + self._detector.flush(n_samples)
        self.unknown_stretches = self._detector.n_unknown
        if self._top is not None:
            events = sorted(events, key=strength, reverse=True)[: self._top]
        events.sort(key=lambda e: (e.start_time, e.label_index))
        return [event_row(self._file, self._channel, event) for event in events]


class _WindowRows(RowMaker):
    """The best categories of each window."""

    def push(self, block: Block) -> list[AnyRow]:
        return [
            self._row(*self._windowing.span(window), category)
            for window, scores in enumerate(block.scores, start=block.first_window)
            for category in self._postprocessor.selector.categories(scores, self._top)
        ]


class _FrameRows(RowMaker):
    """The best categories of each frame; of a network without framewise scores, of each window's
    cell. The last one waits for the end, because it answers for all that is left.
    """

    def _prepare(self, plan: Plan) -> None:
        self._grid: FrameGrid | None = None
        self._n_windows = self._next_frame = 0
        self._waiting: list[F32] = []  # f32[C], none or one

    def push(self, block: Block) -> list[AnyRow]:
        parts = block.scores[:, None] if block.framewise is None else block.framewise
        if self._grid is None:
            columns = 0 if block.framewise is None else parts.shape[1]
            image_samples = self._classifier.model.image_samples
            self._grid = FrameGrid(self._windowing, columns, image_samples)
            self._frames = FrameScores(self._grid)
        self._n_windows += len(parts)
        frames = [*self._waiting, *self._frames.push(parts)]
        self._waiting = frames[-1:]
        spans = self._grid.spans(self._next_frame, len(frames[:-1]))
        return self._rows(frames[:-1], spans / self._windowing.sample_rate_hz)

    def flush(self, n_samples: int) -> list[AnyRow]:
        if self._grid is None:
            return []
        times = self._grid.times(self._n_windows, n_samples)[self._next_frame :]
        return self._rows([*self._waiting, *self._frames.flush(n_samples)], times)

    def _rows(self, frames: list[F32], times: F64) -> list[AnyRow]:
        self._next_frame += len(frames)
        return [
            row
            for scores, (start, end) in zip(frames, times)
            for row in self._rows_of(float(start), float(end), scores)
        ]

    def _rows_of(self, start: float, end: float, scores: F32) -> list[AnyRow]:
        """Those of one frame, whose scores are f32[C]."""
        best = self._postprocessor.selector.categories(scores, self._top)
        return [self._row(start, end, category) for category in best]


class _FrameScoreRows(_FrameRows):
    """All scores of each frame."""

    def _rows_of(self, start: float, end: float, scores: F32) -> list[AnyRow]:
        return [FrameRow(self._file, self._channel, start, end, scores)]


class _ClipRows(RowMaker):
    """The best categories of the whole recording."""

    def _prepare(self, plan: Plan) -> None:
        self._aggregator = self._postprocessor.aggregator(plan.aggregation)

    def push(self, block: Block) -> list[AnyRow]:
        self._aggregator.push(block.scores, block.weights, block.loudness)
        return []

    def flush(self, n_samples: int) -> list[AnyRow]:
        end = n_samples / self._windowing.sample_rate_hz
        scores = self._aggregator.flush()
        best = self._postprocessor.selector.categories(scores, self._top, of_clip=True)
        return [self._row(0.0, end, category) for category in best]


class _EmbeddingRows(RowMaker):
    """The embedding of each window, or their mean, each by its share of sound."""

    def _prepare(self, plan: Plan) -> None:
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


class UnknownJudge:
    """Takes the blocks of a recording; ``verdict`` is None for a model that cannot know."""

    def __init__(self, classifier: AudioClassifier) -> None:
        self._least_similarity = classifier.postprocessor.least_similarity
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
        if self._least_similarity is None or self._is_empty:
            return None
        return bool(self._mean.flush()[0] < self._least_similarity)


MakeRows = Callable[[int | None], RowMaker]
"""A channel's number (None: the mean of all) → what makes its rows."""


class RecordingRun:
    """Classifies one recording by a plan.

    ``rows`` yields lists of rows as they are known (an empty list means that time went on);
    ``summary`` is the result so far; ``info`` and ``tags`` describe the file, as soon as it could
    be opened. An error of the recording ends it early, but loses no row of the windows before.
    make_rows: what makes the rows of a channel, if not the plan's own maker.
    """

    def __init__(
        self, classifier: AudioClassifier, plan: Plan, task: Task, make_rows: MakeRows | None = None
    ) -> None:
        self._classifier, self._plan, self._task = classifier, plan, task
        self._path = task.path
        self._make_rows = make_rows or partial(row_maker, plan, classifier, task.name)
        self._unknown = UnknownJudge(classifier)
        self.info: AudioInfo | None = None
        self.tags: dict[str, str] = {}
        self.summary = FileSummary(task.name)

    def rows(self) -> Iterator[list[AnyRow]]:
        """Rows by channel, then by time."""
        try:
            if self._plan.channel != "each":
                number = None if self._plan.channel == "mix" else self._plan.channel
                yield from self._channel_rows(self._open(self._plan.channel), number)
                return
            with contextlib.ExitStack() as stack:
                if is_address(self._path):  # once for all channels
                    self._path = str(stack.enter_context(FetchedFile(self._path)).name)
                stream = self._open(0)
                yield from self._channel_rows(stream, 0)
                for channel in range(1, stream.info.channels):
                    yield from self._channel_rows(self._open(channel), channel)
        except (AudioError, OptionError, MissingExtraError) as error:
            # Messages call a recording as the user did, not by the path that it was read from.
            reason = text_of(error).replace(self._path, self._task.name)
            if self.summary.windows:
                reason += tr(
                    " (heard up to {duration:.1f} s; those rows are kept)",
                    duration=self.summary.duration,
                )
            self.summary = replace(self.summary, failure=Failure(type(error).__name__, reason))

    def _open(self, channel: Channel) -> WindowStream:
        reader = open_audio(self._path)
        if self.info is None:
            self.info, self.tags = reader.info, reader.tags()
        return self._classifier.stream(reader, channel=channel, jobs=self._task.threads)

    def _channel_rows(self, stream: WindowStream, channel: int | None) -> Iterator[list[AnyRow]]:
        maker = self._make_rows(channel)
        maker.begin(stream)
        before, damage = self.summary, None
        n_windows = n_rows = 0
        try:
            for block in stream:
                rows = maker.push(block)
                self._unknown.push(block)
                n_windows, n_rows = n_windows + len(block.scores), n_rows + len(rows)
                self.summary = self._summary(before, stream, n_windows, n_rows)
                yield rows
        except AudioError as error:
            damage = error
        if n_windows:
            rows = maker.flush(stream.n_samples)
            summary = self._summary(before, stream, n_windows, n_rows + len(rows))
            stretches = before.unknown_stretches + maker.unknown_stretches
            found = stream.sums.findings(stream.info.sample_rate_hz, stream.gaps_seconds)
            self.summary = replace(
                summary,
                unknown_stretches=stretches,
                notes=_joined(before.notes, notes_of(stream)),
                findings=_joined(before.findings, found),
            )
            yield rows
        if damage is not None:
            raise damage

    def _summary(
        self, before: FileSummary, stream: WindowStream, n_windows: int, n_rows: int
    ) -> FileSummary:
        windowing = stream.windowing
        padded = windowing.padded_samples(stream.n_samples) / windowing.window_samples
        return replace(
            before,
            duration=stream.n_samples / windowing.sample_rate_hz,
            channels=stream.info.channels,
            windows=before.windows + n_windows,
            rows=before.rows + n_rows,
            padded_share=padded,
            damaged_packets=before.damaged_packets + stream.damaged_packets,
            unknown=self._unknown.verdict,
            gaps_seconds=before.gaps_seconds + stream.gaps_seconds,
        )


def notes_of(stream: WindowStream | AudioReader) -> tuple[str, ...]:
    """How a recording was read, where that is not plain."""
    if not stream.overlap_seconds:
        return stream.notes
    overlap = tr(
        "{overlap_seconds:.2f} s are there twice by its clock, and were cut once",
        overlap_seconds=stream.overlap_seconds,
    )
    return (*stream.notes, overlap)


def _joined(before: tuple[str, ...], found: tuple[str, ...]) -> tuple[str, ...]:
    """Each once, although every channel of a recording may say it."""
    return tuple(dict.fromkeys((*before, *found)))


@contextlib.contextmanager
def fetch_recording(source: Source, fetched: str = "") -> Iterator[str]:
    """The path of a recording; a remote one is a temporary file while the block lasts.

    fetched: where a copy should be already. Raises AudioNotFoundError if it cannot be fetched.
    """
    if not is_remote(source.location):
        yield source.location
        return
    if fetched and os.path.exists(fetched):
        with _named(source, fetched):
            yield fetched
        return
    with tempfile.TemporaryDirectory(prefix="oido-") as folder:
        # With its own ending, because messages may show it.
        path = os.path.join(folder, "recording" + os.path.splitext(source.location)[1][:16])
        fetch(source.location, path, source.name, source.size)
        with _named(source, path):
            yield path


@contextlib.contextmanager
def _named(source: Source, path: str) -> Iterator[None]:
    """Errors that call the recording by its own name, and not by that of its copy."""
    try:
        yield
    except AudioError as error:
        raise type(error)(text_of(error).replace(path, source.name)) from error


@contextlib.contextmanager
def open_recording(source: Source, fetched: str = "") -> Iterator[AudioReader]:
    """A recording read in place, without fetching all of it. Raises AudioError.

    fetched: as of `fetch_recording`.
    """
    with contextlib.ExitStack() as stack:
        if fetched and os.path.exists(fetched):
            yield stack.enter_context(open_audio(fetched))
        elif is_remote(source.location):
            file = stack.enter_context(open_in_place(source.location, source.name))
            yield stack.enter_context(open_audio(file))
        else:
            yield stack.enter_context(open_audio(source.location))
