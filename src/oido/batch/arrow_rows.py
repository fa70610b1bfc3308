# SPDX-License-Identifier: Apache-2.0
"""Blocks of windows to Arrow columns: the rows of an archive, without an object for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from oido.arrays import F32, I64
from oido.batch.recording import RowMaker, row_maker
from oido.batch.units import EMBEDDINGS, RunSpec
from oido.inference.block import Block
from oido.inference.classifier import AudioClassifier
from oido.inference.embedding_stream import EmbeddingNetwork
from oido.inference.pipeline import WindowStream
from oido.params import Windowing
from oido.signal.mixing import Channel
from oido.types import AnyRow
from oido.writers.tables import PLACE_TYPES, label_types, value_of

_RECORDING_TYPES = {
    "file": "string",
    "location": "string",
    "size": "int64",
    "modified": "string",
    "key": "string",
    "duration": "float64",
    "channels": "int32",
    "sample_rate": "int32",
    "windows": "int64",
    "rows": "int64",
    "padded_share": "float64",
    "damaged_packets": "int64",
    "unknown": "bool",
    "failure_kind": "string",
    "failure_reason": "string",
    "tags": "string",
    "heard_at": "string",
    "hearing_seconds": "float64",
    "gaps_seconds": "float64",
    "findings": "string",
    "unknown_stretches": "int64",
}


def schemas(calibrated: bool) -> dict[str, Any]:
    """The Arrow schema of each table."""
    labels = _schema(label_types(calibrated))
    vectors = pa.field("embedding", pa.list_(pa.float16()))
    return {
        "recordings": _schema(_RECORDING_TYPES),
        **dict.fromkeys(("events", "windows", "clips"), labels),
        EMBEDDINGS: _schema(PLACE_TYPES).append(vectors),
    }


def _schema(types: Mapping[str, str]) -> Any:
    return pa.schema([(name, pa.type_for_alias(alias)) for name, alias in types.items()])


class ChannelRows(RowMaker):
    """Makes the rows of one channel of a recording, of all tables, as record batches.

    They go to ``buffer`` (a table's name, a record batch) and are not returned. Events and clips
    are few, and come from the makers that `oido classify` uses; windows and embeddings are many,
    and are made a block at a time. network: whose embeddings they are, in windows of its own; None:
    the classifier's.
    """

    def __init__(
        self,
        spec: RunSpec,
        classifier: AudioClassifier,
        file: str,
        channel: int | None,
        buffer: Any,
        network: EmbeddingNetwork | None = None,
    ) -> None:
        super().__init__(spec.plan, classifier, file, channel)
        self._buffer, self._schemas = buffer, schemas(spec.plan.calibrated)
        self._floor, self._network = np.float32(spec.floor), network
        self._keeps_own_embeddings = spec.embeddings and network is None
        self._flush_others: Callable[[], None] = lambda: None
        self._labels = pa.array(self._postprocessor.selector.display_names, pa.string())
        clips = replace(spec.plan, level="clip", top=spec.clip_top)
        self._makers: list[tuple[str, RowMaker]] = [
            ("events", row_maker(spec.plan, classifier, file, channel)),
            ("clips", row_maker(clips, classifier, file, channel)),
        ]

    def begin(self, stream: WindowStream) -> None:
        """Give the samples of the stream to the other network, too."""
        if self._network is None:
            return
        channel: Channel = "mix" if self._channel is None else self._channel
        others = self._network.stream(stream.info, channel)

        def push(samples: F32) -> None:
            self._add_embeddings(others.push(samples), others.windowing)

        def flush() -> None:
            self._add_embeddings(others.flush(damaged=stream.is_damaged), others.windowing)

        stream.on_block, self._flush_others = push, flush

    def push(self, block: Block) -> list[AnyRow]:
        """The rows of a block of windows, to the buffer."""
        for table, maker in self._makers:
            self._add_rows(table, maker.push(block))
        self._add_windows(block)
        if self._keeps_own_embeddings:
            self._add_embeddings([block], self._windowing)
        return []

    def flush(self, n_samples: int) -> list[AnyRow]:
        """The rows that are left, to the buffer."""
        for table, maker in self._makers:
            self._add_rows(table, maker.flush(n_samples))
        self._flush_others()
        self.unknown_stretches = sum(maker.unknown_stretches for _, maker in self._makers)
        return []

    def _add_windows(self, block: Block) -> None:
        values = self._postprocessor.decision_values(block.scores)
        allowed = self._postprocessor.selector.allowed
        window, label = np.nonzero((values >= self._floor) & allowed)
        if not len(window):
            return
        # Within a window the best comes first, and ties in the order of the labels.
        order = np.lexsort((label, -values[window, label], window))
        window, label = window[order], label[order]
        columns = [
            *self._place(window + block.first_window, self._windowing),
            self._labels.take(pa.array(label)),
            pa.array(label.astype(np.int32)),
            pa.array(block.scores[window, label]),
        ]
        if values is not block.scores:
            columns.append(pa.array(values[window, label]))
        columns.append(pa.repeat(pa.scalar(""), len(window)))
        self._add("windows", columns)

    def _add_embeddings(self, blocks: Sequence[Block], windowing: Windowing) -> None:
        for block in blocks:
            n, size = block.embeddings.shape
            values = pa.array(block.embeddings.astype(np.float16).ravel())
            offsets = pa.array(np.arange(0, n * size + 1, size, dtype=np.int32))
            places = self._place(np.arange(n) + block.first_window, windowing)
            self._add(EMBEDDINGS, [*places, pa.ListArray.from_arrays(offsets, values)])

    def _place(self, windows: I64, w: Windowing) -> list[Any]:
        """Columns file, channel, start_time and end_time."""
        n = len(windows)
        starts = windows * w.hop_samples
        return [
            pa.repeat(pa.scalar(self._file, pa.string()), n),
            pa.repeat(pa.scalar(self._channel, pa.int32()), n),
            pa.array(starts / w.sample_rate_hz),
            pa.array((starts + w.window_samples) / w.sample_rate_hz),
        ]

    def _add_rows(self, table: str, rows: Sequence[AnyRow]) -> None:
        if rows:
            schema = self._schemas[table]
            values = [[value_of(row, name) for row in rows] for name in schema.names]
            self._add(table, [pa.array(v, f.type) for v, f in zip(values, schema)])

    def _add(self, table: str, columns: list[Any]) -> None:
        self._buffer(table, pa.RecordBatch.from_arrays(columns, schema=self._schemas[table]))
