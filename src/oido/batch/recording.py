# SPDX-License-Identifier: Apache-2.0
"""One recording to rows, in flat memory, wherever it lies: what every engine's worker runs."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

from oido.batch.plan import Failure, FileSummary, Plan, Task
from oido.batch.rows import RowMaker, UnknownJudge, row_maker
from oido.batch.storage import filesystem_of, is_remote
from oido.batch.units import Source
from oido.errors import AudioError, AudioNotFoundError, OidoError, OptionError
from oido.inference.classifier import AudioClassifier
from oido.inference.embedder import require_embeddings
from oido.inference.stream import WindowStream
from oido.models.model import AudioModel
from oido.signal.decode import AudioInfo, AudioReader, open_audio
from oido.signal.mixing import Channel
from oido.types import AnyRow

__all__ = ["MakeRows", "RecordingRun", "fetch_recording", "make_classifier", "open_recording"]

MakeRows = Callable[[int | None], RowMaker]
"""A channel's number (None: the mean of all) → what makes its rows."""


def make_classifier(plan: Plan, model: AudioModel | None = None) -> AudioClassifier:
    """The classifier that a plan asks for; model: the plan's, if it is loaded already."""
    options = plan.selection
    classifier = AudioClassifier(
        plan.model if model is None else model,
        hop=plan.hop,
        aggregation=plan.aggregation,
        max_results=options.max_results,
        score_threshold=options.score_threshold,
        category_allowlist=options.category_allowlist,
        category_denylist=options.category_denylist,
        display_names_locale=plan.locale,
        rollup=plan.rollup,
        precision=plan.precision,
        head=plan.head,
        calibration=plan.calibration,
        jobs=1,
    )
    if plan.what == "embeddings":
        require_embeddings(classifier.model)
    # A wrong label in the thresholds is an error now, before the first recording.
    classifier.label_indices(label for label, _ in plan.detection.thresholds)
    return classifier


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
            stream = self._open(0)
            yield from self._channel_rows(stream, 0)
            for channel in range(1, stream.info.channels):
                yield from self._channel_rows(self._open(channel), channel)
        except (AudioError, OptionError) as error:
            # Messages call a recording as the user did, not by the path that it was read from.
            reason = str(error).replace(self._task.path, self._task.name)
            if self.summary.windows:
                reason += f" (heard up to {self.summary.duration:.1f} s; those rows are kept)"
            self.summary = replace(self.summary, failure=Failure(type(error).__name__, reason))

    def _open(self, channel: Channel) -> WindowStream:
        reader = open_audio(self._task.path)
        if self.info is None:
            self.info, self.tags = reader.info, reader.tags()
        return self._classifier.stream(reader, channel=channel, jobs=self._task.threads)

    def _channel_rows(self, stream: WindowStream, channel: int | None) -> Iterator[list[AnyRow]]:
        maker = self._make_rows(channel)
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
            self.summary = self._summary(before, stream, n_windows, n_rows + len(rows))
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
        )


@contextlib.contextmanager
def fetch_recording(source: Source) -> Iterator[str]:
    """The path of a recording; a remote one is a temporary file while the block lasts.

    Raises AudioNotFoundError if it cannot be fetched.
    """
    if not is_remote(source.location):
        yield source.location
        return
    with tempfile.TemporaryDirectory(prefix="oido-") as folder:
        # With its own ending, because messages may show it.
        path = os.path.join(folder, "recording" + os.path.splitext(source.location)[1][:16])
        with _store_errors(source):
            filesystem_of(source.location).get_file(source.location, path)
        try:
            yield path
        except AudioError as error:
            raise type(error)(str(error).replace(path, source.name)) from error


@contextlib.contextmanager
def open_recording(source: Source) -> Iterator[AudioReader]:
    """A recording read in place, without fetching all of it. Raises AudioError."""
    with contextlib.ExitStack() as stack:
        if is_remote(source.location):
            with _store_errors(source):
                file = filesystem_of(source.location).open(source.location, "rb")
            stack.enter_context(file)
            yield stack.enter_context(open_audio(file))
        else:
            yield stack.enter_context(open_audio(source.location))


@contextlib.contextmanager
def _store_errors(source: Source) -> Iterator[None]:
    """Any error of a store becomes one of the recording."""
    try:
        yield
    except OidoError:
        raise
    except FileNotFoundError as error:
        raise AudioNotFoundError(f"{source.name}: no such file") from error
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise AudioNotFoundError(f"{source.name}: cannot be fetched ({reason})") from error
