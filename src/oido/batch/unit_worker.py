# SPDX-License-Identifier: Apache-2.0
"""What a worker of an archive does, wherever it runs: units in, Parquet parts and reports out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from oido.batch import ranges as pieces
from oido.batch.arrow_rows import ChannelRows, schemas
from oido.batch.commit_log import PIECES, now
from oido.batch.parquet_parts import PartBuffer, write_part
from oido.batch.plan import Failure, FileSummary, Task
from oido.batch.ranges import RangeReader, ranges_of
from oido.batch.recording import RecordingRun, make_classifier
from oido.batch.remote_files import fetched, opened
from oido.batch.rows import UnknownJudge
from oido.batch.storage import new_path, storage_of
from oido.batch.units import Finished, Flush, Outcome, RunSpec, Source, Unit, WorkerReport, utf8
from oido.errors import AudioError, OptionError, OutputError
from oido.signal.decode import AudioInfo

__all__ = ["UnitWorker"]

_REPORT_SECONDS = 0.5

_LEAST_BYTES = 2000
"""A second takes more in formats that can be split: smaller files are not opened to be measured."""


class UnitWorker:
    """Hears units by an order, and writes their rows.

    ``serve`` a unit, and it reports; finished recordings share parts, which are written every few
    seconds: their ``Finished`` may come with a later unit, or with ``Flush``. One at a time.
    """

    def __init__(self, order: RunSpec) -> None:
        self._order = order
        self._classifier = make_classifier(order.plan)
        self._storage = storage_of(order.folder, order.run_id)
        self._schemas = schemas(order.plan.calibrated)
        self._held: dict[str, list[Any]] = {}
        self._outcomes: list[Outcome] = []
        self._rows = 0
        self._flushed = self._reported = time.monotonic()
        self.model_name = self._classifier.model.name
        self.model_sha256 = self._classifier.model.sha256

    def serve(self, task: Unit | Flush) -> Iterator[WorkerReport]:
        """Do one unit; the last report has ``ends_task``. Raises OutputError."""
        if isinstance(task, Flush):
            yield WorkerReport(finished=self._flush(), ends_task=True)
            return
        serve = {
            "whole": self._hear_whole,
            "range": self._hear_range,
            "join": self._join,
            "failed": self._hear_whole,
        }[task.kind]
        try:
            yield from serve(task)
        except OutputError:
            raise
        except Exception as error:
            # A defect of ours: it must cost one recording, and must say enough to be found.
            name = task.source.name
            failure = Failure(
                "InternalError", f"{name}: internal error, {type(error).__name__}: {error}"
            )
            yield from self._hear_whole(replace(task, kind="failed", failure=failure))

    def _hear_whole(self, unit: Unit) -> Iterator[WorkerReport]:
        started = time.monotonic()
        shelf = PartBuffer(self._storage, self._schemas)
        name, failure = unit.source.name, unit.failure
        hearing = RecordingRun(self._classifier, self._order.plan, Task(0, "", name, name))
        try:
            if failure is None:
                try:
                    ranges = self._ranges(unit)
                    if ranges:
                        yield WorkerReport(ranges=ranges, ends_task=True)
                        return
                    with fetched(unit.source) as path:
                        hearing = self._hearing(Task(0, path, name, name), shelf)
                        for _ in hearing.rows():
                            yield from self._progress(hearing.summary.duration)
                except AudioError as error:
                    failure = Failure(type(error).__name__, str(error))
            summary = replace(
                hearing.summary, rows=shelf.rows, failure=failure or hearing.summary.failure
            )
            self._describe(shelf, unit.source, summary, hearing.info, hearing.tags, started)
            outcome = _outcome(unit, summary, started)
            yield WorkerReport(summary.duration, self._put(outcome, shelf), ends_task=True)
        finally:
            shelf.discard()

    def _hearing(self, task: Task, shelf: PartBuffer) -> RecordingRun:
        make = partial(self._channel_rows, task.name, shelf)
        return RecordingRun(self._classifier, self._order.plan, task, make)

    def _channel_rows(self, name: str, shelf: PartBuffer, channel: int | None) -> ChannelRows:
        return ChannelRows(self._order, self._classifier, name, channel, shelf)

    def _ranges(self, unit: Unit) -> tuple[Unit, ...]:
        """The ranges of a long recording that may be split, or none."""
        if not unit.may_split or 0 < unit.source.size < self._order.split_seconds * _LEAST_BYTES:
            return ()
        try:
            with opened(unit.source) as reader:
                return ranges_of(unit.source, reader, self._classifier, self._order.split_seconds)
        except AudioError:
            return ()  # hearing it will tell

    def _hear_range(self, unit: Unit) -> Iterator[WorkerReport]:
        started = time.monotonic()
        duration, seconds, windows, paths = 0.0, 0.0, 0, []
        try:
            for channel in self._channels(unit.source):
                with opened(unit.source) as reader:
                    info, tags = reader.info, reader.tags()
                    ranged = RangeReader(reader, unit, self._classifier.windowing, channel)
                    stream = self._classifier.stream(ranged, jobs=1)
                    path = new_path(self._storage, PIECES, ".npy")
                    with pieces.writing(self._storage, path) as piece:
                        for block in stream:
                            piece.write(block, unit.first_window, self._order.embeddings)
                            windows += len(block.scores)
                            duration = stream.n_samples / stream.windowing.sample_rate_hz
                            yield from self._progress(duration)
                        taken = time.monotonic() - started
                        started += taken
                        seconds += taken
                        piece.end(pieces.End(ranged.n_samples, info, tags, taken))
                    paths.append(path)
        except (AudioError, OptionError) as error:
            failure = Failure(type(error).__name__, str(error))
            outcome = Outcome(unit, "unsplit", failure=failure)
        else:
            outcome = Outcome(unit, "piece", duration, windows, 0, seconds, pieces=tuple(paths))
        yield WorkerReport(duration, (Finished((), (outcome,)),), ends_task=True)

    def _channels(self, source: Source) -> list[Any]:
        chosen = self._order.plan.channel
        if chosen != "each":
            return [chosen]
        with opened(source) as reader:
            return list(range(reader.info.channels))

    def _join(self, unit: Unit) -> Iterator[WorkerReport]:
        """The rows of a recording of which all ranges were heard, as if it had been one piece."""
        started = time.monotonic()
        shelf = PartBuffer(self._storage, self._schemas)
        windowing, name = self._classifier.windowing, unit.source.name
        summary, unknown = FileSummary(name), UnknownJudge(self._classifier)
        end = pieces.End(0, AudioInfo(name, 0, 0, None, "", ""), {})
        try:
            for number, paths in enumerate(zip(*unit.pieces)):
                chosen = self._order.plan.channel
                channel = number if chosen == "each" else None if chosen == "mix" else chosen
                rows = self._channel_rows(name, shelf, channel)
                for path in paths:
                    for content in pieces.read(self._storage, path, windowing):
                        if isinstance(content, pieces.End):
                            end = content
                            started -= end.seconds
                            continue
                        rows.push(content)
                        unknown.push(content)
                        windows = summary.windows + len(content.scores)
                        summary = replace(summary, windows=windows)
                        yield from self._progress(0.0)
                rows.flush(end.n_samples)
            summary = replace(
                summary,
                duration=end.n_samples / windowing.sample_rate_hz,
                channels=end.info.channels,
                padded_share=windowing.padded_samples(end.n_samples) / windowing.window_samples,
                rows=shelf.rows,
                unknown=unknown.verdict,
            )
            self._describe(shelf, unit.source, summary, end.info, end.tags, started)
            outcome = _outcome(unit, summary, started)
            yield WorkerReport(0.0, self._put(outcome, shelf), ends_task=True)
        finally:
            shelf.discard()

    def _progress(self, duration: float) -> Iterator[WorkerReport]:
        """Say now and then how far it is, and write what has been held for long."""
        moment = time.monotonic()
        due = moment - self._flushed > self._order.flush_seconds and self._outcomes
        if due or moment - self._reported > _REPORT_SECONDS:
            self._reported = moment
            yield WorkerReport(duration, self._flush() if due else ())

    def _describe(
        self,
        shelf: PartBuffer,
        source: Source,
        summary: FileSummary,
        info: AudioInfo | None,
        tags: dict[str, str],
        started: float,
    ) -> None:
        failure = summary.failure
        row = {
            "file": source.name,
            "location": utf8(source.location),
            "size": source.size,
            "modified": source.modified,
            "key": source.key,
            "duration": summary.duration,
            "channels": summary.channels,
            "sample_rate": info.sample_rate_hz if info else 0,
            "windows": summary.windows,
            "rows": summary.rows,
            "padded_share": summary.padded_share,
            "damaged_packets": summary.damaged_packets,
            "unknown": summary.unknown,
            "failure_kind": failure and failure.kind,
            "failure_reason": failure and utf8(failure.reason),
            "tags": utf8(json.dumps(tags, ensure_ascii=False, sort_keys=True)),
            "heard_at": now(),
            "hearing_seconds": round(time.monotonic() - started, 3),
        }
        shelf("recordings", pa.RecordBatch.from_pylist([row], self._schemas["recordings"]))

    def _put(self, outcome: Outcome, shelf: PartBuffer) -> tuple[Finished, ...]:
        """Take the rows of a recording that is over; what can be committed now."""
        if outcome.state == "failed" or shelf.is_large:
            # Parts of its own: they can be taken away if it is heard again.
            return (Finished(tuple(shelf.write()), (outcome,)),)
        for table, batches in shelf.take().items():
            self._held.setdefault(table, []).extend(batches)
            self._rows += sum(batch.num_rows for batch in batches)
        self._outcomes.append(outcome)
        is_due = time.monotonic() - self._flushed > self._order.flush_seconds
        return self._flush() if is_due or self._rows > self._order.flush_rows else ()

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


def _outcome(unit: Unit, summary: FileSummary, started: float) -> Outcome:
    return Outcome(
        unit,
        "done" if summary.failure is None else "failed",
        summary.duration,
        summary.windows,
        summary.rows,
        time.monotonic() - started,
        summary.failure,
    )
