# SPDX-License-Identifier: Apache-2.0
"""What a worker of an archive does, wherever it runs: units in, Parquet parts and reports out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import pyarrow as pa

from oido.batch.arrow_rows import ChannelRows, schemas
from oido.batch.commit_log import PIECES, utc_now
from oido.batch.parquet_parts import PartBuffer, write_part
from oido.batch.plan import Failure, FileSummary, Task
from oido.batch.ranges import (
    PieceWriter,
    RangeEnd,
    RangeReader,
    piece_is_whole,
    ranges_of,
    read_piece,
)
from oido.batch.recording import (
    RecordingRun,
    UnknownJudge,
    fetch_recording,
    make_classifier,
    notes_of,
    of_its_week,
    open_recording,
)
from oido.batch.sources import source_now
from oido.batch.storage import new_path, storage_of
from oido.batch.units import (
    Finished,
    Flush,
    Outcome,
    RunSpec,
    Sample,
    Source,
    Unit,
    WorkerReport,
    escaped_name,
    remarks_of,
    utf8,
)
from oido.errors import AudioError, OptionError, OutputError
from oido.inference.classifier import AudioClassifier
from oido.inference.embedding_stream import EmbeddingNetwork
from oido.models.loading import load_model
from oido.signal.decode import AudioInfo, open_audio
from oido.signal.level import SoundSums

_REPORT_SECONDS = 0.5

_LEAST_BYTES = 2000
"""A second takes more in formats that can be split: smaller files are not opened to be measured."""


class UnitWorker:
    """Classifies units by a spec, and writes their rows.

    ``serve`` a unit, and it reports; finished recordings share parts, which are written every few
    seconds: their ``Finished`` may come with a later unit, or with ``Flush``. One at a time.
    """

    def __init__(self, spec: RunSpec) -> None:
        self._spec = spec
        self._classifier = make_classifier(spec.plan)
        self._network = None
        if spec.embedding_model:
            self._network = EmbeddingNetwork(load_model(spec.embedding_model))
        elif spec.embeddings:
            self._classifier.model.require_embeddings()
        self._storage = storage_of(spec.folder, spec.run_id)
        self._schemas = schemas(spec.plan.calibrated)
        self._held: dict[str, list[Any]] = {}
        self._outcomes: list[Outcome] = []
        self._rows = 0
        self._is_warm = False
        self._flushed = self._reported = time.monotonic()
        self.model_name = self._classifier.model.name
        self.model_sha256 = self._classifier.model.sha256
        self.labels = self._classifier.labels

    def serve(self, task: Unit | Flush) -> Iterator[WorkerReport]:
        """Do one unit; the last report has ``ends_task``. Raises OutputError."""
        if isinstance(task, Flush):
            yield WorkerReport(finished=self._flush(), ends_task=True)
            return
        if task.kind == "sample":
            yield WorkerReport(sample=self._sample(task), ends_task=True)
            return
        serve = {"range": self._classify_range, "join": self._join}
        try:
            yield from serve.get(task.kind, self._classify_whole)(task)
        except OutputError:
            raise
        except Exception as error:
            failure = Failure.internal(task.source.name, error)
            yield from self._classify_whole(replace(task, kind="failed", failure=failure))

    def _classify_whole(self, unit: Unit) -> Iterator[WorkerReport]:
        started = time.monotonic()
        buffer = PartBuffer(self._storage, self._schemas)
        name, failure = unit.source.name, unit.failure
        classifier = of_its_week(self._classifier, self._spec.plan, name)
        make = partial(
            ChannelRows, self._spec, classifier, name, buffer=buffer, network=self._network
        )
        run = RecordingRun(classifier, self._spec.plan, Task(0, "", name, name), make)
        try:
            if failure is None:
                try:
                    ranges = self._ranges(unit)
                    if ranges:
                        yield WorkerReport(ranges=ranges, ends_task=True)
                        return
                    with fetch_recording(unit.source, unit.fetched) as path:
                        task = Task(0, path, name, name)
                        run = RecordingRun(classifier, self._spec.plan, task, make)
                        for _ in run.rows():
                            yield from self._progress(run.summary.duration)
                        # Each channel opens it again, and may have met another one.
                        if self._spec.plan.channel == "each" and _has_changed(unit.source):
                            yield _unsplit(unit)
                            return
                except AudioError as error:
                    failure = Failure.of(error)
            failure = failure or run.summary.failure
            summary = replace(run.summary, rows=buffer.rows, failure=failure)
            yield self._finish(unit, buffer, summary, run.info, run.tags, started)
        finally:
            buffer.discard()

    def _ranges(self, unit: Unit) -> tuple[Unit, ...]:
        """The ranges of a long recording that may be split, or none."""
        # The windows of the other network overlap any cut.
        if self._network is not None or not unit.may_split:
            return ()
        if 0 < unit.source.size < self._spec.split_seconds * _LEAST_BYTES:
            return ()
        try:
            with open_recording(unit.source, unit.fetched) as reader:
                return ranges_of(unit.source, reader, self._classifier, self._spec.split_seconds)
        except AudioError:
            return ()  # the attempt to hear it will show why

    def _classify_range(self, unit: Unit) -> Iterator[WorkerReport]:
        started = time.monotonic()
        duration, seconds, windows, paths = 0.0, 0.0, 0, []
        try:
            for channel in self._channels(unit.source):
                with open_recording(unit.source) as reader:
                    info, tags = reader.info, reader.tags()
                    ranged = RangeReader(reader, unit, self._classifier.windowing, channel)
                    stream = self._classifier.stream(ranged, jobs=1)
                    path = new_path(self._storage, PIECES, ".npy")
                    with self._storage.open_new(path) as file:
                        piece = PieceWriter(file, unit, stream.windowing)
                        for block in stream:
                            piece.write(block, self._spec.embeddings)
                            windows += len(block.scores)
                            duration = stream.n_samples / stream.windowing.sample_rate_hz
                            yield from self._progress(duration)
                        elapsed = time.monotonic() - started
                        started += elapsed
                        seconds += elapsed
                        notes, sums = list(notes_of(reader)), list(ranged.sums)
                        end = RangeEnd(ranged.n_samples, info, tags, elapsed, notes, sums)
                        piece.end(end)
                    paths.append(path)
        except (AudioError, OptionError) as error:
            outcome = Outcome(unit, "unsplit", failure=Failure.of(error))
        else:
            outcome = Outcome(unit, "piece", duration, windows, 0, seconds, pieces=tuple(paths))
        yield WorkerReport(duration, (Finished((), (outcome,)),), ends_task=True)

    def _channels(self, source: Source) -> list[Any]:
        chosen = self._spec.plan.channel
        if chosen != "each":
            return [chosen]
        with open_recording(source) as reader:
            return list(range(reader.info.channels))

    def _join(self, unit: Unit) -> Iterator[WorkerReport]:
        """The rows of a recording of which all ranges are done, as if it had been one piece."""
        pieces = [path for paths in unit.pieces for path in paths]
        if _has_changed(unit.source) or not all(piece_is_whole(self._storage, p) for p in pieces):
            yield _unsplit(unit)
            return
        started = time.monotonic()
        buffer = PartBuffer(self._storage, self._schemas)
        windowing, name = self._classifier.windowing, unit.source.name
        classifier = of_its_week(self._classifier, self._spec.plan, name)
        summary, unknown = FileSummary(name), UnknownJudge(classifier)
        end, sums = RangeEnd(0, AudioInfo(name, 0, 0, None, "", ""), {}), []
        try:
            for number, paths in enumerate(zip(*unit.pieces)):
                chosen = self._spec.plan.channel
                channel = number if chosen == "each" else None if chosen == "mix" else chosen
                rows = ChannelRows(self._spec, classifier, name, channel, buffer)
                for path in paths:
                    for content in read_piece(self._storage, path, windowing):
                        if isinstance(content, RangeEnd):
                            end = content
                            started -= end.seconds
                            sums.append(SoundSums._make(end.sums))
                            continue
                        rows.push(content)
                        unknown.push(content)
                        windows = summary.windows + len(content.scores)
                        summary = replace(summary, windows=windows)
                        yield from self._progress(0.0)
                rows.flush(end.n_samples)
                stretches = summary.unknown_stretches + rows.unknown_stretches
                summary = replace(summary, unknown_stretches=stretches)
            summary = replace(
                summary,
                duration=end.n_samples / windowing.sample_rate_hz,
                channels=end.info.channels,
                padded_share=windowing.padded_samples(end.n_samples) / windowing.window_samples,
                rows=buffer.rows,
                unknown=unknown.verdict,
                notes=tuple(end.notes),
                findings=SoundSums.added(sums).findings(end.info.sample_rate_hz),
            )
            yield self._finish(unit, buffer, summary, end.info, end.tags, started)
        finally:
            buffer.discard()

    def _sample(self, unit: Unit) -> Sample:
        """Measure a recording, at both hops; an error shows when it is classified."""
        model, plan = self._classifier.model, self._spec.plan
        others = replace(plan, hop=None if plan.hop == "window" else "window")
        try:
            other = make_classifier(others, model)
            with fetch_recording(unit.source, unit.fetched) as path:
                if not self._is_warm:
                    _cost(self._classifier, path, self._network)
                    self._is_warm = True
                duration, seconds, channels = _cost(self._classifier, path, self._network)
                is_same = other.windowing == self._classifier.windowing
                other_seconds = 0.0 if is_same else _cost(other, path, self._network)[1]
        except Exception:
            return Sample()
        each = channels if plan.channel == "each" else 1
        return Sample(duration, seconds * each, other_seconds * each)

    def _progress(self, duration: float) -> Iterator[WorkerReport]:
        """Say now and then how far it is, and write what has been held for long."""
        moment = time.monotonic()
        due = moment - self._flushed > self._spec.flush_seconds and self._outcomes
        if due or moment - self._reported > _REPORT_SECONDS:
            self._reported = moment
            yield WorkerReport(duration, self._flush() if due else ())

    def _finish(
        self,
        unit: Unit,
        buffer: PartBuffer,
        summary: FileSummary,
        info: AudioInfo | None,
        tags: dict[str, str],
        started: float,
    ) -> WorkerReport:
        """The recording's own row, and the last report of it: what can be committed now."""
        source, failure, seconds = unit.source, summary.failure, time.monotonic() - started
        row = {
            **source._asdict(),
            **vars(summary),  # the schema takes what it has a column for
            "file": source.name,
            "location": escaped_name(source.location),
            "key": source.key,
            "sample_rate": info.sample_rate_hz if info else 0,
            "failure_kind": failure and failure.kind,
            "failure_reason": failure and utf8(failure.reason),
            "tags": utf8(json.dumps(tags, ensure_ascii=False, sort_keys=True)),
            "heard_at": utc_now(),
            "hearing_seconds": round(seconds, 3),
            "findings": utf8("; ".join((*summary.notes, *summary.findings))),
        }
        buffer("recordings", pa.RecordBatch.from_pylist([row], self._schemas["recordings"]))
        state: Literal["done", "failed"] = "done" if failure is None else "failed"
        counts = summary.duration, summary.windows, summary.rows
        outcome = Outcome(unit, state, *counts, seconds, failure, remarks=remarks_of(summary))
        duration = 0.0 if unit.kind == "join" else summary.duration
        if state == "failed" or buffer.is_large or unit.alone:
            # Parts of its own: they can be removed if it is done again.
            finished: tuple[Finished, ...] = (Finished(tuple(buffer.write()), (outcome,)),)
            return WorkerReport(duration, finished, ends_task=True)
        for table, batches in buffer.release().items():
            self._held.setdefault(table, []).extend(batches)
            self._rows += sum(batch.num_rows for batch in batches)
        self._outcomes.append(outcome)
        is_due = time.monotonic() - self._flushed > self._spec.flush_seconds
        finished = self._flush() if is_due or self._rows > self._spec.flush_rows else ()
        return WorkerReport(duration, finished, ends_task=True)

    def _flush(self) -> tuple[Finished, ...]:
        """Write what is held; one Finished, or none."""
        self._flushed = time.monotonic()
        if not self._outcomes:
            return ()
        parts = tuple(
            write_part(self._storage, table, self._schemas[table], batches)
            for table, batches in self._held.items()
        )
        finished = Finished(parts, tuple(self._outcomes))
        self._held, self._outcomes, self._rows = {}, [], 0
        return (finished,)


def _cost(
    classifier: AudioClassifier, path: str, network: EmbeddingNetwork | None
) -> tuple[float, float, int]:
    """Of a recording: its length (0: not known), the work for a second of its sound, its channels.

    Two blocks of windows are classified, a minute or so; if both are full, only the second counts,
    because the first one waits for the opening and for what fills the stages.
    """
    started = time.monotonic()
    elapsed, seconds = list[float](), list[float]()
    with open_audio(path) as reader:
        info = reader.info
        stream = classifier.stream(reader, jobs=1)
        if network is not None:
            stream.on_block = network.stream(info, "mix").push
        for block in stream:
            elapsed.append(time.monotonic() - started - sum(elapsed))
            seconds.append(len(block.scores) * classifier.windowing.hop_seconds)
            if len(seconds) == 2:
                break
    if len(seconds) == 2 and seconds[0] == seconds[1]:
        del elapsed[0], seconds[0]
    return info.duration_seconds or 0.0, sum(elapsed) / sum(seconds), info.channels


def _unsplit(unit: Unit) -> WorkerReport:
    """What was heard of it does not belong together: it is to be heard again."""
    return WorkerReport(finished=(Finished((), (Outcome(unit, "unsplit"),)),), ends_task=True)


def _has_changed(source: Source) -> bool:
    """Whether somebody has replaced or written to the recording since it was named."""
    now = source_now(source.name, source.location)
    return now is not None and now.key != source.key
