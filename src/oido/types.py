# SPDX-License-Identifier: Apache-2.0
"""The small records that pass between rooms. No NumPy is loaded here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Category:
    """One class and its score in a window or a clip.

    ``score`` is the model's raw output, 0..1, and not a probability; ``probability`` is the
    calibrated score, or None where no calibration is loaded. ``display_name`` is the label in the
    language that was asked for.
    """

    label: str
    index: int
    score: float
    probability: float | None = None
    display_name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Event:
    """A stretch of time in which one label is heard.

    ``start_time`` and ``end_time`` are seconds from the start of the recording; ``score`` is the
    pooled raw score inside (not a probability; `oido.events.segmentation`). ``display_name`` is
    the label in the language that was asked for, and so are the labels in ``also`` that this one
    stands for: more general ones, or weaker ones of the same sound.
    """

    label: str
    label_index: int
    start_time: float
    end_time: float
    score: float
    probability: float | None = None
    display_name: str = field(default="", compare=False)
    also: tuple[str, ...] = ()


class Row(NamedTuple):
    """One line of a machine-readable table, whatever its level (event, window or clip).

    The field names are the column names of every table, in this order; ``channel`` is the channel
    number, or None where channels were mixed; times are seconds; ``also`` are the labels that an
    event stands for; ``start_at``, of what is read back from an archive only, is when the row
    began by the clock, in UTC.
    """

    file: str
    channel: int | None
    start_time: float
    end_time: float
    label: str
    label_index: int
    score: float
    probability: float | None = None
    also: tuple[str, ...] = ()
    start_at: datetime | None = None


class EmbeddingRow(NamedTuple):
    """The embedding of a window or a whole recording: f32[D] of NumPy; start_at: as in `Row`."""

    file: str
    channel: int | None
    start_time: float
    end_time: float
    embedding: Any
    start_at: datetime | None = None


class FrameRow(NamedTuple):
    """The raw scores of a frame, all classes: f32[C] of NumPy."""

    file: str
    channel: int | None
    start_time: float
    end_time: float
    scores: Any


AnyRow = Row | EmbeddingRow | FrameRow
"""What a worker may send."""
