# SPDX-License-Identifier: Apache-2.0
"""Blocks of windows to Arrow columns: the rows of an archive, without an object for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from oido.batch.rows import RowMaker, row_maker
from oido.batch.units import EMBEDDINGS, RunSpec
from oido.inference.block import Block
from oido.inference.classifier import AudioClassifier
from oido.types import AnyRow, Row
from oido.writers.base import CALIBRATED

__all__ = ["ChannelRows", "schemas"]

_PLACE = [
    ("file", pa.string()),
    ("channel", pa.int32()),
    ("start_time", pa.float64()),
    ("end_time", pa.float64()),
]
_LABELS = [
    *_PLACE,
    ("label", pa.string()),
    ("label_index", pa.int32()),
    ("score", pa.float32()),
]
_RECORDINGS = [
    ("file", pa.string()),
    ("location", pa.string()),
    ("size", pa.int64()),
    ("modified", pa.string()),
    ("key", pa.string()),
    ("duration", pa.float64()),
    ("channels", pa.int32()),
    ("sample_rate", pa.int32()),
    ("windows", pa.int64()),
    ("rows", pa.int64()),
    ("padded_share", pa.float64()),
    ("damaged_packets", pa.int64()),
    ("unknown", pa.bool_()),
    ("failure_kind", pa.string()),
    ("failure_reason", pa.string()),
    ("tags", pa.string()),
    ("heard_at", pa.string()),
    ("hearing_seconds", pa.float64()),
]


def schemas(calibrated: bool) -> dict[str, Any]:
    """The Arrow schema of each table."""
    labels = pa.schema([*_LABELS, (CALIBRATED, pa.float32())] if calibrated else _LABELS)
    return {
        "recordings": pa.schema(_RECORDINGS),
        "events": labels,
        "windows": labels,
        "clips": labels,
        EMBEDDINGS: pa.schema([*_PLACE, ("embedding", pa.list_(pa.float16()))]),
    }


class ChannelRows:
    """Makes the rows of one channel of a recording, of all tables, as record batches.

    A `RowMaker` that gives its rows to ``shelf`` (a table's name, a record batch) instead of
    returning them. Events and clips are few, and come from the makers that `oido classify` uses;
    windows and embeddings are many, and are made a block at a time.
    """

    def __init__(
        self,
        order: RunSpec,
        classifier: AudioClassifier,
        file: str,
        channel: int | None,
        shelf: Any,
    ) -> None:
        self._file, self._channel, self._shelf = file, channel, shelf
        self._reader, self._windowing = classifier.postprocessor, classifier.windowing
        self._schemas = schemas(order.plan.calibrated)
        self._floor = np.float32(order.floor)
        self._keeps_embeddings = order.embeddings
        self._labels = pa.array(classifier.postprocessor.selector.display_names, pa.string())
        clips = replace(order.plan, level="clip", top=order.clip_top)
        self._makers: list[tuple[str, RowMaker]] = [
            ("events", row_maker(order.plan, classifier, file, channel)),
            ("clips", row_maker(clips, classifier, file, channel)),
        ]

    def push(self, block: Block) -> list[AnyRow]:
        """Take a block of windows."""
        for table, maker in self._makers:
            self._put_rows(table, maker.push(block))
        self._put_windows(block)
        if self._keeps_embeddings:
            self._put_embeddings(block)
        return []

    def flush(self, n_samples: int) -> list[AnyRow]:
        """The recording ended after this many samples."""
        for table, maker in self._makers:
            self._put_rows(table, maker.flush(n_samples))
        return []

    def _put_windows(self, block: Block) -> None:
        probabilities = self._reader.probabilities(block.scores)
        values = block.scores if probabilities is None else probabilities
        window, label = np.nonzero((values >= self._floor) & self._reader.selector.allowed)
        if not len(window):
            return
        # Within a window the best comes first, and ties in the order of the labels.
        order = np.lexsort((label, -values[window, label], window))
        window, label = window[order], label[order]
        columns = [
            *self._place(window + block.first_window),
            self._labels.take(pa.array(label)),
            pa.array(label.astype(np.int32)),
            pa.array(block.scores[window, label]),
        ]
        if probabilities is not None:
            columns.append(pa.array(probabilities[window, label]))
        self._put("windows", columns)

    def _put_embeddings(self, block: Block) -> None:
        n, size = block.embeddings.shape
        values = pa.array(block.embeddings.astype(np.float16).ravel())
        offsets = pa.array(np.arange(0, n * size + 1, size, dtype=np.int32))
        numbers = np.arange(n) + block.first_window
        self._put(EMBEDDINGS, [*self._place(numbers), pa.ListArray.from_arrays(offsets, values)])

    def _place(self, windows: NDArray[np.int64]) -> list[Any]:
        """Columns file, channel, start_time and end_time."""
        w, n = self._windowing, len(windows)
        starts = windows * w.hop_samples
        return [
            pa.repeat(pa.scalar(self._file, pa.string()), n),
            pa.repeat(pa.scalar(self._channel, pa.int32()), n),
            pa.array(starts / w.sample_rate_hz),
            pa.array((starts + w.window_samples) / w.sample_rate_hz),
        ]

    def _put_rows(self, table: str, rows: Sequence[AnyRow]) -> None:
        if rows:
            assert isinstance(rows[0], Row)
            schema = self._schemas[table]
            columns = [
                pa.array([getattr(row, name) for row in rows], schema.field(name).type)
                for name in schema.names
            ]
            self._put(table, columns)

    def _put(self, table: str, columns: list[Any]) -> None:
        self._shelf(table, pa.RecordBatch.from_arrays(columns, schema=self._schemas[table]))
